"""Databases for all services of a cloud, on any kind of server, and their rows as they were at some moment."""

from __future__ import annotations

import contextlib
import importlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from pileus.kit import migrate
from pileus.kit.db import Db
from pileus.processes.databases import HOLE, DatabaseConfig
from tests.databases import Rows, Spares

SERVICES = ("identity", "placement", "image", "network", "compute", "volume", "load_balancer")
AllRows = dict[str, Rows]           # by the service whose database has them


class CloudDatabases:
    """`config` is what a cloud is told of them. SQLite files are the state folder's own, and copied with it."""

    def __init__(self, config: DatabaseConfig, fresh: AllRows | None = None):
        self.config, self.fresh = config, fresh or {}
        self._open: dict[str, Db] = {}

    async def rows(self) -> AllRows:
        return {name: await self.fresh[name].later(database) for name, database in self._open.items()}

    async def put_back(self, rows: AllRows) -> None:
        """Those rows, and no others."""
        for name, database in self._open.items():
            await rows[name].put_back(database)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[CloudDatabases]:
        self._open = {name: Db(self.config.of(name), connections=1) for name in SERVICES if self.config.url}
        try:
            yield self
        finally:
            for database in self._open.values():
                await database.close()


@contextlib.asynccontextmanager
async def cloud_databases(kind: str, folder: Path, spares: Spares) -> AsyncIterator[CloudDatabases]:
    """Of a cloud that was never prepared. On a server their tables are there already, as migrations leave them."""
    if kind == "sqlite":
        yield CloudDatabases(DatabaseConfig())
        return
    unused = spares.clouds.setdefault(kind, [])
    config, fresh = unused.pop() if unused else await _made(kind, folder, spares)
    async with CloudDatabases(config, fresh).open() as databases:
        yield databases
    async with CloudDatabases(config, fresh).open() as databases:
        await databases.put_back(fresh)
    unused.append((config, fresh))


async def _made(kind: str, folder: Path, spares: Spares) -> tuple[DatabaseConfig, AllRows]:
    name, fresh = f"t{uuid.uuid4().hex[:16]}", {}
    for service in SERVICES:
        url = await spares.make(kind, folder, f"{name}_{service}")
        database = Db(url, connections=1)
        await migrate.bring_up_to_date(database, importlib.import_module(f"pileus.{service}.migrations"))
        fresh[service] = await Rows.of(database)
        await database.close()
    return DatabaseConfig(url=url.replace(f"{name}_{SERVICES[-1]}", f"{name}_{HOLE}")), fresh
