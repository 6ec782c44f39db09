"""What changed, in the order of commits, and which tokens that revokes: one row per subject, however often."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.model.tables import counters, revocations
from pileus.kit import db
from pileus.kit.db import Connection


class Change(msgspec.Struct, frozen=True):
    subject: str
    seq: int


class Revoked(msgspec.Struct, frozen=True):
    subject: str
    before: float


async def revoked_since(conn: Connection, when: float) -> list[Revoked]:
    query: Any = sa.select(revocations.c.subject, revocations.c.before).where(
        revocations.c.before > 0.0, revocations.c.before >= when)
    return await db.many(conn, query.order_by(revocations.c.seq), Revoked)


async def record(tx: Connection, subjects: dict[str, float], *, expires_at: float) -> None:
    """Note changed subjects with the time up to which their tokens are revoked (0: they are not)."""
    # Whoever counts first commits first: the row of the counter is locked until then.
    await db.update(tx, counters.update().where(counters.c.name == "revocation")
                    .values(value=counters.c.value + len(subjects)))
    last = await db.scalar(tx, sa.select(counters.c.value).where(counters.c.name == "revocation"))
    for seq, (subject, before) in enumerate(sorted(subjects.items()), last - len(subjects) + 1):
        latest = sa.case((revocations.c.before > before, revocations.c.before), else_=before)
        values: dict[str, Any] = {"seq": seq, "before": latest, "expires_at": expires_at}
        if not await db.update(tx, revocations.update().where(revocations.c.subject == subject).values(**values)):
            await tx.execute(revocations.insert().values(
                subject=subject, seq=seq, before=before, expires_at=expires_at))


async def since(conn: Connection, seq: int, limit: int = 1000) -> list[Change]:
    query: Any = sa.select(revocations.c.subject, revocations.c.seq).where(revocations.c.seq > seq)
    return await db.many(conn, query.order_by(revocations.c.seq).limit(limit), Change)


async def position(conn: Connection) -> int:
    return await db.scalar(conn, sa.select(counters.c.value).where(counters.c.name == "revocation"))


_REVOKED = sa.select(sa.func.max(revocations.c.before)).where(
    revocations.c.subject.in_(sa.bindparam("subjects", expanding=True)))


async def revoked(conn: Connection, subjects: list[str], issued_at: float) -> bool:
    """Whether any of `subjects` was revoked since a token was issued."""
    return (await db.scalar(conn, _REVOKED, subjects=subjects) or 0.0) >= issued_at


async def prune(tx: Connection, now: float) -> int:
    """Forget revocations of tokens that have ended anyway."""
    return await db.update(tx, revocations.delete().where(revocations.c.expires_at < now))
