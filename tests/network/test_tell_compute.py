"""The saga that tells compute of changed addresses."""

from pileus.kit.bus import MemoryBus
from pileus.kit.saga_testing import prove
from pileus.network import migrations
from pileus.network.engine.fake import FakeEngine
from pileus.network.runtime import Network
from pileus.network.sagas.tell_compute import TellCompute


class Ear:
    def __init__(self):
        self.heard = []

    async def external_events(self, events):
        self.heard.append(events)


async def test_telling_survives_everything(make_db):
    async def world():
        database = await make_db(migrations)
        return Network(db=database, bus=MemoryBus(), judge=FakeEngine(), compute=Ear())

    async def facts(network):
        return {"heard": network.compute.heard}

    await prove(world, TellCompute(port_ids=["gone"]), facts)
