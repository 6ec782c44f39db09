"""A server that a host does not take comes back from the shelf, or is resized, on another: with its volume, through
every crash and failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.drivers.fake import FakeDriver
from pileus.compute.model import hosts
from pileus.compute.model.states import State
from pileus.compute.nics import NicWish
from pileus.compute.runtime import Compute
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.sagas.images import NewImage
from pileus.compute.sagas.resize_server import ResizeServer
from pileus.compute.sagas.shelve_server import ShelveServer, UnshelveServer
from pileus.compute.volumes import VolumeWish
from pileus.kit.saga_testing import prove
from tests.compute.test_sagas_of_changes import IMAGE, larger
from tests.compute.whole_cloud import HOST, OTHER_HOST, PORT, SERVER, WholeCloud
from tests.compute.worlds import Worlds, opened

# What databases differ in, those of refused boots show.
pytestmark = [pytest.mark.whole_cloud, pytest.mark.parametrize("database_kind", ["sqlite"])]


class TwoHosts(Worlds):
    """With a server and its volume on the first of two hosts. `burning` is what a host fails at, by its name."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.burning: dict[str, str] = {}

    async def furnish(self, cloud: WholeCloud) -> None:
        network_id = await cloud.add_server()
        await self.do(cloud.compute, BootServer(
            server_id=SERVER, wishes=[NicWish(network_id=network_id, port_id=PORT)],
            volumes=[VolumeWish(volume_id=await cloud.add_volume(), device="/dev/vdb")]))
        assert (await cloud.facts())["state"] == State.ACTIVE

    async def sound(self) -> Compute:
        """One with hosts that fail at nothing."""
        self.burning.clear()
        return await self.make()

    async def tell(self, cloud: WholeCloud) -> None:
        for agent in (cloud.agent, cloud.other):
            if agent is not None and agent.host in self.burning:
                assert isinstance(agent.driver, FakeDriver)
                agent.driver.knobs.fail[self.burning[agent.host]] = "the processor is on fire"

    async def burn(self, host: str, call: str) -> None:
        """From now on that host fails at this."""
        self.burning[host] = call
        await self.tell(self.cloud)

    async def with_second_choice(self, compute: Compute, name: str) -> Compute:
        await self.cloud.add_host()
        async with compute.db.write() as tx:
            await hosts.note_build(tx, name, failed=True)
        return compute

    async def facts(self, world: Compute) -> dict[str, Any]:
        return await self.cloud.more_facts() | await self.cloud.volume_facts()


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[TwoHosts]:
    async with opened(TwoHosts, database_kind, tmp_path, spare_databases) as found:
        yield found


async def test_unshelve_goes_on_elsewhere(worlds: TwoHosts):
    image = NewImage(id=IMAGE, name="one-shelved", properties={"image_type": "snapshot"})

    async def shelved() -> Compute:
        shelve = ShelveServer(server_id=SERVER, image=image, state=State.ACTIVE)
        compute = await worlds.with_second_choice(await worlds.do(await worlds.sound(), shelve), OTHER_HOST)
        await worlds.burn(HOST, "power")
        return compute

    unshelve = UnshelveServer(server_id=SERVER, image_id=IMAGE, state=State.ACTIVE)
    compute = await worlds.do(await shelved(), unshelve)
    found = await worlds.facts(compute)
    assert (found["state"], found["host"], found["images"]) == (State.ACTIVE, OTHER_HOST, [])
    assert (found["guests"], found["attachments"]) == (
        {HOST: {}, OTHER_HOST: {SERVER: GuestPower.RUNNING}}, [("attached", OTHER_HOST)])
    async with compute.db.read() as reader:
        assert (await hosts.get(reader, HOST)).failed_builds == 1
    await prove(await worlds.kept(shelved), unshelve, worlds.facts, lives=worlds)


async def test_resize_goes_on_elsewhere(worlds: TwoHosts):
    sagas: list[ResizeServer] = []

    async def asked() -> Compute:
        compute = await worlds.with_second_choice(await worlds.sound(), HOST)
        await worlds.burn(OTHER_HOST, "power")
        sagas[:] = [await larger(worlds, compute, elsewhere=False)]
        return compute

    found = await worlds.facts(await worlds.do(await asked(), sagas[0]))
    assert (found["state"], found["host"], found["flavor"]) == (State.RESIZED, HOST, "1")
    assert (found["guests"], found["attachments"]) == (
        {HOST: {SERVER: GuestPower.RUNNING}, OTHER_HOST: {}}, [("attached", HOST)])
    await prove(await worlds.kept(asked), sagas[0], worlds.facts, unwound={"moves": [("error", None)]}, lives=worlds)


async def test_a_move_that_no_host_takes(worlds: TwoHosts):
    """It must leave its host, and there is one other: the server is what it was, and its user is told all of it."""
    compute = await worlds.with_second_choice(await worlds.sound(), HOST)
    await worlds.burn(OTHER_HOST, "ensure")
    before = await worlds.facts(compute)
    saga = await larger(worlds, compute, elsewhere=True)
    assert await worlds.facts(await worlds.do(compute, saga)) == before | {"moves": [("error", None)]}
