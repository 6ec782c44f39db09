"""The records of the conformance cloud: two tenants with the same addresses, two routers, an outside."""

import uuid

import msgspec

from pileus.network.engine.records import (
    FixedIp,
    FloatingIp,
    Gateway,
    Host,
    HostRoute,
    Network,
    Port,
    Records,
    Router,
    Rule,
    SecurityGroup,
    Subnet,
)


def identity(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def mac(name: str) -> str:
    return "fa:16:3e:" + ":".join(uuid.uuid5(uuid.NAMESPACE_URL, name).hex[i:i + 2] for i in (0, 2, 4))


def network(name: str, vni: int, base: str, *extra: Subnet) -> tuple[Network, tuple[Subnet, ...]]:
    made = Network(id=identity(name), vni=vni)
    subnet = Subnet(
        id=identity("subnet " + name), network_id=made.id, cidr=f"{base}.0/24", gateway_ip=f"{base}.1",
        dhcp_server_ip=f"{base}.2", host_routes=(HostRoute(destination="192.168.77.0/24", nexthop=f"{base}.9"),))
    return made, (subnet, *extra)


def guest(name: str, net: str, ip: str, host: str, groups: tuple[str, ...]) -> Port:
    fixed = [FixedIp(subnet_id=identity("subnet " + net), ip=ip)]
    return Port(
        id=identity("port " + name), revision=1, network_id=identity(net), mac=mac(name), fixed_ips=tuple(fixed),
        security_group_ids=tuple(map(identity, groups)), host=host, device_id=identity("server " + name),
        device_owner="compute:nova", project_id="p1", hostname=name, dns_domain="cloud.test")


def leg(router: str, net: str, ip: str) -> Port:
    return Port(
        id=identity(f"leg {router} {net}"), revision=1, network_id=identity(net), mac=mac(f"leg {router} {net}"),
        fixed_ips=(FixedIp(subnet_id=identity("subnet " + net), ip=ip),), device_owner="network:router_interface",
        device_id=identity(router))


def gateway(router: str, ip: str) -> tuple[Port, Gateway]:
    fixed = (FixedIp(subnet_id=identity("subnet public"), ip=ip),)
    port = Port(
        id=identity(f"gateway {router}"), network_id=identity("public"), mac=mac(f"gateway {router}"),
        fixed_ips=fixed, device_owner="network:router_gateway", device_id=identity(router))
    return port, Gateway(port_id=port.id, network_id=identity("public"), fixed_ips=fixed)


ANY = (Rule(direction="egress"), Rule(direction="egress", ethertype="IPv6"))


def default_group(name: str) -> SecurityGroup:
    own = identity(name)
    return SecurityGroup(id=own, rules=(
        *ANY, Rule(direction="ingress", remote_group_id=own),
        Rule(direction="ingress", ethertype="IPv6", remote_group_id=own)))


OPEN = SecurityGroup(id=identity("open"), revision=1, rules=(
    Rule(direction="ingress", protocol="icmp"),
    Rule(direction="ingress", protocol="tcp", port_min=22, port_max=22, remote_cidr="0.0.0.0/0")))
CLOSED = SecurityGroup(id=identity("open"), revision=2, rules=(Rule(direction="ingress", protocol="icmp"),))

GUESTS = {
    "a1": ("a", "10.0.0.11", "h1", ("default", "open")),
    "a2": ("a", "10.0.0.12", "h2", ("default", "open")),
    "a3": ("a", "10.0.0.13", "h1", ("default",)),
    "x1": ("a", "10.0.0.14", "h1", ("other",)),
    "b1": ("b", "10.0.1.11", "h2", ("default",)),
    "e1": ("public", "198.51.100.50", "h2", ("other", "open")),
    "c1": ("c", "10.0.0.11", "h1", ("default c",)),
    "c2": ("c", "10.0.0.12", "h2", ("default c",)),
}
SIX = Subnet(
    id=identity("subnet a6"), network_id=identity("a"), cidr="fd00:a::/64", ip_version=6, gateway_ip="fd00:a::1",
    ipv6_ra_mode="slaac", ipv6_address_mode="slaac")


def cloud(prefix: str, hosts: dict[str, str]) -> Records:
    """Both routers are on the first host."""
    made = [network("a", 101, "10.0.0", SIX), network("b", 102, "10.0.1"), network("c", 103, "10.0.0")]
    public = Network(id=identity("public"), physical="public", external=True, mtu=1500)
    outside = Subnet(
        id=identity("subnet public"), network_id=public.id, cidr="198.51.100.0/24", gateway_ip="198.51.100.1",
        enable_dhcp=False)
    guests = [guest(name, net, ip, prefix + host, groups) for name, (net, ip, host, groups) in GUESTS.items()]
    guests[0] = msgspec.structs.replace(guests[0], fixed_ips=(
        *guests[0].fixed_ips, FixedIp(subnet_id=SIX.id, ip=slaac("a1"))))
    legs = [leg("r1", "a", "10.0.0.1"), leg("r1", "b", "10.0.1.1"), leg("r2", "c", "10.0.0.1")]
    legs[0] = msgspec.structs.replace(legs[0], fixed_ips=(
        *legs[0].fixed_ips, FixedIp(subnet_id=SIX.id, ip="fd00:a::1")))
    (port1, gateway1), (port2, gateway2) = gateway("r1", "198.51.100.11"), gateway("r2", "198.51.100.12")
    routers = (
        Router(id=identity("r1"), revision=1, port_ids=(legs[0].id, legs[1].id), gateway=gateway1, host=prefix + "h1",
               routes=(HostRoute(destination="192.168.88.0/24", nexthop="10.0.1.11"),)),
        Router(id=identity("r2"), revision=1, port_ids=(legs[2].id,), gateway=gateway2, host=prefix + "h1"))
    floating = tuple(
        FloatingIp(id=identity("floating " + name), revision=1, floating_ip=address, fixed_ip=GUESTS[name][1],
                   router_id=identity("r1"), port_id=identity("port " + name))
        for name, address in (("a1", "198.51.100.111"), ("a2", "198.51.100.112")))
    return Records(
        networks=(*(net for net, _ in made), public),
        subnets=(*(subnet for _, subnets in made for subnet in subnets), outside),
        ports=(*guests, *legs, port1, port2), routers=routers, floating_ips=floating,
        security_groups=(default_group("default"), default_group("default c"), OPEN,
                         SecurityGroup(id=identity("other"), rules=ANY)),
        hosts=tuple(Host(name=prefix + host, underlay_ip=address) for host, address in hosts.items()))


def slaac(name: str) -> str:
    parts = bytes.fromhex(mac(name).replace(":", ""))
    tail = bytes((parts[0] ^ 2, *parts[1:3], 0xFF, 0xFE, *parts[3:])).hex()
    return "fd00:a::" + ":".join(tail[i:i + 4].lstrip("0") or "0" for i in (0, 4, 8, 12))
