"""Groups of volumes, and snapshots of whole groups."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Name, Query, listed, start, truth
from pileus.volume.api.volume_create import mine
from pileus.volume.faults import GroupNotFound, GroupSnapshotNotFound, Invalid
from pileus.volume.model import groups, keys, listing, quotas, snapshots, types, volumes
from pileus.volume.model.groups import Group
from pileus.volume.model.tables import groups as table
from pileus.volume.model.volumes import Volume
from pileus.volume.sagas.create_volume import Source
from pileus.volume.sagas.groups import CreateGroup, DeleteGroup
from pileus.volume.times import iso

routes = Routes()
GROUP = Target(groups.get, missing=GroupNotFound)
SNAPSHOT = Target(groups.get_snapshot, missing=GroupSnapshotNotFound)
WINDOW, SNAPSHOT_WINDOW = since(versions.GROUPS), since(versions.GROUP_SNAPSHOTS)
STATUSES = ("available", "error", "creating", "deleting", "updating", "error_deleting")


class Brief(msgspec.Struct, kw_only=True):
    id: str
    name: str | None


class GroupView(Brief, kw_only=True):
    status: str
    description: str | None
    availability_zone: str | None
    created_at: str
    group_type: str
    volume_types: list[str]
    group_snapshot_id: Annotated[str | None, since(versions.GROUP_SNAPSHOTS)] = None
    source_group_id: Annotated[str | None, since(versions.GROUP_SNAPSHOTS)] = None
    volumes: Annotated[list[str] | UnsetType, since(versions.GROUP_VOLUMES)] = UNSET
    replication_status: Annotated[str | None, since(versions.GROUP_REPLICATION)] = None
    project_id: Annotated[str, since(versions.GROUP_PROJECT)] = ""


def view(row: Group) -> GroupView:
    return GroupView(id=row.id, name=row.name, status=row.status, description=row.description,
                     availability_zone=row.zone, created_at=iso(row.created_at), group_type=row.group_type_id,
                     volume_types=row.volume_types, group_snapshot_id=row.group_snapshot_id,
                     source_group_id=row.source_group_id, replication_status="disabled", project_id=row.project_id)


async def _page(ctx: Ctx, query: Query) -> listing.Found:
    wanted = listed(ctx, query, filters={"name", "status", "id"}, sortable={"id", "name", "created_at", "status"})
    async with ctx.db.read() as reader:
        return await listing.page(reader, table, wanted, Group)


@routes.get("/v3/groups", envelope="groups", window=WINDOW, policy=Rule("group:get_all", PROJECT_READER))
async def list_groups(ctx: Ctx, query: Query) -> Page[Brief]:
    found = await _page(ctx, query)
    return Page([Brief(id=row.id, name=row.name) for row in found.rows], found.next_marker)


@routes.get("/v3/groups/detail", envelope="groups", window=WINDOW, policy=Rule("group:get_all", PROJECT_READER))
async def list_groups_detail(ctx: Ctx, query: Query) -> Page[GroupView]:
    found = await _page(ctx, query)
    return Page([view(row) for row in found.rows], found.next_marker)


class GroupQuery(msgspec.Struct, kw_only=True):
    list_volume: str = "false"


@routes.get("/v3/groups/{group_id}", envelope="group", target=GROUP, window=WINDOW,
            policy=Rule("group:get", PROJECT_READER))
async def show_group(ctx: Ctx, row: Group, query: GroupQuery) -> GroupView:
    found = view(row)
    if truth(query.list_volume, "list_volume"):
        async with ctx.db.read() as reader:
            found.volumes = [each.id for each in await volumes.in_group(reader, row.id)]
    return found


class GroupCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    group_type: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    volume_types: Annotated[list[str], msgspec.Meta(min_length=1)]
    name: Name | None = None
    description: Name | None = None
    availability_zone: Name | None = None


@routes.post("/v3/groups", envelope="group", status=202, window=WINDOW, policy=Rule("group:create", PROJECT_MEMBER))
async def create_group(ctx: Ctx, body: GroupCreate) -> Brief:
    row = await new_group(ctx, body)
    return Brief(id=row.id, name=row.name)


async def new_group(ctx: Ctx, body: GroupCreate) -> Group:
    async with ctx.db.write() as tx:
        kind = await groups.find_type(tx, body.group_type)
        if kind is None:
            raise groups.GroupTypeNotFound(group_type_id=body.group_type)
        allowed = [(await types.get_allowed(tx, each, ctx.caller)).id for each in body.volume_types]
        row = Group(id=new_uuid(), project_id=ctx.caller.project_id or "", user_id=ctx.caller.user_id,
                    group_type_id=kind.id, created_at=ctx.clock(), name=body.name, description=body.description,
                    volume_types=allowed, zone=body.availability_zone or ctx.app.config.zone)
        await quotas.must_fit(tx, ctx.app.config, row.project_id, {"groups": 1})
        await db.add(tx, table, row)
        await start(ctx, tx, CreateGroup(group_id=row.id), row.id)
    return row


class GroupSource(msgspec.Struct, kw_only=True):
    group_snapshot_id: str | None = None
    source_group_id: str | None = None
    name: Name | None = None
    description: Name | None = None


@routes.action("/v3/groups/action", "create-from-src", envelope="group", window=SNAPSHOT_WINDOW,
               policy=Rule("group:create", PROJECT_MEMBER))
async def create_group_from_source(ctx: Ctx, body: GroupSource) -> Brief:
    row = await copied_group(ctx, body)
    return Brief(id=row.id, name=row.name)


async def copied_group(ctx: Ctx, body: GroupSource) -> Group:
    if bool(body.group_snapshot_id) == bool(body.source_group_id):
        raise BadRequest(reason="Either 'group_snapshot_id' or 'source_group_id' must be provided, and not both.")
    async with ctx.db.write() as tx:
        group, made_of = await _sources(ctx, tx, body)
        row = msgspec.structs.replace(
            group, id=new_uuid(), name=body.name, description=body.description, status="creating", generation=1,
            project_id=ctx.caller.project_id or "", user_id=ctx.caller.user_id, created_at=ctx.clock(),
            updated_at=None, group_snapshot_id=body.group_snapshot_id, source_group_id=body.source_group_id)
        await quotas.must_fit(tx, ctx.app.config, row.project_id, {
            "groups": 1, "volumes": len(made_of), "gigabytes": sum(each.size_gb for each, _ in made_of)})
        await db.add(tx, table, row)
        sources = {}
        for origin, source in made_of:
            volume = _like(origin, row, source, ctx.clock())
            if origin.encryption_key_id is not None:
                key_id = await keys.make(tx, ctx.app.box, like=origin.encryption_key_id)
                volume = msgspec.structs.replace(volume, encrypted=True, encryption_key_id=key_id)
            await volumes.add(tx, volume)
            sources[volume.id] = source
        await start(ctx, tx, CreateGroup(group_id=row.id, sources=sources), row.id)
    return row


def _like(origin: Volume, group: Group, source: Source, now: float) -> Volume:
    return Volume(
        id=new_uuid(), project_id=group.project_id, user_id=group.user_id, size_gb=origin.size_gb,
        type_id=origin.type_id, zone=origin.zone, created_at=now, name=origin.name, description=origin.description,
        bootable=origin.bootable, image_metadata=origin.image_metadata, metadata=origin.metadata, group_id=group.id,
        multiattach=origin.multiattach, snapshot_id=source.snapshot_id,
        source_volume_id=None if source.snapshot_id else origin.id)


async def _sources(ctx: Ctx, tx: Connection, body: GroupSource) -> tuple[Group, list[tuple[Volume, Source]]]:
    """The group that is copied, and of each of its volumes what the new one begins as."""
    if body.source_group_id:
        group = await groups.get(tx, body.source_group_id)
        mine(ctx, group, GroupNotFound, group_id=group.id)
        return group, [(each, Source(volume_id=each.id, pool=each.host))
                       for each in await volumes.in_group(tx, group.id)]
    held = await groups.get_snapshot(tx, body.group_snapshot_id or "")
    mine(ctx, held, GroupSnapshotNotFound, group_snapshot_id=held.id)
    found = []
    for snapshot in await snapshots.in_group_snapshot(tx, held.id):
        volume = await volumes.get(tx, snapshot.volume_id)
        found.append((volume, Source(volume_id=volume.id, snapshot_id=snapshot.data_id, pool=volume.host)))
    return await groups.get(tx, held.group_id), found


class GroupUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | None | UnsetType = UNSET
    description: Name | None | UnsetType = UNSET
    add_volumes: str | None = None
    remove_volumes: str | None = None


@routes.put("/v3/groups/{group_id}", envelope="group", target=GROUP, status=202, window=WINDOW,
            policy=Rule("group:update", PROJECT_MEMBER))
async def update_group(ctx: Ctx, row: Group, body: GroupUpdate) -> None:
    await change_group(ctx, row, body)


async def change_group(ctx: Ctx, row: Group, body: GroupUpdate) -> None:
    changes: dict[str, Any] = {name: value for name in ("name", "description")
                               if (value := getattr(body, name)) is not UNSET}
    if not changes and not body.add_volumes and not body.remove_volumes:
        raise BadRequest(reason="Nothing to change was given: name, description, add_volumes or remove_volumes.")
    async with ctx.db.write() as tx:
        await groups.change(tx, await groups.get(tx, row.id), ctx.clock(), **changes)
        for volume_id in filter(None, (body.remove_volumes or "").split(",")):
            volume = await volumes.get(tx, volume_id)
            if volume.group_id != row.id:
                raise Invalid(reason=f"Invalid volume: Cannot remove volume {volume_id} from group {row.id}.")
            await volumes.change(tx, volume, ctx.clock(), group_id=None)
        for volume_id in filter(None, (body.add_volumes or "").split(",")):
            volume = await volumes.get(tx, volume_id)
            if volume.project_id != row.project_id or volume.group_id or volume.type_id not in row.volume_types:
                raise Invalid(reason=f"Invalid volume: Cannot add volume {volume_id} to group {row.id}.")
            await volumes.change(tx, volume, ctx.clock(), group_id=row.id)


class Delete(msgspec.Struct, kw_only=True):
    delete_volumes: bool | str = msgspec.field(name="delete-volumes", default=False)


@routes.action("/v3/groups/{group_id}/action", "delete", target=GROUP, window=WINDOW,
               policy=Rule("group:delete", PROJECT_MEMBER))
async def delete_group(ctx: Ctx, row: Group, body: Delete) -> None:
    await remove_group(ctx, row, with_volumes=truth(body.delete_volumes, "delete-volumes"))


async def remove_group(ctx: Ctx, row: Group, *, with_volumes: bool) -> None:
    async with ctx.db.write() as tx:
        if row.status not in ("available", "error"):
            raise Invalid(reason=f"Invalid group: Group status must be available or error, but is {row.status}.")
        if await groups.has_snapshots(tx, row.id):
            raise Invalid(reason=f"Invalid group: Group {row.id} has dependent group snapshots.")
        held = await volumes.in_group(tx, row.id)
        if held and not with_volumes:
            raise Invalid(reason=f"Invalid group: Group {row.id} still contains volumes. The delete-volumes flag is "
                                 "required to delete it.")
        for volume in held:
            volume.must_allow("delete")
        await groups.change(tx, row, ctx.clock(), status="deleting")
        await start(ctx, tx, DeleteGroup(group_id=row.id), row.id, supersede=True)


class Reset(msgspec.Struct, kw_only=True):
    status: str


@routes.action("/v3/groups/{group_id}/action", "reset_status", target=GROUP, window=since(versions.GROUP_RESET),
               policy=Rule("group:reset_status", ADMIN))
async def reset_group(ctx: Ctx, row: Group, body: Reset) -> None:
    async with ctx.db.write() as tx:
        await groups.change(tx, row, ctx.clock(), status=known_status(body.status))


def known_status(status: str) -> str:
    if status not in STATUSES:
        raise Invalid(reason=f"Must specify a valid status: {status}")
    return status
