"""Reading the history of sagas: what a request set off, what is stuck, what can be forgotten."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.saga import FINISHED, RUNNING, Event, Phase, events, sagas


class SagaRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    subject: str
    request_id: str
    phase: Phase
    step: str
    stuck: bool
    attempt: int
    created_at: float
    finished_at: float | None = None
    error: str | None = None
    parent: str | None = None


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm looks at: unfinished sagas, stuck ones, and the age of the oldest (seconds)."""

    unfinished: int
    stuck: int
    oldest_seconds: float


_ROW = [sagas.c[name] for name in SagaRow.__struct_fields__]
_EVENT = [events.c[name] for name in Event.__struct_fields__]


async def trace(reader: Connection, wanted: str) -> list[Event]:
    """Events of a request id, of a saga's id, or of everything ever done to a subject; in the order of time."""
    column = events.c.request_id if wanted.startswith("req-") else events.c.subject
    query = sa.select(*_EVENT).where(sa.or_(column == wanted, events.c.saga_id == wanted))
    return await db.many(reader, query.order_by(events.c.began_at, events.c.id), Event)


async def unfinished(reader: Connection, *, stuck: bool = False, subject: str | None = None,
                     limit: int = 100) -> list[SagaRow]:
    query = sa.select(*_ROW).where(sagas.c.phase.not_in(FINISHED)).order_by(sagas.c.created_at).limit(limit)
    if stuck:
        query = query.where(sagas.c.stuck)
    if subject is not None:
        query = query.where(sagas.c.subject == subject)
    return await db.many(reader, query, SagaRow)


async def retry(tx: Connection, saga_id: str) -> bool:
    """Let a stuck saga go on with the step it stopped at; False when no stuck saga has that id."""
    return await db.update(tx, sagas.update().where(sagas.c.id == saga_id, sagas.c.stuck).values(
        stuck=False, attempt=0, wake_at=0.0)) == 1


async def backlog(reader: Connection, now: float) -> Backlog:
    row = (await reader.execute(sa.select(
        sa.func.count().label("unfinished"), sa.func.sum(sa.case((sagas.c.stuck, 1), else_=0)).label("stuck"),
        sa.func.min(sagas.c.created_at).label("oldest"),
    ).where(sagas.c.phase.in_((*RUNNING, Phase.QUEUED))))).mappings().one()
    oldest = 0.0 if row["oldest"] is None else now - row["oldest"]
    return Backlog(unfinished=row["unfinished"], stuck=int(row["stuck"] or 0), oldest_seconds=oldest)


async def prune(tx: Connection, before: float, *, limit: int = 1000) -> int:
    """Forget sagas that finished before `before` (seconds since the epoch) with their events; how many."""
    old: list[Any] = await db.scalars(tx, sa.select(sagas.c.id).where(sagas.c.finished_at < before).limit(limit))
    if old:
        await tx.execute(events.delete().where(events.c.saga_id.in_(old)))
        await tx.execute(sagas.delete().where(sagas.c.id.in_(old)))
    return len(old)
