"""Moves of servers: from host to host, from flavor to flavor."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.compute.model.tables import migrations
from pileus.kit import db
from pileus.kit.db import Connection

RESIZE, MIGRATION = "resize", "migration"


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    server_id: str
    project_id: str
    user_id: str
    type: str
    status: str
    source: str
    dest: str | None = None
    old_flavor_id: str
    new_flavor_id: str
    going_on: bool | None = True
    created_at: float
    updated_at: float
    generation: int = 1
    number: int = 0               # given by the database


async def add(tx: Connection, row: Migration) -> None:
    """A second one of the same server raises Taken."""
    values = {name: getattr(row, name) for name in row.__struct_fields__ if name != "number"}
    await tx.execute(migrations.insert(), [values])


async def find(conn: Connection, migration_id: str) -> Migration | None:
    return await db.one(conn, sa.select(migrations).where(migrations.c.id == migration_id), Migration)


async def note(tx: Connection, migration_id: str, now: float, **values: Any) -> None:
    """Write down how far it is."""
    await db.update(tx, migrations.update().where(migrations.c.id == migration_id).values(updated_at=now, **values))


async def end(tx: Connection, migration_id: str, now: float, status: str) -> None:
    await note(tx, migration_id, now, status=status, going_on=None)


async def moving(conn: Connection, host: str) -> set[str]:
    """The servers that are on their way from or to a host, or can still be taken back."""
    query = sa.select(migrations.c.server_id).where(
        migrations.c.going_on, sa.or_(migrations.c.source == host, migrations.c.dest == host))
    return set(await db.scalars(conn, query))


async def going_on(conn: Connection) -> set[str]:
    return set(await db.scalars(conn, sa.select(migrations.c.id).where(migrations.c.going_on)))


class Wanted(msgspec.Struct, kw_only=True):
    """What a list is to have; times are seconds since the epoch."""

    exact: dict[str, str] = {}                # names of columns
    host: str | None = None                   # as source or as destination
    changes_since: float | None = None
    changes_before: float | None = None
    limit: int
    marker: str | None = None


async def page(conn: Connection, wanted: Wanted) -> tuple[list[Migration], bool] | None:
    """The newest first, and whether there are more; None if there is no such marker."""
    query = sa.select(migrations).where(*(migrations.c[name] == value for name, value in wanted.exact.items()))
    if wanted.host is not None:
        query = query.where(sa.or_(migrations.c.source == wanted.host, migrations.c.dest == wanted.host))
    if wanted.changes_since is not None:
        query = query.where(migrations.c.updated_at >= wanted.changes_since)
    if wanted.changes_before is not None:
        query = query.where(migrations.c.updated_at <= wanted.changes_before)
    order: list[tuple[sa.ColumnElement[Any], bool]] = [(migrations.c.number, True)]
    if wanted.marker is not None:
        mark = await find(conn, wanted.marker)
        if mark is None:
            return None
        query = query.where(db.after(order, [mark.number]))
    found = await db.many(conn, query.order_by(*db.ordered(order)).limit(wanted.limit + 1), Migration)
    return found[:wanted.limit], len(found) > wanted.limit

