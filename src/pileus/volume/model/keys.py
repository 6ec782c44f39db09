"""Keys of encrypted volumes: one each, sealed in the database with a key that is not there."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.sealing import Box, BrokenSeal
from pileus.volume.model.tables import backups, volumes
from pileus.volume.model.tables import encryption_keys as table

OF_IMAGE = "cinder_encryption_key_id"    # property of an image, by upstream's name


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


def told_of_image(key_id: str) -> dict[str, str]:
    """Properties of an image that holds what is encrypted with it, as upstream's clients know them."""
    return {OF_IMAGE: key_id, "cinder_encryption_key_deletion_policy": "on_image_deletion"}


async def is_of_image(conn: Connection, key_id: str) -> bool:
    """Whether it is there, and no volume's or backup's: with those an image has nothing to do."""
    return bool(await db.scalars(conn, _of_images().where(table.c.id == key_id)))


async def of_images(conn: Connection) -> list[str]:
    """Keys that no volume and no backup has."""
    return await db.scalars(conn, _of_images())


def _of_images() -> sa.Select:
    used = [sa.exists().where(each.c.encryption_key_id == table.c.id) for each in (volumes, backups)]
    return sa.select(table.c.id).where(~sa.or_(*used))


async def remove(tx: Connection, key_id: str | None) -> None:
    await tx.execute(table.delete().where(table.c.id == key_id))
