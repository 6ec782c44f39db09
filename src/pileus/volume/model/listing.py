"""Pages of any table: filters, comparisons of times, order, keyset or offset, and how many there are."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest

T = TypeVar("T")
COMPARISONS = {"gt": "__gt__", "gte": "__ge__", "eq": "__eq__", "neq": "__ne__", "lt": "__lt__", "lte": "__le__"}


class Wanted(msgspec.Struct, kw_only=True):
    """A list request, already checked."""

    project_id: str | None                    # None: of all projects
    exact: dict[str, list[Any]] = {}          # column -> any of these
    like: dict[str, str] = {}                 # column -> part of it
    times: list[tuple[str, str, float]] = []  # (column, comparison, seconds)
    clauses: list[Any] = []                   # what only this kind of thing has
    sort: list[tuple[str, bool]] = []         # (column, descending)
    limit: int
    offset: int = 0
    marker: str | None = None
    counted: bool = False


class Found(msgspec.Struct):
    rows: list[Any]
    more: bool
    count: int | None = None

    @property
    def next_marker(self) -> str | None:
        return self.rows[-1].id if self.more and self.rows else None


def conditions(table: sa.Table, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found = list(wanted.clauses)
    if wanted.project_id is not None:
        found.append(table.c.project_id == wanted.project_id)
    for name, values in wanted.exact.items():
        column, given = table.c[name], [value for value in values if value is not None]
        null = [column.is_(None)] if None in values else []
        found.append(sa.or_(*null, column.in_(given)) if given or not null else null[0])
    found += [table.c[name].contains(part, autoescape=True) for name, part in wanted.like.items()]
    found += [getattr(table.c[name], COMPARISONS[how])(seconds) for name, how, seconds in wanted.times]
    return found


async def page(conn: Connection, table: sa.Table, wanted: Wanted, kind: type[T],
               query: sa.Select[Any] | None = None) -> Found:
    """Rows of one page; at most three statements: the marker, the rows, the number of them all."""
    order: list[tuple[sa.ColumnElement[Any], bool]] = [
        (table.c[name], down) for name, down in wanted.sort or [("created_at", True)]]
    if not any(column is table.c.id for column, _ in order):
        order.append((table.c.id, order[-1][1]))
    where = conditions(table, wanted)
    rows = (sa.select(table) if query is None else query).where(*where).order_by(*db.ordered(order))
    if wanted.marker is not None:
        own = [table.c.project_id == wanted.project_id] if wanted.project_id is not None else []
        mark = (await conn.execute(sa.select(*(column for column, _ in order)).where(
            table.c.id == wanted.marker, *own))).first()
        if mark is None:
            raise MarkerNotFound(marker=wanted.marker)
        rows = rows.where(db.after(order, list(mark)))
    if wanted.offset:
        rows = rows.offset(wanted.offset)
    found = await db.many(conn, rows.limit(wanted.limit), kind)
    count = None
    if wanted.counted:
        count = await db.scalar(conn, sa.select(sa.func.count()).select_from(table).where(*where))
    return Found(found, len(found) == wanted.limit, count)      # clients expect a link behind every full page


class MarkerNotFound(BadRequest):
    status, code = 404, "itemNotFound"
    message = "Marker {marker} could not be found."
