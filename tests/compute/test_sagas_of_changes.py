"""Sagas that change a server which is there survive crashes at each step and unwind from each, with real services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.compute.drivers.base import NO_AGENT
from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.model import flavors, migrations, servers
from pileus.compute.model.migrations import Migration
from pileus.compute.model.servers import FlavorCopy, Seen
from pileus.compute.model.states import State
from pileus.compute.nics import NicWish
from pileus.compute.runtime import Compute
from pileus.compute.sagas import images
from pileus.compute.sagas.images import NewImage
from pileus.compute.sagas.interfaces import AttachInterface, DetachInterface
from pileus.compute.sagas.rebuild_server import Changes, RebuildServer
from pileus.compute.sagas.rescue_server import RescueServer, UnrescueServer
from pileus.compute.sagas.resize_server import ConfirmResize, ResizeServer, RevertResize
from pileus.compute.sagas.set_password import SetServerPassword
from pileus.compute.sagas.shelve_server import ShelveServer, UnshelveServer
from pileus.compute.sagas.snapshot_server import SnapshotServer
from pileus.kit.saga_testing import prove
from tests.compute.whole_cloud import HOST, OTHER_HOST, SERVER, SETTLE_SECONDS
from tests.compute.worlds import ActiveWorlds, Worlds, opened
from tests.databases import wanted_databases

pytestmark = pytest.mark.whole_cloud

IMAGE = "1a9e0000-0000-4000-8000-000000000001"
MIGRATION = "3a9e0000-0000-4000-8000-000000000001"
MORE_PORT = "90470000-0000-4000-8000-000000000002"


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[ActiveWorlds]:
    async with opened(ActiveWorlds, database_kind, tmp_path, spare_databases) as found:
        yield found


async def see(compute: Compute) -> Seen:
    async with compute.db.read() as reader:
        return await servers.see(reader, SERVER)


async def test_rebuild_server(worlds: ActiveWorlds):
    server = await worlds.server(await worlds.make())
    assert server.image is not None
    changes = Changes.of(server)
    changes.name = "two"
    saga = RebuildServer(server_id=SERVER, image=server.image, changes=changes, state=State.ACTIVE)
    await prove(worlds.make, saga, worlds.facts, lives=worlds)
    found = await worlds.facts(await worlds.do(await worlds.make(), saga))
    assert (found["state"], found["name"], found["root"]) == (State.ACTIVE, "two", 1)
    assert found["guests"] == {HOST: {SERVER: GuestPower.RUNNING}}


async def test_rescue_and_unrescue(worlds: ActiveWorlds):
    server = await worlds.server(await worlds.make())
    assert server.image is not None
    rescue = RescueServer(server_id=SERVER, image=server.image, state=State.ACTIVE)

    async def rescued() -> Compute:
        compute = await worlds.do(await worlds.make(), rescue)
        assert (await worlds.server(compute)).state == State.RESCUED
        return compute

    await prove(worlds.make, rescue, worlds.facts, lives=worlds)
    await prove(await worlds.kept(rescued), UnrescueServer(server_id=SERVER), worlds.facts, lives=worlds)
    found = await worlds.facts(await worlds.do(await rescued(), UnrescueServer(server_id=SERVER)))
    assert (found["state"], found["rescue"]) == (State.ACTIVE, False)


async def test_snapshot_server(worlds: ActiveWorlds):
    image = NewImage(id=IMAGE, name="snap", properties={"image_type": "snapshot"})
    saga = SnapshotServer(server_id=SERVER, image=image)
    await prove(worlds.make, saga, worlds.facts, lives=worlds)
    found = await worlds.facts(await worlds.do(await worlds.make(), saga))
    assert (found["state"], found["images"]) == (State.ACTIVE, ["active"])


async def test_backups_rotate(worlds: ActiveWorlds):
    compute = await worlds.make()
    server = await worlds.server(compute)
    for number in range(3):
        image = NewImage(id=f"{IMAGE[:-1]}{number}", name=f"b{number}", properties=images.properties_of(
            server, image_type="backup", backup_type="daily"))
        await worlds.do(compute, SnapshotServer(server_id=SERVER, image=image, backup_type="daily", rotation=2))
    found, _ = await compute.image.images(image_type="backup")
    assert sorted(image.name or "" for image in found) == ["b1", "b2"]


async def test_shelve_and_unshelve(worlds: ActiveWorlds):
    image = NewImage(id=IMAGE, name="one-shelved", properties={"image_type": "snapshot"})
    shelve = ShelveServer(server_id=SERVER, image=image, state=State.ACTIVE)
    unshelve = UnshelveServer(server_id=SERVER, image_id=IMAGE, state=State.ACTIVE)

    async def shelved() -> Compute:
        return await worlds.do(await worlds.make(), shelve)

    await prove(worlds.make, shelve, worlds.facts, lives=worlds)
    found = await worlds.facts(await shelved())
    assert (found["state"], found["host"], found["claims"], found["images"]) == (State.OFFLOADED, None, [], ["active"])
    assert found["guests"] == {HOST: {}}
    await prove(await worlds.kept(shelved), unshelve, worlds.facts, lives=worlds)
    found = await worlds.facts(await worlds.do(await shelved(), unshelve))
    assert (found["state"], found["host"], found["images"]) == (State.ACTIVE, HOST, [])
    assert found["guests"] == {HOST: {SERVER: GuestPower.RUNNING}}


async def larger(worlds: Worlds, compute: Compute, *, elsewhere: bool) -> ResizeServer:
    """Begin a resize: the row of the migration is written with the request."""
    server = await worlds.server(compute)
    async with compute.db.write() as tx:
        new = await flavors.get(tx, "1")
        await migrations.add(tx, Migration(
            id=MIGRATION, server_id=SERVER, project_id=server.project_id, user_id=server.user_id, type="resize",
            status="pre-migrating", source=HOST, old_flavor_id=server.flavor_id, new_flavor_id=new.id, created_at=1.0,
            updated_at=1.0))
    flavor = FlavorCopy(id=new.id, name=new.name, vcpus=new.vcpus, memory_mb=new.memory_mb, disk_gb=new.disk_gb)
    return ResizeServer(server_id=SERVER, migration_id=MIGRATION, flavor=flavor, old_flavor=server.flavor, source=HOST,
                        state=State.ACTIVE, elsewhere=elsewhere)


@pytest.mark.parametrize(("database_kind", "elsewhere"), [      # what databases differ in, moves to another host show
    ("sqlite", False), *((kind, True) for kind in wanted_databases())])
async def test_resize_confirm_and_revert(worlds: ActiveWorlds, elsewhere: bool):
    sagas: list[ResizeServer] = []

    async def asked() -> Compute:
        compute = await worlds.make()
        if elsewhere:
            await worlds.cloud.add_host()
        sagas[:] = [await larger(worlds, compute, elsewhere=elsewhere)]
        return compute

    async def resized() -> Compute:
        return await worlds.do(await asked(), sagas[0])

    before = await worlds.facts(await asked())
    await prove(await worlds.kept(asked), sagas[0], worlds.facts, unwound={"moves": [("error", None)]}, lives=worlds)
    after = await worlds.kept(resized)
    compute = await after()
    found = await worlds.facts(compute)
    assert (found["state"], found["flavor"], found["host"]) == (
        State.RESIZED, "1", OTHER_HOST if elsewhere else HOST)
    kept = [claim[1:] for claim in found["claims"] if claim[0] == MIGRATION]
    assert kept == [claim[1:] for claim in before["claims"]], "the migration keeps what the server had"
    moved = (await worlds.server(compute)).moved
    assert moved is not None
    confirm = ConfirmResize(server_id=SERVER, moved=moved)
    await prove(after, confirm, worlds.facts, lives=worlds)
    found = await worlds.facts(await worlds.do(await after(), confirm))
    assert (found["state"], found["flavor"], found["moves"]) == (State.ACTIVE, "1", [("confirmed", None)])
    assert {consumer for consumer, _, _ in found["claims"]} == {SERVER}
    assert found["guests"] == ({HOST: {}, OTHER_HOST: {SERVER: GuestPower.RUNNING}} if elsewhere
                               else {HOST: {SERVER: GuestPower.RUNNING}})
    revert = RevertResize(server_id=SERVER, moved=moved, host=found["host"])
    await prove(after, revert, worlds.facts, lives=worlds)
    assert await worlds.facts(await worlds.do(await after(), revert)) == before | {"moves": [("reverted", None)]}


async def test_interfaces(worlds: ActiveWorlds):
    (nic,) = (await worlds.server(await worlds.make())).nics
    attach = AttachInterface(server_id=SERVER, wish=NicWish(network_id=nic.network_id, port_id=MORE_PORT))

    async def attached() -> Compute:
        return await worlds.do(await worlds.make(), attach)

    async def facts(world: Compute) -> dict[str, Any]:
        """Nobody waits for the port here, so whether it is up yet is the network's matter."""
        found = await worlds.facts(world)
        return found | {"ports": sorted((port_id, host) for port_id, host, _ in found["ports"])}

    await prove(worlds.make, attach, facts, lives=worlds)
    compute = await attached()
    assert len((await worlds.server(compute)).nics) == 2
    assert len(worlds.cloud.driver.known[SERVER].macs) == 2
    nic = next(nic for nic in (await worlds.server(compute)).nics if nic.port_id == MORE_PORT)
    await prove(await worlds.kept(attached), DetachInterface(server_id=SERVER, nic=nic), facts, lives=worlds)
    compute = await worlds.do(await attached(), DetachInterface(server_id=SERVER, nic=nic))
    assert len(worlds.cloud.driver.known[SERVER].macs) == 1
    assert await compute.network.show_port(MORE_PORT) is None


async def test_set_password(worlds: ActiveWorlds):
    saga = SetServerPassword(server_id=SERVER, user="root", password="secret")
    await prove(worlds.make, saga, worlds.facts, lives=worlds)
    await worlds.do(await worlds.make(), saga)
    assert worlds.cloud.driver.known[SERVER].passwords == {"root": "secret"}


async def test_an_agent_of_a_guest_that_boots_is_waited_for(worlds: ActiveWorlds):
    """And of one that has been there for longer is not: whoever asked is told."""
    compute = await worlds.make()
    knobs = worlds.cloud.driver.knobs
    knobs.fail["set_password"] = NO_AGENT
    await worlds.do(compute, SetServerPassword(server_id=SERVER, user="root", password="secret"))
    assert (await see(compute)).doing is not None
    knobs.fail.clear()
    async with asyncio.timeout(SETTLE_SECONDS):
        while (await see(compute)).doing is not None:
            await asyncio.sleep(0.1)
            await compute.sagas.drain()
    knobs.fail["set_password"] = NO_AGENT
    async with compute.db.write() as tx:
        await servers.change(tx, await servers.get(tx, SERVER), 1.0, launched_at=1.0)
    await worlds.do(compute, SetServerPassword(server_id=SERVER, user="root", password="secret"))
    seen = await see(compute)
    assert seen.doing is None and seen.server.state == State.ACTIVE
