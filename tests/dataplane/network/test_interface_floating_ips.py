"""Floating IPs of a network that a router has an interface on, instead of its gateway, shown by packets."""

import msgspec
import pytest

from pileus.network.engine.records import FloatingIp, Gone, Records, Rule
from pileus.network.explain import Asked, explain
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.topology import default_group, identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_floating_ip_at_an_interface(net: Cloud):
    """Router r1 joins networks a and b: an address of b leads to a guest on a."""
    floating = FloatingIp(
        id=identity("floating inside"), revision=1, floating_ip="10.0.1.77", network_id=identity("b"),
        fixed_ip=net["a3"].ip, router_id=identity("r1"), port_id=net["a3"].port.id)
    assert await net["b1"].misses("10.0.1.77", alive=net["a3"].ip)
    await net.lab.engine.apply(Records(floating_ips=(floating,)), (), net.next())
    assert await net["b1"].ask("10.0.1.77", 80) == "10.0.1.11", "who asks is not hidden"
    assert await net["b1"].reaches("10.0.1.77")
    told = explain(net.lab.engine.store.records(), Asked(
        port=net["b1"].port, destination="10.0.1.77", protocol="tcp", number=80))
    assert told.reaches and told.ports == [net["b1"].port.id, net["a3"].port.id], told
    opened = msgspec.structs.replace(default_group("default"), revision=30, rules=(
        *default_group("default").rules, Rule(direction="ingress", protocol="tcp", port_min=7200, port_max=7200)))
    await net.lab.engine.apply(Records(security_groups=(opened,)), (), net.next())
    await net.lab.serve(net["b1"].namespace, 7200)
    assert await net["a3"].ask(net["b1"].ip, 7200) == "10.0.1.77", "and the guest is seen by its floating IP"
    assert await net["x1"].ask(net["b1"].ip, 7200) == net["x1"].ip
    assert await net["a3"].ask("198.51.100.1", 7100) == "198.51.100.11", "the way out is as it was"
    await net.lab.engine.apply(Records(), (Gone(kind="floating_ips", id=floating.id),), net.next())
    assert await net["b1"].misses("10.0.1.77", alive=net["a3"].ip)
