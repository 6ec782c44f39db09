"""What every list of identity does alike: links, filters, pages by id; and bodies with attributes of one's own."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import InvalidBody
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.numbers import digits
from pileus.kit.routes import Page, Route
from pileus.kit.web import Ctx

T = TypeVar("T")
K = TypeVar("K", bound=msgspec.Struct)
Query = dict[str, list[str]]
MOST = 10_000
EXTRA_BYTES = 60_000


def links_of(ctx: Ctx, next_marker: str | None = None) -> dict[str, Any]:
    further = ctx.url_with(marker=next_marker) if next_marker else None
    return {"next": further, "self": ctx.url_with(), "previous": None}


def page_links(ctx: Ctx, route: Route, next_marker: str | None) -> dict[str, Any]:
    return {"links": links_of(ctx, next_marker)}


def truth(text: str) -> bool:
    """As clients write it in a query; `?enabled` alone means true."""
    return text.strip().lower() not in ("0", "false", "no", "off", "n", "f")


def narrowed(query: sa.Select[Any], asked: Query, columns: dict[str, sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """Only rows whose columns are as asked: `name=x`, `name__contains=x`, `enabled=true`, …"""
    for key, values in asked.items():
        name, _, how = key.partition("__")
        column, value = columns.get(name), values[-1]
        if column is None:
            continue
        if isinstance(column.type, sa.Boolean):
            query = query.where(column.is_(truth(value)))
        else:
            query = query.where(_compared(column, how, value))
    return query


def _compared(column: sa.ColumnElement[Any], how: str, value: str) -> sa.ColumnElement[bool]:
    if how == "":
        return column == value
    plain, ignoring_case = how.removeprefix("i"), how.startswith("i")
    if plain not in ("contains", "startswith", "endswith", "exact"):
        return sa.true()
    subject = sa.func.lower(column) if ignoring_case else column
    value = value.lower() if ignoring_case else value
    return subject == value if plain == "exact" else getattr(subject, plain)(value, autoescape=True)


async def page(conn: Connection, query: sa.Select[Any], key: sa.ColumnElement[str], kind: type[T],
               asked: Query) -> tuple[list[T], str | None]:
    """Rows in the order of `key`, `limit` of them behind `marker`, and the marker of the next page."""
    limit = _limit(asked)
    if marker := asked.get("marker", [""])[-1]:
        query = query.where(key > marker)
    query = query.order_by(key)
    found = await db.many(conn, query if limit is None else query.limit(limit + 1), kind)
    if limit is None or len(found) <= limit:
        return found, None
    return found[:limit], getattr(found[limit - 1], key.key or "id")


def _limit(asked: Query) -> int | None:
    text = asked.get("limit", [""])[-1]
    if not text:
        return None
    if not (number := digits(text)):
        raise InvalidBody(reason=f"Invalid query: limit must be a number above zero, not {text!r}.")
    return min(number, MOST)


def views(ctx: Ctx, found: tuple[list[T], str | None], view: Any) -> Page[dict[str, Any]]:
    return Page([view(ctx, row) for row in found[0]], next_marker=found[1])


def parsed(kind: type[K], body: dict[str, Any]) -> tuple[K, dict[str, Any]]:
    """The fields that `kind` knows, and the attributes of the client's own, which are kept as they came."""
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    try:
        fields = msgspec.convert({key: value for key, value in body.items() if key in known}, kind)
    except msgspec.ValidationError as error:
        raise InvalidBody(reason=f"Invalid input: {error}") from None
    extra = {key: value for key, value in body.items() if key not in known and key not in ("id", "links")}
    if len(msgspec.json.encode(extra)) > EXTRA_BYTES:
        raise InvalidBody(reason=f"Additional attributes may have {EXTRA_BYTES} bytes at most.")
    return fields, extra


def given(fields: msgspec.Struct) -> dict[str, Any]:
    """The fields that the client sent."""
    return {name: value for name, value in msgspec.structs.asdict(fields).items() if value is not msgspec.UNSET}


def merged(extra: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of the client's own after a change; null takes one away."""
    return {key: value for key, value in (extra | changes).items() if value is not None or key not in changes}
