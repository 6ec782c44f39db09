"""What somebody takes away by hand on a host is put back within seconds, and told meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pileus.kit.bus import Handlers, MemoryBus
from pileus.network.agent.handlers import Agent, Pace
from pileus.network.engine.linux import names
from pileus.network.engine.linux.nft import Nft
from pileus.network.engine.records import State
from pileus.network.engine.slices import render
from pileus.network.messages import CONDUCTOR, ApplySlice, HostSeen, PortsReported, Snapshot
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import eventually, run
from tests.dataplane.network.topology import identity

pytestmark = pytest.mark.asyncio(loop_scope="module")
handlers = Handlers()
REPAIRED = 10.0           # seconds within which what was damaged is mended, and told


class Heard:
    """What a conductor hears of a host."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.ports: dict[str, list[State]] = {}
        self.seq = -1


@handlers.on(HostSeen)
async def host_seen(heard: Heard, message: HostSeen) -> None:
    heard.seq = message.seq
    heard.errors.append(message.error)


@handlers.on(PortsReported)
async def ports_reported(heard: Heard, message: PortsReported) -> bool:
    for status in message.statuses:
        heard.ports.setdefault(status.id, []).append(status.state)
    return True


@pytest_asyncio.fixture(loop_scope="module")
async def heard(net: Cloud) -> AsyncIterator[Heard]:
    """The first host's agent, with what it tells; it looks around often enough for a test."""
    bus, told, host = MemoryBus(), Heard(), net.lab.host_name("h1")
    await bus.listen(CONDUCTOR, handlers, told)
    engine = net.lab.agents[host]
    agent = Agent(host, "192.0.2.1", engine, bus, pace=Pace(heartbeat=0.2, report=5.0, again=0.05, look=0.5))
    task = asyncio.create_task(agent.run())
    seq = net.next() + 1000

    async def there() -> bool:
        await bus.cast(ApplySlice(snapshot=Snapshot(seq=seq, slice=render(net.records)[host])), host=host)
        return told.seq == seq
    await eventually(there, 20)
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bus.close()


async def works(net: Cloud) -> bool:
    """Within the network, to the router's other side, and DHCP."""
    guest = net["a1"]
    return await guest.ping("10.0.0.13", 1) == 1 and await guest.ping("198.51.100.1", 1) == 1 and (
        "ip=10.0.0.11" in await guest.lease())


@pytest.mark.parametrize("damage", ["router", "service", "ruleset", "bridge", "leg", "translation"])
async def test_damage_is_mended_within_seconds(net: Cloud, heard: Heard, damage: str):
    host, space = net.lab.host_name("h1"), net.lab.host_namespace("h1")
    router, service = (f"{host}.{kind}.{identity(name)[:11]}" for kind, name in (("router", "r1"), ("service", "a")))
    inside = ("ip", "netns", "exec")
    commands = {
        "router": ("ip", "netns", "delete", router), "service": ("ip", "netns", "delete", service),
        "ruleset": (*inside, space, "nft", "flush", "ruleset"),
        "bridge": ("ip", "-n", space, "link", "delete", names.link(names.BRIDGE, identity("a"))),
        "leg": ("ip", "-n", space, "link", "delete", names.link(names.ROUTER, identity("leg r1 a"))),
        "translation": (*inside, router, "nft", "flush", "ruleset")}
    await eventually(lambda: works(net), 20)
    await run(*commands[damage])

    async def mended() -> bool:
        chains = await run(*inside, space, "nft", "list", "chains")
        return "out_of_guest" in chains and await works(net)
    await eventually(mended, REPAIRED)
    if damage in ("bridge", "leg"):
        assert any("is gone" in error for error in heard.errors), "the host has said what was amiss"
    if damage == "bridge":
        states = heard.ports[identity("port a1")]
        assert State.ERROR in states and states[-1] == State.UP

    async def well() -> bool:
        return heard.errors[-1] == ""
    await eventually(well, REPAIRED)


async def test_a_tap_that_is_deleted_is_told(net: Cloud, heard: Heard):
    guest = net["a3"]
    await run("ip", "-n", net.lab.host_namespace("h1"), "link", "delete", guest.tap)

    async def told() -> bool:
        return heard.ports.get(guest.port.id, [State.UP])[-1] == State.DOWN
    await eventually(told, REPAIRED)
    await run("ip", "netns", "delete", guest.namespace)
    await guest.make()

    async def back() -> bool:
        return heard.ports[guest.port.id][-1] == State.UP
    await eventually(back, REPAIRED)
    await guest.lease()


class Refusing:
    """nftables that refuses so many transactions, by a rule that cannot be added to each."""

    def __init__(self, real: Nft, count: int):
        self.real, self.count = real, count

    def run(self, commands: str) -> str:
        if self.count:
            self.count -= 1
            commands += "add rule inet no_such_table no_such_chain accept\n"
        return self.real.run(commands)

    def chains(self, family: str, table: str) -> set[str]:
        return self.real.chains(family, table)

    def close(self) -> None:
        self.real.close()


async def test_what_the_kernel_refuses_is_said_and_tried_again(net: Cloud, heard: Heard):
    engine = net.lab.agents[net.lab.host_name("h1")]
    engine.nft = refusing = Refusing(engine.nft, 5)
    await run("ip", "netns", "exec", net.lab.host_namespace("h1"), "nft", "flush", "ruleset")

    async def well() -> bool:
        return refusing.count == 0 and heard.errors[-1] == "" and await works(net)
    await eventually(well, REPAIRED)
    assert any("nftables" in error for error in heard.errors), "it was told meanwhile"
