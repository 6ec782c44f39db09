"""Rows that lists show again and again, kept in memory by version: what did not change is not read a second time."""

from __future__ import annotations

from typing import Generic, TypeVar

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection

T = TypeVar("T")
Version = tuple[object, ...]


class Recent(Generic[T]):
    """The rows of `table` that were read last, `most` of them, as structs `kind`.

    `version` names columns, the primary key first, at least one of which differs after each change that `kind` shows;
    with ids that clients choose also the time of birth, since a new row may be named as one that is gone.
    """

    def __init__(self, table: sa.Table, kind: type[T], version: tuple[str, ...], most: int = 1000):
        self._names, self._kind, self._most = version, kind, most
        self._query = sa.select(table).where(table.c[version[0]].in_(sa.bindparam("ids", expanding=True)))
        self._rows: dict[Version, T] = {}                        # in the order in which they came
        self.columns = [table.c[name] for name in version]

    async def many(self, conn: Connection, query: sa.Select) -> list[T]:
        """The rows `query` finds, a SELECT of `columns`; those whose version is not known are read besides. One that
        is gone by then is left out."""
        versions = [tuple(version) for version in (await conn.execute(query)).all()]
        found = [self._rows.get(version) for version in versions]
        if unknown := [version[0] for version, row in zip(versions, found, strict=True) if row is None]:
            fresh = await self._read(conn, unknown)
            found = [row or fresh.get(version[0]) for version, row in zip(versions, found, strict=True)]
        return [row for row in found if row is not None]

    async def _read(self, conn: Connection, keys: list[object]) -> dict[object, T]:
        fresh: dict[object, T] = {}
        for row in await db.many(conn, self._query, self._kind, ids=keys):
            version = tuple(getattr(row, name) for name in self._names)
            fresh[version[0]] = self._rows[version] = row
        for version in list(self._rows)[:max(len(self._rows) - self._most, 0)]:
            del self._rows[version]
        return fresh
