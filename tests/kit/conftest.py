import httpx
import pytest

from pileus.kit.bus import MemoryBus
from pileus.kit.saga_engine import Engine
from pileus.kit.web import WebApp
from tests.kit.toys import boxes, migrations, things
from tests.worlds import Worlds


class World(boxes.Toys):
    """The toy service with a client that speaks to it."""

    def __init__(self, database):
        super().__init__(boxes.SERVICE, db=database, bus=MemoryBus(), engine=Engine(database, backoff=lambda n: 0.0))
        self.filled, self.unwanted = {}, False
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(WebApp(self, boxes.authenticate)),
                                      base_url="http://toys", headers={"x-auth-token": "member@p1"})


@pytest.fixture
async def make_world(make_db):
    async def open_world(database, number):
        return World(database)

    worlds = Worlds(make_db, migrations, open_world)
    yield worlds
    await worlds.close()


@pytest.fixture
async def world(make_world):
    return await make_world()


@pytest.fixture
async def database(make_db):
    """One with a table of things."""
    made = await make_db()
    async with made.write() as tx:
        await tx.run_sync(things.metadata.create_all)
    return made
