"""What routers do with ports of floating IPs and with metering labels, shown by packets."""

import asyncio
import json

import msgspec
import pytest

from pileus.network.engine.linux.meters import readings
from pileus.network.engine.records import (
    FixedIp,
    FloatingIp,
    Followed,
    Forwarding,
    Gone,
    Meter,
    MeterRule,
    Records,
    Router,
    Rule,
    SecurityGroup,
    State,
    Subnet,
)
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import Guest, Program, batch, eventually
from tests.dataplane.network.topology import OPEN, gateway, guest, identity, leg, network

pytestmark = pytest.mark.asyncio(loop_scope="module")
PUBLIC = "198.51.100.120"


async def from_outside(net: Cloud, address: str, port: int) -> str:
    return await net.lab.beyond().ask(address, port)


def forwarding(revision: int, *entries: tuple[int, int, str, int]) -> FloatingIp:
    return FloatingIp(
        id=identity("floating many"), revision=revision, floating_ip=PUBLIC, router_id=identity("r1"),
        forwardings=tuple(Forwarding(protocol="tcp", port=port, last=last, ip=ip, inside=inside)
                          for port, last, ip, inside in entries))


async def test_ports_of_one_address_lead_to_several_guests(net: Cloud):
    opened = msgspec.structs.replace(OPEN, revision=10, rules=(
        *OPEN.rules, Rule(direction="ingress", protocol="tcp", port_min=80, port_max=80)))
    floating = forwarding(1, (2201, 2201, "10.0.0.11", 22), (8078, 8080, "10.0.0.11", 78))
    await net.lab.engine.apply(Records(security_groups=(opened,), floating_ips=(floating,)), (), net.next())
    assert await from_outside(net, PUBLIC, 2201) == "198.51.100.1"
    assert await from_outside(net, PUBLIC, 8080) == "198.51.100.1", "the third of a range leads to the third"
    assert await from_outside(net, PUBLIC, 22) == "ConnectionRefusedError"
    assert await net["a3"].ask(PUBLIC, 2201) == "198.51.100.11", "also from inside, by the router's own address"
    assert await net["a3"].ask("198.51.100.1", 7100) == "198.51.100.11", "what goes out is not changed"
    await net.lab.engine.apply(Records(floating_ips=(forwarding(2, (2201, 2201, "10.0.0.11", 80)),)), (), net.next())
    assert await from_outside(net, PUBLIC, 2201) == "198.51.100.1"
    await net.lab.engine.apply(Records(), (Gone(kind="floating_ips", id=floating.id),), net.next())
    assert await net.lab.beyond().misses(PUBLIC, 2201, alive="198.51.100.111")
    await net.lab.engine.apply(Records(security_groups=(msgspec.structs.replace(OPEN, revision=11),)), (), net.next())


async def test_labels_count_what_goes_through_the_gateway(net: Cloud):
    label = Meter(id=identity("label"), rules=(
        MeterRule(ingress=False, remote="198.51.100.0/24"), MeterRule(ingress=False, remote="203.0.113.0/24",
                                                                      excluded=True)))
    inside = Meter(id=identity("label in"), rules=(MeterRule(ingress=True, remote="0.0.0.0/0"),))
    await net.lab.engine.apply(Records(meters=(label, inside)), (), net.next())
    router = f"{net.lab.prefix}h1.router.{identity('r1')[:11]}"
    short = {meter.id: meter.id.replace("-", "")[:16] for meter in (label, inside)}

    async def counted(out: int, back: int) -> None:
        """The last answers may be on their way."""
        wanted = {short[label.id]: (out * 84, out), short[inside.id]: (back * 84, back)}
        await eventually(lambda: asyncio.to_thread(lambda: readings(router) == wanted), 15)

    await counted(0, 0)
    near = await net["a3"].pings("198.51.100.1", 3)
    await counted(near, near)
    all_of_them = near + await net["a3"].pings("203.0.113.2", 1)
    await counted(near, all_of_them)
    assert await net["a3"].reaches("10.0.1.11")
    await counted(near, all_of_them)            # between networks nothing passes the gateway
    for _ in range(2):
        await net.lab.agents[net.lab.host_name("h1")].resync()
    lines = [json.loads(line) for line in net.lab.meter_log("h1").read_text().splitlines()]
    written = [(line["label_id"], line["bytes"], line["packets"]) for line in lines
               if line["router_id"] == identity("r1")]
    once = [(label.id, near * 84, near), (inside.id, all_of_them * 84, all_of_them)]
    assert sorted(written) == sorted(once), "each once"
    await net.lab.engine.apply(Records(), (Gone(kind="meters", id=label.id), Gone(kind="meters", id=inside.id)),
                               net.next())


async def test_address_groups_are_remotes_of_rules(net: Cloud):
    friends = SecurityGroup(id=identity("friends"), revision=1, addresses=("10.0.0.14/32",))
    other = SecurityGroup(id=identity("default"), revision=5, rules=(
        Rule(direction="egress"), Rule(direction="egress", ethertype="IPv6"),
        Rule(direction="ingress", remote_group_id=identity("default")),
        Rule(direction="ingress", protocol="tcp", port_min=80, port_max=80, remote_group_id=friends.id)))
    assert await net["x1"].misses("10.0.0.13", 80, alive="10.0.0.11")
    await net.lab.engine.apply(Records(security_groups=(friends, other)), (), net.next())
    assert await net["x1"].ask("10.0.0.13", 80) == "10.0.0.14"
    without = msgspec.structs.replace(friends, revision=2, addresses=("10.9.0.0/16",))
    await net.lab.engine.apply(Records(security_groups=(without,)), (), net.next())
    assert await net["x1"].misses("10.0.0.13", 80, alive="10.0.0.11")


async def test_a_router_answers_for_guests_on_the_external_network(net: Cloud):
    """Outside, all of 2001:db8::/96 is taken for near; the guests' part of it is behind the router."""
    plain, subnets = network("n", 105, "10.0.9")
    six = Subnet(id=identity("six n"), network_id=plain.id, cidr="2001:db8::2:0/112", ip_version=6,
                 gateway_ip="2001:db8::2:1")
    outer = Subnet(id=identity("six public"), network_id=identity("public"), cidr="2001:db8::1:0/112", ip_version=6)
    guests = [msgspec.structs.replace(
        guest(f"n{number}", "n", f"10.0.9.{number}", net.lab.host_name("h2"), ()), port_security=False, fixed_ips=(
            FixedIp(subnet_id=subnets[0].id, ip=f"10.0.9.{number}"),
            FixedIp(subnet_id=six.id, ip=f"2001:db8::2:{number}")))
        for number in (11, 12)]
    inner = msgspec.structs.replace(leg("r5", "n", "10.0.9.1"), fixed_ips=(
        FixedIp(subnet_id=six.id, ip="2001:db8::2:1"),))
    port, way_out = gateway("r5", "198.51.100.15")
    both = (*way_out.fixed_ips, FixedIp(subnet_id=outer.id, ip="2001:db8::1:5"))
    router = Router(id=identity("r5"), revision=1, port_ids=(inner.id,), host=net.lab.host_name("h1"), proxied=(),
                    gateway=msgspec.structs.replace(way_out, fixed_ips=both))
    await net.lab.engine.apply(Records(
        networks=(plain,), subnets=(*subnets, six, outer), routers=(router,),
        ports=(*guests, inner, msgspec.structs.replace(port, fixed_ips=both))), (), net.next())
    for each in guests:
        there = Guest(net.lab, each)
        await there.make()
        await net.lab.until("port", each.id, State.UP)
        await batch(f"address add {each.fixed_ips[1].ip}/112 dev eth0 nodad", "route add ::/0 via 2001:db8::2:1",
                    namespace=there.namespace)
    await batch("address add 2001:db8::1:1/96 dev br-ex nodad", namespace=net.lab.outside)

    outside = net.lab.beyond()
    assert await outside.misses("2001:db8::2:11")
    await net.lab.engine.apply(Records(routers=(msgspec.structs.replace(
        router, revision=2, proxied=("2001:db8::2:11",)),)), (), net.next())
    await net.lab.until("router", router.id, State.UP)
    assert await outside.reaches("2001:db8::2:11")
    assert await outside.misses("2001:db8::2:12", alive="2001:db8::2:11")
    await batch("route add 2001:db8::2:12 via 2001:db8::1:5", namespace=net.lab.outside)
    assert await outside.misses("2001:db8::2:12", alive="2001:db8::2:11"), "a way around is none"
    await net.lab.engine.apply(Records(routers=(msgspec.structs.replace(router, revision=3, proxied=None),)), (),
                               net.next())
    assert await outside.reaches("2001:db8::2:12"), "routed, as without any proxy"


async def test_what_ftp_opens_is_translated(net: Cloud):
    """A guest behind source translation says its own address; the server is told one that it can reach."""
    router = next(each for each in net.records.routers if each.id == identity("r1"))

    async def told(port: int) -> str:
        server = await Program.start(net.lab.outside, "told", str(port))
        await net["a3"].probe("tell", "198.51.100.1", str(port), "USER a", "PORT 10,0,0,13,4,1")
        assert await server.line() == "USER a"
        heard = await server.line()
        await server.stop()
        return heard
    assert await told(2121) == "PORT 10,0,0,13,4,1"
    followed = (Followed(name="ftp", protocol="tcp", port=2121), Followed(name="tftp", protocol="udp", port=69))
    await net.lab.engine.apply(Records(routers=(msgspec.structs.replace(router, revision=9, followed=followed),)), (),
                               net.next())
    assert (await told(2121)).startswith("PORT 198,51,100,11,")
    assert await told(2122) == "PORT 10,0,0,13,4,1"
    await net.lab.engine.apply(Records(routers=(msgspec.structs.replace(router, revision=10),)), (), net.next())
    assert await told(2121) == "PORT 10,0,0,13,4,1"
