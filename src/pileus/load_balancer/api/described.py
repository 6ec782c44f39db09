"""What flavors, availability zones and their profiles have in common."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.numbers import INT_MAX
from pileus.kit.routes import Target
from pileus.load_balancer.api.providers import TOPOLOGIES
from pileus.load_balancer.api.shapes import PROVIDERS, given, hidden_from_nobody
from pileus.load_balancer.faults import BadOption, InUse, Invalid, Missing, NameTaken, NoProvider
from pileus.load_balancer.model.profiles import NOBODYS, Flavor, FlavorProfile, Zone, ZoneProfile

K = TypeVar("K", Flavor, FlavorProfile, Zone, ZoneProfile)


async def get(conn: Connection, table: sa.Table, kind: type[K], what: str, id: str, column: str = "id") -> K:
    """Raises Missing."""
    row = await db.one(conn, sa.select(table).where(table.c[column] == id), kind)
    if row is None or row.id == NOBODYS:
        raise Missing(what=what, id=id)
    return row


def target(get: Any) -> Target:
    return Target(get, missing=Missing, hidden=hidden_from_nobody)


def checked_data(text: str, known: dict[str, str], field: str) -> str:
    """What a profile says to the provider: an object in JSON. Raises Invalid, BadOption."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise Invalid(reason=f"Invalid input for field/attribute {field}. Value: '{text}'. It is no JSON object"
                      ) from None
    for name, value in found.items():
        if name not in known:
            raise BadOption(value=name, option=field)
        if not _is_right(name, value):
            raise BadOption(value=value, option=name)
    return text


def _is_right(name: str, value: Any) -> bool:
    if name == "loadbalancer_topology":
        return value in TOPOLOGIES
    if name == "connection_limit":
        return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= INT_MAX
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def known_provider(name: str) -> str:
    if name not in PROVIDERS:
        raise NoProvider(provider=name)
    return name


async def in_use(conn: Connection, column: sa.ColumnElement[Any], value: str) -> bool:
    return (await conn.execute(sa.select(sa.literal(1)).where(column == value).limit(1))).first() is not None


async def must_be_free(conn: Connection, column: sa.ColumnElement[Any], what: str, value: str) -> None:
    """Raises InUse while a row's column has the value."""
    if await in_use(conn, column, value):
        raise InUse(what=what, id=value)


async def add(tx: Connection, table: sa.Table, row: Flavor | Zone, what: str) -> None:
    try:
        await db.add(tx, table, row)
    except db.Taken as error:
        raise NameTaken(what=what, name=row.name) from error


def values_of(body: msgspec.Struct) -> dict[str, Any]:
    usual = {"description": "", "enabled": True}
    return {name: usual[name] if value is None else value for name, value in given(body).items()}
