"""GET, PUT and DELETE of volumes."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.faults import BadRequest
from pileus.kit.numbers import digits
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import BIGGEST, Metadata, Name, Query, counted, dictionary, listed, start, stripped, truth
from pileus.volume.api.volume_view import VolumeBrief, VolumeView, brief, view
from pileus.volume.faults import Invalid, VolumeNotFound
from pileus.volume.model import snapshots, volumes
from pileus.volume.model.listing import Found
from pileus.volume.model.tables import image_properties
from pileus.volume.model.tables import types as type_table
from pileus.volume.model.tables import volumes as table
from pileus.volume.model.volumes import Seen, Status
from pileus.volume.sagas.delete_volume import DeleteVolume

routes = Routes()
VOLUME = Target(volumes.see, missing=VolumeNotFound)
FILTERS = {"name", "status", "zone", "bootable", "host", "user_id", "group_id", "migration_status", "id",
           "snapshot_id", "source_volume_id", "size_gb", "encrypted", "multiattach"}
SORTABLE = {"id", "status", "size_gb", "zone", "name", "bootable", "created_at", "updated_at", "host", "type_id"}
RENAMED = {"display_name": "name", "display_name~": "name~", "availability_zone": "zone", "size": "size_gb",
           "source_volid": "source_volume_id", "volume_type": "type_id"}


async def _page(ctx: Ctx, query: Query) -> Found:
    known = FILTERS if ctx.version >= versions.GROUP_FILTER else FILTERS - {"group_id"}
    wanted = listed(ctx, query, filters=known, sortable=SORTABLE, renamed=RENAMED)
    for name in ("bootable", "encrypted", "multiattach"):
        if name in wanted.exact:
            wanted.exact[name] = [truth(wanted.exact[name][0], name)]
    if "host" in wanted.exact and not ctx.caller.is_admin:
        del wanted.exact["host"]
    if "size_gb" in wanted.exact:
        sizes = map(digits, wanted.exact["size_gb"])
        wanted.exact["size_gb"] = [size for size in sizes if size is not None and size <= BIGGEST]
    if "volume_type_id" in query or "volume_type" in query:
        wanted.exact.pop("type_id", None)
        named = query.get("volume_type_id", query.get("volume_type", [""]))[-1]
        wanted.clauses.append((table.c.type_id == named) | (type_table.c.name == named))
        wanted.counted = False
    if "metadata" in query:
        wanted.clauses += [volumes.has_property(table, name, value)
                           for name, value in dictionary(query["metadata"][-1], "metadata").items()]
    if "glance_metadata" in query and ctx.version >= versions.IMAGE_FILTER:
        wanted.clauses += [volumes.has_property(table, name, value, image_properties)
                           for name, value in dictionary(query["glance_metadata"][-1], "glance_metadata").items()]
    if wanted.limit == 0:
        return Found([], False)
    async with ctx.db.read() as reader:
        return await volumes.page(reader, wanted)


@routes.get("/v3/volumes", envelope="volumes", policy=Rule("volume:get_all", PROJECT_READER))
async def list_volumes(ctx: Ctx, query: Query) -> Page[VolumeBrief]:
    found = await _page(ctx, query)
    return Page([brief(ctx, seen) for seen in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/volumes/detail", envelope="volumes", policy=Rule("volume:get_all", PROJECT_READER))
async def list_volumes_detail(ctx: Ctx, query: Query) -> Page[VolumeView]:
    found = await _page(ctx, query)
    return Page([view(ctx, seen) for seen in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/volumes/summary", envelope="volume-summary", window=since(versions.SUMMARY),
            policy=Rule("volume:get_all", PROJECT_READER))
async def summarise_volumes(ctx: Ctx, query: Query) -> dict[str, Any]:
    everyone = ctx.caller.is_admin and truth(query.get("all_tenants", ["0"])[-1], "all_tenants")
    async with ctx.db.read() as reader:
        count, size, metadata = await volumes.summary(reader, None if everyone else ctx.caller.project_id)
    more = {"metadata": metadata} if ctx.version >= versions.SUMMARY_METADATA else {}
    return {"total_count": count, "total_size": size} | more


@routes.get("/v3/volumes/{volume_id}", envelope="volume", target=VOLUME, policy=Rule("volume:get", PROJECT_READER))
async def show_volume(ctx: Ctx, seen: Seen) -> VolumeView:
    return view(ctx, seen)


class VolumeUpdate(msgspec.Struct, kw_only=True):
    name: Name | None | UnsetType = UNSET
    display_name: Name | None | UnsetType = UNSET
    description: Name | None | UnsetType = UNSET
    display_description: Name | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET


@routes.put("/v3/volumes/{volume_id}", envelope="volume", target=VOLUME, policy=Rule("volume:update", PROJECT_MEMBER))
async def update_volume(ctx: Ctx, seen: Seen, body: VolumeUpdate) -> VolumeView:
    changes = named(body)
    if not changes:
        raise BadRequest(reason="Nothing to change was given: name, description or metadata.")
    async with ctx.db.write() as tx:
        await volumes.change(tx, seen.volume, ctx.clock(), **changes)
        return view(ctx, await volumes.see(tx, seen.id), created=True)


def named(body: Any) -> dict[str, Any]:
    """What a request changes of a name, a description and metadata; the newer word beats the older."""
    changes: dict[str, Any] = {}
    for field, *others in (("name", "display_name"), ("description", "display_description"), ("metadata",)):
        for word in (*others, field):
            value = getattr(body, word, UNSET)
            if value is not UNSET and not (field == "metadata" and value is None):
                changes[field] = stripped(value)
    return changes


class DeleteQuery(msgspec.Struct, kw_only=True):
    cascade: str = "false"
    force: str = "false"


FORCE = Rule("volume:force_delete", "role:admin")


@routes.delete("/v3/volumes/{volume_id}", target=VOLUME, status=202, policy=Rule("volume:delete", PROJECT_MEMBER))
async def delete_volume(ctx: Ctx, seen: Seen, query: DeleteQuery) -> None:
    force = ctx.version >= versions.FORCE_DELETE and truth(query.force, "force")
    if force:
        ctx.must_allow(FORCE.name, {"project_id": seen.project_id})
    await start_deletion(ctx, seen, cascade=truth(query.cascade, "cascade"), force=force)


async def start_deletion(ctx: Ctx, seen: Seen, *, cascade: bool = False, force: bool = False) -> None:
    """With `force` at any moment: what is being done to the volume is unwound first."""
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        if not force:
            volume.must_allow("delete")
            if seen.attachments:
                raise Invalid(reason=f"Invalid volume: Volume {volume.id} is attached.")
        if volume.group_id is not None and not force:
            raise Invalid(reason=f"Invalid volume: Volume {volume.id} is in group {volume.group_id}.")
        held = await snapshots.of_volume(tx, volume.id)
        if held and not cascade:
            raise Invalid(reason="Invalid volume: Volume status must be available or error or error_restoring or "
                                 "error_extending or error_managing and must not be migrating, attached, belong to a "
                                 "group, have snapshots, awaiting a transfer, or be disassociated from snapshots "
                                 "after volume transfer.")
        if any(each.status not in snapshots.DELETABLE for each in held):
            raise Invalid(reason=f"Invalid volume: a snapshot of {volume.id} is busy.")
        if volume.status == Status.ERROR and volume.host is None and not held:     # there never was a content
            await volumes.remove(tx, volume.id)
            return
        await volumes.change(tx, volume, ctx.clock(), status=Status.DELETING, previous_status=volume.status)
        await start(ctx, tx, DeleteVolume(volume_id=volume.id, cascade=cascade), volume.id, supersede=True)
