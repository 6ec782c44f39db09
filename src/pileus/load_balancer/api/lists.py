"""Lists as the Load Balancer API has them: filters by any attribute, tags, sorting, pages."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.numbers import INT_MAX, digits, whole
from pileus.kit.web import Ctx
from pileus.load_balancer.faults import Missing, NotAllowed

Query = dict[str, list[str]]
MOST = 1000
COLUMNS = {"tenant_id": "project_id", "loadbalancer_id": "load_balancer_id"}       # of filters by other names
TAGS = ("tags", "tags-any", "not-tags", "not-tags-any")
RESERVED = {"fields", "limit", "marker", "sort", "page_reverse", *TAGS}


class Listing(NamedTuple):
    """How one resource is listed: the key on the wire, the table, the struct of its rows."""

    collection: str
    table: sa.Table
    kind: type[Any]
    order: str = "created_at"                    # unless another one is asked for


class Found(msgspec.Struct, frozen=True):
    rows: list[Any]
    links: dict[str, Any]


async def fetch(ctx: Ctx, conn: Connection, listing: Listing, query: Query,
                within: sa.ColumnElement[bool] | None = None) -> Found:
    """One page of what the caller may see: of his project, if things belong to projects, unless he sees all."""
    table = listing.table
    wanted = sa.select(table).where(*_conditions(ctx, table, query))
    if within is not None:
        wanted = wanted.where(within)
    limit, order = _limit(query), _order(listing, query)
    if marker := query.get("marker", [""])[-1]:
        place = (await conn.execute(sa.select(*(column for column, _ in order)).where(
            table.c.id == marker))).one_or_none()
        if place is None:
            raise Missing(what="Marker", id=marker)
        wanted = wanted.where(db.after(order, list(place)))
    rows = await db.many(conn, wanted.order_by(*db.ordered(order)).limit(limit + 1), listing.kind)
    more, rows = len(rows) > limit, rows[:limit]
    links = [{"rel": "next", "href": ctx.url_with(marker=rows[-1].id)}] if more else []
    return Found(rows, {f"{listing.collection}_links": links} if links else {})


def _conditions(ctx: Ctx, table: sa.Table, query: Query) -> list[sa.ColumnElement[bool]]:
    """Filters that are no columns are passed over: clients send those of newer versions, too."""
    asked = {COLUMNS.get(name, name): values for name, values in query.items() if name not in RESERVED}
    found: list[sa.ColumnElement[bool]] = []
    if "project_id" in table.c and not ctx.caller.is_admin:
        mine = ctx.caller.project_id or ""
        if asked.pop("project_id", [mine])[-1] != mine:
            raise NotAllowed()
        found.append(table.c.project_id == mine)
    found += [_matches(table.c[name], name, values[-1]) for name, values in asked.items()
              if name in table.c and not isinstance(table.c[name].type, db.Json)]
    return found + _of_tags(table, query) if "tags" in table.c else found


def _of_tags(table: sa.Table, query: Query) -> list[sa.ColumnElement[bool]]:
    found, text = [], sa.type_coerce(table.c.tags, sa.Text)
    for name in TAGS:
        tags = [tag for value in query.get(name, ()) for tag in value.split(",") if tag]
        if having := [text.contains(msgspec.json.encode(tag).decode(), autoescape=True) for tag in tags]:
            some = sa.or_(*having) if name.endswith("any") else sa.and_(*having)
            found.append(sa.not_(some) if name.startswith("not") else some)
    return found


def _matches(column: sa.ColumnElement[Any], name: str, value: str) -> sa.ColumnElement[bool]:
    if isinstance(column.type, sa.Boolean):
        if value.lower() not in ("true", "false", "1", "0"):
            raise BadRequest(reason=f"Invalid input for field/attribute {name}. Value: '{value}'.")
        return column == (value.lower() in ("true", "1"))
    if isinstance(column.type, sa.Integer | sa.Double):
        number = whole(value)
        return column == number if number is not None and abs(number) <= INT_MAX else sa.false()
    return column == value


def _limit(query: Query) -> int:
    text = query.get("limit", [str(MOST)])[-1]
    number = digits(text)
    if number is None:
        raise BadRequest(reason=f"The marker or the limit is not valid: limit {text!r} is no positive number.")
    return min(number, MOST) or MOST


def _order(listing: Listing, query: Query) -> list[tuple[sa.ColumnElement[Any], bool]]:
    table = listing.table
    order: list[tuple[sa.ColumnElement[Any], bool]] = []
    for part in ",".join(query.get("sort", ())).split(","):
        key, _, direction = part.partition(":")
        if not key:
            continue
        if key not in table.c or isinstance(table.c[key].type, db.Json) or direction not in ("", "asc", "desc"):
            raise BadRequest(reason=f"Sort key {part!r} is not valid.")
        order.append((table.c[key], direction == "desc"))
    order = order or [(table.c[listing.order], False)]
    return order if any(column is table.c.id for column, _ in order) else [*order, (table.c.id, False)]
