"""Backups of volumes, full ones and those that hold what changed since another one."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.volume.faults import BackupNotFound
from pileus.volume.model import listing
from pileus.volume.model.listing import Found, Wanted
from pileus.volume.model.tables import backups


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    volume_id: str
    size_gb: int
    created_at: float
    name: str | None = None
    description: str | None = None
    status: str = "creating"
    snapshot_id: str | None = None
    parent_id: str | None = None
    object_count: int = 0
    container: str | None = None
    zone: str | None = None
    host: str | None = None
    fail_reason: str | None = None
    data_at: float | None = None
    restore_volume_id: str | None = None
    metadata: dict[str, str] = {}
    updated_at: float | None = None
    generation: int = 1
    encryption_key_id: str | None = None       # of what is in it; a copy of the volume's, with an id of its own


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    backup: Backup
    has_dependents: bool

    @property
    def id(self) -> str:
        return self.backup.id

    @property
    def project_id(self) -> str:
        return self.backup.project_id


class _Row(Backup, frozen=True, kw_only=True):
    children: int


_child = backups.alias("child")
QUERY = sa.select(*backups.c, sa.select(sa.func.count()).where(_child.c.parent_id == backups.c.id)
                  .scalar_subquery().label("children"))


async def see(conn: Connection, backup_id: str) -> Seen:
    """Raises BackupNotFound."""
    row = await db.one(conn, QUERY.where(backups.c.id == backup_id), _Row)
    if row is None:
        raise BackupNotFound(backup_id=backup_id)
    return Seen(backup=row, has_dependents=row.children > 0)


async def find(conn: Connection, backup_id: str) -> Backup | None:
    return await db.one(conn, sa.select(backups).where(backups.c.id == backup_id), Backup)


async def get(conn: Connection, backup_id: str) -> Backup:
    return (await see(conn, backup_id)).backup


async def page(conn: Connection, wanted: Wanted) -> Found:
    found = await listing.page(conn, backups, wanted, _Row, QUERY)
    found.rows = [Seen(backup=row, has_dependents=row.children > 0) for row in found.rows]
    return found


async def latest_of(conn: Connection, volume_id: str, project_id: str) -> Backup | None:
    """The newest complete one of a project, which an incremental one of it builds on."""
    query = sa.select(backups).where(backups.c.volume_id == volume_id, backups.c.project_id == project_id,
                                     backups.c.status == "available")
    return await db.one(conn, query.order_by(backups.c.data_at.desc(), backups.c.created_at.desc()), Backup)


async def change(tx: Connection, row: Backup, now: float, **values: Any) -> Backup:
    return await db.change(tx, backups, row, updated_at=now, **values)


async def lineage(conn: Connection, row: Backup) -> list[str]:
    """Ids of the backups it needs, the full one first, itself last."""
    found = [row.id]
    while row.parent_id:
        row = await get(conn, row.parent_id)
        found.insert(0, row.id)
    return found
