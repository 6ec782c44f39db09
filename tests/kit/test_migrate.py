"""Migrating: several processes may start at once on an empty database."""

import asyncio

from pileus.kit import migrate
from pileus.kit.db import Db
from tests.kit.toys import migrations


async def test_all_at_once(make_db):
    first = await make_db()
    databases = [first, *(Db(first.url) for _ in range(3))]
    applied = await asyncio.gather(*(migrate.bring_up_to_date(database, migrations) for database in databases))
    for database in databases[1:]:
        await database.close()
    assert sorted(map(len, applied))[:3] == [0, 0, 0] and sum(map(len, applied)) > 1
    assert await migrate.bring_up_to_date(first, migrations) == []
