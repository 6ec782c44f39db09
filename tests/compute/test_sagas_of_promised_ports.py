"""Claims of what ports are promised survive every crash, and go with every failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from pileus.compute.model import servers
from pileus.compute.model.servers import State
from pileus.compute.nics import NicWish
from pileus.compute.port_needs import of_ports, profiles_of
from pileus.compute.runtime import Compute
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.sagas.interfaces import AttachInterface, DetachInterface
from pileus.compute.scheduling import more
from pileus.identity.service_tokens import fixed_id
from pileus.kit import db
from pileus.kit.saga_testing import prove
from pileus.network.client import NewPort
from pileus.network.guarantees import Bandwidth, Guarantees
from pileus.network.model import ports, qos
from pileus.network.model.qos import QosPolicy, QosRule
from pileus.placement.model.tables import allocations
from tests.compute.whole_cloud import PORT, SERVER, WholeCloud
from tests.compute.worlds import Worlds, opened

# What databases differ in, proofs of the same sagas without promises show.
pytestmark = [pytest.mark.whole_cloud, pytest.mark.parametrize("database_kind", ["sqlite"])]
POLICY = "90500000-0000-4000-8000-000000000001"
BARE = "90470000-0000-4000-8000-000000000009"


class PromisedWorlds(Worlds):
    """A server that was asked for, and a port that is promised bandwidth."""

    network_id = ""

    async def furnish(self, cloud: WholeCloud) -> None:
        self.network_id = await cloud.add_server()
        project = {"project_id": fixed_id("project", "demo"), "created_at": 1.0, "updated_at": 1.0}
        async with cloud.network.db.write() as tx:
            await db.add(tx, qos.policies, QosPolicy(id=POLICY, **project))
            await db.add(tx, qos.rules, QosRule(
                id=POLICY, policy_id=POLICY, kind=qos.LEAST_BANDWIDTH, most=700, **project))
        await cloud.compute.network.ensure_port(NewPort(id=PORT, network_id=self.network_id, device_id="",
                                                        device_owner="", project_id=project["project_id"]))
        async with cloud.network.db.write() as tx:
            await tx.execute(ports.ports.update().where(ports.ports.c.id == PORT).values(qos_policy_id=POLICY))

    async def tell(self, cloud: WholeCloud) -> None:
        await cloud.guarantee(Guarantees(overlay=Bandwidth(egress=1000)))

    def boot(self) -> BootServer:
        return BootServer(server_id=SERVER, wishes=[NicWish(network_id=self.network_id, port_id=PORT, given=True)])

    async def active(self) -> Compute:
        """With a server that runs, on another port."""
        wish = NicWish(network_id=self.network_id, port_id=BARE)
        return await self.do(await self.make(), BootServer(server_id=SERVER, wishes=[wish]))

    async def attach(self, compute: Compute) -> AttachInterface:
        """As the API asks for it."""
        async with compute.db.read() as reader:
            server = await servers.get(reader, SERVER)
        needs = await of_ports(compute, [PORT])
        return AttachInterface(server_id=SERVER, wish=self.boot().wishes[0], needs=needs,
                               share=await more(compute, server, needs))

    async def facts(self, world: Compute) -> dict[str, Any]:
        async with self.cloud.services.placement.db.read() as reader:
            claims = {name: amount for name, amount in await reader.execute(sa.select(
                allocations.c.resource_class, allocations.c.used).where(allocations.c.consumer_id == SERVER))}
        port = await world.network.show_port(PORT)
        found = await self.cloud.facts()
        assert port is not None
        return found | {"claims": claims, "allocation": port.profile.get("allocation"), "on": port.host,
                        "ports": sorted((port_id, host) for port_id, host, _ in found["ports"])}


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[PromisedWorlds]:
    async with opened(PromisedWorlds, database_kind, tmp_path, spare_databases) as found:
        yield found


async def test_boot_with_a_promised_port(worlds: PromisedWorlds):
    compute = await worlds.do(await worlds.make(), worlds.boot())
    facts = await worlds.facts(compute)
    assert facts["state"] == State.ACTIVE and facts["claims"]["NET_BW_EGR_KILOBIT_PER_SEC"] == 700
    assert len(facts["allocation"]) == 1
    await prove(worlds.make, worlds.boot(), worlds.facts, {"state": State.ERROR, "fault": True}, lives=worlds)


async def test_a_promised_port_comes_and_goes(worlds: PromisedWorlds):
    active = await worlds.kept(worlds.active)
    attach = await worlds.attach(await active())
    await prove(active, attach, worlds.facts, lives=worlds)

    async def attached() -> Compute:
        return await worlds.do(await active(), attach)
    compute = await attached()
    facts = await worlds.facts(compute)
    assert facts["claims"]["NET_BW_EGR_KILOBIT_PER_SEC"] == 700
    assert facts["allocation"] == profiles_of(attach.needs, attach.share)[PORT]["allocation"]
    async with compute.db.read() as reader:
        nic = next(nic for nic in (await servers.get(reader, SERVER)).nics if nic.port_id == PORT)
    detach = DetachInterface(server_id=SERVER, nic=nic)
    await prove(await worlds.kept(attached), detach, worlds.facts, lives=worlds)
    left = await worlds.facts(await worlds.do(await attached(), detach))
    assert "NET_BW_EGR_KILOBIT_PER_SEC" not in left["claims"] and left["allocation"] is None and left["on"] == ""
