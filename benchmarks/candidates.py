"""What a question for allocation candidates costs, request and answer included, with many providers.

python -m benchmarks.candidates [providers …]

Prints processor milliseconds (the median of 15) for all candidates and for a limit of 200, without changes and right
after one, and exits with 1 when a bar is missed: 8 ms for all of 1,000 providers, 50 ms for all of 10,000.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import uuid

import sqlalchemy as sa

from pileus.kit import migrate
from pileus.kit.db import Db
from pileus.placement import migrations
from pileus.placement.model.tables import change, inventories, providers
from tests.placement.conftest import World

BARS = {1_000: 8.0, 10_000: 50.0}
QUESTION = "/allocation_candidates?resources=VCPU:1,MEMORY_MB:512,DISK_GB:10"
AMOUNTS = {"VCPU": 64, "MEMORY_MB": 262144, "DISK_GB": 4096}


async def fill(database: Db, count: int) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in range(count)]
    async with database.write() as tx:
        await tx.execute(providers.insert(), [
            {"id": each, "name": each, "generation": 0, "parent_id": None, "root_id": each, "changed": 1,
             "updated_at": 1.0} for each in ids])
        await tx.execute(inventories.insert(), [
            {"provider_id": each, "resource_class": name, "total": total, "reserved": 0, "min_unit": 1,
             "max_unit": total, "step_size": 1, "allocation_ratio": 1.0} for each in ids
            for name, total in AMOUNTS.items()])
        await tx.execute(sa.update(change).values(value=1))
    return ids


async def measure(count: int, folder: str) -> bool:
    database = Db(f"sqlite:///{folder}/{count}.db")
    await migrate.bring_up_to_date(database, migrations)
    ids = await fill(database, count)
    world = World(database)
    await asked(world, QUESTION)
    every = statistics.median([await asked(world, QUESTION) for _ in range(15)])
    some = statistics.median([await asked(world, QUESTION + "&limit=200") for _ in range(15)])
    after = []
    for provider_id in ids[:15]:
        await world.client.claim(str(uuid.uuid4()), {provider_id: {"VCPU": 1}}, project_id="p", user_id="u")
        after.append(await asked(world, QUESTION))
    bar = BARS.get(count)
    print(f"{count:6} providers: all {every:6.2f} ms{f' (bar {bar:.0f})' if bar else ''}, limit 200 {some:6.2f} ms, "
          f"all after a claim {statistics.median(after):6.2f} ms")
    await world.http.aclose()
    await database.close()
    return bar is None or every < bar


async def asked(world: World, question: str) -> float:
    began = time.process_time()
    answer = await world.http.get(question)
    spent = (time.process_time() - began) * 1000
    assert answer.status_code == 200, answer.text
    return spent


async def main(counts: list[int]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return 0 if all([await measure(count, folder) for count in counts]) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main([int(each) for each in sys.argv[1:]] or list(BARS))))
