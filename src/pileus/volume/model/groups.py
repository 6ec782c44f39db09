"""Groups of volumes, their types, and snapshots of whole groups."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.volume.faults import GroupNotFound, GroupSnapshotNotFound, GroupTypeNotFound
from pileus.volume.model.tables import group_snapshots, group_types, groups

DEFAULT_NAME = "default_cgsnapshot_type"


class GroupType(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    created_at: float
    description: str | None = None
    is_public: bool = True
    group_specs: dict[str, str] = {}
    updated_at: float | None = None
    generation: int = 1


class Group(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    group_type_id: str
    created_at: float
    name: str | None = None
    description: str | None = None
    status: str = "creating"
    volume_types: list[str] = []
    zone: str | None = None
    group_snapshot_id: str | None = None
    source_group_id: str | None = None
    updated_at: float | None = None
    generation: int = 1


class GroupSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    group_id: str
    group_type_id: str
    created_at: float
    name: str | None = None
    description: str | None = None
    status: str = "creating"
    updated_at: float | None = None
    generation: int = 1


async def get_type(conn: Connection, group_type_id: str) -> GroupType:
    """Raises GroupTypeNotFound."""
    row = await db.one(conn, sa.select(group_types).where(group_types.c.id == group_type_id), GroupType)
    if row is None:
        raise GroupTypeNotFound(group_type_id=group_type_id)
    return row


async def find_type(conn: Connection, name_or_id: str) -> GroupType | None:
    return await db.one(conn, sa.select(group_types).where(sa.or_(
        group_types.c.id == name_or_id, group_types.c.name == name_or_id)), GroupType)


async def every_type(conn: Connection) -> list[GroupType]:
    return await db.many(conn, sa.select(group_types).order_by(group_types.c.created_at.desc(), group_types.c.id),
                         GroupType)


async def type_in_use(conn: Connection, group_type_id: str) -> bool:
    return await db.scalar(conn, sa.select(groups.c.id).where(
        groups.c.group_type_id == group_type_id).limit(1)) is not None


async def get(conn: Connection, group_id: str) -> Group:
    """Raises GroupNotFound."""
    row = await find(conn, group_id)
    if row is None:
        raise GroupNotFound(group_id=group_id)
    return row


async def find(conn: Connection, group_id: str) -> Group | None:
    return await db.one(conn, sa.select(groups).where(groups.c.id == group_id), Group)


async def get_consistent(conn: Connection, group_id: str) -> Group:
    """One that was a consistency group before there were others. Raises GroupNotFound."""
    row = await find(conn, group_id)
    if row is None or (await get_type(conn, row.group_type_id)).name != DEFAULT_NAME:
        raise GroupNotFound(group_id=group_id)
    return row


async def get_consistent_snapshot(conn: Connection, group_snapshot_id: str) -> GroupSnapshot:
    """Of such a group. Raises GroupSnapshotNotFound."""
    row = await find_snapshot(conn, group_snapshot_id)
    if row is None or (await get_type(conn, row.group_type_id)).name != DEFAULT_NAME:
        raise GroupSnapshotNotFound(group_snapshot_id=group_snapshot_id)
    return row


async def get_snapshot(conn: Connection, group_snapshot_id: str) -> GroupSnapshot:
    """Raises GroupSnapshotNotFound."""
    row = await find_snapshot(conn, group_snapshot_id)
    if row is None:
        raise GroupSnapshotNotFound(group_snapshot_id=group_snapshot_id)
    return row


async def find_snapshot(conn: Connection, group_snapshot_id: str) -> GroupSnapshot | None:
    return await db.one(conn, sa.select(group_snapshots).where(group_snapshots.c.id == group_snapshot_id),
                        GroupSnapshot)


async def has_snapshots(conn: Connection, group_id: str) -> bool:
    return await db.scalar(conn, sa.select(group_snapshots.c.id).where(
        group_snapshots.c.group_id == group_id).limit(1)) is not None


async def change(tx: Connection, row: Group, now: float, **values: Any) -> Group:
    return await db.change(tx, groups, row, updated_at=now, **values)


async def change_snapshot(tx: Connection, row: GroupSnapshot, now: float, **values: Any) -> GroupSnapshot:
    return await db.change(tx, group_snapshots, row, updated_at=now, **values)
