"""Databases to test on: made on the servers that the environment names, brought to a schema once, then used again."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from pileus.kit import migrate
from pileus.kit.db import Db

SERVERS = {"postgresql": "PILEUS_TEST_POSTGRESQL", "mariadb": "PILEUS_TEST_MARIADB"}
WITHOUT_REFERENCES = {"postgresql": "SET LOCAL session_replication_role = replica", "mysql": "SET foreign_key_checks=0"}
WITH_REFERENCES = {"mysql": "SET foreign_key_checks=1"}

COMPILED: Any = sa.util.LRUCache(5000)
DIALECTS: dict[Any, sa.Dialect] = {}


@sa.event.listens_for(sa.Engine, "engine_connect")
def compile_once(connection: sa.Connection) -> None:
    """Statements that were compiled for one database serve all of its kind: tests make hundreds of each."""
    own = connection.dialect
    kind = own.name, own.driver, own.server_version_info, own.default_schema_name       # MariaDB's is the database
    connection.dialect = DIALECTS.setdefault(kind, own)
    connection.execution_options(compiled_cache=COMPILED)


def wanted_databases() -> list[str]:
    """SQLite always; a server when the environment names one (tools/servers sets the variables)."""
    return ["sqlite", *(name for name, variable in SERVERS.items() if os.environ.get(variable))]


async def new_database(kind: str, folder: Path, name: str = "") -> str:
    """The URL of an empty database of its own."""
    name = name or f"t{uuid.uuid4().hex[:16]}"
    if kind == "sqlite":
        return f"sqlite:///{folder}/{name}.db"
    server = os.environ[SERVERS[kind]]
    encoding = " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin" if kind == "mariadb" else ""
    await _on_server(server, f"CREATE DATABASE {name}{encoding}")
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


async def drop_database(kind: str, url: str) -> None:
    """Files of SQLite go with their folder."""
    if kind != "sqlite":
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        await _on_server(os.environ[SERVERS[kind]], f"DROP DATABASE {urlsplit(url).path[1:]}{force}")


async def _on_server(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as raw:
        await raw.execute(sa.text(statement))
    await engine.dispose()


class Rows:
    """All rows of a database as they were at some moment."""

    def __init__(self, tables: sa.MetaData, rows: dict[str, list[dict[str, Any]]]):
        self._tables = tables
        self._kept = [(table, rows[table.name]) for table in tables.tables.values() if rows[table.name]]
        self._empty = [table for table in tables.tables.values() if not rows[table.name]]
        self._filled = sa.select(*(sa.exists(sa.select(sa.literal(1)).select_from(table)) for table in self._empty))

    @classmethod
    async def of(cls, database: Db) -> Rows:
        tables = sa.MetaData()
        async with database.read() as reader:
            await reader.run_sync(tables.reflect)
            return await cls._in(tables, reader)

    @classmethod
    async def _in(cls, tables: sa.MetaData, reader: Any) -> Rows:
        return cls(tables, {table.name: await _rows(reader, table) for table in tables.tables.values()})

    async def later(self, database: Db) -> Rows:
        """Those that the same tables have now."""
        async with database.read() as reader:
            return await self._in(self._tables, reader)

    async def put_back(self, database: Db) -> None:
        """Those rows, and no others."""
        async with database.write() as tx:
            if database.dialect in WITHOUT_REFERENCES:
                await tx.execute(sa.text(WITHOUT_REFERENCES[database.dialect]))
            for table, filled in zip(self._empty, (await tx.execute(self._filled)).one(), strict=True):
                if filled:                              # to ask once is cheaper than to delete from each
                    await tx.execute(table.delete())
            for table, wanted in self._kept:
                if await _rows(tx, table) != wanted:
                    await tx.execute(table.delete())
                    await tx.execute(table.insert(), wanted)
            if database.dialect in WITH_REFERENCES:
                await tx.execute(sa.text(WITH_REFERENCES[database.dialect]))


async def _rows(reader: Any, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in await reader.execute(sa.select(table))]


class Spares:
    """Databases with the schema of a service, as its migrations leave them, for one process of the tests."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._files: dict[str, Path] = {}
        self._fresh: dict[tuple[str, str], Rows] = {}
        self._spare: dict[tuple[str, str], list[str]] = {}
        self._made: list[tuple[str, str]] = []
        self.clouds: dict[str, list[Any]] = {}                  # of tests.cloud_databases

    async def take(self, kind: str, folder: Path, migrations: ModuleType) -> str:
        """The URL of one that nobody else uses; SQLite's are in `folder`."""
        if kind == "sqlite":
            return await self.copy(folder, migrations)
        of = (kind, migrations.__name__)
        if spare := self._spare.get(of):
            return spare.pop()
        url = await self.make(kind, folder)
        database = Db(url, connections=1)
        await migrate.bring_up_to_date(database, migrations)
        if of not in self._fresh:
            self._fresh[of] = await Rows.of(database)
        await database.close()
        return url

    async def make(self, kind: str, folder: Path, name: str = "") -> str:
        """An empty one that is dropped at the end."""
        url = await new_database(kind, folder, name)
        self._made.append((kind, url))
        return url

    async def give_back(self, kind: str, url: str, migrations: ModuleType) -> None:
        if kind == "sqlite":
            return
        of = (kind, migrations.__name__)
        database = Db(url, connections=1)
        await self._fresh[of].put_back(database)
        await database.close()
        self._spare.setdefault(of, []).append(url)

    async def copy(self, folder: Path, migrations: ModuleType) -> str:
        """The URL of an SQLite file in `folder`."""
        if migrations.__name__ not in self._files:
            file = self.folder / f"{migrations.__name__}.db"
            database = Db(f"sqlite:///{file}")
            await migrate.bring_up_to_date(database, migrations)
            await database.close()
            self._files[migrations.__name__] = file
        copy = folder / f"t{uuid.uuid4().hex[:16]}.db"
        shutil.copyfile(self._files[migrations.__name__], copy)
        return f"sqlite:///{copy}"

    async def drop_all(self) -> None:
        for kind, url in self._made:
            await drop_database(kind, url)
