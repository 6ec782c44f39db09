"""Lists as the Networking API has them: filters by any attribute, tags, sorting, keyset pages in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.numbers import INT_MAX, digits, whole
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.model.base import Row, tags

R = TypeVar("R", bound=Row)
Query = dict[str, list[str]]
Filter = Callable[[list[str]], sa.ColumnElement[bool]]
MOST = 1_000_000_000                    # rows of one answer; databases count no further than 63 bits
RESERVED = {"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir", "changed_since",
            "tags", "tags-any", "not-tags", "not-tags-any"}
HIDDEN = {"generation", "created_at", "updated_at"}


class Listing(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """How one resource is listed: `columns` by their names on the wire, `filters` for what is no column."""

    collection: str
    table: sa.Table
    row: type[R]
    columns: Mapping[str, sa.ColumnElement[Any]]
    filters: Mapping[str, Filter] = {}


def columns_of(table: sa.Table, *leave_out: str, **rename: str) -> dict[str, sa.ColumnElement[Any]]:
    """All columns under their wire names; `rename` says column="name on the wire"."""
    found: dict[str, sa.ColumnElement[Any]] = {
        rename.get(column.name, column.name): column for column in table.columns if column.name not in leave_out}
    found = {name: column for name, column in found.items() if name not in HIDDEN}
    if "project_id" in table.c:
        found["tenant_id"] = table.c.project_id
    if "generation" in table.c:
        found["revision_number"] = table.c.generation
    return found


class Rows(msgspec.Struct, Generic[R], frozen=True):
    rows: list[R]
    links: dict[str, Any]


async def fetch(ctx: Ctx, conn: Connection, listing: Listing[R], query: Query,
                visible: sa.ColumnElement[bool] | None) -> Rows[R]:
    """One page of what the caller may see."""
    wanted = sa.select(listing.table)
    if visible is not None:
        wanted = wanted.where(visible)
    for clause in _clauses(listing, query):
        wanted = wanted.where(clause)
    limit, reverse = _limit(query), _flag(query, "page_reverse")
    order = _order(listing, query, reverse)
    if marker := query.get("marker", [""])[-1]:
        wanted = wanted.where(db.after(order, await _place(conn, listing, marker, order)))
    wanted = wanted.order_by(*db.ordered(order))
    rows = await db.many(conn, wanted.limit(limit) if limit else wanted, listing.row)
    if reverse:
        rows.reverse()
    return Rows(rows, _links(ctx, listing, rows, limit, reverse) if limit else {})


def _limit(query: Query) -> int:
    text = query.get("limit", ["0"])[-1]
    if (number := digits(text)) is None:
        raise BadRequest(reason=f"Limit must be an integer 0 or greater and not '{text}'")
    return min(number, MOST)


def _flag(query: Query, name: str) -> bool:
    return query.get(name, ["false"])[-1].lower() in ("true", "1", "yes")


def _order(listing: Listing[Any], query: Query, reverse: bool) -> list[tuple[sa.ColumnElement[Any], bool]]:
    keys, directions = query.get("sort_key", []), query.get("sort_dir", [])
    if directions and len(directions) != len(keys):
        raise BadRequest(reason="The number of sort_keys and sort_dirs must be same")
    order: list[tuple[sa.ColumnElement[Any], bool]] = []
    times = {name: listing.table.c[name] for name in ("created_at", "updated_at")}
    for key, direction in zip(keys, directions or ["asc"] * len(keys), strict=True):
        column = listing.columns.get(key, times.get(key))
        if column is None or isinstance(column.type, db.Json):
            raise faults.InvalidSort(names=key)
        if direction not in ("asc", "desc"):
            raise BadRequest(reason="sort_dir must be one of asc, desc")
        order.append((column, (direction == "desc") != reverse))
    if "id" not in keys:
        order.append((listing.table.c.id, reverse))
    return order


async def _place(conn: Connection, listing: Listing[Any], marker: str,
                 order: list[tuple[sa.ColumnElement[Any], bool]]) -> list[Any]:
    found = (await conn.execute(sa.select(*(column for column, _ in order)).where(
        listing.table.c.id == marker))).one_or_none()
    if found is None:
        raise BadRequest(reason=f"Marker {marker} could not be found")
    return list(found)


def _links(ctx: Ctx, listing: Listing[Any], rows: list[Any], limit: int, reverse: bool) -> dict[str, Any]:
    """A page that is not full ends the way it was gone; from an empty one the other way begins at the end."""
    links, short = [], len(rows) < limit
    if reverse or not short:
        links.append({"rel": "next", "href": ctx.url_with(marker=rows[-1].id if rows else None, page_reverse=None)})
    if not reverse or not short:
        links.append({"rel": "previous", "href": ctx.url_with(
            marker=rows[0].id if rows else None, page_reverse="True")})
    return {f"{listing.collection}_links": links} if links else {}


def _clauses(listing: Listing[Any], query: Query) -> list[sa.ColumnElement[bool]]:
    unknown = [name for name in query
               if name not in RESERVED and name not in listing.columns and name not in listing.filters]
    if unknown:
        raise faults.InvalidFilter(names=unknown)
    clauses = [_one(listing.columns[name], name, values) for name, values in query.items()
               if name in listing.columns and name not in listing.filters]
    clauses += [listing.filters[name](values) for name, values in query.items() if name in listing.filters]
    if since := query.get("changed_since"):
        clauses.append(listing.table.c.updated_at >= _moment(since[-1]))
    return clauses + _tag_clauses(listing.table, query)


def _one(column: sa.ColumnElement[Any], name: str, values: list[str]) -> sa.ColumnElement[bool]:
    if isinstance(column.type, sa.Boolean):
        return column.in_([_truth(name, value) for value in values])
    if isinstance(column.type, sa.Integer):
        numbers = [whole(value) for value in values]
        if None in numbers:
            raise faults.InvalidInput(reason=f"'{', '.join(values)}' is not an integer for {name}")
        return column.in_([number for number in numbers if number is not None and abs(number) <= INT_MAX])
    found = column == values[0] if len(values) == 1 else column.in_(values)
    return sa.or_(found, column.is_(None)) if "" in values and getattr(column, "nullable", False) else found


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise faults.InvalidInput(reason=f"'{value}' cannot be converted to boolean for {name}")
    return value.lower() in ("true", "1")


def _moment(text: str) -> float:
    try:
        return _aware(msgspec.convert(text.replace(" ", "T"), datetime)).timestamp()
    except msgspec.ValidationError:
        raise faults.InvalidInput(reason=f"The changed_since value must be an ISO 8601 time and not '{text}'") from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _tag_clauses(table: sa.Table, query: Query) -> list[sa.ColumnElement[bool]]:
    clauses = []
    for name, every, without in (("tags", True, False), ("tags-any", False, False),
                                 ("not-tags", True, True), ("not-tags-any", False, True)):
        asked = [tag for value in query.get(name, []) for tag in value.split(",") if tag]
        if not asked:
            continue
        having = [table.c.id.in_(sa.select(tags.c.resource_id).where(tags.c.tag == tag)) for tag in asked]
        clause = sa.and_(*having) if every else sa.or_(*having)
        clauses.append(sa.not_(clause) if without else clause)
    return clauses
