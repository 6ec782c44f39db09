"""A boot that one host refuses goes on with another: with all that it takes along, through every crash and failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from pileus.compute.model import hosts
from pileus.compute.model.servers import State
from pileus.compute.nics import NicWish
from pileus.compute.runtime import Compute
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.volumes import VolumeWish
from pileus.kit.saga_testing import prove
from pileus.network.model.ports import ports
from pileus.placement.model.tables import allocations, providers
from tests.compute.whole_cloud import HOST, OTHER_HOST, PORT, SERVER, WholeCloud
from tests.compute.worlds import Worlds, opened

pytestmark = pytest.mark.whole_cloud


class RefusedWorlds(Worlds):
    """Two hosts, of which the one that is asked first makes guests, and does not get them to run."""

    boot: BootServer

    async def furnish(self, cloud: WholeCloud) -> None:
        network_id = await cloud.add_server()
        self.boot = BootServer(
            server_id=SERVER, wishes=[NicWish(network_id=network_id, port_id=PORT)],
            volumes=[VolumeWish(volume_id=await cloud.add_volume(), device="/dev/vdb")])

        await cloud.add_host()
        async with cloud.compute.db.write() as tx:
            await hosts.note_build(tx, OTHER_HOST, failed=True)         # which makes it the second choice

    async def tell(self, cloud: WholeCloud) -> None:
        cloud.driver.knobs.fail["power"] = "the processor is on fire"

    async def facts(self, world: Compute) -> dict[str, Any]:
        cloud = self.cloud
        async with cloud.services.placement.db.read() as reader:
            rows = await reader.execute(sa.select(providers.c.name, allocations.c.resource_class).join(
                allocations, allocations.c.provider_id == providers.c.id).where(
                    allocations.c.consumer_id == SERVER).order_by(allocations.c.resource_class))
            claims = [tuple(row) for row in rows]
        async with cloud.network.db.read() as reader:
            bound = [tuple(row) for row in await reader.execute(sa.select(ports.c.host, ports.c.status).where(
                ports.c.id == PORT))]
        return await cloud.more_facts() | await cloud.volume_facts() | {"claims": claims, "bound": bound}


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[RefusedWorlds]:
    async with opened(RefusedWorlds, database_kind, tmp_path, spare_databases) as found:
        yield found


async def test_a_refused_boot_goes_on_elsewhere(worlds: RefusedWorlds):
    compute = await worlds.do(await worlds.make(), worlds.boot)
    facts = await worlds.facts(compute)
    assert (facts["state"], facts["host"], facts["fault"]) == (State.ACTIVE, OTHER_HOST, False)
    assert facts["claims"] == [(OTHER_HOST, name) for name in ("DISK_GB", "MEMORY_MB", "VCPU")]
    assert (facts["bound"], facts["attachments"]) == ([(OTHER_HOST, "ACTIVE")], [("attached", OTHER_HOST)])
    assert (facts["guests"][HOST], list(facts["guests"][OTHER_HOST])) == ({}, [SERVER])
    async with compute.db.read() as reader:
        assert (await hosts.get(reader, HOST)).failed_builds == 1
    await prove(worlds.make, worlds.boot, worlds.facts, unwound={"state": State.ERROR, "fault": True}, lives=worlds)
