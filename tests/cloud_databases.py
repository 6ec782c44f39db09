"""Databases for all services of a cloud, on any kind of server, and their rows as they were at some moment."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from pileus.kit.db import Db
from pileus.processes.databases import HOLE, DatabaseConfig
from tests.databases import Rows, drop_database, new_database

SERVICES = ("identity", "placement", "image", "network", "compute", "volume")


class CloudDatabases:
    """`config` is what a cloud is told of them. SQLite files are the state folder's own, and copied with it."""

    def __init__(self, config: DatabaseConfig):
        self.config = config
        self._kept: dict[str, Rows] = {}

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
            self._kept = {name: await Rows.of(database) for name, database in databases}

    async def put_back(self) -> None:
        """The rows that were remembered, and no others."""
        async with self._each() as databases:
            for name, database in databases:
                await self._kept[name].put_back(database)


@contextlib.asynccontextmanager
async def cloud_databases(kind: str, folder: Path) -> AsyncIterator[CloudDatabases]:
    """Empty ones, which are gone at the end."""
    if kind == "sqlite":
        yield CloudDatabases(DatabaseConfig())
        return
    name = f"t{uuid.uuid4().hex[:16]}"
    urls: list[str] = []
    try:
        for service in SERVICES:
            urls.append(await new_database(kind, folder, f"{name}_{service}"))
        yield CloudDatabases(DatabaseConfig(url=urls[0].replace(f"{name}_{SERVICES[0]}", f"{name}_{HOLE}")))
    finally:
        for url in urls:
            await drop_database(kind, url)
