"""For every service: migrations on an empty database make exactly the tables that the code declares."""

import importlib
import pkgutil

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import pileus
from pileus.kit import migrate
from pileus.kit.saga import metadata as kit_metadata
from tests.kit.toys import boxes


def services():
    found = [boxes.SERVICE]
    for module in pkgutil.iter_modules(pileus.__path__):
        if module.ispkg and importlib.util.find_spec(f"pileus.{module.name}.service") and module.name != "kit":
            found.append(importlib.import_module(f"pileus.{module.name}.service").SERVICE)
    return found


def differences(conn, metadata, others):
    def ours(thing, name, kind, reflected, compare_to):
        return not (kind == "table" and reflected and (name in others.tables or name == "migration"))

    context = MigrationContext.configure(conn, opts={"include_object": ours, "compare_type": True})
    return [str(each) for each in compare_metadata(context, metadata)]


@pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
async def test_migrations_make_the_tables(make_db, service):
    database = await make_db()
    assert await migrate.bring_up_to_date(database, service.migrations)
    assert await migrate.bring_up_to_date(database, service.migrations) == []
    async with database.read() as reader:
        assert await reader.run_sync(differences, service.metadata, kit_metadata) == []


async def test_migrations_make_the_tables_of_the_kit(make_db):
    database = await make_db()
    await migrate.bring_up_to_date(database, boxes.migrations)
    async with database.read() as reader:
        assert await reader.run_sync(differences, kit_metadata, boxes.metadata) == []
