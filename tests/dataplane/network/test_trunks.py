"""Subports of trunks: a guest reaches another network through its one link, by VLAN tags."""

import msgspec
import pytest

from pileus.network.engine.linux import names
from pileus.network.engine.linux.links import Links
from pileus.network.engine.linux.steering import Steer, Steering
from pileus.network.engine.records import Gone, Port, Records, Snapshot, State, Under
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import batch
from tests.dataplane.network.topology import guest, identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


def subport(net: Cloud, vlan: int) -> Port:
    port = guest("sub", "b", "10.0.1.44", net.lab.host_name("h1"), ("default",))
    return msgspec.structs.replace(port, device_owner="trunk:subport", device_id="", revision=net.next(),
                                   under=Under(port_id=identity("port a3"), vlan=vlan))


async def vlan_link(net: Cloud, vlan: int, mac: str) -> None:
    """What a guest's VLAN link does, on kernels without any: a link `inner` whose frames leave eth0 tagged."""
    space = net["a3"].namespace
    await batch(f"link add inner address {mac} type veth peer name outer", "link set inner up", "link set outer up",
                "address add 10.0.1.44/24 dev inner", namespace=space)
    links, steering = Links(space), Steering(space)
    try:
        outer, eth0 = links.one("outer").index, links.one("eth0").index
        steering.add(Steer(link=eth0, vlan=vlan, to=outer))
        steering.add(Steer(link=outer, vlan=vlan, to=eth0, tags=True))
    finally:
        links.close()
        steering.close()


async def apply(net: Cloud, port: Port) -> None:
    await net.lab.engine.apply(Records(ports=(port,)), (), net.next())


async def test_a_subport_is_in_its_own_network(net: Cloud):
    port = subport(net, 5)
    await apply(net, port)
    await net.lab.until("port", port.id, State.UP)
    await vlan_link(net, 5, port.mac)
    assert await net["a3"].reaches("10.0.1.11"), "a guest of the subport's network on another host"
    assert await net["a3"].reaches("10.0.0.11"), "the parent's own network as before"
    assert await net["b1"].reaches("10.0.1.44")


async def test_its_frames_are_checked_as_any_others(net: Cloud):
    space = net["a3"].namespace
    await batch("address add 10.0.1.45/24 dev inner", namespace=space)
    assert await net["a3"].misses("10.0.1.11", source="10.0.1.45", alive="10.0.1.11")
    await batch("address delete 10.0.1.45/24 dev inner", namespace=space)


async def test_a_new_agent_changes_nothing(net: Cloud):
    host = net.lab.host_name("h1")
    before = net.lab.agents[host]
    assert before.slice is not None
    await before.close()
    agent = await net.lab.start_agent("h1")
    report = await agent.resync(Snapshot(seq=net.next(), slice=before.slice))
    assert report.changes == ()
    assert await net["a3"].reaches("10.0.1.11")


async def test_another_tag_is_another_network(net: Cloud):
    port = subport(net, 6)
    await apply(net, port)
    assert await net["a3"].misses("10.0.1.11", alive="10.0.0.11")
    await apply(net, subport(net, 5))
    assert await net["a3"].reaches("10.0.1.11")


async def test_it_goes_with_its_parents_tap_and_comes_again(net: Cloud):
    """What a hypervisor does that restarts its guest."""
    port = subport(net, 5)
    await apply(net, port)
    await net.lab.until("port", port.id, State.UP)
    await batch("link delete eth0", namespace=net["a3"].namespace)
    await net.lab.until("port", port.id, State.DOWN)
    await batch(
        f"link add eth0 address {net['a3'].port.mac} type veth peer name {net['a3'].tap} netns {net['a3'].host}",
        "link set eth0 up", namespace=net["a3"].namespace)
    await net.lab.until("port", port.id, State.UP)
    await batch("link delete inner", namespace=net["a3"].namespace)
    await vlan_link(net, 5, port.mac)
    assert await net["a3"].reaches("10.0.1.11")


async def test_taken_from_its_trunk_it_is_gone(net: Cloud):
    await net["a3"].lease()                 # its link is new
    await net.lab.engine.apply(Records(), (Gone(kind="ports", id=identity("port sub")),), net.next())
    assert await net["a3"].misses("10.0.1.11", alive="10.0.0.11")
    links, steering = Links(net["a3"].host), Steering(net["a3"].host)
    try:
        assert links.find(names.link(names.STEM, identity("port sub"))) is None
        assert links.find(names.link(names.TAP, identity("port sub"))) is None
        assert steering.present(links.one(net["a3"].tap).index) == set()
    finally:
        links.close()
        steering.close()
