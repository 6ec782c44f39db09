"""Databases: what services rely on holds alike on all three."""

import asyncio
import contextlib
import os
import sys
import time

import pytest
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Db, Unreachable
from pileus.kit.faults import BadRequest, OutOfSpace
from tests.databases import wanted_databases
from tests.kit.toys.things import Thing, add, metadata, things


async def get(database, thing_id):
    async with database.read() as reader:
        return await db.one(reader, sa.select(things).where(things.c.id == thing_id), Thing)


async def test_values_come_back(database):
    whole = Thing(id="1", facts={"é": [1, None, "🍄"]}, text="🍄é" * 100_000)
    await add(database, whole, Thing(id="2", facts=[]), Thing(id="3"))
    assert [await get(database, n) for n in "123"] == [whole, Thing(id="2", facts=[]), Thing(id="3")]


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_are_alike_whatever_is_null(database, descending):
    ranks = {"a": 2, "b": None, "c": 1, "d": None, "e": 2, "f": 0}
    await add(database, *(Thing(id=name, rank=rank) for name, rank in ranks.items()))
    columns = [(things.c.rank, descending), (things.c.id, False)]
    found, last = [], None
    while True:
        query = sa.select(things).order_by(*db.ordered(columns)).limit(1)
        if last is not None:
            query = query.where(db.after(columns, [last.rank, last.id]))
        async with database.read() as reader:
            last = await db.one(reader, query, Thing)
        if last is None:
            break
        found.append(last.id)
    assert "".join(found) == ("aecfbd" if descending else "bdfcae")


async def test_of_two_changes_the_second_is_stale(database):
    await add(database, Thing(id="1"))
    seen = await get(database, "1")
    async with database.write() as tx:
        assert (await db.change(tx, things, seen, rank=1)).generation == 2
    with pytest.raises(db.Stale):
        async with database.write() as tx:
            await db.change(tx, things, seen, rank=2)
    assert (await get(database, "1")).rank == 1


async def test_a_change_to_the_same_value_is_a_change(database):
    await add(database, Thing(id="1", rank=1))
    async with database.write() as tx:
        assert await db.update(tx, things.update().where(things.c.id == "1").values(rank=1)) == 1


async def test_names_are_taken(database):
    await add(database, Thing(id="1", name="n"))
    with pytest.raises(db.Taken):
        await add(database, Thing(id="2"), Thing(id="3", name="n"))
    assert await get(database, "2") is None
    await add(database, Thing(id="2", name="N"), Thing(id="3", name="n "))


async def test_callbacks_come_after_the_commit_only(database):
    called = []
    async with database.write() as tx:
        tx.on_commit(lambda: called.append(1))
        assert not called
    with pytest.raises(LookupError):
        async with database.write() as tx:
            tx.on_commit(lambda: called.append(2))
            raise LookupError
    assert called == [1]


@pytest.mark.parametrize("database_kind", [kind for kind in wanted_databases() if kind == "postgresql"])
async def test_a_reader_has_no_transaction_open(database):
    """PostgreSQL keeps old rows for those that are, and to begin and to end one takes two turns to the server."""
    async def state_of(connection):
        pid = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar()
        async with database.read() as other:
            state = sa.text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
            return (await other.execute(state, {"pid": pid})).scalar()

    async with database.read() as reader:
        assert await state_of(reader) == "idle"
    async with database.write() as tx:
        assert await state_of(tx) == "idle in transaction"


async def test_the_databases_clock_is_ours(database):
    async with database.read() as reader:
        there = float(await db.scalar(reader, sa.select(db.now())))
    assert abs(there - time.time()) < 5


WRITER = """
import asyncio, sys
from pileus.kit.db import Db
from tests.kit.toys.things import things

async def main():
    database = Db(sys.argv[1])
    for _ in range(100):
        async with database.write() as tx:
            await tx.execute(things.update().where(things.c.id == "1").values(rank=things.c.rank + 1))
    await database.close()

asyncio.run(main())
"""


async def test_two_processes_write(database):
    await add(database, Thing(id="1", rank=0))
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    writers = [await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, database.url, env=paths)
               for _ in range(2)]
    own = Db(database.url)
    for _ in range(100):
        async with own.write() as tx:
            await tx.execute(things.update().where(things.c.id == "1").values(rank=things.c.rank + 1))
    await own.close()
    assert [await asyncio.wait_for(writer.wait(), 60) for writer in writers] == [0, 0]
    assert (await get(database, "1")).rank == 300


async def test_a_full_disk_harms_nothing_and_passes(tmp_path):
    database = Db(f"sqlite:///{tmp_path}/small.db")
    async with database.write() as tx:
        await tx.run_sync(metadata.create_all)
        pages = await db.scalar(tx, sa.text("PRAGMA page_count"))
        await tx.execute(sa.text(f"PRAGMA max_page_count = {pages + 3}"))
    with pytest.raises(OutOfSpace):
        async with database.write() as tx:
            await db.add(tx, things, Thing(id="small"))
            await db.add(tx, things, Thing(id="large", text="x" * 100_000))
    async with database.read() as reader:
        assert await db.many(reader, sa.select(things), Thing) == []
    async with database.write() as tx:
        await db.add(tx, things, Thing(id="small"))
    async with database.read() as reader:
        assert await db.scalars(reader, sa.select(things.c.id)) == ["small"]
    await database.close()


async def test_a_database_that_does_not_let_us_in_is_named_without_its_password(database, tmp_path):
    await database.must_answer()
    url = sa.make_url(database.url)
    wrong = (url.set(database=f"{tmp_path}/no/such/folder/x.db") if database.dialect == "sqlite"
             else url.set(password="not this", database="nowhere"))
    nobody = Db(wrong.render_as_string(hide_password=False))
    with pytest.raises(Unreachable) as caught:
        await nobody.must_answer()
    assert "cannot be used" in str(caught.value) and "not this" not in str(caught.value)
    await nobody.close()


@pytest.mark.parametrize("number", [2**63, 2**70, -(2**70), 10**30])
async def test_numbers_that_no_database_holds_are_the_clients_mistake(database, number):
    async with database.read() as reader:
        with contextlib.nullcontext() if database.dialect == "mysql" else pytest.raises(BadRequest):
            assert await db.scalars(reader, sa.select(things.c.id).where(things.c.rank == number)) == []
    with pytest.raises(BadRequest):
        async with database.write() as tx:
            await db.add(tx, things, Thing(id="a", rank=number))
    async with database.read() as reader:
        assert await db.scalars(reader, sa.select(things.c.id)) == []
