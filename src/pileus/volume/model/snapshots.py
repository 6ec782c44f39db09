"""Snapshots of volumes."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.volume.faults import Invalid, SnapshotNotFound
from pileus.volume.model import listing
from pileus.volume.model.listing import Found, Wanted
from pileus.volume.model.tables import properties, snapshots
from pileus.volume.model.volumes import set_properties

DELETABLE = ("available", "error")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    volume_id: str
    size_gb: int
    type_id: str
    created_at: float
    name: str | None = None
    description: str | None = None
    status: str = "creating"
    progress: int = 0
    group_snapshot_id: str | None = None
    name_id: str | None = None               # what the back end knows it by, where that is not its id
    metadata: dict[str, str] = {}
    updated_at: float | None = None
    generation: int = 1

    @property
    def data_id(self) -> str:
        return self.name_id or self.id

    def must_be(self, *wanted: str) -> None:
        if self.status not in wanted:
            raise Invalid(reason=f"Invalid snapshot: Snapshot status must be {' or '.join(wanted)}, but current "
                                 f"status is: {self.status}.")


async def get(conn: Connection, snapshot_id: str) -> Snapshot:
    """Raises SnapshotNotFound."""
    row = await find(conn, snapshot_id)
    if row is None:
        raise SnapshotNotFound(snapshot_id=snapshot_id)
    return row


async def find(conn: Connection, snapshot_id: str) -> Snapshot | None:
    return await db.one(conn, sa.select(snapshots).where(snapshots.c.id == snapshot_id), Snapshot)


async def page(conn: Connection, wanted: Wanted) -> Found:
    return await listing.page(conn, snapshots, wanted, Snapshot)


async def of_volume(conn: Connection, volume_id: str) -> list[Snapshot]:
    """The latest first."""
    return await db.many(conn, sa.select(snapshots).where(snapshots.c.volume_id == volume_id)
                         .order_by(snapshots.c.created_at.desc(), snapshots.c.id), Snapshot)


async def in_group_snapshot(conn: Connection, group_snapshot_id: str) -> list[Snapshot]:
    return await db.many(conn, sa.select(snapshots).where(snapshots.c.group_snapshot_id == group_snapshot_id)
                         .order_by(snapshots.c.created_at, snapshots.c.id), Snapshot)


async def add(tx: Connection, row: Snapshot) -> None:
    await db.add(tx, snapshots, row)
    await set_properties(tx, row.id, row.metadata)


async def change(tx: Connection, row: Snapshot, now: float, **values: Any) -> Snapshot:
    if "metadata" in values:
        await set_properties(tx, row.id, values["metadata"])
    return await db.change(tx, snapshots, row, updated_at=now, **values)


async def remove(tx: Connection, snapshot_id: str) -> None:
    await tx.execute(properties.delete().where(properties.c.owner_id == snapshot_id))
    await tx.execute(snapshots.delete().where(snapshots.c.id == snapshot_id))
