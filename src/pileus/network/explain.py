"""Why can't A reach B? Walks a connection's way over the records and names what lets it pass or stops it; pure."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address, ip_network

import msgspec

from pileus.network.engine.filters import Flow, FlowCheck, protocol_number
from pileus.network.engine.records import (
    Gateway,
    GroupSlice,
    Port,
    Records,
    Router,
    SecurityGroup,
    Subnet,
)

EPHEMERAL = 40000            # stands for whatever port a client speaks from
ROUTER_OWNERS = ("network:router_interface", "network:router_gateway", "network:floatingip", "network:dhcp")


class Answer(msgspec.Struct, kw_only=True):
    """`steps` lead as far as the connection comes; `stopped` says what is in the way there, empty if nothing is.
    It `leaves` where it goes out of the cloud, beyond which nothing is known."""

    reaches: bool = False
    leaves: bool = False
    steps: list[str] = []
    ports: list[str] = []            # of guests, that the connection came to
    stopped: str = ""


class Stopped(Exception):
    """Says what is in the way."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A connection from a port to an address; of ICMP, an echo request."""

    port: Port
    destination: str
    protocol: str = "tcp"
    number: int | None = None


class Packet(msgspec.Struct, kw_only=True):
    """The first packet as it is at some place of its way; `translated`: its destination was another one before."""

    source: str
    destination: str
    number: int
    translated: bool = False
    routers: list[str] = []


def explain(records: Records, asked: Asked) -> Answer:
    answer = Answer()
    walk = _Walk(records, asked, answer.steps)
    try:
        walk.run()
    except Stopped as why:
        answer.stopped = str(why)
    else:
        answer.reaches, answer.leaves = not walk.left, walk.left
    answer.ports = walk.passed
    return answer


class _Walk:
    def __init__(self, records: Records, asked: Asked, steps: list[str]):
        self.records, self.asked, self.steps = records, asked, steps
        self.networks = {network.id: network for network in records.networks}
        self.subnets = {subnet.id: subnet for subnet in records.subnets}
        self.ports = {port.id: port for port in records.ports}
        self.check = FlowCheck(_groups(records))
        self.groups = {group.id: group for group in records.security_groups}
        self.version = ip_address(asked.destination).version
        self.protocol = protocol_number(asked.protocol, self.version) or 6
        self.has_ports = self.protocol not in (1, 58)
        self.left, self.passed = False, list[str]()

    def run(self) -> None:
        port, asked = self.asked.port, self.asked
        self._there(port, "source")
        fixed = [(self.subnets[f.subnet_id], f.ip) for f in port.fixed_ips if f.subnet_id in self.subnets]
        own = [(subnet, ip) for subnet, ip in fixed if subnet.ip_version == self.version]
        if not own:
            raise Stopped(f"port {port.id} has no IPv{self.version} address to speak from")
        near = next(((s, ip) for s, ip in own if _inside(asked.destination, s.cidr)), None)
        subnet, source = near or own[0]
        echo = 8 if self.protocol == 1 else 128
        packet = Packet(source=source, destination=asked.destination,
                        number=(asked.number or 0) if self.has_ports else echo)
        local = self._turned(port, packet)
        self._filter(port, packet, ingress=False)
        if local is not None:
            self._there(local, "destination")
            self._filter(local, packet, ingress=True)
            return
        if near is not None and (router := self._leads_in(port.network_id, packet)) is not None:
            self._route(router, packet, came_by=None)
            return
        if near is not None:
            self.steps.append(f"{packet.destination} is on the source's own subnet {subnet.cidr}: no router is asked")
            self._deliver(port.network_id, packet, None)
            return
        hop = _host_route(subnet, asked.destination) or subnet.gateway_ip
        if hop is None:
            raise Stopped(f"subnet {subnet.id} ({subnet.cidr}) has no gateway, so nothing leaves it")
        self._route(self._router_at(port.network_id, hop), packet, came_by=port.network_id)

    def _turned(self, port: Port, packet: Packet) -> Port | None:
        """The port on the same host that a local IP means; without pass-through, packets are for its own address."""
        for one in sorted(self.records.local_ips, key=lambda one: one.port_id):
            there = self.ports.get(one.port_id)
            if there is None or (one.network_id, one.ip, there.host) != (
                    port.network_id, packet.destination, port.host):
                continue
            if there.id == port.id:
                return None
            self.steps.append(f"local IP {one.ip} means port {there.id} on this host")
            packet.destination = packet.destination if one.passthrough else one.fixed_ip
            return there
        return None

    def _leads_in(self, network_id: str, packet: Packet) -> Router | None:
        """The router that has the address as a floating IP at its interface on the network."""
        named = {f.router_id for f in self.records.floating_ips
                 if (f.network_id, f.floating_ip) == (network_id, packet.destination)}
        return next((self._alive(router) for router in self.records.routers if router.id in named and any(
            self.ports[i].network_id == network_id for i in router.port_ids if i in self.ports)), None)

    # the ends

    def _there(self, port: Port, end: str) -> None:
        if port.host is None:
            raise Stopped(f"port {port.id} ({end}) is bound to no host: nothing is plugged there")
        if port.host not in {host.name for host in self.records.hosts}:
            raise Stopped(f"port {port.id} ({end}) is bound to host {port.host}, which has no network agent")
        if not port.admin_up:
            raise Stopped(f"port {port.id} ({end}) or its network is administratively down")
        self.passed.append(port.id)
        self.steps.append(f"port {port.id} ({end}) is on host {port.host}")

    def _filter(self, port: Port, packet: Packet, *, ingress: bool) -> None:
        way, end = ("ingress", "destination") if ingress else ("egress", "source")
        if not port.port_security:
            self.steps.append(f"port security is off at the {end}: nothing is filtered")
            return
        flow = Flow(protocol=self.protocol, source=packet.source, destination=packet.destination, port=packet.number)
        named = ", ".join(port.security_group_ids) or "none at all"
        remote = packet.source if ingress else packet.destination
        if not self.check.allows(port, flow, ingress=ingress):
            raise Stopped(f"no {way} rule of the {end}'s security groups ({named}) admits {self._what(packet)} "
                          f"{'from' if ingress else 'to'} {remote}")
        self.steps.append(f"an {way} rule of the {end}'s security groups admits it")
        mine = [self.groups[i] for i in port.security_group_ids if i in self.groups]
        if mine and not any(group.stateful for group in mine):
            back = Flow(protocol=self.protocol, source=packet.destination, destination=packet.source,
                        port=EPHEMERAL if self.has_ports else 0)
            if not self.check.allows(port, back, ingress=not ingress):
                raise Stopped(f"the {end}'s security groups are stateless, and no rule of theirs admits the answer")

    def _what(self, packet: Packet) -> str:
        return f"{self.asked.protocol} port {packet.number}" if self.has_ports else "an ICMP echo"

    def _deliver(self, network_id: str, packet: Packet, router: Router | None) -> None:
        holders = [port for port in self.records.ports if port.network_id == network_id and any(
            fixed.ip == packet.destination for fixed in port.fixed_ips)]
        if not holders:
            raise Stopped(f"no port of network {network_id} has address {packet.destination}")
        port = holders[0]
        if port.device_owner in ROUTER_OWNERS:
            if port.device_owner == "network:floatingip":
                raise Stopped(f"floating IP {packet.destination} leads to no port")
            self.steps.append(f"{packet.destination} is the cloud's own ({port.device_owner})")
            return
        self._there(port, "destination")
        self._filter(port, packet, ingress=True)
        if router is not None:
            self._back(port, packet, router)

    def _back(self, port: Port, packet: Packet, router: Router) -> None:
        """The answer must go back to the router that knows the connection."""
        fixed = next(f for f in port.fixed_ips if f.ip == packet.destination)
        subnet = self.subnets[fixed.subnet_id]
        if _inside(packet.source, subnet.cidr):
            if packet.routers and not packet.translated:
                return
            raise Stopped(f"the destination takes {packet.source} for a neighbour, so its answer never comes back")
        hop = _host_route(subnet, packet.source) or subnet.gateway_ip
        if hop is None:
            raise Stopped(f"the destination's subnet {subnet.id} has no gateway, so its answer goes nowhere")
        if self._router_at(port.network_id, hop).id != router.id:
            raise Stopped(f"the destination answers by {hop}, which is not router {router.id} that the packet came by")

    # routers

    def _router_at(self, network_id: str, address: str) -> Router:
        for router in self.records.routers:
            legs = [self.ports[i] for i in router.port_ids if i in self.ports]
            if any(leg.network_id == network_id and any(f.ip == address for f in leg.fixed_ips) for leg in legs):
                return self._alive(router)
        raise Stopped(f"nobody is gateway {address} of network {network_id}: no router has an interface there")

    def _alive(self, router: Router) -> Router:
        if not router.admin_up:
            raise Stopped(f"router {router.id} is administratively down")
        if not router.host:
            raise Stopped(f"router {router.id} is on no host")
        return router

    def _route(self, router: Router, packet: Packet, came_by: str | None) -> None:
        """`came_by` is the inner network; None from outside."""
        if router.id in packet.routers:
            raise Stopped(f"the packet comes to router {router.id} again: a loop")
        packet.routers.append(router.id)
        self.steps.append(f"router {router.id} takes it")
        self._translate_destination(router, packet)
        for leg in (self.ports[i] for i in router.port_ids if i in self.ports):
            for fixed in leg.fixed_ips:
                subnet = self.subnets.get(fixed.subnet_id)
                if subnet is not None and _inside(packet.destination, subnet.cidr):
                    if came_by is not None and packet.translated:
                        self._hide(router, packet)
                    self._deliver(leg.network_id, packet, router)
                    return
        route = _best(router, packet.destination)
        if route is not None:
            raise Stopped(f"a route of router {router.id} sends it to next hop {route}; what is behind is not known")
        way = self._way_out(router, packet)
        if way is None:
            raise Stopped(f"router {router.id} has no interface on a network of {packet.destination} and no gateway")
        if came_by is None:
            raise Stopped(f"router {router.id} was asked from outside and leads nowhere else")
        self._leave(router, way, packet)

    def _translate_destination(self, router: Router, packet: Packet) -> None:
        for floating in self.records.floating_ips:
            if floating.router_id != router.id or floating.floating_ip != packet.destination:
                continue
            if floating.fixed_ip is not None:
                packet.destination, packet.translated = floating.fixed_ip, True
                self.steps.append(f"floating IP {floating.floating_ip} leads to {floating.fixed_ip}")
                return
            for one in floating.forwardings:
                if self.has_ports and protocol_number(one.protocol, 4) == self.protocol and (
                        one.port <= packet.number <= one.last):
                    packet.destination, packet.translated = one.ip, True
                    packet.number += one.inside - one.port
                    self.steps.append(f"a port forwarding leads to {one.ip} port {packet.number}")
                    return
            raise Stopped(f"floating IP {floating.floating_ip} forwards {self._what(packet)} to nobody")

    def _way_out(self, router: Router, packet: Packet) -> Gateway | None:
        """The gateway on the destination's own network, or that where the source has its floating IP, or the first."""
        near = [way for way in router.gateways if any(
            s.network_id == way.network_id and _inside(packet.destination, s.cidr) for s in self.records.subnets)]
        return next(iter([*near, *self._floating_at(router, packet.source), *router.gateways]), None)

    def _floating_at(self, router: Router, source: str) -> list[Gateway]:
        named = {f.network_id for f in self.records.floating_ips if (f.router_id, f.fixed_ip) == (router.id, source)}
        return [way for way in router.gateways if way.network_id in named]

    def _hide(self, router: Router, packet: Packet, *, way: Gateway | None = None) -> None:
        """What the source becomes on its way out; without one, by which it came."""
        if self.version == 6:
            return
        by = way or router.gateway
        own = next((f.ip for f in by.fixed_ips if "." in f.ip), None) if by else None
        floating = next((f.floating_ip for f in self.records.floating_ips
                         if f.router_id == router.id and f.fixed_ip == packet.source
                         and (way is None or len(router.gateways) < 2 or f.network_id == way.network_id)), None)
        become = floating or (own if router.enable_snat or way is None else None)
        if become is not None:
            self.steps.append(f"{packet.source} becomes {become}")
            packet.source = become

    def _leave(self, router: Router, gateway: Gateway, packet: Packet) -> None:
        """Out to the external network, where another router, a port, or the world beyond is."""
        self._hide(router, packet, way=gateway)
        outside = [s for s in self.records.subnets
                   if s.network_id == gateway.network_id and s.ip_version == self.version]
        near = any(_inside(packet.destination, subnet.cidr) for subnet in outside)
        if not near and not any(subnet.gateway_ip for subnet in outside):
            raise Stopped(f"external network {gateway.network_id} has no IPv{self.version} gateway")
        if not near:
            self.left = True
            self.steps.append(f"it leaves the cloud by external network {gateway.network_id}")
            return
        for other in self.records.routers:
            if gateway.network_id not in {way.network_id for way in other.gateways}:
                continue
            floats = {f.floating_ip for f in self.records.floating_ips if f.router_id == other.id}
            if packet.destination in floats:
                self._route(self._alive(other), packet, came_by=None)
                return
        if not any(f.ip == packet.destination for port in self.records.ports for f in port.fixed_ips
                   if port.network_id == gateway.network_id):
            self.left = True
            self.steps.append(f"it is given to external network {gateway.network_id}; {packet.destination} is no "
                              "address the cloud has given out")
            return
        self._deliver(gateway.network_id, packet, None)


def _groups(records: Records) -> list[GroupSlice]:
    members: dict[str, set[str]] = defaultdict(set)
    for port in records.ports:
        for group_id in port.security_group_ids:
            members[group_id] |= {f.ip for f in port.fixed_ips} | {pair.ip for pair in port.allowed_address_pairs}
    return [_slice(group, members[group.id]) for group in records.security_groups]


def _slice(group: SecurityGroup, members: set[str]) -> GroupSlice:
    return GroupSlice(id=group.id, rules=group.rules, stateful=group.stateful,
                      members=tuple({*members, *group.addresses}))


def _inside(address: str, cidr: str) -> bool:
    return ip_address(address) in ip_network(cidr)


def _host_route(subnet: Subnet, destination: str) -> str | None:
    fitting = [route for route in subnet.host_routes if _inside(destination, route.destination)]
    return max(fitting, key=lambda r: ip_network(r.destination).prefixlen).nexthop if fitting else None


def _best(router: Router, destination: str) -> str | None:
    fitting = [route for route in router.routes if _inside(destination, route.destination)]
    return max(fitting, key=lambda r: ip_network(r.destination).prefixlen).nexthop if fitting else None
