"""Limits and marks of quality of service, shown by counting packets."""

import msgspec
import pytest

from pileus.network.engine.records import Limit, Qos, Records
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import run
from tests.dataplane.network.topology import identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def answers(net: Cloud, name: str, to: str, count: int, size: int) -> int:
    """How many of so many pings were answered, sent up to 500 in a second."""
    output = await net[name].exec("ping", "-q", "-n", "-c", str(count), "-i", "0.002", "-s", str(size), "-W", "1", to,
                                  check=False)
    return int(output.split(" received")[0].split()[-1])


async def obey(net: Cloud, name: str, qos: Qos | None) -> None:
    seq = net.next()
    port = msgspec.structs.replace(net[name].port, revision=100 + seq, qos=qos)
    await net.lab.engine.apply(Records(ports=(port,)), (), net.next())


@pytest.mark.parametrize("egress", [True, False])
async def test_bandwidth(net: Cloud, egress: bool):
    """The burst is 64 KiB, about 45 of these packets; after it come 25 kB in a second, about 17 of them."""
    assert await answers(net, "a3", "10.0.0.11", 300, 1400) > 290
    await obey(net, "a3", Qos(limits=(Limit(egress=egress, most=200_000),)))
    assert 40 <= await answers(net, "a3", "10.0.0.11", 300, 1400) < 200
    await obey(net, "a3", None)
    assert await answers(net, "a3", "10.0.0.11", 300, 1400) > 290


async def test_packets(net: Cloud):
    await obey(net, "a3", Qos(limits=(Limit(packets=True, most=20),)))
    assert 4 <= await answers(net, "a3", "10.0.0.11", 300, 10) < 200
    await obey(net, "a3", None)


async def test_marks(net: Cloud):
    inside = ("ip", "netns", "exec", net["a1"].namespace, "nft")
    rules = ("add table ip seen; add chain ip seen in { type filter hook input priority 0; }; "
             "add rule ip seen in ip saddr 10.0.0.13 ip dscp 46 counter")
    await run(*inside, rules)
    assert await net["a3"].reaches("10.0.0.11")
    assert "packets 0 " in await run(*inside, "list", "table", "ip", "seen")
    await obey(net, "a3", Qos(dscp=46))
    sent = await net["a3"].pings("10.0.0.11", 3)
    assert f"packets {sent} " in await run(*inside, "list", "table", "ip", "seen")
    await obey(net, "a3", None)
    assert await net["a3"].reaches("10.0.0.11")
    assert f"packets {sent} " in await run(*inside, "list", "table", "ip", "seen")
    await run(*inside, "delete", "table", "ip", "seen")


async def test_floating_ips(net: Cloud):
    floating = next(f for f in net.records.floating_ips if f.id == identity("floating a1"))
    assert await answers(net, "a1", "198.51.100.1", 300, 1400) > 290
    slow = msgspec.structs.replace(floating, revision=30, qos=Qos(limits=(Limit(most=200_000),)))
    await net.lab.engine.apply(Records(floating_ips=(slow,)), (), net.next())
    assert 40 <= await answers(net, "a1", "198.51.100.1", 300, 1400) < 200
    assert await answers(net, "a1", "10.0.1.11", 300, 1400) > 290, "inside it is as fast as before"
    await net.lab.engine.apply(Records(floating_ips=(msgspec.structs.replace(floating, revision=31),)), (), net.next())
    assert await answers(net, "a1", "198.51.100.1", 300, 1400) > 290


async def test_gateways(net: Cloud):
    """What is translated to the gateway's own address is limited; floating IPs and the inside are not."""
    router = next(one for one in net.records.routers if one.id == identity("r1"))
    slow = msgspec.structs.replace(router, revision=30, qos=Qos(limits=(Limit(most=200_000),)))
    await net.lab.engine.apply(Records(routers=(slow,)), (), net.next())
    assert 40 <= await answers(net, "a3", "198.51.100.1", 300, 1400) < 200
    assert await answers(net, "a1", "198.51.100.1", 300, 1400) > 290
    assert await answers(net, "a3", "10.0.1.11", 300, 1400) > 290
    await net.lab.engine.apply(Records(routers=(msgspec.structs.replace(router, revision=31),)), (), net.next())
