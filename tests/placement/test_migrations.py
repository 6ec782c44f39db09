"""The numbered migrations make exactly the tables the code declares."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pileus.placement import migrations
from pileus.placement.model.tables import metadata


def differences(conn, tables):
    context = MigrationContext.configure(conn, opts={
        "compare_type": True,
        "include_object": lambda thing, name, kind, reflected, compare: not (
            kind == "table" and reflected and name in ("migration", "saga", "saga_event"))})
    return compare_metadata(context, tables)


async def test_tables_are_as_declared(make_db):
    database = await make_db(migrations)
    async with database.write() as tx:
        assert await tx.run_sync(differences, metadata) == []
