"""Databases for all services of a cloud, on any kind of server, and their rows as they were at some moment."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pileus.kit.db import Db
from pileus.processes.databases import HOLE, DatabaseConfig
from tests.conftest import drop_database, new_database

SERVICES = ("identity", "placement", "image", "network", "compute", "volume")
WITHOUT_REFERENCES = {"postgresql": "SET LOCAL session_replication_role = replica", "mysql": "SET foreign_key_checks=0"}
WITH_REFERENCES = {"mysql": "SET foreign_key_checks=1"}


class CloudDatabases:
    """`config` is what a cloud is told of them. SQLite files are the state folder's own, and copied with it."""

    def __init__(self, config: DatabaseConfig):
        self.config = config
        self._kept: dict[str, list[tuple[sa.Table, list[dict[str, Any]]]]] = {}

    @contextlib.asynccontextmanager
    async def _each(self) -> AsyncIterator[list[tuple[str, Db]]]:
        databases = [(name, Db(self.config.of(name), connections=1)) for name in SERVICES if self.config.url]
        try:
            yield databases
        finally:
            for _, database in databases:
                await database.close()

    async def keep(self) -> None:
        """Remember all rows."""
        async with self._each() as databases:
            for name, database in databases:
                async with database.read() as reader:
                    tables = sa.MetaData()
                    await reader.run_sync(tables.reflect)
                    self._kept[name] = [(table, [dict(row._mapping) for row in await reader.execute(sa.select(table))])
                                        for table in tables.tables.values()]

    async def put_back(self) -> None:
        """The rows that were remembered, and no others."""
        async with self._each() as databases:
            for name, database in databases:
                async with database.write() as tx:
                    if database.dialect in WITHOUT_REFERENCES:
                        await tx.execute(sa.text(WITHOUT_REFERENCES[database.dialect]))
                    for table, rows in self._kept[name]:
                        await tx.execute(table.delete())
                        if rows:
                            await tx.execute(table.insert(), rows)
                    if database.dialect in WITH_REFERENCES:
                        await tx.execute(sa.text(WITH_REFERENCES[database.dialect]))


@contextlib.asynccontextmanager
async def cloud_databases(kind: str, folder: Path) -> AsyncIterator[CloudDatabases]:
    """Empty ones, which are gone at the end."""
    if kind == "sqlite":
        yield CloudDatabases(DatabaseConfig())
        return
    name, server = f"t{uuid.uuid4().hex[:16]}", ""
    urls: list[str] = []
    try:
        for service in SERVICES:
            url, server = await new_database(kind, folder, f"{name}_{service}")
            urls.append(url)
        yield CloudDatabases(DatabaseConfig(url=urls[0].replace(f"{name}_{SERVICES[0]}", f"{name}_{HOLE}")))
    finally:
        for url in urls:
            await drop_database(kind, url, server)
