"""A cloud of all services for the tests of one API: prepared once, and copied for each test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pileus.processes.databases import DatabaseConfig
from tests.cloud_databases import cloud_databases
from tests.compute.test_versions_of_boots import Booting
from tests.compute.whole_cloud import WholeCloud


@pytest.fixture(scope="session")
def prepared_state(tmp_path_factory) -> Path:
    """The state folder of a cloud that was prepared, and ended."""
    folder = tmp_path_factory.mktemp("prepared") / "cloud"

    async def prepare() -> None:
        whole = WholeCloud(folder, DatabaseConfig())
        await whole.prepare()
        await whole.close()

    asyncio.run(prepare())
    return folder


@pytest.fixture
async def whole(prepared_state, tmp_path) -> AsyncIterator[WholeCloud]:
    """Of this test alone, on SQLite."""
    shutil.copytree(prepared_state, tmp_path / "cloud")
    whole = WholeCloud(tmp_path / "cloud", DatabaseConfig())
    await whole.start()
    await whole.sign_of_life()
    yield whole
    await whole.close()


@pytest.fixture
async def cloud(database_kind, spare_databases, tmp_path) -> AsyncIterator[Booting]:
    """Made anew on a database of each kind, spoken to as its users do."""
    async with cloud_databases(database_kind, tmp_path, spare_databases) as databases:
        whole = WholeCloud(tmp_path / "cloud", databases.config)
        await whole.prepare()
        made = Booting(whole)
        await made.sign_in()
        yield made
        await made.http.aclose()
        await whole.close()
