"""Tokens that open a console: only what they hash to is kept, for a few minutes, or until one is used."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
import sqlalchemy as sa

from pileus.compute.model.tables import console_tokens
from pileus.kit import db
from pileus.kit.db import Connection


class ConsoleToken(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    server_id: str
    host: str
    kind: Literal["vnc", "serial"]
    expires_at: float


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def add(tx: Connection, row: ConsoleToken, now: float) -> None:
    """Those whose time has come go meanwhile."""
    await tx.execute(console_tokens.delete().where(console_tokens.c.expires_at <= now))
    await db.add(tx, console_tokens, row)


async def find(conn: Connection, token: str, now: float) -> ConsoleToken | None:
    return await db.one(conn, sa.select(console_tokens).where(
        console_tokens.c.digest == digest_of(token), console_tokens.c.expires_at > now), ConsoleToken)


async def use(tx: Connection, token: str, now: float) -> ConsoleToken | None:
    """What the token opens, once: whoever comes second finds nothing."""
    found = await find(tx, token, now)
    if found is None:
        return None
    used = await db.update(tx, console_tokens.delete().where(console_tokens.c.digest == found.digest))
    return found if used == 1 else None
