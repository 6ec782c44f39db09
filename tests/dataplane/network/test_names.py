"""Guests ask the DNS server of their network, by UDP and TCP, about each other and about the rest of the world."""

import asyncio
import struct

import msgspec
import pytest

from pileus.network.engine.records import Records
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.topology import identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Elsewhere(asyncio.DatagramProtocol):
    """A name server that says of every name that it is at 192.0.2.99."""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr) -> None:
        end = data.index(b"\0", 12) + 5
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + bytes([192, 0, 2, 99])
        self.transport.sendto(data[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + data[12:end] + record, addr)


async def look_up(net: Cloud, guest: str, name: str, *how: str) -> str:
    return await net[guest].exec("dig", "+short", "+time=2", "+tries=6", "@10.0.0.2", *how, name, check=False)


async def test_names_of_the_network(net: Cloud):
    network = next(one for one in net.records.networks if one.id == identity("a"))
    ports = {port.id: port for port in net.records.ports}
    named = [msgspec.structs.replace(ports[identity("port " + name)], dns_name=name, revision=50)
             for name in ("a1", "a2")]
    await net.lab.engine.apply(Records(
        networks=(msgspec.structs.replace(network, dns_domains=("corp.test", "cloud.internal"), revision=50),),
        ports=tuple(named)), (), net.next())
    for how in ("+noedns", "+edns", "+tcp"):
        assert await look_up(net, "a3", "a2.corp.test", how) == "10.0.0.12\n", how
    assert await look_up(net, "a3", "a1", "-t", "AAAA") == f"{net.guests['a1'].port.fixed_ips[1].ip}\n"
    assert await look_up(net, "a2", "10.0.0.11", "-x") == "a1.cloud.test.\n"
    assert "dns=10.0.0.2" in await net["a3"].lease()
    assert await look_up(net, "c1", "a2") == "", "another tenant's server at the same address"


async def test_the_rest_is_asked_of_others(net: Cloud):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Elsewhere, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    agent = net.lab.agents[net.lab.host_name("h1")]
    agent.settings = msgspec.structs.replace(agent.settings, resolvers=(f"127.0.0.1#{port}",))
    await agent.resync()
    assert await look_up(net, "a3", "www.example.org") == "192.0.2.99\n"
    assert await look_up(net, "a3", "nobody.corp.test") == "", "what is ours is asked of nobody"
    transport.close()
    agent.settings = msgspec.structs.replace(agent.settings, resolvers=("127.0.0.1#1",))
    await agent.resync()
    refused = await net["a3"].exec("dig", "+time=2", "+tries=6", "@10.0.0.2", "www.example.org", check=False)
    assert "SERVFAIL" in refused
