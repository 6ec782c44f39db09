"""Rows kept by version: lists are as the database has them, whatever was read before."""

import msgspec
import pytest
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.recent import Recent
from tests.kit.toys.things import Thing, add, things

IN_ORDER = sa.select(things.c.id, things.c.generation).order_by(things.c.id)


@pytest.fixture
def recent():
    return Recent(things, Thing, ("id", "generation"), made=lambda thing: thing, most=3)


class Watched:
    """A connection that knows how many statements it was given; `between` runs before the second one."""

    def __init__(self, conn, between=None):
        self.conn, self.between, self.asked = conn, between, 0

    async def execute(self, statement, parameters=None):
        self.asked += 1
        if self.asked == 2 and self.between:
            await self.between()
        return await self.conn.execute(statement, parameters)


async def listed(database, recent, query=IN_ORDER):
    """The rows, and how many statements that took."""
    async with database.read() as reader:
        watched = Watched(reader)
        return await recent.many(watched, query), watched.asked


async def test_only_what_is_new_is_read(database, recent):
    assert await listed(database, recent) == ([], 1)
    rows = [Thing(id=str(n), facts=[n]) for n in range(3)]
    await add(database, *rows)
    assert await listed(database, recent) == (rows, 2)
    assert await listed(database, recent) == (rows, 1)
    assert await listed(database, recent, IN_ORDER.where(things.c.id == "1")) == (rows[1:2], 1)
    assert await listed(database, recent, IN_ORDER.order_by(None).order_by(things.c.id.desc()).limit(2)) == (
        [rows[2], rows[1]], 1)


async def test_what_changed_is_read_again_and_what_is_gone_is_not_shown(database, recent):
    rows = [Thing(id=str(n)) for n in range(3)]
    await add(database, *rows)
    await listed(database, recent)
    async with database.write() as tx:
        changed = await db.change(tx, things, rows[1], name="new")
        await db.update(tx, things.delete().where(things.c.id == "0"))
    assert await listed(database, recent) == ([changed, rows[2]], 2)
    assert await listed(database, recent) == ([changed, rows[2]], 1)


async def test_what_is_made_of_a_row_is_made_once(database):
    made = []
    recent = Recent(things, Thing, ("id", "generation"), made=lambda thing: made.append(thing.id) or f"<{thing.id}>")
    await add(database, *(Thing(id=str(n)) for n in range(3)))
    for _ in range(2):
        assert (await listed(database, recent))[0] == ["<0>", "<1>", "<2>"]
    assert made == ["0", "1", "2"]


async def test_more_rows_than_are_kept(database, recent):
    rows = [Thing(id=str(n)) for n in range(5)]
    await add(database, *rows)
    assert await listed(database, recent) == (rows, 2)
    assert await listed(database, recent, IN_ORDER.where(things.c.id >= "2")) == (rows[2:], 1)
    assert await listed(database, recent) == (rows, 2)
    assert await listed(database, recent, IN_ORDER.where(things.c.id >= "2")) == (rows[2:], 2)


async def test_a_row_changes_or_goes_between_the_two_statements(database, recent):
    """On SQLite a reader goes on seeing what it saw first."""
    rows = [Thing(id=str(n), name=str(n)) for n in range(4)]
    await add(database, *rows)
    changed = msgspec.structs.replace(rows[1], name="new", generation=2)

    async def meanwhile():
        async with database.write() as tx:
            await db.change(tx, things, rows[1], name="new")
            await db.change(tx, things, rows[3], name="secret")
            await db.update(tx, things.delete().where(things.c.id == "0"))

    query = IN_ORDER.where(things.c.name != "secret")
    async with database.read() as reader:
        found = await recent.many(Watched(reader, meanwhile), query)
    assert found == (rows if database.dialect == "sqlite" else [changed, rows[2]])
    assert (await listed(database, recent, query))[0] == [changed, rows[2]]


async def test_a_row_that_changes_again_and_again_is_left_out(database, recent):
    rows = [Thing(id=str(n)) for n in range(2)]
    await add(database, *rows)

    class Restless(Watched):
        async def execute(self, statement, parameters=None):
            async with database.write() as tx:
                await db.update(tx, things.update().where(things.c.id == "1").values(
                    generation=things.c.generation + 1))
            return await self.conn.execute(statement, parameters)

    async with database.read() as reader:
        found = await recent.many(Restless(reader), IN_ORDER)
    assert [row.id for row in found] == (["0", "1"] if database.dialect == "sqlite" else ["0"])
