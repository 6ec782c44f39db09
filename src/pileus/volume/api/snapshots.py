"""Snapshots of volumes: lists, CRUD, what administrators may do to them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Metadata, Name, Query, counted, dictionary, listed, start, stripped, truth, whole
from pileus.volume.api.volume_create import mine
from pileus.volume.api.volumes import named
from pileus.volume.faults import Invalid, SnapshotNotFound
from pileus.volume.model import quotas, snapshots, types, volumes
from pileus.volume.model.listing import Found
from pileus.volume.model.snapshots import DELETABLE, Snapshot
from pileus.volume.model.tables import snapshots as table
from pileus.volume.model.volumes import Status
from pileus.volume.sagas.snapshots import CreateSnapshot, DeleteSnapshot
from pileus.volume.times import iso, iso_or_none

routes = Routes()
SNAPSHOT = Target(snapshots.get, missing=SnapshotNotFound)
FILTERS = {"name", "status", "volume_id", "user_id", "id"}
SORTABLE = {"id", "status", "size_gb", "name", "created_at", "updated_at", "volume_id", "project_id"}
RENAMED = {"display_name": "name", "display_name~": "name~", "size": "size_gb", "volume_size": "size_gb"}
STATUSES = {"available", "creating", "deleting", "error", "error_deleting", "backing-up", "restoring", "unmanaging"}


class SnapshotView(msgspec.Struct, kw_only=True):
    id: str
    name: str | None
    description: str | None
    status: str
    size: int
    volume_id: str
    created_at: str
    updated_at: str | None
    metadata: dict[str, str]
    progress: str | UnsetType = msgspec.field(name="os-extended-snapshot-attributes:progress", default=UNSET)
    project: str | UnsetType = msgspec.field(name="os-extended-snapshot-attributes:project_id", default=UNSET)
    group_snapshot_id: Annotated[str | None, since(versions.GROUP_SNAPSHOTS)] = None
    user_id: Annotated[str, since(versions.SNAPSHOT_USER)] = ""
    consumes_quota: Annotated[bool, since(versions.CONSUMES_QUOTA)] = True


def view(row: Snapshot, *, whole_view: bool = True) -> SnapshotView:
    found = SnapshotView(
        id=row.id, name=row.name, description=row.description, status=row.status, size=row.size_gb,
        volume_id=row.volume_id, created_at=iso(row.created_at), updated_at=iso_or_none(row.updated_at),
        metadata=row.metadata, group_snapshot_id=row.group_snapshot_id, user_id=row.user_id)
    if whole_view:
        found.progress, found.project = f"{row.progress}%", row.project_id
    return found


async def _page(ctx: Ctx, query: Query) -> Found:
    sortable = SORTABLE if ctx.version >= versions.SNAPSHOT_NAME_SORT else SORTABLE - {"name"} | {"display_name"}
    wanted = listed(ctx, query, filters=FILTERS, sortable=sortable, renamed=RENAMED)
    if "metadata" in query and ctx.version >= versions.SNAPSHOT_METADATA_FILTER:
        wanted.clauses += [volumes.has_property(table, name, value)
                           for name, value in dictionary(query["metadata"][-1], "metadata").items()]
    if wanted.limit == 0:
        return Found([], False)
    async with ctx.db.read() as reader:
        return await snapshots.page(reader, wanted)


@routes.get("/v3/snapshots", envelope="snapshots", policy=Rule("volume:get_all_snapshots", PROJECT_READER))
async def list_snapshots(ctx: Ctx, query: Query) -> Page[SnapshotView]:
    found = await _page(ctx, query)
    return Page([view(row, whole_view=False) for row in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/snapshots/detail", envelope="snapshots", policy=Rule("volume:get_all_snapshots", PROJECT_READER))
async def list_snapshots_detail(ctx: Ctx, query: Query) -> Page[SnapshotView]:
    found = await _page(ctx, query)
    return Page([view(row) for row in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/snapshots/{snapshot_id}", envelope="snapshot", target=SNAPSHOT,
            policy=Rule("volume:get_snapshot", PROJECT_READER))
async def show_snapshot(ctx: Ctx, row: Snapshot) -> SnapshotView:
    return view(row)


class SnapshotCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_id: str | None                        # null is a volume that is not there
    name: Name | None = None
    display_name: Name | None = None
    description: Name | None = None
    display_description: Name | None = None
    force: bool | str | None = False
    metadata: Metadata | None = None


@routes.post("/v3/snapshots", envelope="snapshot", status=202, policy=Rule("volume:create_snapshot", PROJECT_MEMBER))
async def create_snapshot(ctx: Ctx, body: SnapshotCreate) -> SnapshotView:
    force = truth(body.force or False, "force")
    if ctx.version >= versions.SNAPSHOT_IN_USE:
        if body.force is not None and body.force is not False and not force:
            raise BadRequest(reason="force: false is not valid since the version 3.66.")
        force = True
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, body.volume_id or "")
        mine(ctx, volume, volumes.VolumeNotFound, volume_id=volume.id)
        if volume.status != Status.AVAILABLE and not (force and volume.status == Status.IN_USE):
            raise Invalid(reason=f"Invalid volume: Volume {volume.id} status must be available to create a snapshot, "
                                 f"but current status is: {volume.status}.")
        kind = await types.get(tx, volume.type_id)
        await quotas.must_fit(tx, ctx.app.config, volume.project_id,
                              {"snapshots": 1, "gigabytes": volume.size_gb}, kind.name)
        row = Snapshot(id=new_uuid(), project_id=volume.project_id, user_id=ctx.caller.user_id, volume_id=volume.id,
                       size_gb=volume.size_gb, type_id=volume.type_id, created_at=ctx.clock(),
                       name=stripped(body.name if body.name is not None else body.display_name),
                       description=body.description if body.description is not None else body.display_description,
                       metadata=body.metadata or {})
        await snapshots.add(tx, row)
        await start(ctx, tx, CreateSnapshot(snapshot_id=row.id, volume_id=volume.id, host=volume.back_end), row.id)
    return view(row, whole_view=False)


class SnapshotUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | None | UnsetType = UNSET
    display_name: Name | None | UnsetType = UNSET
    description: Name | None | UnsetType = UNSET
    display_description: Name | None | UnsetType = UNSET


@routes.put("/v3/snapshots/{snapshot_id}", envelope="snapshot", target=SNAPSHOT,
            policy=Rule("volume:update_snapshot", PROJECT_MEMBER))
async def update_snapshot(ctx: Ctx, row: Snapshot, body: SnapshotUpdate) -> SnapshotView:
    changes = named(body)
    if not changes:
        raise BadRequest(reason="Nothing to change was given: name or description.")
    async with ctx.db.write() as tx:
        return view(await snapshots.change(tx, row, ctx.clock(), **changes), whole_view=False)


@routes.delete("/v3/snapshots/{snapshot_id}", target=SNAPSHOT, status=202,
               policy=Rule("volume:delete_snapshot", PROJECT_MEMBER))
async def delete_snapshot(ctx: Ctx, row: Snapshot) -> None:
    row.must_be(*DELETABLE)
    if row.group_snapshot_id is not None:
        raise Invalid(reason=f"Invalid snapshot: Snapshot {row.id} belongs to group snapshot {row.group_snapshot_id}.")
    await _delete(ctx, row)


async def _delete(ctx: Ctx, row: Snapshot) -> None:
    async with ctx.db.write() as tx:
        await snapshots.change(tx, row, ctx.clock(), status="deleting")
        await start(ctx, tx, DeleteSnapshot(snapshot_id=row.id), row.id, supersede=True)


@routes.action("/v3/snapshots/{snapshot_id}/action", "os-force_delete", target=SNAPSHOT,
               policy=Rule("volume_extension:snapshot_admin_actions:force_delete", ADMIN))
async def force_delete(ctx: Ctx, row: Snapshot, body: dict[str, str] | None) -> None:
    await _delete(ctx, row)


class StatusReset(msgspec.Struct, kw_only=True):
    status: str


@routes.action("/v3/snapshots/{snapshot_id}/action", "os-reset_status", target=SNAPSHOT,
               policy=Rule("volume_extension:snapshot_admin_actions:reset_status", ADMIN))
async def reset_status(ctx: Ctx, row: Snapshot, body: StatusReset) -> None:
    if body.status.lower() not in STATUSES:
        raise Invalid(reason=f"Must specify a valid status: {body.status}")
    async with ctx.db.write() as tx:
        await snapshots.change(tx, row, ctx.clock(), status=body.status.lower())


class StatusUpdate(msgspec.Struct, kw_only=True):
    status: str
    progress: str | int | None = None


@routes.action("/v3/snapshots/{snapshot_id}/action", "os-update_snapshot_status", target=SNAPSHOT,
               policy=Rule("snapshot_extension:snapshot_actions:update_snapshot_status", PROJECT_MEMBER))
async def update_status(ctx: Ctx, row: Snapshot, body: StatusUpdate) -> None:
    allowed = {"creating": ("creating", "available", "error"), "deleting": ("deleting", "error_deleting")}
    if body.status not in allowed.get(row.status, ()):
        raise Invalid(reason=f"Provided snapshot status {body.status} not allowed for snapshot with status "
                             f"{row.status}.")
    changes: dict[str, str | int] = {"status": body.status}
    if body.progress is not None:
        progress = whole(str(body.progress).removesuffix("%"), "progress")
        if progress > 100:
            raise Invalid(reason=f"Invalid input received: progress {body.progress} is not between 0% and 100%.")
        changes["progress"] = progress
    async with ctx.db.write() as tx:
        await snapshots.change(tx, row, ctx.clock(), **changes)
