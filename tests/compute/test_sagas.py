"""Every saga of compute survives a crash before and after each step, and unwinds from each, with real services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.model.servers import Power, State
from pileus.compute.nics import NicWish
from pileus.compute.runtime import Compute
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.sagas.delete_server import DeleteServer
from pileus.compute.sagas.power_server import PowerServer, Wanted
from pileus.kit.saga_testing import prove, survives, unwinds
from tests.compute.whole_cloud import HOST, PORT, SERVER, WholeCloud
from tests.compute.worlds import Worlds, opened

pytestmark = pytest.mark.whole_cloud


class ServerWorlds(Worlds):
    """With a server that was asked for."""

    network_id = ""

    async def furnish(self, cloud: WholeCloud) -> None:
        self.network_id = await cloud.add_server()

    def boot(self) -> BootServer:
        return BootServer(server_id=SERVER, wishes=[NicWish(network_id=self.network_id, port_id=PORT)])

    async def active(self) -> Compute:
        return await self.do(await self.make(), self.boot())

    async def power(self, wanted: Wanted) -> Compute:
        return await self.do(await self.active(), PowerServer(server_id=SERVER, wanted=wanted))

    async def stopped(self) -> Compute:
        return await self.power(Wanted.STOP)

    async def facts(self, world: Compute) -> dict[str, Any]:
        return await self.cloud.facts()

    async def prove_power(self, make: Callable[[], Awaitable[Compute]], wanted: Wanted) -> None:
        """What a host did is not taken back where the rest fails: its next sign of life corrects what is written."""
        async def facts_but_power(world: Compute) -> dict[str, Any]:
            facts = await self.facts(world)
            return facts | {"guests": list(facts["guests"])}

        saga, make = PowerServer(server_id=SERVER, wanted=wanted), await self.kept(make)
        await survives(make, saga, self.facts, self)
        await unwinds(make, saga, facts_but_power)


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[ServerWorlds]:
    async with opened(ServerWorlds, database_kind, tmp_path, spare_databases) as found:
        yield found


async def test_boot_server(worlds: ServerWorlds):
    compute = await worlds.active()
    facts = await worlds.facts(compute)
    assert facts == {
        "state": State.ACTIVE, "power": Power.RUNNING, "host": HOST, "nics": [PORT], "fault": False,
        "claims": ["DISK_GB", "MEMORY_MB", "VCPU"], "ports": [(PORT, HOST, "ACTIVE")],
        "guests": {SERVER: GuestPower.RUNNING}}         # proven in test_sagas_of_refused_boots


async def test_delete_server(worlds: ServerWorlds):
    await prove(await worlds.kept(worlds.active), DeleteServer(server_id=SERVER), worlds.facts, lives=worlds)
    assert await worlds.facts(await worlds.do(await worlds.active(), DeleteServer(server_id=SERVER))) == {
        "state": None, "power": None, "host": None, "nics": None, "fault": None, "claims": [], "ports": [],
        "guests": {}}


@pytest.mark.parametrize("wanted", [Wanted.REBOOT, Wanted.HARD_REBOOT])
async def test_reboot_server(worlds: ServerWorlds, wanted: Wanted):
    active = await worlds.kept(worlds.active)
    await prove(active, PowerServer(server_id=SERVER, wanted=wanted), worlds.facts, lives=worlds)


async def test_stop_server(worlds: ServerWorlds):
    await worlds.prove_power(worlds.active, Wanted.STOP)
    assert (await worlds.facts(await worlds.stopped()))["guests"] == {SERVER: GuestPower.OFF}


async def test_start_server(worlds: ServerWorlds):
    await worlds.prove_power(worlds.stopped, Wanted.START)


@pytest.mark.parametrize("database_kind", ["sqlite"])        # what databases differ in, the same saga shows above
@pytest.mark.parametrize(("there", "back", "state"), [
    (Wanted.PAUSE, Wanted.UNPAUSE, State.PAUSED), (Wanted.SUSPEND, Wanted.RESUME, State.SUSPENDED),
    (Wanted.SOFT_DELETE, Wanted.RESTORE, State.SOFT_DELETED)])
async def test_halting_a_server_and_letting_it_go_on(worlds: ServerWorlds, there: Wanted, back: Wanted, state: State):
    async def halted() -> Compute:
        compute = await worlds.power(there)
        assert (await worlds.facts(compute))["state"] == state
        return compute

    await worlds.prove_power(worlds.active, there)
    await worlds.prove_power(halted, back)
    assert (await worlds.facts(await worlds.active()))["guests"] == {SERVER: GuestPower.RUNNING}


async def test_what_a_host_did_is_written_down_though_the_saga_failed(worlds: ServerWorlds):
    compute = await worlds.active()
    await worlds.cloud.driver.power(SERVER, "off")
    await worlds.cloud.sign_of_life()
    facts = await worlds.facts(compute)
    assert (facts["state"], facts["power"]) == (State.STOPPED, Power.SHUTDOWN)


async def test_what_ran_on_a_host_runs_again_after_its_reboot(worlds: ServerWorlds):
    compute = await worlds.active()
    await worlds.cloud.driver.power(SERVER, "off")
    await worlds.cloud.sign_of_life(boot_id="2")
    await compute.sagas.drain()
    facts = await worlds.facts(compute)
    assert (facts["state"], facts["guests"]) == (State.ACTIVE, {SERVER: GuestPower.RUNNING})
