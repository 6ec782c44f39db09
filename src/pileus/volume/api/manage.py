"""Take charge of what a back end already holds, and let go of it again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.kit import db
from pileus.kit.bus import Failed, NobodyThere
from pileus.kit.faults import BadRequest, Unavailable
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import scheduler, versions
from pileus.volume.api import snapshots as snapshot_api
from pileus.volume.api.snapshots import SnapshotView
from pileus.volume.api.values import Key, Metadata, Name, start, truth
from pileus.volume.api.volume_view import VolumeView, view
from pileus.volume.api.volumes import VOLUME
from pileus.volume.drivers.base import HeldVolume
from pileus.volume.faults import Invalid, ServiceNotFound
from pileus.volume.messages import ListVolumes
from pileus.volume.model import services, snapshots, types, volumes
from pileus.volume.model.snapshots import Snapshot
from pileus.volume.model.volumes import Seen, Status, Volume
from pileus.volume.sagas.change_volume import Manage

routes = Routes()
VOLUME_PREFIX, SNAPSHOT_PREFIX = "volume-", "_snapshot-"        # in front of an id, as operators know it
MANAGE = Rule("volume_extension:volume_manage", ADMIN)
UNMANAGE = Rule("volume_extension:volume_unmanage", ADMIN)
LIST = Rule("volume_extension:list_manageable", ADMIN)
SNAPSHOT_MANAGE = Rule("snapshot_extension:snapshot_manage", ADMIN)
SNAPSHOT_LIST = Rule("snapshot_extension:list_manageable", ADMIN)


def _reference(ref: str | dict[str, Any], prefix: str) -> str:
    name = ref if isinstance(ref, str) else ref.get("source-name") or ref.get("source-id")
    if not isinstance(name, str) or not name:
        raise BadRequest(reason="ref needs a source-name")
    return name.removeprefix(prefix)


async def _held(ctx: Ctx, host: str) -> list[HeldVolume]:
    """What a back end holds, asked of itself."""
    async with ctx.db.read() as reader:
        rows = await services.every(reader, binary=services.VOLUME, host=host.partition("#")[0])
    if not rows:
        raise ServiceNotFound(service=f"{services.VOLUME} on host {host}")
    try:
        return list(await ctx.app.bus.call(ListVolumes(), host=rows[0].host))
    except (Failed, NobodyThere) as error:
        raise Unavailable(reason=f"{host} does not answer: {error}") from error


class ManageVolume(msgspec.Struct, kw_only=True):
    ref: str | dict[str, Any]
    host: Key | None = None
    name: Name | None = None
    description: Name | None = None
    volume_type: Name | None = None
    availability_zone: Name | None = None
    metadata: Metadata | None = None
    bootable: bool | str = False


async def _manage(ctx: Ctx, body: ManageVolume) -> VolumeView:
    reference = _reference(body.ref, VOLUME_PREFIX)
    if body.host is None:
        raise BadRequest(reason="host is needed")
    held = {each.id: each for each in await _held(ctx, body.host)}
    async with ctx.db.write() as tx:
        if reference not in held:
            raise Invalid(reason=f"Manage existing volume failed due to invalid backend reference {reference}: "
                                 "the back end holds no such volume.")
        if await volumes.find(tx, reference) is not None:
            raise Invalid(reason=f"Unable to manage existing volume. Volume {reference} already managed.")
        kind = await types.get_allowed(tx, body.volume_type, ctx.caller) if body.volume_type else \
            await types.default_for(tx, ctx.caller.project_id, ctx.app.config.default_type)
        if kind.encryption is not None:
            raise Invalid(reason="Unable to manage existing volume. Its key is not known.")
        row = next(each for each in await services.every(tx, binary=services.VOLUME, host=body.host.partition("#")[0]))
        volume = Volume(
            id=new_uuid(), project_id=ctx.caller.project_id or "", user_id=ctx.caller.user_id,
            size_gb=held[reference].size_gb, type_id=kind.id, zone=row.zone, created_at=ctx.clock(), name=body.name,
            description=body.description, status=Status.MANAGING, host=scheduler.pool_of(row),
            bootable=truth(body.bootable, "bootable"), metadata=body.metadata or {}, multiattach=kind.multiattach)
        await volumes.add(tx, volume)
        await start(ctx, tx, Manage(volume_id=volume.id, reference=reference, size_gb=volume.size_gb), volume.id)
        return view(ctx, await volumes.see(tx, volume.id))


@routes.post("/v3/os-volume-manage", envelope="volume", status=202, policy=MANAGE)
async def manage_volume(ctx: Ctx, body: ManageVolume) -> VolumeView:
    return await _manage(ctx, body)


@routes.post("/v3/manageable_volumes", envelope="volume", status=202, window=since(versions.MANAGEABLE_LISTS),
             policy=MANAGE)
async def manage_listed_volume(ctx: Ctx, body: ManageVolume) -> VolumeView:
    return await _manage(ctx, body)


@routes.action("/v3/volumes/{volume_id}/action", "os-unmanage", target=VOLUME, policy=UNMANAGE)
async def unmanage_volume(ctx: Ctx, seen: Seen, body: dict[str, Any] | None) -> None:
    """Its row goes, its content stays with the back end."""
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        volume.must_allow("unmanage")
        if seen.attachments or volume.encrypted:
            raise Invalid(reason=f"Invalid volume: Volume {volume.id} is attached or encrypted.")
        try:
            await volumes.remove(tx, volume.id)
        except db.Taken as error:
            raise Invalid(reason=f"Invalid volume: Volume {volume.id} still has snapshots.") from error


class ManageSnapshot(msgspec.Struct, kw_only=True):
    volume_id: Key
    ref: str | dict[str, Any]
    name: Name | None = None
    description: Name | None = None
    metadata: Metadata | None = None


async def _manage_snapshot(ctx: Ctx, body: ManageSnapshot) -> SnapshotView:
    reference = _reference(body.ref, SNAPSHOT_PREFIX)
    async with ctx.db.read() as reader:
        volume = await volumes.get(reader, body.volume_id)
    held = next((each for each in await _held(ctx, volume.back_end) if each.id == volume.id), None)
    async with ctx.db.write() as tx:
        if held is None or reference not in held.snapshots:
            raise Invalid(reason=f"Manage existing snapshot failed due to invalid backend reference {reference}: "
                                 f"volume {volume.id} has no such snapshot.")
        if any(each.data_id == reference for each in await snapshots.of_volume(tx, volume.id)):
            raise Invalid(reason=f"Unable to manage existing snapshot. Snapshot {reference} already managed.")
        row = Snapshot(id=new_uuid(), project_id=volume.project_id, user_id=ctx.caller.user_id, volume_id=volume.id,
                       size_gb=volume.size_gb, type_id=volume.type_id, created_at=ctx.clock(), name=body.name,
                       description=body.description, status="available", progress=100, name_id=reference,
                       metadata=body.metadata or {})
        await snapshots.add(tx, row)
    return snapshot_api.view(row, whole_view=False)


@routes.post("/v3/os-snapshot-manage", envelope="snapshot", status=202, policy=SNAPSHOT_MANAGE)
async def manage_snapshot(ctx: Ctx, body: ManageSnapshot) -> SnapshotView:
    return await _manage_snapshot(ctx, body)


@routes.post("/v3/manageable_snapshots", envelope="snapshot", status=202, window=since(versions.MANAGEABLE_LISTS),
             policy=SNAPSHOT_MANAGE)
async def manage_listed_snapshot(ctx: Ctx, body: ManageSnapshot) -> SnapshotView:
    return await _manage_snapshot(ctx, body)


@routes.action("/v3/snapshots/{snapshot_id}/action", "os-unmanage", target=snapshot_api.SNAPSHOT,
               policy=Rule("snapshot_extension:snapshot_unmanage", ADMIN))
async def unmanage_snapshot(ctx: Ctx, row: Snapshot, body: dict[str, Any] | None) -> None:
    async with ctx.db.write() as tx:
        await snapshots.remove(tx, row.id)


# -- lists ----------------------------------------------------------------------------------

class ListQuery(msgspec.Struct, kw_only=True):
    host: Annotated[str, msgspec.Meta(min_length=1)]


class Manageable(msgspec.Struct, kw_only=True):
    reference: dict[str, str]
    size: int
    safe_to_manage: bool


class ManageableDetail(Manageable, kw_only=True):
    reason_not_safe: str | None = None
    cinder_id: str | None = None
    extra_info: str | None = None
    source_reference: dict[str, str] | None = None


async def _manageable(ctx: Ctx, host: str) -> list[ManageableDetail]:
    held = await _held(ctx, host)
    async with ctx.db.read() as reader:
        known = {each.id for each in held if await volumes.find(reader, each.id) is not None}
    return [ManageableDetail(
        reference={"source-name": f"{VOLUME_PREFIX}{each.id}"}, size=each.size_gb, safe_to_manage=each.id not in known,
        reason_not_safe="already managed" if each.id in known else None,
        cinder_id=each.id if each.id in known else None) for each in held]


async def _manageable_snapshots(ctx: Ctx, host: str) -> list[ManageableDetail]:
    held = await _held(ctx, host)
    found = []
    async with ctx.db.read() as reader:
        for volume in held:
            known = {each.data_id: each.id for each in await snapshots.of_volume(reader, volume.id)}
            found += [ManageableDetail(
                reference={"source-name": f"{SNAPSHOT_PREFIX}{each}"}, size=volume.size_gb,
                safe_to_manage=each not in known, reason_not_safe="already managed" if each in known else None,
                cinder_id=known.get(each), source_reference={"source-name": f"{VOLUME_PREFIX}{volume.id}"})
                for each in volume.snapshots]
    return found


def _brief(found: list[ManageableDetail]) -> list[Manageable]:
    return [Manageable(reference=each.reference, size=each.size, safe_to_manage=each.safe_to_manage) for each in found]


def _declare(kind: str, rule: Rule, find: Any) -> None:
    name = f"manageable-{kind}"

    @routes.get(f"/v3/manageable_{kind}", envelope=name, window=since(versions.MANAGEABLE_LISTS), policy=rule)
    async def list_manageable(ctx: Ctx, query: ListQuery) -> Page[Manageable]:
        return Page(_brief(await find(ctx, query.host)))

    @routes.get(f"/v3/manageable_{kind}/detail", envelope=name, window=since(versions.MANAGEABLE_LISTS), policy=rule)
    async def list_manageable_detail(ctx: Ctx, query: ListQuery) -> Page[ManageableDetail]:
        return Page(await find(ctx, query.host))


_declare("volumes", LIST, _manageable)
_declare("snapshots", SNAPSHOT_LIST, _manageable_snapshots)
