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
from tests.cloud_databases import cloud_databases
from tests.compute.test_sagas_of_changes import IMAGE, Worlds, larger
from tests.compute.whole_cloud import HOST, OTHER_HOST, PORT, SERVER, WholeCloud, whole_clouds

# What databases differ in, those of refused boots show.
pytestmark = [pytest.mark.whole_cloud, pytest.mark.parametrize("database_kind", ["sqlite"])]


class TwoHosts(Worlds):
    """With a server and its volume on the first of two hosts."""

    async def with_second_choice(self, compute: Compute, name: str) -> WholeCloud:
        assert self.cloud is not None
        await self.cloud.add_host()
        async with compute.db.write() as tx:
            await hosts.note_build(tx, name, failed=True)
        return self.cloud

    def other_fails(self, call: str) -> None:
        assert self.cloud is not None and self.cloud.other is not None
        driver = self.cloud.other.driver
        assert isinstance(driver, FakeDriver)
        driver.knobs.fail[call] = "the processor is on fire"

    async def facts(self, world: Compute) -> dict[str, Any]:
        assert self.cloud is not None
        return await self.cloud.more_facts() | await self.cloud.volume_facts()


async def with_volume(cloud: WholeCloud) -> None:
    network_id = await cloud.add_server()
    boot = BootServer(server_id=SERVER, wishes=[NicWish(network_id=network_id, port_id=PORT)],
                      volumes=[VolumeWish(volume_id=await cloud.add_volume(), device="/dev/vdb")])
    async with cloud.compute.db.write() as tx:
        await cloud.compute.sagas.start(tx, boot, SERVER)
    await cloud.compute.sagas.drain()
    assert (await cloud.facts())["state"] == State.ACTIVE


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[TwoHosts]:
    async with (cloud_databases(database_kind, tmp_path, spare_databases) as databases,
                whole_clouds(tmp_path, databases, with_volume) as make):
        yield TwoHosts(make)


async def test_unshelve_goes_on_elsewhere(worlds: TwoHosts):
    image = NewImage(id=IMAGE, name="one-shelved", properties={"image_type": "snapshot"})

    async def shelved() -> Compute:
        compute = await worlds.do(await worlds.active(),
                                  ShelveServer(server_id=SERVER, image=image, state=State.ACTIVE))
        cloud = await worlds.with_second_choice(compute, OTHER_HOST)
        cloud.driver.knobs.fail["power"] = "the processor is on fire"
        return compute

    unshelve = UnshelveServer(server_id=SERVER, image_id=IMAGE, state=State.ACTIVE)
    compute = await worlds.do(await shelved(), unshelve)
    found = await worlds.facts(compute)
    assert (found["state"], found["host"], found["images"]) == (State.ACTIVE, OTHER_HOST, [])
    assert (found["guests"], found["attachments"]) == (
        {HOST: {}, OTHER_HOST: {SERVER: GuestPower.RUNNING}}, [("attached", OTHER_HOST)])
    async with compute.db.read() as reader:
        assert (await hosts.get(reader, HOST)).failed_builds == 1
    await prove(shelved, unshelve, worlds.facts)


async def test_resize_goes_on_elsewhere(worlds: TwoHosts):
    sagas: list[ResizeServer] = []

    async def asked() -> Compute:
        compute = await worlds.active()
        await worlds.with_second_choice(compute, HOST)
        worlds.other_fails("power")
        sagas[:] = [await larger(worlds, compute, elsewhere=False)]
        return compute

    found = await worlds.facts(await worlds.do(await asked(), sagas[0]))
    assert (found["state"], found["host"], found["flavor"]) == (State.RESIZED, HOST, "1")
    assert (found["guests"], found["attachments"]) == (
        {HOST: {SERVER: GuestPower.RUNNING}, OTHER_HOST: {}}, [("attached", HOST)])
    await prove(asked, sagas[0], worlds.facts, unwound={"moves": [("error", None)]})


async def test_a_move_that_no_host_takes(worlds: TwoHosts):
    """It must leave its host, and there is one other: the server is what it was, and its user is told all of it."""
    compute = await worlds.active()
    await worlds.with_second_choice(compute, HOST)
    worlds.other_fails("ensure")
    before = await worlds.facts(compute)
    saga = await larger(worlds, compute, elsewhere=True)
    assert await worlds.facts(await worlds.do(compute, saga)) == before | {"moves": [("error", None)]}
