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
        self._columns, self._kind, self._most = [table.c[name] for name in version], kind, most
        self._query = sa.select(table).where(table.c[version[0]].in_(sa.bindparam("ids", expanding=True)))
        self._names = version
        self._rows: dict[Version, T] = {}                        # in the order in which they came

    async def many(self, conn: Connection, query: sa.Select) -> list[T]:
        """What `query`, a SELECT of all columns of the table, finds: of each row only its version if that is known.
        A row that is gone when it is to be read is left out."""
        result = await conn.execute(query.with_only_columns(*self._columns))
        versions = [tuple(row) for row in result.all()]
        known = {version[0]: row for version in versions if (row := self._rows.get(version)) is not None}
        if unknown := [version[0] for version in versions if version[0] not in known]:
            for row in await db.many(conn, self._query, self._kind, ids=unknown):
                version = tuple(getattr(row, name) for name in self._names)
                known[version[0]] = self._rows[version] = row
            for version in list(self._rows)[:max(len(self._rows) - self._most, 0)]:
                del self._rows[version]
        return [known[version[0]] for version in versions if version[0] in known]
