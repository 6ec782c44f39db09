"""Rows that lists show again and again, kept in memory by version: what did not change is not read, nor made into what
lists show, a second time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection

T = TypeVar("T")
Row = TypeVar("Row")
Version = tuple[object, ...]
TRIES = 5


class Recent(Generic[Row, T]):
    """What was `made` of the rows of `table` that were read last, as structs `kind`: `most` of them.

    `version` names columns, the primary key first, at least one of which differs after each change that `kind` shows;
    with ids that clients choose also the time of birth, since a new row may be named as one that is gone. `made` may
    use nothing but the row.
    """

    def __init__(self, table: sa.Table, kind: type[Row], version: tuple[str, ...], made: Callable[[Row], T],
                 most: int = 1000):
        self._names, self._kind, self._made, self._most = version, kind, made, most
        self._query = sa.select(table).where(table.c[version[0]].in_(sa.bindparam("ids", expanding=True)))
        self._known: dict[Version, T] = {}                       # in the order in which they came

    async def many(self, conn: Connection, query: sa.Select) -> list[T]:
        """What is made of the rows `query` finds, a SELECT of the columns of a version; those whose version is not
        known are read besides. Where one of them has become another version by then, which the query may not find,
        all is asked again."""
        versions: list[Version] = []
        found: dict[Version, T] = {}
        for _ in range(TRIES):
            versions = [tuple(version) for version in (await conn.execute(query)).all()]
            found = {version: self._known[version] for version in versions if version in self._known}
            if len(found) < len(versions):
                found |= await self._read(conn, [version[0] for version in versions if version not in found])
            if all(version in found for version in versions):
                break
        return [found[version] for version in versions if version in found]

    async def _read(self, conn: Connection, keys: list[object]) -> dict[Version, T]:
        read = {tuple(getattr(row, name) for name in self._names): self._made(row)
                for row in await db.many(conn, self._query, self._kind, ids=keys)}
        self._known |= read
        for version in list(self._known)[:max(len(self._known) - self._most, 0)]:
            del self._known[version]
        return read
