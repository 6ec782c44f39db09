"""What all tables of the service share: columns, tags, and the row that serialises one project's quota."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection

metadata = db.metadata()
CHUNK = 1000                 # ids in one IN list; every database takes more, none likes it


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The standard attributes; `generation` is the revision number on the wire. Rows are trees, so the garbage
    collector has nothing to find in them."""

    id: str
    project_id: str
    name: str = ""
    description: str = ""
    created_at: float
    updated_at: float
    generation: int = 1


R = TypeVar("R", bound=Row)


def standard_columns(table: str) -> list[sa.Column[Any] | sa.Index]:
    return [
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Index(f"{table}_by_project", "project_id", "id"),
    ]


tags = sa.Table(
    "tag", metadata,
    sa.Column("resource_id", sa.String(36), primary_key=True),
    sa.Column("tag", sa.String(255), primary_key=True),
)


async def tags_of(conn: Connection, ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for part in chunks(ids):
        query = sa.select(tags.c.resource_id, tags.c.tag).where(tags.c.resource_id.in_(part)).order_by(tags.c.tag)
        for resource_id, tag in await rows(conn, query):
            found[resource_id].append(tag)
    return found


async def rows(conn: Connection, query: Any, **values: Any) -> list[tuple[Any, ...]]:
    return (await conn.execute(query, values or None)).all()  # type: ignore[return-value]


def chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    every = list(ids)
    return (every[start:start + CHUNK] for start in range(0, len(every), CHUNK))


async def many_in(conn: Connection, query: sa.Select[Any], column: sa.ColumnElement[Any], ids: Iterable[str],
                  kind: type[R]) -> list[R]:
    return [row for part in chunks(ids) for row in await db.many(conn, query.where(column.in_(part)), kind)]


async def change(tx: Connection, table: sa.Table, row: R, now: float, **values: Any) -> R:
    """db.change that also notes the time."""
    return await db.change(tx, table, row, updated_at=now, **values)


async def bump(tx: Connection, table: sa.Table, row_id: str, now: float) -> None:
    """A part of the row that lives in another table has changed, so its revision has too."""
    await db.update(tx, table.update().where(table.c.id == row_id).values(
        generation=table.c.generation + 1, updated_at=now))


async def remove(tx: Connection, table: sa.Table, row_id: str) -> int:
    await tx.execute(tags.delete().where(tags.c.resource_id == row_id))
    return await db.update(tx, table.delete().where(table.c.id == row_id))
