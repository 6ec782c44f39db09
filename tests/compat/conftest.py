"""A cloud in this process, on each kind of database that there is."""

from __future__ import annotations

import logging

import pytest

from tests.cloud_databases import cloud_databases
from tests.compat.cloud import running_cloud


@pytest.fixture
async def cloud_on(database_kind, spare_databases, tmp_path):
    """A cloud whose databases are of the kind under test."""
    logging.getLogger("pileus").setLevel(logging.ERROR)
    async with (cloud_databases(database_kind, tmp_path, spare_databases) as databases,
                running_cloud(tmp_path, databases.config) as made):
        yield made
