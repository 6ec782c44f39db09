"""Transfers: offers of a volume to whoever has the key."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.volume.faults import TransferNotFound
from pileus.volume.model.tables import transfers


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    volume_id: str
    project_id: str
    salt: str
    key_hash: str
    created_at: float
    name: str | None = None
    destination_project_id: str | None = None
    no_snapshots: bool = False
    accepted: bool = False
    updated_at: float | None = None
    generation: int = 1


async def find(conn: Connection, transfer_id: str) -> Transfer | None:
    return await db.one(conn, sa.select(transfers).where(transfers.c.id == transfer_id), Transfer)


async def get(conn: Connection, transfer_id: str) -> Transfer:
    """Raises TransferNotFound."""
    row = await find(conn, transfer_id)
    if row is None:
        raise TransferNotFound(transfer_id=transfer_id)
    return row
