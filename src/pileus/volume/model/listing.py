"""Pages of any table: filters, comparisons of times, order, keyset or offset, and how many there are."""

from __future__ import annotations

import functools
from collections.abc import Iterable
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

    @property
    def is_plain(self) -> bool:
        """The first rows of those that have certain values."""
        return not (self.like or self.times or self.clauses or self.offset or self.marker is not None or self.counted
                    or any(None in values for values in self.exact.values()))


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


def _order(table: sa.Table, sort: Iterable[tuple[str, bool]]) -> list[tuple[sa.ColumnElement[Any], bool]]:
    """Ends with the id, so that no two rows are alike."""
    order: list[tuple[sa.ColumnElement[Any], bool]] = [
        (table.c[name], down) for name, down in sort] or [(table.c.created_at, True)]
    return order if any(column is table.c.id for column, _ in order) else [*order, (table.c.id, order[-1][1])]


@functools.lru_cache(1000)
def _first_page(table: sa.Table, query: sa.Select | None, owned: bool, exact: tuple[str, ...],
                sort: tuple[tuple[str, bool], ...]) -> sa.Select[Any]:
    """What is asked most, built once: to build a query takes longer than to ask it."""
    own = [table.c.project_id == sa.bindparam("of_project")] if owned else []
    any_of = [table.c[name].in_(sa.bindparam(f"any_{name}", expanding=True)) for name in exact]
    return (sa.select(table) if query is None else query).where(*own, *any_of).order_by(
        *db.ordered(_order(table, sort))).limit(sa.bindparam("most", type_=sa.Integer()))


async def page(conn: Connection, table: sa.Table, wanted: Wanted, kind: type[T],
               query: sa.Select | None = None) -> Found:
    """Rows of one page; at most three statements: the marker, the rows, the number of them all."""
    if wanted.is_plain:
        values: dict[str, Any] = {f"any_{name}": given for name, given in wanted.exact.items()}
        if wanted.project_id is not None:
            values["of_project"] = wanted.project_id
        first = _first_page(table, query, wanted.project_id is not None, tuple(wanted.exact), tuple(wanted.sort))
        found = await db.many(conn, first, kind, most=wanted.limit, **values)
        return Found(found, len(found) == wanted.limit)
    order, where = _order(table, wanted.sort), conditions(table, wanted)
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
