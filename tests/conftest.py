"""What all rings share: databases to run on, named by the environment."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest
from hypothesis import settings

from pileus.kit import saga_testing
from pileus.kit.db import Db
from tests.databases import Spares, drop_database, new_database, wanted_databases
from tests.examples import INNER_LOOP

settings.register_profile(INNER_LOOP)


def pytest_configure(config):
    if config.getoption("--hypothesis-profile") == INNER_LOOP:
        saga_testing.before_too.clear()
    elif os.environ.get("PILEUS_WHOLE_PROOFS"):
        saga_testing.before_too |= {"postgresql", "mysql"}


@pytest.fixture(params=wanted_databases())
def database_kind(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def spare_databases(tmp_path_factory):
    spares = Spares(tmp_path_factory.mktemp("databases"))
    yield spares
    asyncio.run(spares.drop_all())


@pytest.fixture
async def make_db(database_kind, tmp_path, spare_databases):
    """Makes databases of the kind under test: with the schema that the migrations make, or without any tables."""
    made = []

    async def make(migrations=None) -> Db:
        url = (await spare_databases.take(database_kind, tmp_path, migrations) if migrations else
               await new_database(database_kind, tmp_path))
        made.append((Db(url), migrations))
        return made[-1][0]

    yield make
    for database, migrations in made:
        await database.close()
        if migrations:
            await spare_databases.give_back(database_kind, database.url, migrations)
        else:
            await drop_database(database_kind, database.url)


def pytest_collection_modifyitems(config, items):
    """Tests of a server that this run does not have are not part of it."""
    without = [item for item in items if any(
        "empty parameter set" in mark.kwargs.get("reason", "") for mark in item.iter_markers("skip"))]
    items[:] = [item for item in items if item not in without]
    config.hook.pytest_deselected(items=without)


def pytest_collection_finish():
    """Look no more through what was made so far, of which nothing goes: that is a tenth of what all tests cost."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
