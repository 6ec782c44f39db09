"""Keys of encrypted volumes: one each, sealed in the database with a key that is not there."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.sealing import Box, BrokenSeal
from pileus.volume.model.tables import encryption_keys as table


class KeyUnusable(Exception):
    """A key is not there, or was sealed with another secret."""


async def make(tx: Connection, box: Box, like: str | None = None) -> str:
    """The id of a new key, or of a copy of the one with the id `like`: what a copied volume is read with."""
    key_id, key = new_uuid(), secrets.token_urlsafe(32) if like is None else await get(tx, box, like)
    await tx.execute(table.insert().values(id=key_id, sealed=box.seal(key)))
    return key_id


async def get(conn: Connection, box: Box, key_id: str) -> str:
    """Raises KeyUnusable."""
    sealed = await db.scalar(conn, sa.select(table.c.sealed).where(table.c.id == key_id))
    if sealed is None:
        raise KeyUnusable(f"Key {key_id} is not there.")
    try:
        return box.open(sealed)
    except BrokenSeal as error:
        raise KeyUnusable(f"Key {key_id} was sealed with another secret.") from error


async def find(conn: Connection, box: Box, key_id: str | None) -> str | None:
    """None for a volume that is not encrypted."""
    return await get(conn, box, key_id) if key_id is not None else None


async def remove(tx: Connection, key_id: str | None) -> None:
    await tx.execute(table.delete().where(table.c.id == key_id))
