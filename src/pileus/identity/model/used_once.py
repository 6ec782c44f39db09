"""What counts once: nonces of signed requests, and assertions. Kept until it would count no more anyway."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from pileus.identity.model.tables import metadata
from pileus.kit import db
from pileus.kit.db import Connection, Db
from pileus.kit.faults import Unauthorized

used_once = sa.Table(
    "used_once", metadata, sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("expires_at", sa.Double, nullable=False), sa.Index("used_once_expires_at_ix", "expires_at"))


async def use(database: Db, *names: str, expires_at: float) -> None:
    """Raises Unauthorized for what was used before, by whichever process."""
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()
    try:
        async with database.write() as tx:
            await tx.execute(used_once.insert().values(digest=digest, expires_at=expires_at))
    except db.Taken as error:
        raise Unauthorized() from error


async def prune(tx: Connection, now: float) -> None:
    await tx.execute(used_once.delete().where(used_once.c.expires_at < now))
