"""What guests are told of addresses and more: extra DHCP options, DHCPv6 with and without addresses."""

import asyncio

import msgspec
import pytest

from pileus.network.engine.records import DhcpOption, FixedIp, Gone, Records, State, Subnet
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import Guest, Program
from tests.dataplane.network.topology import guest, identity, network

pytestmark = pytest.mark.asyncio(loop_scope="module")
STATEFUL = Subnet(
    id=identity("subnet d6"), network_id=identity("d"), cidr="fd00:d::/64", ip_version=6, gateway_ip="fd00:d::1",
    ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful", dns_nameservers=("fd00:d::53",))
STATELESS = Subnet(
    id=identity("subnet e6"), network_id=identity("e"), cidr="fd00:e::/64", ip_version=6, gateway_ip="fd00:e::1",
    ipv6_ra_mode="dhcpv6-stateless", ipv6_address_mode="dhcpv6-stateless", dns_nameservers=("fd00:e::53",))


async def test_a_ports_own_options_are_handed_out(net: Cloud):
    port = net["a3"].port
    extra = msgspec.structs.replace(port, revision=20, dhcp_options=(
        DhcpOption(name="bootfile-name", value="pxelinux.0"), DhcpOption(name="tftp-server", value="10.0.0.200"),
        DhcpOption(name="42", value="10.0.0.201,10.0.0.202"), DhcpOption(name="domain-name", value="own.test"),
        DhcpOption(name="53", value="9"), DhcpOption(name="nonsense", value="x")))
    await net.lab.engine.apply(Records(ports=(extra,)), (), net.next())
    lease = await net["a3"].lease()
    assert "tftp=10.0.0.200 bootfile=pxelinux.0 ntp=10.0.0.201 10.0.0.202" in lease and "domain=own.test" in lease
    await net.lab.engine.apply(Records(ports=(msgspec.structs.replace(port, revision=21),)), (), net.next())
    lease = await net["a3"].lease()
    assert "tftp= bootfile= ntp=" in lease and "domain=cloud.test" in lease


async def test_dhcp_for_six(net: Cloud):
    host = net.lab.host_name("h1")
    made = [network("d", 301, "10.0.4", STATEFUL), network("e", 302, "10.0.5", STATELESS)]
    ports = []
    for name, net_name, base, six, ip in (("d1", "d", "10.0.4.11", STATEFUL, "fd00:d::abc"),
                                          ("e1", "e", "10.0.5.11", STATELESS, "fd00:e::1234")):
        port = guest(f"six {name}", net_name, base, host, ("default",))
        ports.append(msgspec.structs.replace(
            port, fixed_ips=(*port.fixed_ips, FixedIp(subnet_id=six.id, ip=ip)),
            dhcp_options=(DhcpOption(name="bootfile-url", value="http://boot.test/", ip_version=6),)))
    records = Records(networks=tuple(one for one, _ in made), ports=tuple(ports),
                      subnets=tuple(subnet for _, own in made for subnet in own))
    await net.lab.engine.apply(records, (), net.next())
    guests = [Guest(net.lab, port) for port in ports]
    await asyncio.gather(*(one.make() for one in guests))
    for one in guests:
        await net.lab.until("port", one.port.id, State.UP)
        settled = await Program.start(one.namespace, "settled")
        await settled.stop()
    assert await guests[0].six("solicit") == "address=fd00:d::abc dns=fd00:d::53 boot=http://boot.test/"
    assert await guests[1].six("inform") == "address= dns=fd00:e::53 boot=http://boot.test/"
    assert await guests[1].six("solicit") == "address= dns=fd00:e::53 boot=http://boot.test/", "it makes its own"
    assert await net["a1"].six("inform", 2) == "silence", "neither its network nor its port has DHCPv6"
    gone = [Gone(kind=kind, id=one.id) for kind, them in (
        ("ports", records.ports), ("subnets", records.subnets), ("networks", records.networks)) for one in them]
    await net.lab.engine.apply(Records(), gone, net.next())
