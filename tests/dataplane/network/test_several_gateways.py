"""Several gateways of a router, and several next hops to one destination, shown by packets.

Two external networks lead to the same address beyond, whose server says as whom it sees who asks.
"""

import msgspec
import pytest
import pytest_asyncio

from pileus.network.engine.base import Report
from pileus.network.engine.records import (
    FixedIp,
    FloatingIp,
    Gateway,
    Gone,
    HostRoute,
    Port,
    Records,
    Router,
    State,
    Subnet,
)
from pileus.network.explain import Asked, explain
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.frr import Frr
from tests.dataplane.network.lab import Guest, batch, eventually
from tests.dataplane.network.topology import guest, identity, leg, mac, network

pytestmark = pytest.mark.asyncio(loop_scope="module")
BEYOND, DOOR = "198.18.0.9", 7300
ONE, TWO = "10.91.0.5", "10.92.0.5"


def way_out(net: str, *ips: str) -> tuple[Port, Gateway]:
    name = f"gateway r7 {net} {ips[0]}"
    fixed = tuple(FixedIp(subnet_id=identity(("six " if ":" in ip else "subnet ") + net), ip=ip) for ip in ips)
    port = Port(id=identity(name), network_id=identity(net), mac=mac(name), fixed_ips=fixed,
                device_owner="network:router_gateway", device_id=identity("r7"))
    return port, Gateway(port_id=port.id, network_id=port.network_id, fixed_ips=fixed)


class Scene:
    """Router r7 between network m and the networks out1 and out2, on which f1 and f2 lead beyond."""

    def __init__(self, net: Cloud):
        self.net, self.revision = net, 0
        self.ways = [way_out("out1", ONE, "fd91::5"), way_out("out2", TWO, "fd92::5")]
        self.third = way_out("out1", "10.91.0.6")
        self.inner = leg("r7", "m", "10.0.8.1")
        self.router = f"{net.lab.prefix}h1.router.{identity('r7')[:11]}"
        self.guests: dict[str, Guest] = {}

    async def make(self) -> None:
        nets = [network(name, vni, base) for name, vni, base in (
            ("m", 140, "10.0.8"), ("out1", 141, "10.91.0"), ("out2", 142, "10.92.0"))]
        six = [Subnet(id=identity(f"six out{i}"), network_id=identity(f"out{i}"), cidr=f"fd9{i}::/64", ip_version=6,
                      gateway_ip=f"fd9{i}::1") for i in (1, 2)]
        places = (("m1", "m", "10.0.8.11", "h1"), ("m2", "m", "10.0.8.12", "h2"), ("f1", "out1", "10.91.0.1", "h2"),
                  ("f2", "out2", "10.92.0.1", "h2"))
        ports = [msgspec.structs.replace(guest(name, on, ip, self.net.lab.host_name(host), ()), port_security=False)
                 for name, on, ip, host in places]
        await self.net.lab.engine.apply(Records(
            networks=tuple(made for made, _ in nets), subnets=(*(s for _, own in nets for s in own), *six),
            ports=(*ports, self.inner, *(port for port, _ in (*self.ways, self.third)))), (), self.net.next())
        await self.route(ways=self.ways)
        for (name, *_), port in zip(places, ports, strict=True):
            there = self.guests[name] = Guest(self.net.lab, port)
            await there.make()
            await self.net.lab.until("port", port.id, State.UP)
            beyond = [f"address add {BEYOND}/32 dev lo"] if name[0] == "f" else []
            await batch(f"address add {there.ip}/24 dev eth0", *beyond, namespace=there.namespace)
            if name[0] == "f":
                await self.net.lab.serve(there.namespace, DOOR)
            else:
                await batch("route add default via 10.0.8.1", namespace=there.namespace)

    async def route(self, *, ways: list[tuple[Port, Gateway]], ecmp: bool = False, watched: bool = False,
                    floating: tuple[FloatingIp, ...] = (), routes: tuple[HostRoute, ...] = ()) -> None:
        self.revision += 1
        gateways = [way for _, way in ways]
        router = Router(
            id=identity("r7"), revision=self.revision, port_ids=(self.inner.id,), host=self.net.lab.host_name("h1"),
            gateway=gateways[0] if gateways else None, further=tuple(gateways[1:]), ecmp=ecmp, routes=routes,
            watched=watched)
        await self.net.lab.engine.apply(Records(routers=(router,), floating_ips=floating), (), self.net.next())
        await self.net.lab.until("router", router.id, State.UP)
        report = await self.net.lab.agents[self.net.lab.host_name("h1")].resync()
        assert report == Report(changes=()), "it is as it is to be"

    async def seen(self, name: str, address: str = BEYOND) -> set[str]:
        """As whom many connections are seen there."""
        assert await self.guests[name].ask(address, DOOR) != "TimeoutError"
        return set((await self.guests[name].probe("asks", *[f"{address}:{DOOR}"] * 24)).split())

    async def told(self, *words: str) -> str:
        return await self.guests["m1"].lab.beyond().exec("ip", "netns", "exec", self.router, "ip", *words)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(net: Cloud) -> Scene:
    made = Scene(net)
    await made.make()
    return made


async def test_several_gateways(net: Cloud, scene: Scene):
    await scene.route(ways=scene.ways)
    assert await scene.seen("m1") == {ONE}, "the first, if nothing else is said"
    assert await scene.seen("m1", "10.92.0.1") == {TWO}, "what is near the second is reached by it"
    await scene.route(ways=scene.ways, ecmp=True)
    assert await scene.seen("m1") == {ONE, TWO} == await scene.seen("m2"), "each connection by one of both"
    assert (await scene.told("-6", "route", "show", "default")).count("nexthop") == 2

    floating = FloatingIp(id=identity("floating m1"), revision=1, floating_ip="10.92.0.100",
                          network_id=identity("out2"), fixed_ip="10.0.8.11", router_id=identity("r7"),
                          port_id=scene.guests["m1"].port.id)
    await scene.route(ways=scene.ways, ecmp=True, floating=(floating,))
    assert await scene.seen("m1") == {"10.92.0.100"}, "by the gateway where its own address is"
    assert await scene.seen("m2") == {ONE, TWO}
    await scene.route(ways=scene.ways, floating=(floating,))
    assert await scene.seen("m1") == {"10.92.0.100"}
    assert await scene.seen("m2") == {ONE}
    for address in ("10.92.0.100", TWO):
        assert await scene.guests["f2"].reaches(address)
        assert await scene.guests["f2"].reaches(address, source=BEYOND), "answers leave where questions came"
    found = explain(net.lab.engine.store.records(), Asked(
        port=scene.guests["m1"].port, destination=BEYOND, protocol="tcp", number=DOOR))
    assert f"it leaves the cloud by external network {identity('out2')}" in found.steps, found
    assert "10.0.8.11 becomes 10.92.0.100" in found.steps, found
    found = explain(net.lab.engine.store.records(), Asked(
        port=scene.guests["m1"].port, destination="10.91.0.1", protocol="tcp", number=DOOR))
    assert f"10.0.8.11 becomes {ONE}" in found.steps, found
    assert await scene.seen("m1", "10.91.0.1") == {ONE}

    agent = net.lab.agents[net.lab.host_name("h1")]
    for damage in (("rule", "delete", "pref", "200"), ("route", "flush", "table", "1001"),
                   ("link", "delete", f"qg-{scene.ways[1][0].id[:11]}")):
        await scene.told(*damage)
        assert (await agent.resync()).changes, damage
        assert await scene.seen("m1") == {"10.92.0.100"}, "what was taken away by hand is there again"
    assert await agent.resync() == Report(changes=())

    await net.lab.engine.apply(Records(), (Gone(kind="floating_ips", id=floating.id),), net.next())
    await scene.route(ways=[scene.ways[1], scene.ways[0]])
    assert await scene.seen("m1") == {TWO}, "the other is the first now"
    await scene.route(ways=[scene.ways[0], scene.third])
    assert await scene.guests["f1"].reaches("10.91.0.6") and await scene.guests["f1"].reaches(ONE)
    assert await scene.guests["f1"].reaches("10.91.0.6", source=BEYOND)
    assert await scene.seen("m1") == {ONE}
    await scene.route(ways=scene.ways[:1])
    assert await scene.seen("m1") == {ONE}
    assert "lookup 100" not in await scene.told("rule") and scene.ways[1][0].id[:11] not in await scene.told("link")

    both = tuple(HostRoute(destination="172.31.0.0/16", nexthop=f"10.0.8.{i}") for i in (11, 12))
    await scene.route(ways=scene.ways[:1], routes=both)
    assert (await scene.told("route", "show", "172.31.0.0/16")).count("nexthop") == 2
    await scene.route(ways=scene.ways[:1], routes=both[1:])
    assert "via 10.0.8.12" in await scene.told("route", "show", "172.31.0.0/16")
    await scene.route(ways=[])
    assert "172.31" not in await scene.told("route")


async def test_next_hops_that_fall_silent_are_left_out(net: Cloud, scene: Scene):
    """Both speak BFD by FRRouting."""
    one = Frr(scene.guests["f1"].namespace, (ONE, "10.91.0.1"), ("fd91::5", "fd91::1"))
    two = Frr(scene.guests["f2"].namespace, (TWO, "10.92.0.1"))

    async def default(*hops: str) -> None:
        async def so() -> bool:
            told = await scene.told("route", "show", "default")
            return {hop for hop in ("10.91.0.1", "10.92.0.1") if f"via {hop} " in told} == set(hops)
        await eventually(so, 30)

    async def known(frr: Frr, status: str) -> None:
        async def so() -> bool:
            return set((await frr.peers()).values()) == {status}
        await eventually(so, 30)
    try:
        await batch("address add fd91::1/64 dev eth0 nodad", namespace=one.namespace)
        await one.start()
        await two.start()
        await scene.route(ways=scene.ways, ecmp=True, watched=True)
        await default("10.91.0.1", "10.92.0.1")
        await known(one, "up")
        await known(two, "up")
        assert await scene.seen("m2") == {ONE, TWO}
        await two.kill()
        await default("10.91.0.1")
        assert await scene.seen("m2") == {ONE}
        await scene.route(ways=list(reversed(scene.ways)), watched=True)
        await default("10.91.0.1")
        assert await scene.seen("m2") == {ONE}, "the first is silent, the other is not"
        await two.start()
        await default("10.92.0.1")
        assert await scene.seen("m2") == {TWO}
        await one.kill()
        await two.kill()
        await eventually(lambda: silent(net, scene), 30)
        await default("10.92.0.1")
        assert await scene.seen("m2") == {TWO}, "where all are silent, all is as without"
        await one.start()
        await known(one, "up")
        await scene.route(ways=scene.ways)
        await known(one, "down")
    finally:
        await one.stop()
        await two.stop()
        await scene.route(ways=[])


async def silent(net: Cloud, scene: Scene) -> bool:
    space = net.lab.agents[net.lab.host_name("h1")].routers[identity("r7")]
    return len(space.watch.silent) == 4
