"""How logging in went for each user lately, and the passwords they had before."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.model.tables import former_passwords as former_table
from pileus.identity.model.tables import logins
from pileus.kit import db
from pileus.kit.db import Connection


class Login(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    failures: int = 0                 # in a row
    failed_at: float = 0.0
    succeeded_at: float = 0.0


class FormerPassword(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    generation: int                   # of the user's row that it was in
    hashed: str


async def find(conn: Connection, user_id: str) -> Login | None:
    return await db.one(conn, sa.select(logins).where(logins.c.user_id == user_id), Login)


async def failed(tx: Connection, user_id: str | None, now: float, *, since: float) -> None:
    """One failure more; those before `since` are forgiven."""
    count = sa.case((logins.c.failed_at < since, 1), else_=logins.c.failures + 1)
    counted = await db.update(tx, logins.update().where(logins.c.user_id == (user_id or "")).values(
        failures=count, failed_at=now))
    if not counted and user_id is not None:
        await db.add(tx, logins, Login(user_id=user_id, failures=1, failed_at=now))


async def forgive(tx: Connection, user_id: str) -> bool:
    """Whether there was a failure to forgive."""
    return await db.update(tx, logins.update().where(logins.c.user_id == user_id, logins.c.failures > 0).values(
        failures=0)) == 1


async def by_user(conn: Connection, user_ids: set[str]) -> dict[str, Login]:
    query = sa.select(logins).where(logins.c.user_id.in_(user_ids))
    return {login.user_id: login for login in await db.many(conn, query, Login)}


async def succeeded(tx: Connection, user_id: str, now: float) -> None:
    await note(tx, user_id, failures=0, succeeded_at=now)


async def note(tx: Connection, user_id: str, **values: Any) -> None:
    if not await db.update(tx, logins.update().where(logins.c.user_id == user_id).values(**values)):
        await db.add(tx, logins, Login(user_id=user_id, **values))


async def former_passwords(conn: Connection, user_id: str, most: int) -> list[str]:
    """Their hashes, the latest first."""
    query: Any = sa.select(former_table.c.hashed).where(former_table.c.user_id == user_id)
    return await db.scalars(conn, query.order_by(former_table.c.generation.desc()).limit(most))


async def keep_password(tx: Connection, former: FormerPassword, *, most: int) -> None:
    await db.add(tx, former_table, former)
    theirs = former_table.c.user_id == former.user_id
    kept = await db.scalars(tx, sa.select(former_table.c.generation).where(theirs).order_by(
        former_table.c.generation.desc()).limit(most))
    await tx.execute(former_table.delete().where(theirs, former_table.c.generation < kept[-1]))
