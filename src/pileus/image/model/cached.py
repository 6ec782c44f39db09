"""Which images the cache holds, and which it is to hold."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.image.model.images import ACTIVE, Image
from pileus.image.model.tables import cached, images
from pileus.kit import db
from pileus.kit.db import Connection

QUEUED, CACHED = "queued", "cached"


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    image_id: str
    status: str = QUEUED
    hits: int = 0
    size: int = 0
    accessed_at: float
    changed_at: float


async def all_of(conn: Connection) -> list[Cached]:
    """The one used longest ago first."""
    return await db.many(conn, sa.select(cached).order_by(cached.c.accessed_at, cached.c.image_id), Cached)


async def queue(tx: Connection, image_id: str, now: float) -> None:
    """Queued or cached already: nothing changes."""
    if await db.scalar(tx, sa.select(cached.c.image_id).where(cached.c.image_id == image_id)) is None:
        await db.add(tx, cached, Cached(image_id=image_id, accessed_at=now, changed_at=now))


async def queued(conn: Connection) -> list[Image]:
    """Images that are to be cached and can be."""
    return await db.many(conn, sa.select(images).join(cached, cached.c.image_id == images.c.id).where(
        cached.c.status == QUEUED, images.c.status == ACTIVE), Image)


async def mark(tx: Connection, image: Image, now: float) -> None:
    await tx.execute(cached.update().where(cached.c.image_id == image.id).values(
        status=CACHED, size=image.size or 0, changed_at=now))


async def hit(tx: Connection, image_id: str, now: float) -> None:
    await tx.execute(cached.update().where(cached.c.image_id == image_id).values(
        hits=cached.c.hits + 1, accessed_at=now))


async def remove(tx: Connection, *image_ids: str) -> int:
    return await db.update(tx, cached.delete().where(cached.c.image_id.in_(image_ids)))


async def clear(tx: Connection, *statuses: str) -> None:
    await tx.execute(cached.delete().where(cached.c.status.in_(statuses)))


async def data_ids(conn: Connection) -> set[str]:
    """The contents that may stand in the cache."""
    return set(await db.scalars(conn, sa.select(images.c.data_id).join(
        cached, cached.c.image_id == images.c.id).where(images.c.data_id.is_not(None))))
