"""Routers between address scopes: what passes, and as whom."""

import msgspec
import pytest

from pileus.network.engine.records import Records
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import batch
from tests.dataplane.network.topology import identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def scoped(net: Cloud, **scopes: str | None) -> None:
    wanted = {identity("subnet " + name): scope for name, scope in scopes.items()}
    subnets = tuple(msgspec.structs.replace(subnet, scope=wanted[subnet.id]) for subnet in net.records.subnets
                    if subnet.id in wanted)
    await net.lab.engine.apply(Records(subnets=subnets), (), net.next())


async def test_within_a_scope_nothing_is_translated(net: Cloud):
    await batch("route add 10.0.0.0/24 via 198.51.100.11", namespace=net.lab.outside)
    assert await net["a3"].ask("198.51.100.1", 7100) == "198.51.100.11"
    await scoped(net, a="s", public="s")
    assert await net["a3"].ask("198.51.100.1", 7100) == "10.0.0.13"
    assert await net["a1"].ask("198.51.100.1", 7100) == "198.51.100.111", "floating IPs stay as they are"
    assert await net["a3"].misses("10.0.1.11", alive="10.0.0.11"), "another scope's network is not reached"
    assert await net["b1"].ask("198.51.100.1", 7100) == "198.51.100.11", "from another scope it is translated"
    assert await net["b1"].ask("198.51.100.111", 22) == "198.51.100.11", "but its floating IPs are"


async def test_between_scopes_all_is_as_it_was_without(net: Cloud):
    await scoped(net, a="s", public="t")
    assert await net["a3"].ask("198.51.100.1", 7100) == "198.51.100.11"
    await scoped(net, a=None, public=None)
    assert await net["a3"].reaches("10.0.1.11")
    await batch("route delete 10.0.0.0/24 via 198.51.100.11", namespace=net.lab.outside)
