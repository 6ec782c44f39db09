"""Many engines, two more processes, one killed in the middle: every step counts once and no saga is lost."""

import asyncio
import os
import sys
import time

import sqlalchemy as sa

from pileus.kit.saga import Phase, sagas
from tests.kit import stress
from tests.kit.toys import migrations

SAGAS = 50


async def count_done(database) -> int:
    async with database.read() as reader:
        return (await reader.execute(sa.select(sa.func.count()).where(sagas.c.phase == Phase.DONE))).scalar_one()


async def reach(database, wanted: int, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while await count_done(database) < wanted:
        assert time.monotonic() < until, f"{await count_done(database)} of {wanted} are done"
        await asyncio.sleep(0.02)


async def test_nothing_is_lost_or_doubled(make_db):
    database = await make_db(migrations)
    engines = [stress.engine(database) for _ in range(3)]
    async with database.write() as tx:
        await tx.run_sync(stress.metadata.create_all)
        for n in range(SAGAS):
            await engines[0].start(tx, stress.PassThrough(subject=f"s{n}"), f"s{n}")
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    workers = [await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.kit.stress", database.url, env=paths)
               for _ in range(2)]
    tasks = []
    try:
        await reach(database, 5)
        workers[0].kill()
        tasks = [asyncio.create_task(engine.run()) for engine in engines]
        await reach(database, SAGAS)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    async with database.read() as reader:
        did = [(row.saga, row.step) for row in await reader.execute(sa.select(stress.effects))]
        made = list((await reader.execute(sa.select(stress.world.c.id))).scalars())
    assert sorted(did) == sorted((f"s{n}", name) for n in range(SAGAS) for name in ("first", "last"))
    assert sorted(made) == sorted(f"s{n}" for n in range(SAGAS))
