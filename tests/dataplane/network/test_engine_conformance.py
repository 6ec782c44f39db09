"""What every network engine must do, shown by packets between namespaces that play guests."""

import asyncio
import fcntl
import os
import struct
import sys

import msgspec
import pytest

from pileus.network.engine.linux import names
from pileus.network.engine.linux.namespaces import inside
from pileus.network.engine.records import (
    AddressPair,
    FloatingIp,
    Gateway,
    Gone,
    Records,
    Router,
    Rule,
    SecurityGroup,
    Snapshot,
    State,
)
from pileus.network.engine.slices import render
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import HERE, Guest, Program, eventually, pinging, run
from tests.dataplane.network.topology import ANY, CLOSED, GUESTS, OPEN, guest, identity, leg, mac, network, slaac

pytestmark = pytest.mark.asyncio(loop_scope="module")
FLOATING = {"a1": "198.51.100.111", "a2": "198.51.100.112"}


async def test_guests_get_what_their_records_say_by_dhcp(net: Cloud):
    guests = {name: guest for name, guest in net.guests.items() if name != "e1"}
    leases = await asyncio.gather(*(guest.lease() for guest in guests.values()))
    for name, lease in zip(guests, leases, strict=True):
        assert f"ip={GUESTS[name][1]} mask=24 mtu=1450" in lease, (name, lease)
        assert f"domain=cloud.test hostname={name}" in lease and f"dns={GUESTS[name][1].rsplit('.', 1)[0]}.2" in lease
    routes = await net["a1"].exec("ip", "route")
    assert "default via 10.0.0.1" in routes and "169.254.169.254 via 10.0.0.2" in routes
    assert "192.168.77.0/24 via 10.0.0.9" in routes


async def test_same_network_on_one_host_and_across_hosts(net: Cloud):
    assert await net["a1"].reaches("10.0.0.13")
    assert await net["a1"].reaches("10.0.0.12")
    assert await net["a1"].ping("10.0.0.12", 8, size=1422), "as large as they come"


async def test_tenants_with_the_same_addresses_do_not_meet(net: Cloud):
    assert await net["c1"].reaches("10.0.0.12")
    assert await net["c1"].ask("10.0.0.12", 7001) == "10.0.0.11"
    assert await net["a1"].ask("10.0.0.12", 7001) == "ConnectionRefusedError"


async def test_routing_between_networks(net: Cloud):
    assert await net["a1"].reaches("10.0.1.11")
    assert await net["b1"].reaches("10.0.0.13")
    routes = await run("ip", "-n", f"{net.lab.prefix}h1.router.{identity('r1')[:11]}", "route")
    assert "192.168.88.0/24 via 10.0.1.11" in routes


async def test_source_translation_to_the_outside(net: Cloud):
    assert await net["a3"].ask("198.51.100.1", 7100) == "198.51.100.11"
    assert await net["b1"].ask("198.51.100.1", 7100) == "198.51.100.11"
    assert await net["c1"].ask("198.51.100.1", 7100) == "198.51.100.12"
    assert await net["a3"].ask("203.0.113.2", 7101) == "203.0.113.1"


async def test_floating_ip_in_out_and_hairpin(net: Cloud):
    for address in FLOATING.values():
        assert await net.lab.beyond().reaches(address)
    assert await net.lab.beyond().ask(FLOATING["a1"], 22) == "198.51.100.1"
    assert await net["a1"].ask("198.51.100.1", 7100) == FLOATING["a1"]
    assert await net["a2"].ask(FLOATING["a1"], 22) == FLOATING["a2"]
    assert await net["a3"].ask(FLOATING["a1"], 22) == "198.51.100.11"
    await net.lab.until("floating_ip", identity("floating a1"), State.UP)


async def test_guests_on_the_external_network_itself(net: Cloud):
    assert await net["e1"].reaches("198.51.100.1")
    assert await net["e1"].reaches(FLOATING["a1"])
    assert await net["a1"].reaches("198.51.100.50")
    await net["e1"].exec("ip", "addr", "add", "198.51.100.51/24", "dev", "eth0")
    assert await net["e1"].misses("198.51.100.1", source="198.51.100.51", alive="198.51.100.1")


async def test_security_groups_let_in_only_what_they_say(net: Cloud):
    assert await net["a2"].ask("10.0.0.11", 80) == "10.0.0.12", "the same group may"
    assert await net["x1"].misses("10.0.0.11", 80, alive="10.0.0.11"), "another group may not"
    assert await net["x1"].ask("10.0.0.11", 22) == "10.0.0.14", "but for the opened port"
    assert await net["a1"].ask("10.0.0.13", 80) == "10.0.0.11", "somebody listens"
    assert await net["x1"].misses("10.0.0.13", 80, alive="10.0.0.11")
    assert await net["x1"].misses("10.0.0.13", alive="10.0.0.11")
    assert await net.lab.beyond().misses(FLOATING["a1"], 80, alive=FLOATING["a1"])


async def test_removing_a_rule_cuts_what_it_had_let_in(net: Cloud):
    talk = await Program.start(net.lab.outside, "talk", FLOATING["a1"], "22", ready=False)
    net.lab.programs.append(talk)
    assert await talk.line() == "198.51.100.1"
    assert await talk.say("15") == "echo"
    await net.lab.engine.apply(Records(security_groups=(CLOSED,)), (), net.next())
    assert await talk.say("1") == "silence"
    assert await net["a2"].ask("10.0.0.11", 80) == "10.0.0.12", "what is still allowed is not cut"
    again = msgspec.structs.replace(OPEN, revision=3)
    await net.lab.engine.apply(Records(security_groups=(again,)), (), net.next())
    assert await talk.say("15") == "echo", "the very connection goes on when it is allowed again"


async def test_spoofed_addresses_are_dropped(net: Cloud):
    guest = net["a3"]
    await guest.exec("ip", "addr", "add", "10.0.0.99/24", "dev", "eth0")
    assert await guest.misses("10.0.0.11", source="10.0.0.99", alive="10.0.0.11")
    await guest.exec("ip", "addr", "del", "10.0.0.99/24", "dev", "eth0")
    claim = ("busybox", "arping", "-A", "-c", "2", "-w", "1", "-s", "10.0.0.1", "-I", "eth0", "10.0.0.1")
    await guest.exec(*claim, check=False)
    known = await net["a1"].exec("ip", "neigh", "show", "10.0.0.1")
    assert mac("leg r1 a") in known or known == ""
    await guest.exec("ip", "link", "set", "eth0", "address", "fa:16:3e:de:ad:01")
    assert await guest.misses("10.0.0.11")
    await guest.exec("ip", "link", "set", "eth0", "address", mac("a3"))
    assert await guest.reaches("10.0.0.11")


async def test_guests_cannot_be_dhcp_servers(net: Cloud):
    listening = await Program.start(net["a1"].namespace, "hear", "68")
    assert await net["a3"].reaches("10.0.0.11")
    for source in ("67", "6767"):
        await net["a3"].probe("send", source, "10.0.0.11", "68")
    assert await listening.line() == "heard 10.0.0.13 6767", "what was sent from another port came first"
    await listening.stop()


async def test_guests_do_not_reach_the_host(net: Cloud):
    await net["a1"].exec("ip", "route", "replace", "192.0.2.1/32", "dev", "eth0")
    assert await net["a1"].misses("192.0.2.1", alive="10.0.0.13")
    await net["a1"].exec("ip", "route", "del", "192.0.2.1/32", "dev", "eth0")


async def test_metadata_knows_who_asks(net: Cloud):
    for name in ("a1", "a2", "c1", "b1"):
        answer = await net[name].fetch("/openstack/latest/meta_data.json")
        assert answer.split() == [
            "200", "GET", "/openstack/latest/meta_data.json", identity("port " + name), identity("server " + name)]
    answer = await net["a1"].fetch("/openstack/latest/password", "secret")
    assert answer.split()[:2] == ["200", "POST"] and answer.split()[-1] == "secret"


async def test_metadata_over_ipv6_needs_no_address_of_the_cloud_s(net: Cloud):
    for name in ("a1", "b1"):
        answer = await net[name].exec(
            sys.executable, str(HERE / "probe.py"), "fetch", "fe80::a9fe:a9fe%eth0", "/openstack")
        assert answer.split()[2:] == ["/openstack", identity("port " + name), identity("server " + name)]


async def test_metadata_through_the_router(net: Cloud):
    await net["a2"].exec("ip", "route", "replace", "169.254.169.254/32", "via", "10.0.0.1")
    assert (await net["a2"].fetch("/")).split()[3] == identity("port a2")
    await net["a2"].exec("ip", "route", "replace", "169.254.169.254/32", "via", "10.0.0.2")


async def test_addresses_from_router_advertisements(net: Cloud):
    async def has_address() -> bool:
        return slaac("a1") in await net["a1"].exec("ip", "-6", "addr", "show", "dev", "eth0", "-tentative")

    await eventually(has_address, 15)       # the kernel solicits every four seconds
    assert await net["a1"].reaches("fd00:a::1")


async def test_floating_ip_that_is_taken_away_answers_no_more(net: Cloud):
    assert await net.lab.beyond().reaches(FLOATING["a2"])
    free = FloatingIp(id=identity("floating a2"), revision=2, floating_ip=FLOATING["a2"])
    await net.lab.engine.apply(Records(floating_ips=(free,)), (), net.next())
    assert await net.lab.beyond().misses(FLOATING["a2"], alive=FLOATING["a1"])
    given = next(floating for floating in net.records.floating_ips if floating.id == free.id)
    given = msgspec.structs.replace(given, revision=3)
    await net.lab.engine.apply(Records(floating_ips=(given,)), (), net.next())
    assert await net.lab.beyond().reaches(FLOATING["a2"])


async def test_restarted_agents_change_nothing_and_lose_nothing(net: Cloud):
    current = render(net.lab.engine.store.records())
    async with pinging(net["a1"], "10.0.1.11") as ping:
        for host in net.lab.hosts:
            name = net.lab.host_name(host)
            await net.lab.agents[name].close()
            agent = await net.lab.start_agent(host)
            report = await agent.apply(Snapshot(seq=net.next(), slice=current[name]))
            assert report.changes == ()
        assert await ping.lost() == []
    assert GUESTS["a1"][1] in await net["a1"].lease()


async def test_tap_that_goes_and_comes(net: Cloud):
    guest = net["x1"]
    await run("ip", "-n", guest.host, "link", "del", guest.tap)
    await net.lab.until("port", guest.port.id, State.DOWN)
    await guest.exec("ip", "link", "add", "eth0", "address", guest.port.mac, "type", "veth", "peer", "name", guest.tap,
                     "netns", guest.host)
    await guest.exec("ip", "link", "set", "eth0", "up")
    status = await net.lab.until("port", guest.port.id, State.UP)
    assert status.revision == guest.port.revision
    assert "ip=10.0.0.14" in await guest.lease()


async def test_a_real_tap_gets_an_answer(net: Cloud):
    """As a hypervisor holds it: frames are written to and read from a file."""
    guest = net["x1"]
    await run("ip", "-n", guest.host, "link", "del", guest.tap)
    await net.lab.until("port", guest.port.id, State.DOWN)
    tap = inside(guest.host, lambda: os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK))
    try:
        inside(guest.host, lambda: fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", guest.tap.encode(), IFF_TAP)))
        await net.lab.until("port", guest.port.id, State.UP)
        os.write(tap, discover(guest.port.mac))
        assert b"x1" in await offer(tap)
    finally:
        os.close(tap)
    await net.lab.until("port", guest.port.id, State.DOWN)
    await guest.exec("ip", "link", "add", "eth0", "address", guest.port.mac, "type", "veth", "peer", "name", guest.tap,
                     "netns", guest.host)
    await guest.exec("ip", "link", "set", "eth0", "up")
    await net.lab.until("port", guest.port.id, State.UP)
    await guest.lease()


TUNSETIFF, IFF_TAP = 0x400454CA, 0x1002


def discover(mac: str) -> bytes:
    """A whole frame, from Ethernet to DHCP."""
    own = bytes.fromhex(mac.replace(":", ""))
    message = b"\x01\x01\x06\0abcd\0\0\x80\0" + bytes(16) + own + bytes(202)
    message += b"\x63\x82\x53\x63" + bytes([53, 1, 1, 255])
    udp = struct.pack(">HHHH", 68, 67, 8 + len(message), 0) + message
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return b"\xff" * 6 + own + b"\x08\0" + head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:] + udp


async def offer(tap: int) -> bytes:
    """The first frame from a DHCP server's port."""
    async with asyncio.timeout(5):
        while True:
            try:
                frame = os.read(tap, 2048)
            except BlockingIOError:
                await asyncio.sleep(0.005)
                continue
            if frame[12:14] == b"\x08\0" and frame[34:36] == struct.pack(">H", 67):
                return frame


async def test_damage_is_healed_by_resync(net: Cloud):
    host = net.lab.host_namespace("h1")
    records = net.lab.engine.store.records()
    await run("ip", "netns", "exec", host, "nft", "flush", "ruleset")
    await run("ip", "-n", host, "link", "del", "pb" + identity("a")[:11])
    await run("ip", "-n", host, "link", "del", "pr" + identity("leg r1 b")[:11])
    await run("ip", "netns", "exec", f"{net.lab.prefix}h1.router.{identity('r1')[:11]}", "nft", "flush", "ruleset")
    told = await net.lab.until("slice", host, State.ERROR)
    assert "is gone" in told.detail
    report = await net.lab.engine.resync(records, net.next())
    assert report.changes
    assert (await net.lab.engine.resync(records, net.next())).changes == ()
    assert await net["a1"].reaches("10.0.0.12")
    assert await net["a1"].reaches("10.0.1.11")
    assert await net["x1"].misses("10.0.0.13", 80, alive="10.0.0.11")
    assert await net["a1"].ask("198.51.100.1", 7100) == FLOATING["a1"]


async def test_lost_namespaces_are_made_again(net: Cloud):
    prefix = net.lab.prefix
    for space in (f"{prefix}h1.router.{identity('r1')[:11]}", f"{prefix}h1.service.{identity('a')[:11]}"):
        await run("ip", "netns", "delete", space)
    await net.lab.engine.resync(net.lab.engine.store.records(), net.next())
    assert (await net.lab.engine.resync(net.lab.engine.store.records(), net.next())).changes == ()
    assert await net["a1"].reaches("10.0.1.11")
    assert "ip=10.0.0.11" in await net["a1"].lease()
    assert (await net["a1"].fetch("/")).split()[3] == identity("port a1")
    assert await net["a1"].ask("198.51.100.1", 7100) == FLOATING["a1"]


async def test_ports_without_security_and_with_more_addresses(net: Cloud):
    def x1(**changes) -> Records:
        net["x1"].port = msgspec.structs.replace(net["x1"].port, revision=net["x1"].port.revision + 1, **changes)
        return Records(ports=(net["x1"].port,))

    await net["x1"].exec("ip", "addr", "add", "10.0.0.77/24", "dev", "eth0")
    assert await net["x1"].misses("10.0.0.11", source="10.0.0.77", alive="10.0.0.11")
    pairs = (AddressPair(ip="10.0.0.64/27"), AddressPair(ip="10.0.0.77"), AddressPair(ip="10.0.0.72/29"))
    await net.lab.engine.apply(x1(allowed_address_pairs=pairs), (), net.next())
    assert await net["x1"].reaches("10.0.0.11", source="10.0.0.77")
    await net.lab.engine.apply(x1(allowed_address_pairs=()), (), net.next())
    assert await net["x1"].misses("10.0.0.11", source="10.0.0.77", alive="10.0.0.11")
    assert await net["a1"].misses("10.0.0.14", alive="10.0.0.13"), "a group without ingress rules lets nothing in"
    await net.lab.engine.apply(x1(port_security=False), (), net.next())
    assert await net["x1"].reaches("10.0.0.11", source="10.0.0.77")
    assert await net["a1"].reaches("10.0.0.14")
    await net.lab.engine.apply(x1(port_security=True, admin_up=False), (), net.next())
    await net.lab.until("port", net["x1"].port.id, State.DOWN)
    assert await net["x1"].misses("10.0.0.11")
    await net.lab.engine.apply(x1(admin_up=True), (), net.next())
    await net.lab.until("port", net["x1"].port.id, State.UP)
    await net["x1"].exec("ip", "addr", "del", "10.0.0.77/24", "dev", "eth0")
    assert await net["x1"].reaches("10.0.0.11")


async def test_groups_without_state_need_a_rule_for_each_direction(net: Cloud):
    def other(revision: int, *rules: Rule, stateful: bool = False) -> Records:
        group = SecurityGroup(id=identity("other"), revision=revision, rules=(*ANY, *rules), stateful=stateful)
        return Records(security_groups=(group,))

    await net.lab.engine.apply(other(1), (), net.next())
    assert await net["x1"].misses("10.0.0.11"), "the answers are not let in"
    echo_reply = Rule(direction="ingress", protocol="icmp", port_min=0, port_max=0)
    await net.lab.engine.apply(other(2, echo_reply), (), net.next())
    assert await net["x1"].reaches("10.0.0.11")
    assert await net["a1"].misses("10.0.0.14", alive="10.0.0.13"), "nor are questions, which are of another type"
    await net.lab.engine.apply(other(3, stateful=True), (), net.next())
    assert await net["x1"].reaches("10.0.0.11")


async def test_a_port_that_moves_is_found_at_its_new_host(net: Cloud):
    """As live migration does it: the tap is on the other host, and the record says so."""
    guest, here = net["a3"], net["a3"].port.host
    assert await net["a1"].reaches("10.0.0.13")
    there = net.lab.host_name("h2")
    moved = msgspec.structs.replace(guest.port, revision=2, host=there)
    await net.lab.engine.apply(Records(ports=(moved,)), (), net.next())
    await run("ip", "-n", str(here), "link", "set", guest.tap, "netns", there)
    await run("ip", "-n", there, "link", "set", guest.tap, "up")
    await net.lab.until("port", guest.port.id, State.UP)
    assert await net["a1"].reaches("10.0.0.13")
    assert await guest.reaches("10.0.1.11")
    assert "ip=10.0.0.13" in await guest.lease()
    guest.port = moved


async def test_an_external_network_that_is_an_overlay(net: Cloud):
    """As tests and clouds within clouds have it: what is outside for a router is one more network of ours."""
    overlay, subnets = network("overlay", 104, "172.31.0")
    far = guest("o1", "overlay", "172.31.0.50", net.lab.host_name("h2"), ("other", "open"))
    inner = leg("r3", "c", "10.0.0.254")
    outer = msgspec.structs.replace(
        leg("r3 outside", "overlay", "172.31.0.3"), device_owner="network:router_gateway")
    router = Router(
        id=identity("r3"), port_ids=(inner.id,), host=net.lab.host_name("h1"),
        gateway=Gateway(port_id=outer.id, network_id=overlay.id, fixed_ips=outer.fixed_ips))
    await net.lab.engine.apply(
        Records(networks=(overlay,), subnets=subnets, ports=(far, inner, outer), routers=(router,)), (), net.next())
    there = Guest(net.lab, far)
    await there.make()
    await net.lab.until("port", far.id, State.UP)
    await net.lab.until("router", router.id, State.UP)
    assert "ip=172.31.0.50" in await there.lease()
    await net["c1"].exec("ip", "route", "replace", "172.31.0.0/24", "via", "10.0.0.254")
    assert await net["c1"].reaches("172.31.0.50")
    await net.lab.serve(there.namespace, 22)
    assert await net["c1"].ask("172.31.0.50", 22) == "172.31.0.3"


async def test_networks_by_vlan_tags(net: Cloud):
    """Two with the same addresses on one physical bridge do not meet; a router leads from a network of ours to one."""
    made, guests = [], []
    for vlan in (7, 8):
        plain, subnets = network(f"vlan {vlan}", vlan, "172.30.0")
        made.append((msgspec.structs.replace(plain, vni=None, physical="public", vlan=vlan, mtu=1500), subnets))
        for number, host in ((50, "h1"), (51, "h2")):
            guests.append(guest(f"v{vlan}{host}", f"vlan {vlan}", f"172.30.0.{number}", net.lab.host_name(host),
                                ("other", "open")))
    inner, outer = leg("r4", "c", "10.0.0.253"), msgspec.structs.replace(
        leg("r4 outside", "vlan 8", "172.30.0.3"), device_owner="network:router_gateway")
    router = Router(id=identity("r4"), port_ids=(inner.id,), host=net.lab.host_name("h1"), gateway=Gateway(
        port_id=outer.id, network_id=made[1][0].id, fixed_ips=outer.fixed_ips))
    await net.lab.engine.apply(Records(
        networks=tuple(each for each, _ in made), subnets=tuple(one for _, own in made for one in own),
        ports=(*guests, inner, outer), routers=(router,)), (), net.next())
    there = [Guest(net.lab, port) for port in guests]
    for each in there:
        await each.make()
        await net.lab.until("port", each.port.id, State.UP)
        assert f"ip={each.ip}" in await each.lease()
    await net.lab.until("router", router.id, State.UP)
    await net.lab.serve(there[1].namespace, 22)
    assert await there[0].reaches("172.30.0.51") and await there[2].reaches("172.30.0.51")
    assert await there[0].ask("172.30.0.51", 22) == "172.30.0.50"
    assert await there[2].ask("172.30.0.51", 22) == "ConnectionRefusedError", "who listens is in the other network"
    await net.lab.serve(there[3].namespace, 22)
    await net["c1"].exec("ip", "route", "replace", "172.30.0.0/24", "via", "10.0.0.253")
    assert await net["c1"].ask("172.30.0.51", 22) == "172.30.0.3"
    far = names.far_end(net.lab.host_name("h2"), made[0][0].id)
    tagged = await Program.start(net.lab.outside, "tag", far)
    assert await there[0].reaches("172.30.0.51")
    assert await tagged.line() == "7", "on their way to the other host"
    await tagged.stop()
    wanted, name = render(net.lab.engine.store.records()), net.lab.host_name("h1")
    await net.lab.agents[name].close()
    agent = await net.lab.start_agent("h1")
    assert (await agent.apply(Snapshot(seq=net.next(), slice=wanted[name]))).changes == ()


async def test_what_is_not_ours_is_left_alone(net: Cloud):
    host = net.lab.host_namespace("h1")
    await run("ip", "-n", host, "link", "add", "br-mine", "type", "bridge")
    await run("ip", "netns", "exec", host, "nft", "add", "table", "inet", "mine")
    await net.lab.engine.resync(net.lab.engine.store.records(), net.next())
    assert "br-mine" in await run("ip", "-n", host, "link")
    assert "table inet mine" in await run("ip", "netns", "exec", host, "nft", "list", "tables")
    await run("ip", "-n", host, "link", "del", "br-mine")
    await run("ip", "netns", "exec", host, "nft", "delete", "table", "inet", "mine")


async def test_removed_slices_leave_nothing(net: Cloud):
    records = net.lab.engine.store.records()
    kinds = ("routers", "floating_ips", "ports", "subnets", "networks", "security_groups")
    gone = [Gone(kind=kind, id=record.id) for kind in kinds for record in getattr(records, kind)]
    await net.lab.engine.apply(Records(), gone, net.next())
    spaces = await run("ip", "netns", "list")
    assert f"{net.lab.prefix}h1." not in spaces and f"{net.lab.prefix}h2." not in spaces
    for host in map(net.lab.host_namespace, net.lab.hosts):
        links = (await run("ip", "-n", host, "-br", "link")).split()
        assert not [word for word in links if word.startswith(("pb", "pv", "pr", "ps", "px"))]
        assert await run("ip", "netns", "exec", host, "nft", "list", "ruleset") == ""

    async def gateway_legs_are_gone() -> bool:
        return "pg" not in await run("ip", "-n", net.lab.outside, "-br", "link")

    await eventually(gateway_legs_are_gone, 10)
