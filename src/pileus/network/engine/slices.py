"""Turns all records of a cloud into one document per host; pure, and equal for equal input."""

from collections import defaultdict
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import msgspec

from pileus.network.engine.records import (
    Gateway,
    GatewayLeg,
    GroupSlice,
    Leg,
    LocalIp,
    Neighbour,
    Network,
    NetworkSlice,
    Port,
    Records,
    Router,
    RouterSlice,
    SecurityGroup,
    Slice,
    Subnet,
)

ROUTER_OWNERS = ("network:router_interface", "network:router_gateway", "network:floatingip", "network:dhcp")


class _Index:
    """The records by what they are looked up by."""

    def __init__(self, records: Records):
        self.networks = {network.id: network for network in records.networks}
        self.subnets = {subnet.id: subnet for subnet in records.subnets}
        self.ports = {port.id: port for port in records.ports}
        self.groups = {group.id: group for group in records.security_groups}
        self.hosts = {host.name: host for host in records.hosts}
        self.subnets_of: dict[str, list[Subnet]] = defaultdict(list)
        for subnet in sorted(records.subnets, key=lambda subnet: subnet.id):
            self.subnets_of[subnet.network_id].append(subnet)
        self.router_host: dict[str, str] = {}
        self.router_ports: set[str] = set()
        self.routers_at: dict[str, list[Router]] = defaultdict(list)
        for router in sorted(records.routers, key=lambda router: router.id):
            self.router_ports.update(router.port_ids)
            self.router_ports.update(way.port_id for way in router.gateways)
            if router.host is not None and router.host in self.hosts and router.admin_up:
                self.routers_at[router.host].append(router)
                every = (*router.port_ids, *(way.port_id for way in router.gateways))
                self.router_host.update((port_id, router.host) for port_id in every)
        self.floating_of = defaultdict(list)
        for floating in sorted(records.floating_ips, key=lambda floating: floating.id):
            if floating.router_id is not None and (floating.fixed_ip is not None or floating.forwardings):
                self.floating_of[floating.router_id].append(floating)
        self.local_ips = sorted(records.local_ips, key=lambda one: (one.ip, one.port_id))
        self.meters = sorted(records.meters, key=lambda meter: meter.id)
        self.guests_at: dict[str, list[Port]] = defaultdict(list)
        self.members: dict[str, set[str]] = defaultdict(set)
        self.ports_of: dict[str, list[Port]] = defaultdict(list)
        for port in sorted(records.ports, key=lambda port: port.id):
            self.ports_of[port.network_id].append(port)
            if self.is_guest(port) and port.host in self.hosts and port.network_id in self.networks:
                self.guests_at[port.host].append(port)
            for group_id in port.security_group_ids:
                self.members[group_id].update(fixed.ip for fixed in port.fixed_ips)
                self.members[group_id].update(pair.ip for pair in port.allowed_address_pairs)

    def is_guest(self, port: Port) -> bool:
        return port.host is not None and port.id not in self.router_ports and port.device_owner not in ROUTER_OWNERS

    def host_of(self, port: Port) -> str | None:
        return self.router_host.get(port.id) or (port.host if self.is_guest(port) else None)

    def networks_at(self, host: str) -> set[str]:
        wanted = {port.network_id for port in self.guests_at[host]}
        for router in self.routers_at[host]:
            wanted.update(self.ports[i].network_id for i in router.port_ids if i in self.ports)
            wanted.update(way.network_id for way in router.gateways if self.has_overlay(way.network_id))
        return {network_id for network_id in wanted if network_id in self.networks}

    def has_overlay(self, network_id: str) -> bool:
        """Whether hosts have a bridge of their own for it; else routers are at the physical network's."""
        network = self.networks.get(network_id)
        return network is not None and (network.physical is None or network.vlan is not None)


def render(records: Records) -> dict[str, Slice]:
    """One slice for every host that there is, also for those with nothing to do."""
    index = _Index(records)
    places = {host: index.networks_at(host) for host in index.hosts}
    hosts_of: dict[str, set[str]] = defaultdict(set)
    for host, network_ids in places.items():
        for network_id in network_ids:
            hosts_of[network_id].add(host)
    return {host: _slice(index, host, places[host], hosts_of) for host in sorted(index.hosts)}


def _slice(index: _Index, host: str, network_ids: set[str], hosts_of: dict[str, set[str]]) -> Slice:
    guests = tuple(index.guests_at[host])
    return Slice(
        host=host,
        underlay_ip=index.hosts[host].underlay_ip,
        networks=tuple(_network(index, host, index.networks[i], hosts_of[i]) for i in sorted(network_ids)),
        ports=guests,
        routers=tuple(_router(index, router) for router in index.routers_at[host]),
        groups=_groups(index, guests),
    )


def _network(index: _Index, host: str, network: Network, hosts: set[str]) -> NetworkSlice:
    neighbours = []
    for port in index.ports_of[network.id]:
        place = index.host_of(port)
        if place is None or place not in index.hosts:
            continue
        neighbours.append(Neighbour(
            port_id=port.id,
            mac=port.mac,
            ips=tuple(fixed.ip for fixed in port.fixed_ips),
            underlay_ip=None if place == host else index.hosts[place].underlay_ip,
            device_id=port.device_id,
            project_id=port.project_id,
            dns_name=port.dns_name,
            dns_domain=port.dns_domain,
        ))
    subnets = index.subnets_of[network.id]
    if host in network.without_dhcp:
        subnets = [msgspec.structs.replace(subnet, enable_dhcp=False) for subnet in subnets]
    return NetworkSlice(
        network=msgspec.structs.replace(network, without_dhcp=()) if network.without_dhcp else network,
        subnets=tuple(subnets),
        peers=tuple(sorted(index.hosts[other].underlay_ip for other in hosts if other != host)),
        neighbours=tuple(neighbours),
        local_ips=_local_ips(index, host, network),
    )


def _local_ips(index: _Index, host: str, network: Network) -> tuple[LocalIp, ...]:
    """Each address once: where several ports here stand for it, the first of them does."""
    found: dict[str, LocalIp] = {}
    for one in index.local_ips:
        port = index.ports.get(one.port_id)
        if one.network_id == network.id and port is not None and index.is_guest(port) and port.host == host:
            found.setdefault(one.ip, one)
    return tuple(found.values())


def _router(index: _Index, router: Router) -> RouterSlice:
    ways = [leg for way in router.gateways if (leg := _gateway(index, way)) is not None]
    return RouterSlice(
        id=router.id,
        revision=router.revision,
        legs=tuple(_leg(index, index.ports[i]) for i in sorted(router.port_ids) if i in index.ports),
        gateway=ways[0] if ways else None,
        enable_snat=router.enable_snat,
        routes=tuple(sorted(router.routes, key=lambda route: (route.destination, route.nexthop))),
        floating_ips=tuple(index.floating_of[router.id]),
        meters=tuple(meter for meter in index.meters if meter.project_id in (None, router.project_id)),
        qos=router.qos,
        proxied=router.proxied,
        followed=router.followed,
        further=tuple(ways[1:]),
        ecmp=router.ecmp,
        watched=router.watched,
    )


def _leg(index: _Index, port: Port) -> Leg:
    network = index.networks.get(port.network_id)
    subnets = [index.subnets[fixed.subnet_id] for fixed in port.fixed_ips if fixed.subnet_id in index.subnets]
    six = [subnet for subnet in subnets if subnet.ip_version == 6 and subnet.ipv6_ra_mode]
    return Leg(
        port_id=port.id,
        revision=port.revision,
        network_id=port.network_id,
        mac=port.mac,
        addresses=_with_prefix(index, ((fixed.subnet_id, fixed.ip) for fixed in port.fixed_ips)),
        mtu=network.mtu if network is not None else 1450,
        advertised=tuple(sorted(subnet.cidr for subnet in six)),
        managed=any(subnet.ipv6_ra_mode == "dhcpv6-stateful" for subnet in six),
        other=any(subnet.ipv6_ra_mode == "dhcpv6-stateless" for subnet in six),
        scope4=_scope(subnets, 4),
        scope6=_scope(subnets, 6),
    )


def _scope(subnets: Iterable[Subnet], version: int) -> str | None:
    """Subnets of one version on one network are all of one scope."""
    return next((subnet.scope for subnet in subnets if subnet.ip_version == version), None)


def _gateway(index: _Index, gateway: Gateway) -> GatewayLeg | None:
    network, port = index.networks.get(gateway.network_id), index.ports.get(gateway.port_id)
    if network is None or port is None:
        return None
    subnets = [index.subnets[fixed.subnet_id] for fixed in gateway.fixed_ips if fixed.subnet_id in index.subnets]
    nexthops = [subnet.gateway_ip for subnet in subnets]
    return GatewayLeg(
        port_id=gateway.port_id,
        revision=port.revision,
        mac=port.mac,
        addresses=_with_prefix(index, ((fixed.subnet_id, fixed.ip) for fixed in gateway.fixed_ips)),
        nexthops=tuple(sorted(nexthop for nexthop in nexthops if nexthop is not None)),
        mtu=network.mtu,
        physical=network.physical if network.vlan is None else None,
        network_id=network.id,
        scope4=_scope(subnets, 4),
        scope6=_scope(subnets, 6),
    )


def _with_prefix(index: _Index, fixed_ips: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(
        f"{ip}/{ip_network(index.subnets[subnet_id].cidr).prefixlen}"
        for subnet_id, ip in fixed_ips if subnet_id in index.subnets
    )


def _groups(index: _Index, guests: tuple[Port, ...]) -> tuple[GroupSlice, ...]:
    used = {i for port in guests if port.port_security for i in port.security_group_ids if i in index.groups}
    remote = {rule.remote_group_id for i in used for rule in index.groups[i].rules if rule.remote_group_id}
    return tuple(
        _group(index, index.groups.get(i) or SecurityGroup(id=i), i in used, i in remote) for i in sorted(used | remote)
    )


def _group(index: _Index, group: SecurityGroup, used: bool, remote: bool) -> GroupSlice:
    return GroupSlice(
        id=group.id,
        rules=group.rules if used else (),
        stateful=group.stateful,
        members=tuple(sorted({*index.members[group.id], *group.addresses}, key=_address_order)) if remote else (),
    )


def _address_order(address: str) -> tuple[int, int, str]:
    network = ip_address(address.partition("/")[0])
    return (network.version, int(network), address)
