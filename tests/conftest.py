"""What all rings share: databases to run on, named by the environment, made once and emptied for each test."""

from __future__ import annotations

import os
import uuid
from urllib.parse import urlsplit, urlunsplit

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from pileus.kit.db import Db

SERVERS = {"postgresql": "PILEUS_TEST_POSTGRESQL", "mariadb": "PILEUS_TEST_MARIADB"}


def wanted_databases() -> list[str]:
    """SQLite always; a server when the environment names one (tools/servers sets the variables)."""
    return ["sqlite", *(name for name, variable in SERVERS.items() if os.environ.get(variable))]


async def new_database(kind: str, tmp_path, name: str = "") -> tuple[str, str]:
    """An empty database of its own: its URL, and the URL of the server to drop it on (empty for SQLite)."""
    name = name or f"t{uuid.uuid4().hex[:16]}"
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/{name}.db", ""
    server = os.environ[SERVERS[kind]]
    encoding = " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin" if kind == "mariadb" else ""
    await on_server(server, f"CREATE DATABASE {name}{encoding}")
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}")), server


async def drop_database(kind: str, url: str, server: str) -> None:
    force = " WITH (FORCE)" if kind == "postgresql" else ""
    await on_server(server, f"DROP DATABASE {urlsplit(url).path[1:]}{force}")


async def on_server(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as raw:
        await raw.execute(sa.text(statement))
    await engine.dispose()


@pytest.fixture(params=wanted_databases())
def database_kind(request) -> str:
    return request.param


@pytest.fixture
async def make_db(database_kind, tmp_path):
    """Makes empty databases of the kind under test, and drops them."""
    made: list[tuple[Db, str]] = []

    async def make() -> Db:
        url, server = await new_database(database_kind, tmp_path)
        made.append((Db(url), server))
        return made[-1][0]

    yield make
    for database, server in made:
        await database.close()
        if server:
            await drop_database(database_kind, database.url, server)


def pytest_collection_modifyitems(config, items):
    """Tests of a server that this run does not have are not part of it."""
    without = [item for item in items if any(
        "empty parameter set" in mark.kwargs.get("reason", "") for mark in item.iter_markers("skip"))]
    items[:] = [item for item in items if item not in without]
    config.hook.pytest_deselected(items=without)
