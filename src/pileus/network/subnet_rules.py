"""What a subnet must be like: ranges, gateways, address modes, routes; pure checks that raise what clients see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from pileus.network import faults
from pileus.network.addresses import AUTO_MODES, Net, Pool, canonical, check_pools, contains, network_of
from pileus.network.model.subnets import HostRoute

MODES = (*AUTO_MODES, "dhcpv6-stateful")


def network_for(cidr: str, ip_version: int) -> Net:
    net = network_of(cidr)
    if net is None:
        raise faults.InvalidInput(reason=f"'{cidr}' is not a valid IP subnet")
    if net.version != ip_version:
        raise faults.InvalidInput(reason=f"cidr '{cidr}' does not match the ip_version '{ip_version}'")
    if net.prefixlen == 0:
        raise faults.InvalidInput(reason="0 is not allowed as CIDR prefix length")
    if net.is_multicast or net.version == 4 and net.is_loopback:
        raise faults.InvalidInput(reason=f"Multicast and loopback subnets are not supported: {net}")
    return net


LEAST_MTU = {4: 68, 6: 1280}


def check_mtu(mtu: int, versions: Iterable[int]) -> None:
    """Packets of each version must fit."""
    for version in versions:
        if mtu < LEAST_MTU[version]:
            raise faults.MtuConflict(mtu=mtu, version=version)


def check_modes(net: Net, enable_dhcp: bool, ra_mode: str | None, address_mode: str | None) -> None:
    given = [mode for mode in (ra_mode, address_mode) if mode is not None]
    if not given:
        return
    if net.version == 4:
        raise faults.InvalidInput(reason="ipv6_ra_mode and ipv6_address_mode cannot be set when ip_version is 4")
    for mode in given:
        if mode not in MODES:
            raise faults.InvalidInput(reason=f"'{mode}' is not in {list(MODES)}")
    if not enable_dhcp:
        raise faults.InvalidInput(
            reason="ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    if len(set(given)) == 2:
        raise faults.InvalidInput(reason=f"ipv6_ra_mode set to '{ra_mode}' with ipv6_address_mode set to "
                                         f"'{address_mode}' is not valid. If both attributes are set, they must be "
                                         "the same value")
    if (address_mode or ra_mode) in AUTO_MODES and net.prefixlen != 64:
        raise faults.InvalidInput(reason=f"Invalid CIDR {net} for IPv6 address mode. OpenStack uses the EUI-64 "
                                         "address format, which requires the prefix to be /64")


def gateway_in(net: Net, gateway: str) -> str:
    """The gateway as it is usually written. It may be outside the subnet: such routes are on-link."""
    ip = canonical(gateway)
    if ip is None:
        raise faults.InvalidInput(reason=f"'{gateway}' is not a valid IP address")
    if (":" in ip) != (net.version == 6):
        raise faults.InvalidInput(reason=f"gateway_ip '{gateway}' does not match the ip_version '{net.version}'")
    edge = (str(net.network_address), str(net.broadcast_address)) if net.version == 4 and net.prefixlen < 31 else ()
    if ip in edge:
        raise faults.InvalidInput(reason="Gateway is not valid on subnet")
    return ip


def checked_pools(net: Net, pools: Sequence[Pool]) -> list[Pool]:
    wrong = check_pools(net, pools)
    if wrong is not None:
        kind, pool = wrong
        if kind == "invalid":
            raise faults.InvalidAllocationPool(pool=pool)
        if kind == "outside":
            raise faults.OutOfBoundsPool(pool=pool, cidr=net)
        raise faults.OverlappingPools(pools=pool, cidr=net)
    return [Pool(canonical(pool.start) or "", canonical(pool.end) or "") for pool in pools]


def check_gateway(pools: Sequence[Pool], gateway: str | None) -> None:
    if gateway is not None and (pool := contains(
            [p for p in pools if (":" in p.start) == (":" in gateway)], gateway)) is not None:
        raise faults.GatewayConflict(ip=gateway, pool=pool)


def name_servers(given: Sequence[str]) -> list[str]:
    found = [canonical(server) for server in given]
    if None in found:
        raise faults.InvalidInput(reason=f"'{given[found.index(None)]}' is not a valid nameserver")
    if len(set(found)) != len(found):
        raise faults.InvalidInput(reason=f"Duplicate nameserver '{', '.join(given)}'")
    return [server for server in found if server is not None]


def host_routes(given: Sequence[HostRoute], ip_version: int | None = None) -> list[HostRoute]:
    found = []
    for route in given:
        net, hop = network_of(route.destination), canonical(route.nexthop)
        if net is None or hop is None or (":" in hop) != (net.version == 6):
            raise faults.InvalidInput(reason=f"'{route.destination} via {route.nexthop}' is not a valid route")
        if ip_version is not None and net.version != ip_version:
            raise faults.InvalidInput(reason=f"route {net} is not of IP version {ip_version}")
        found.append(HostRoute(str(net), hop))
    if len(set(found)) != len(found):
        raise faults.InvalidInput(reason="Duplicate hostroute")
    return found


def check_overlap(net: Net, others: Sequence[str], network_id: str) -> None:
    for cidr in others:
        other = ip_network(cidr)
        if other.version == net.version and net.overlaps(other):  # type: ignore[arg-type]
            raise faults.InvalidInput(reason=f"Requested subnet with cidr: {net} for network: {network_id} overlaps "
                                             "with another subnet")
