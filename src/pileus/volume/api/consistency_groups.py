"""The older way to groups: consistency groups and their snapshots, which are groups of one type kept for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.volume.api.group_snapshots import GroupSnapshotCreate, new_group_snapshot, remove_group_snapshot
from pileus.volume.api.groups import (
    Brief,
    GroupCreate,
    GroupSource,
    GroupUpdate,
    change_group,
    copied_group,
    new_group,
    remove_group,
)
from pileus.volume.api.values import Name, Query, listed, truth
from pileus.volume.faults import GroupNotFound, GroupSnapshotNotFound
from pileus.volume.model import groups, listing
from pileus.volume.model.groups import Group, GroupSnapshot
from pileus.volume.model.tables import group_snapshots as snapshot_table
from pileus.volume.model.tables import group_types
from pileus.volume.model.tables import groups as table
from pileus.volume.times import iso

routes = Routes()
Shown = TypeVar("Shown")
GROUP = Target(groups.get_consistent, missing=GroupNotFound)
SNAPSHOT = Target(groups.get_consistent_snapshot, missing=GroupSnapshotNotFound)
LIST, SHOW = Rule("group:get_all", PROJECT_READER), Rule("group:get", PROJECT_READER)
LIST_SNAPSHOTS = Rule("group:get_all_group_snapshots", PROJECT_READER)
SHOW_SNAPSHOT = Rule("group:get_group_snapshot", PROJECT_READER)
CREATE, UPDATE, DELETE, CREATE_SNAPSHOT, DELETE_SNAPSHOT = (Rule(f"group:{name}", PROJECT_MEMBER) for name in (
    "create", "update", "delete", "create_group_snapshot", "delete_group_snapshot"))
Ids = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
SORTABLE = {"id", "name", "created_at", "status"}


class ConsistencyGroupView(Brief, kw_only=True):
    status: str
    description: str | None
    availability_zone: str | None
    created_at: str
    volume_types: list[str]


class ConsistencySnapshotView(Brief, kw_only=True):
    consistencygroup_id: str
    status: str
    description: str | None
    created_at: str


def _view(row: Group) -> ConsistencyGroupView:
    return ConsistencyGroupView(id=row.id, name=row.name, status=row.status, description=row.description,
                                availability_zone=row.zone, created_at=iso(row.created_at),
                                volume_types=row.volume_types)


def _snapshot_view(row: GroupSnapshot) -> ConsistencySnapshotView:
    return ConsistencySnapshotView(id=row.id, name=row.name, status=row.status, description=row.description,
                                   consistencygroup_id=row.group_id, created_at=iso(row.created_at))


async def _page(ctx: Ctx, query: Query, among: sa.Table, kind: type[Any],
                show: Callable[[Any], Shown]) -> Page[Shown]:
    wanted = listed(ctx, query, filters={"name", "status", "id"}, sortable=SORTABLE)
    wanted.clauses.append(among.c.group_type_id.in_(
        sa.select(group_types.c.id).where(group_types.c.name == groups.DEFAULT_NAME)))
    async with ctx.db.read() as reader:
        found = await listing.page(reader, among, wanted, kind)
    return Page([show(row) for row in found.rows], found.next_marker)


def _brief(row: Group | GroupSnapshot) -> Brief:
    return Brief(id=row.id, name=row.name)


@routes.get("/v3/consistencygroups", envelope="consistencygroups", policy=LIST)
async def list_groups(ctx: Ctx, query: Query) -> Page[Brief]:
    return await _page(ctx, query, table, Group, _brief)


@routes.get("/v3/consistencygroups/detail", envelope="consistencygroups", policy=LIST)
async def list_groups_detail(ctx: Ctx, query: Query) -> Page[ConsistencyGroupView]:
    return await _page(ctx, query, table, Group, _view)


@routes.get("/v3/consistencygroups/{group_id}", envelope="consistencygroup", target=GROUP, policy=SHOW)
async def show_group(ctx: Ctx, row: Group) -> ConsistencyGroupView:
    return _view(row)


class ConsistencyGroupCreate(msgspec.Struct, kw_only=True):
    volume_types: Ids
    name: Name | None = None
    description: Name | None = None
    availability_zone: Name | None = None


@routes.post("/v3/consistencygroups", envelope="consistencygroup", status=202, policy=CREATE)
async def create_group(ctx: Ctx, body: ConsistencyGroupCreate) -> Brief:
    row = await new_group(ctx, GroupCreate(
        group_type=groups.DEFAULT_NAME, volume_types=[each for each in body.volume_types.split(",") if each],
        name=body.name, description=body.description, availability_zone=body.availability_zone))
    return Brief(id=row.id, name=row.name)


class ConsistencySource(msgspec.Struct, kw_only=True):
    cgsnapshot_id: str | None = None
    source_cgid: str | None = None
    name: Name | None = None
    description: Name | None = None


class FromSource(msgspec.Struct, kw_only=True):
    source: ConsistencySource = msgspec.field(name="consistencygroup-from-src")


@routes.post("/v3/consistencygroups/create_from_src", envelope="consistencygroup", bare_body=True, status=202,
             policy=CREATE)
async def create_group_from_source(ctx: Ctx, body: FromSource) -> Brief:
    source = body.source
    async with ctx.db.read() as reader:
        if source.source_cgid:
            await groups.get_consistent(reader, source.source_cgid)
        if source.cgsnapshot_id:
            await groups.get_consistent_snapshot(reader, source.cgsnapshot_id)
    row = await copied_group(ctx, GroupSource(
        group_snapshot_id=source.cgsnapshot_id, source_group_id=source.source_cgid, name=source.name,
        description=source.description))
    return Brief(id=row.id, name=row.name)


class ConsistencyGroupUpdate(msgspec.Struct, kw_only=True):
    name: Name | None | UnsetType = UNSET
    description: Name | None | UnsetType = UNSET
    add_volumes: Ids | None = None
    remove_volumes: Ids | None = None


@routes.put("/v3/consistencygroups/{group_id}/update", envelope="consistencygroup", target=GROUP, status=202,
            policy=UPDATE)
async def update_group(ctx: Ctx, row: Group, body: ConsistencyGroupUpdate) -> None:
    await change_group(ctx, row, GroupUpdate(name=body.name, description=body.description,
                                             add_volumes=body.add_volumes, remove_volumes=body.remove_volumes))


class Deletion(msgspec.Struct, kw_only=True):
    force: bool | str = False


@routes.post("/v3/consistencygroups/{group_id}/delete", envelope="consistencygroup", target=GROUP, status=202,
             policy=DELETE)
async def delete_group(ctx: Ctx, row: Group, body: Deletion) -> None:
    await remove_group(ctx, row, with_volumes=truth(body.force, "force"))


# -- snapshots --------------------------------------------------------------------------------------

@routes.get("/v3/cgsnapshots", envelope="cgsnapshots", policy=LIST_SNAPSHOTS)
async def list_snapshots(ctx: Ctx, query: Query) -> Page[Brief]:
    return await _page(ctx, query, snapshot_table, GroupSnapshot, _brief)


@routes.get("/v3/cgsnapshots/detail", envelope="cgsnapshots", policy=LIST_SNAPSHOTS)
async def list_snapshots_detail(ctx: Ctx, query: Query) -> Page[ConsistencySnapshotView]:
    return await _page(ctx, query, snapshot_table, GroupSnapshot, _snapshot_view)


@routes.get("/v3/cgsnapshots/{group_snapshot_id}", envelope="cgsnapshot", target=SNAPSHOT, policy=SHOW_SNAPSHOT)
async def show_snapshot(ctx: Ctx, row: GroupSnapshot) -> ConsistencySnapshotView:
    return _snapshot_view(row)


class ConsistencySnapshotCreate(msgspec.Struct, kw_only=True):
    consistencygroup_id: str
    name: Name | None = None
    description: Name | None = None


@routes.post("/v3/cgsnapshots", envelope="cgsnapshot", status=202, policy=CREATE_SNAPSHOT)
async def create_snapshot(ctx: Ctx, body: ConsistencySnapshotCreate) -> Brief:
    async with ctx.db.read() as reader:
        group = await groups.get_consistent(reader, body.consistencygroup_id)
    row = await new_group_snapshot(ctx, GroupSnapshotCreate(group_id=group.id, name=body.name,
                                                            description=body.description))
    return Brief(id=row.id, name=row.name)


@routes.delete("/v3/cgsnapshots/{group_snapshot_id}", target=SNAPSHOT, status=202, policy=DELETE_SNAPSHOT)
async def delete_snapshot(ctx: Ctx, row: GroupSnapshot) -> None:
    await remove_group_snapshot(ctx, row)
