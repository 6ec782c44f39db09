"""POST of volumes: what they may begin as, which type they get, whether they fit."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.image.client import Image
from pileus.kit.client import Refused
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.ids import is_uuid, new_uuid
from pileus.kit.policy import PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Metadata, Name, start, stripped, truth, whole
from pileus.volume.api.volume_view import VolumeView, view
from pileus.volume.faults import ImageRefused, Invalid
from pileus.volume.model import backups, groups, keys, quotas, services, snapshots, types, volumes
from pileus.volume.model.backups import Backup
from pileus.volume.model.types import VolumeType
from pileus.volume.model.volumes import Volume
from pileus.volume.sagas.create_volume import CreateVolume, Source

routes = Routes()
GIB = 1 << 30


class VolumeCreate(msgspec.Struct, kw_only=True):
    size: int | str | None = None
    name: Name | None = None
    display_name: Name | None = None
    description: Name | None = None
    display_description: Name | None = None
    volume_type: str | None = None
    availability_zone: Name | None = None
    metadata: Metadata | None = None
    snapshot_id: str | None = None
    source_volid: str | None = None
    image_ref: str | None = msgspec.field(name="imageRef", default=None)
    image_id: str | None = None
    multiattach: Annotated[bool | str | None, until(versions.MULTIATTACH)] = None
    consistencygroup_id: str | None = None
    group_id: Annotated[str | None, since(versions.GROUPS)] = None
    backup_id: Annotated[str | None, since(versions.FROM_BACKUP)] = None


class VolumeRequest(msgspec.Struct, kw_only=True):
    volume: VolumeCreate
    hints: dict[str, Any] | None = msgspec.field(name="OS-SCH-HNT:scheduler_hints", default=None)


class Plan(msgspec.Struct, kw_only=True):
    """What a request comes down to."""

    source: Source = Source()
    least_gb: int = 0                        # the source does not fit into less
    size_gb: int | None = None               # of the source
    type_id: str | None = None               # of the source
    bootable: bool = False
    image_metadata: dict[str, str] | None = None
    encryption_key_id: str | None = None


async def of_image(ctx: Ctx, image_id: str) -> tuple[Image, dict[str, str]]:
    """The image, as the caller sees it, and what a volume made of it remembers. Raises ImageRefused."""
    images = ctx.app.image.as_caller(ctx.caller.token)
    try:
        if not is_uuid(image_id):
            found = await images.find_by_name(image_id, status=None)
            if found is None:
                raise ImageRefused(reason=image_id)
            image_id = found.id
        image = await images.get(image_id)
    except Refused as error:
        raise ImageRefused(reason=error.message) from error
    if not image.is_active:
        raise Invalid(reason=f"Invalid input received: Image {image.id} is not active.")
    facts = {"image_id": image.id, "image_name": image.name or "", "checksum": image.checksum or "",
             "container_format": image.container_format or "", "disk_format": image.disk_format or "",
             "min_disk": str(image.min_disk), "min_ram": str(image.min_ram), "size": str(image.size or 0)}
    return image, facts | image.properties


async def _from_image(ctx: Ctx, image_id: str) -> Plan:
    image, facts = await of_image(ctx, image_id)
    if not image.size and "block_device_mapping" in image.properties:
        return await _from_image_of_snapshots(ctx, image)
    size = max(image.size or 0, image.virtual_size or 0)
    key_id = image.properties.get(keys.OF_IMAGE)
    if key_id is not None:
        async with ctx.db.read() as reader:
            if not await keys.is_of_image(reader, key_id):
                raise ImageRefused(reason=f"Image {image.id} is encrypted with a key that is not here.")
    return Plan(source=Source(image_id=image.id, image_format=image.disk_format or "raw", encrypted=key_id is not None),
                bootable=True, least_gb=max(image.min_disk, -(-size // GIB)), image_metadata=facts,
                encryption_key_id=key_id)


async def _from_image_of_snapshots(ctx: Ctx, image: Image) -> Plan:
    """Compute makes such images of servers that boot from a volume."""
    if ctx.version < versions.NO_NULL_IMAGE:
        raise ImageRefused(reason=f"Image {image.id} has no content.")
    try:
        devices = msgspec.json.decode(image.properties["block_device_mapping"], type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise ImageRefused(reason=f"Image {image.id} does not say what it consists of: {error}") from error
    root = next((each for each in devices if each.get("boot_index") == 0), {})
    if not isinstance(root.get("snapshot_id"), str):
        raise ImageRefused(reason=f"Image {image.id} has no snapshot to boot from.")
    async with ctx.db.read() as reader:
        return await _from_snapshot(ctx, reader, root["snapshot_id"])


async def _plan(ctx: Ctx, body: VolumeCreate) -> Plan:
    image_id = body.image_ref or body.image_id
    given = [each for each in (body.snapshot_id, body.source_volid, image_id, body.backup_id) if each]
    if len(given) > 1:
        raise BadRequest(reason="A volume can be made of only one of: snapshot_id, source_volid, imageRef, backup_id.")
    if image_id:
        return await _from_image(ctx, image_id)
    async with ctx.db.read() as reader:
        if body.snapshot_id:
            return await _from_snapshot(ctx, reader, body.snapshot_id)
        if body.source_volid:
            return await _from_volume(ctx, reader, body.source_volid)
        if body.backup_id:
            backup = (await backups.see(reader, body.backup_id)).backup
            mine(ctx, backup, backups.BackupNotFound, backup_id=backup.id)
            if backup.status != "available":
                raise Invalid(reason=f"Invalid backup: Backup status must be available, not {backup.status}.")
            return await _from_backup(reader, backup)
    return Plan()


def mine(ctx: Ctx, row: Any, missing: Any, **facts: str) -> None:
    if row.project_id != ctx.caller.project_id and not ctx.caller.is_admin:
        raise missing(**facts)


async def _from_snapshot(ctx: Ctx, reader: Connection, snapshot_id: str) -> Plan:
    snapshot = await snapshots.get(reader, snapshot_id)
    mine(ctx, snapshot, snapshots.SnapshotNotFound, snapshot_id=snapshot_id)
    snapshot.must_be("available")
    volume = await volumes.get(reader, snapshot.volume_id)
    return Plan(source=Source(volume_id=volume.id, snapshot_id=snapshot.data_id, pool=volume.host),
                least_gb=snapshot.size_gb, size_gb=snapshot.size_gb, type_id=volume.type_id, bootable=volume.bootable,
                image_metadata=volume.image_metadata, encryption_key_id=volume.encryption_key_id)


async def _from_volume(ctx: Ctx, reader: Connection, volume_id: str) -> Plan:
    volume = await volumes.get(reader, volume_id)
    mine(ctx, volume, volumes.VolumeNotFound, volume_id=volume_id)
    volume.must_allow("clone")
    return Plan(source=Source(volume_id=volume.id, pool=volume.host), least_gb=volume.size_gb, size_gb=volume.size_gb,
                type_id=volume.type_id, bootable=volume.bootable, image_metadata=volume.image_metadata,
                encryption_key_id=volume.encryption_key_id)


async def _from_backup(reader: Connection, backup: Backup) -> Plan:
    """What is stored encrypted goes to a volume of the type it came from, if none is named."""
    source = await volumes.find(reader, backup.volume_id) if backup.encryption_key_id else None
    return Plan(source=Source(backup_id=backup.id), least_gb=backup.size_gb, size_gb=backup.size_gb,
                type_id=source.type_id if source else None, encryption_key_id=backup.encryption_key_id)


def _size(body: VolumeCreate, plan: Plan) -> int:
    if body.size is None:
        if plan.size_gb is None:
            raise BadRequest(reason="Invalid input received: Invalid volume size provided for create request: None "
                                    "(size argument must be an integer (or string representation of an integer) and "
                                    "greater than zero).")
        return plan.size_gb
    size = whole(body.size, "size", 1)
    if size < plan.least_gb:
        raise Invalid(reason=f"Invalid input received: Volume size {size}GB cannot be smaller than that of its "
                             f"source, {plan.least_gb}GB.")
    return size


async def _type(ctx: Ctx, reader: Connection, body: VolumeCreate, plan: Plan) -> VolumeType:
    if body.volume_type:
        return await types.get_allowed(reader, body.volume_type, ctx.caller)
    if plan.type_id:
        return await types.get(reader, plan.type_id)
    wanted = (plan.image_metadata or {}).get("cinder_img_volume_type")
    if wanted:
        return await types.get_allowed(reader, wanted, ctx.caller)
    return await types.default_for(reader, ctx.caller.project_id, ctx.app.config.default_type)


async def pools_of(reader: Connection, ids: Any) -> list[str]:
    """Where volumes that a hint names are."""
    found = [await volumes.find(reader, each) for each in ([ids] if isinstance(ids, str) else ids or [])]
    return [each.host for each in found if each is not None and each.host]


@routes.post("/v3/volumes", envelope="volume", bare_body=True, status=202,
             policy=Rule("volume:create", PROJECT_MEMBER))
async def create_volume(ctx: Ctx, body: VolumeRequest) -> VolumeView:
    """Record the volume and its saga in one transaction; the saga does the rest."""
    asked, hints = body.volume, body.hints or {}
    group_id = asked.group_id or asked.consistencygroup_id
    plan, project_id = await _plan(ctx, asked), ctx.caller.project_id or ""
    size = _size(asked, plan)
    async with ctx.db.read() as reader:
        kind = await _type(ctx, reader, asked, plan)
        _must_be_possible(kind, plan)
        await _must_know_zone(ctx, reader, asked.availability_zone)
        if group_id:
            await _must_fit_group(ctx, reader, group_id, kind)
        same, other = [await pools_of(reader, hints.get(name)) for name in ("same_host", "different_host")]
        await quotas.must_fit_one(reader, ctx.app.config, project_id, size)
    volume = Volume(
        id=new_uuid(), project_id=project_id, user_id=ctx.caller.user_id, size_gb=size, type_id=kind.id,
        zone=asked.availability_zone or ctx.app.config.zone, created_at=ctx.clock(),
        name=stripped(asked.name if asked.name is not None else asked.display_name),
        description=asked.description if asked.description is not None else asked.display_description,
        bootable=plan.bootable, image_metadata=plan.image_metadata, metadata=asked.metadata or {},
        snapshot_id=asked.snapshot_id, source_volume_id=asked.source_volid, group_id=group_id,
        multiattach=kind.multiattach or (asked.multiattach is not None and truth(asked.multiattach, "multiattach")),
        encrypted=kind.encryption is not None)
    saga = CreateVolume(volume_id=volume.id, source=plan.source, zone=asked.availability_zone, same_host=same,
                        other_host=other)
    async with ctx.db.write() as tx:
        await quotas.must_fit(tx, ctx.app.config, volume.project_id, {"volumes": 1, "gigabytes": size}, kind.name)
        if volume.encrypted:
            volume = msgspec.structs.replace(volume, encryption_key_id=await keys.make(
                tx, ctx.app.box, like=plan.encryption_key_id))
        await volumes.add(tx, volume)
        await start(ctx, tx, saga, volume.id)
        return view(ctx, await volumes.see(tx, volume.id), created=True)


def _must_be_possible(kind: VolumeType, plan: Plan) -> None:
    """What is stored encrypted is copied as it is, so a copy is of a type that is encrypted as well, or is not."""
    if kind.encryption is not None and (why_not := kind.encryption.why_not):
        raise Invalid(reason=f"Invalid volume: volumes cannot be encrypted as type {kind.name} wants: no {why_not}.")
    copies = plan.source.volume_id or plan.source.backup_id or plan.source.encrypted
    if copies and (plan.encryption_key_id is None) != (kind.encryption is None):
        raise Invalid(reason="Invalid input received: a copy of a volume has to be encrypted as that is.")


async def _must_know_zone(ctx: Ctx, reader: Connection, zone: str | None) -> None:
    if zone and zone not in {row.zone for row in await services.every(reader, binary=services.VOLUME)} | {
            ctx.app.config.zone}:
        raise Invalid(reason=f"Invalid input received: Availability zone '{zone}' is invalid.")


async def _must_fit_group(ctx: Ctx, reader: Connection, group_id: str, kind: VolumeType) -> None:
    group = await groups.get(reader, group_id)
    mine(ctx, group, groups.GroupNotFound, group_id=group_id)
    if kind.id not in group.volume_types:
        raise Invalid(reason=f"Invalid input received: Volume type {kind.name} is not one of group {group_id}.")
