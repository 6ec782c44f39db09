"""Snapshots of whole groups."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.kit import db
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.groups import Brief, Reset, known_status
from pileus.volume.api.values import Name, Query, listed, start, unsifted
from pileus.volume.api.volume_create import mine
from pileus.volume.faults import GroupNotFound, GroupSnapshotNotFound, Invalid
from pileus.volume.model import groups, listing, quotas, snapshots, volumes
from pileus.volume.model.groups import GroupSnapshot
from pileus.volume.model.snapshots import Snapshot
from pileus.volume.model.tables import group_snapshots as snapshot_table
from pileus.volume.sagas.groups import CreateGroupSnapshot, DeleteGroupSnapshot
from pileus.volume.times import iso

routes = Routes()
SNAPSHOT = Target(groups.get_snapshot, missing=GroupSnapshotNotFound)
SNAPSHOT_WINDOW = since(versions.GROUP_SNAPSHOTS)


class GroupSnapshotView(Brief, kw_only=True):
    group_id: str
    status: str
    created_at: str
    description: str | None
    group_type_id: str
    project_id: Annotated[str, since(versions.GROUP_PROJECT)] = ""


class GroupSnapshotBrief(Brief, kw_only=True):
    group_type_id: str


def snapshot_view(row: GroupSnapshot) -> GroupSnapshotView:
    return GroupSnapshotView(id=row.id, name=row.name, group_id=row.group_id, status=row.status,
                             created_at=iso(row.created_at), description=row.description,
                             group_type_id=row.group_type_id, project_id=row.project_id)


async def _snapshot_page(ctx: Ctx, query: Query) -> listing.Found:
    asked = query if ctx.version >= versions.GROUP_SNAPSHOT_FILTERS else unsifted(query)
    wanted = listed(ctx, asked, filters={"name", "status", "group_id", "id"},
                    sortable={"id", "name", "created_at", "status", "group_id"})
    async with ctx.db.read() as reader:
        return await listing.page(reader, snapshot_table, wanted, GroupSnapshot)


@routes.get("/v3/group_snapshots", envelope="group_snapshots", window=SNAPSHOT_WINDOW,
            policy=Rule("group:get_all_group_snapshots", PROJECT_READER))
async def list_group_snapshots(ctx: Ctx, query: Query) -> Page[Brief]:
    found = await _snapshot_page(ctx, query)
    return Page([Brief(id=row.id, name=row.name) for row in found.rows], found.next_marker)


@routes.get("/v3/group_snapshots/detail", envelope="group_snapshots", window=SNAPSHOT_WINDOW,
            policy=Rule("group:get_all_group_snapshots", PROJECT_READER))
async def list_group_snapshots_detail(ctx: Ctx, query: Query) -> Page[GroupSnapshotView]:
    found = await _snapshot_page(ctx, query)
    return Page([snapshot_view(row) for row in found.rows], found.next_marker)


@routes.get("/v3/group_snapshots/{group_snapshot_id}", envelope="group_snapshot", target=SNAPSHOT,
            window=SNAPSHOT_WINDOW, policy=Rule("group:get_group_snapshot", PROJECT_READER))
async def show_group_snapshot(ctx: Ctx, row: GroupSnapshot) -> GroupSnapshotView:
    return snapshot_view(row)


class GroupSnapshotCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    group_id: str
    name: Name | None = None
    description: Name | None = None


@routes.post("/v3/group_snapshots", envelope="group_snapshot", status=202, window=SNAPSHOT_WINDOW,
             policy=Rule("group:create_group_snapshot", PROJECT_MEMBER))
async def create_group_snapshot(ctx: Ctx, body: GroupSnapshotCreate) -> GroupSnapshotBrief:
    row = await new_group_snapshot(ctx, body)
    return GroupSnapshotBrief(id=row.id, name=row.name, group_type_id=row.group_type_id)


async def new_group_snapshot(ctx: Ctx, body: GroupSnapshotCreate) -> GroupSnapshot:
    async with ctx.db.write() as tx:
        group, now = await groups.get(tx, body.group_id), ctx.clock()
        mine(ctx, group, GroupNotFound, group_id=group.id)
        held = await volumes.in_group(tx, group.id)
        if not held:
            raise Invalid(reason=f"Invalid group: Group {group.id} is empty; no snapshot can be made of it.")
        for volume in held:
            volume.must_allow("snapshot")
        await quotas.must_fit(tx, ctx.app.config, group.project_id, {
            "snapshots": len(held), "gigabytes": sum(each.size_gb for each in held)})
        row = GroupSnapshot(id=new_uuid(), project_id=group.project_id, user_id=ctx.caller.user_id,
                            group_id=group.id, group_type_id=group.group_type_id, created_at=now, name=body.name,
                            description=body.description)
        await db.add(tx, snapshot_table, row)
        for volume in held:
            await snapshots.add(tx, Snapshot(
                id=new_uuid(), project_id=volume.project_id, user_id=row.user_id, volume_id=volume.id,
                size_gb=volume.size_gb, type_id=volume.type_id, created_at=now, name=body.name,
                description=body.description, group_snapshot_id=row.id))
        await start(ctx, tx, CreateGroupSnapshot(group_snapshot_id=row.id), row.id)
    return row


@routes.delete("/v3/group_snapshots/{group_snapshot_id}", target=SNAPSHOT, status=202, window=SNAPSHOT_WINDOW,
               policy=Rule("group:delete_group_snapshot", PROJECT_MEMBER))
async def delete_group_snapshot(ctx: Ctx, row: GroupSnapshot) -> None:
    await remove_group_snapshot(ctx, row)


async def remove_group_snapshot(ctx: Ctx, row: GroupSnapshot) -> None:
    if row.status not in ("available", "error"):
        raise Invalid(reason=f"Invalid group snapshot: its status must be available or error, but is {row.status}.")
    async with ctx.db.write() as tx:
        await groups.change_snapshot(tx, row, ctx.clock(), status="deleting")
        await start(ctx, tx, DeleteGroupSnapshot(group_snapshot_id=row.id), row.id, supersede=True)


@routes.action("/v3/group_snapshots/{group_snapshot_id}/action", "reset_status", target=SNAPSHOT,
               window=since(versions.GROUP_SNAPSHOT_RESET), policy=Rule("group:reset_group_snapshot_status", ADMIN))
async def reset_group_snapshot(ctx: Ctx, row: GroupSnapshot, body: Reset) -> None:
    async with ctx.db.write() as tx:
        await groups.change_snapshot(tx, row, ctx.clock(), status=known_status(body.status))
