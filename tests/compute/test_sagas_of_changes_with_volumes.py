"""Sagas that attach and detach volumes, and of servers that boot from one, survive crashes at each step and unwind from
each, with real services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.model import servers
from pileus.compute.model.states import State
from pileus.compute.nics import NicWish
from pileus.compute.runtime import Compute
from pileus.compute.sagas.attach_volume import AttachVolume, DetachVolume, GrowVolume
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.sagas.rebuild_server import Changes, RebuildServer
from pileus.compute.sagas.shelve_server import ShelveServer, UnshelveServer
from pileus.compute.volumes import VolumeWish
from pileus.image.client import ImageClient
from pileus.kit import db
from pileus.kit.saga_testing import prove, survives, unwinds
from pileus.volume.model.tables import volumes as volume_table
from tests.compute.whole_cloud import HOST, PORT, SERVER, SETTLE_SECONDS, WholeCloud
from tests.compute.worlds import ActiveWorlds, Worlds, opened

pytestmark = pytest.mark.whole_cloud


class VolumeWorlds(ActiveWorlds):
    """With a volume that is reserved for the server."""

    async def furnish(self, cloud: WholeCloud) -> None:
        await super().furnish(cloud)
        await cloud.compute.volume.attach(await cloud.add_volume(), SERVER)

    async def facts(self, world: Compute) -> dict[str, Any]:
        return await self.cloud.volume_facts()

    async def attach(self) -> AttachVolume:
        compute = await self.make()
        (held,) = await compute.volume.attachments(SERVER)
        return AttachVolume(server_id=SERVER, attachment_id=held.id, wish=VolumeWish(device="/dev/vdb"))


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[VolumeWorlds]:
    async with opened(VolumeWorlds, database_kind, tmp_path, spare_databases) as found:
        yield found


async def test_attach_and_detach(worlds: VolumeWorlds):
    attach = await worlds.attach()
    detach = DetachVolume(server_id=SERVER, attachment_id=attach.attachment_id)

    async def attached() -> Compute:
        return await worlds.do(await worlds.make(), attach)

    nothing = {"attachments": [], "volumes": ["available"], "in guests": [[]], "served": [False]}
    await prove(worlds.make, attach, worlds.facts, unwound=nothing, lives=worlds)
    found = await worlds.facts(await attached())
    assert found["attachments"] == [("attached", HOST)] and found["volumes"] == ["in-use"]
    assert len(found["in guests"][0]) == 1 and found["served"] == [True]
    await prove(await worlds.kept(attached), detach, worlds.facts, lives=worlds)
    assert await worlds.facts(await worlds.do(await attached(), detach)) == nothing


async def test_a_volume_grows_in_its_guest(worlds: VolumeWorlds):
    attach = await worlds.attach()

    async def grown() -> Compute:
        """The volume is larger than the guest knows."""
        compute = await worlds.do(await worlds.make(), attach)
        async with worlds.cloud.services.volume.db.write() as tx:
            await tx.execute(volume_table.update().values(size_gb=7))
        return compute

    async def sizes(world: Compute) -> dict[str, Any]:
        """In gibibytes; None where nobody said so."""
        return {guest.id: [volume.size_gb for volume in guest.volumes]
                for guest in worlds.cloud.driver.known.values()}

    (held,) = await (await worlds.make()).volume.attachments(SERVER)
    grow = GrowVolume(server_id=SERVER, volume_id=held.volume_id)
    larger = await worlds.kept(grown)
    assert await sizes(await larger()) == {SERVER: [None]}
    await survives(larger, grow, sizes, lives=worlds)
    await unwinds(larger, grow, worlds.facts)                    # what a guest was told is not taken back
    assert await sizes(await worlds.do(await larger(), grow)) == {SERVER: [7]}


class RootedWorlds(Worlds):
    """With a server that boots from a volume and has another one."""

    async def furnish(self, cloud: WholeCloud) -> None:
        network_id = await cloud.add_server()
        other = cloud.folder / "other"
        other.write_bytes(b"other".ljust(512))
        await cloud.services.client(ImageClient, "/image", "image").ensure_image("other", other)
        image = await cloud.compute.image.find_by_name("small")
        assert image is not None
        root, more = await cloud.add_volume(imageRef=image.id), await cloud.add_volume()
        async with cloud.compute.db.write() as tx:
            await servers.change(tx, await servers.get(tx, SERVER), 1.0, image=None, image_id=None)
        await self.do(cloud.compute, BootServer(
            server_id=SERVER, wishes=[NicWish(network_id=network_id, port_id=PORT)], volumes=[
                VolumeWish(volume_id=root, boot_index=0, device="/dev/vda"),
                VolumeWish(volume_id=more, device="/dev/vdb")]))
        assert (await cloud.facts())["state"] == State.ACTIVE
        facts = await cloud.volume_facts()
        assert facts["in guests"] == [[root, more]] and facts["served"] == [True, True]

    async def facts(self, world: Compute) -> dict[str, Any]:
        return await self.cloud.more_facts() | await self.cloud.volume_facts()

    async def tell(self, cloud: WholeCloud) -> None:
        cloud.work(cloud.services.volume.sagas.run())

    async def image_of_root(self) -> str:
        """Whose content the volume has that the server boots from."""
        async with self.cloud.services.volume.db.read() as reader:
            found = await db.scalars(reader, sa.select(volume_table.c.image_metadata).order_by(
                volume_table.c.created_at))
        return found[0]["image_id"]


@pytest.fixture
async def rooted(database_kind, spare_databases, tmp_path) -> AsyncIterator[RootedWorlds]:
    async with opened(RootedWorlds, database_kind, tmp_path, spare_databases) as found:
        yield found


async def test_shelving_lets_go_of_volumes_and_unshelving_has_them_again(rooted: RootedWorlds):
    shelve = ShelveServer(server_id=SERVER, image=None, state=State.ACTIVE)
    unshelve = UnshelveServer(server_id=SERVER, image_id="", state=State.ACTIVE)

    async def shelved() -> Compute:
        return await rooted.do(await rooted.make(), shelve)

    ran = await rooted.facts(await rooted.make())
    await prove(rooted.make, shelve, rooted.facts, lives=rooted)
    found = await rooted.facts(await shelved())
    assert (found["state"], found["host"], found["claims"]) == (State.OFFLOADED, None, [])
    assert (found["guests"], found["in guests"], found["served"]) == ({HOST: {}}, [], [False, False])
    assert found["volumes"] == ["reserved", "reserved"] and [host for _, host in found["attachments"]] == [None, None]
    await prove(await rooted.kept(shelved), unshelve, rooted.facts, lives=rooted)
    assert await rooted.facts(await rooted.do(await shelved(), unshelve)) == ran


async def test_rebuilding_a_server_that_boots_from_a_volume(rooted: RootedWorlds):
    """The volume gets another image's content. Where the rebuild fails it keeps what it has by then."""
    compute = await rooted.make()
    server, image = await rooted.server(compute), await compute.image.find_by_name("other")
    assert image is not None and await rooted.image_of_root() != image.id
    saga = RebuildServer(server_id=SERVER, image=None, changes=Changes.of(server), state=State.ACTIVE,
                         volume_image_id=image.id)

    await prove(rooted.make, saga, rooted.facts, lives=rooted)
    compute = await rooted.do(await rooted.make(), saga)
    async with asyncio.timeout(SETTLE_SECONDS):
        while (after := await rooted.facts(compute))["volumes"] != ["in-use", "in-use"]:
            await asyncio.sleep(0.1)                                 # until it looks at the volume again
            await compute.sagas.drain()
    assert (after["state"], after["served"]) == (State.ACTIVE, [True, True])
    assert after["guests"] == {HOST: {SERVER: GuestPower.RUNNING}}
    assert await rooted.image_of_root() == image.id
