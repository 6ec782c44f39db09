"""A router: its namespace's legs, addresses, routes and address translation."""

import asyncio
import hashlib
from collections.abc import Mapping
from ipaddress import ip_interface

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux import names, namespaces
from pileus.network.engine.linux.advertise import Advertiser
from pileus.network.engine.linux.announce import announce
from pileus.network.engine.linux.conntrack import Conntrack
from pileus.network.engine.linux.dhcp import METADATA
from pileus.network.engine.linux.followed import settle_followed
from pileus.network.engine.linux.links import Link, Links, Route
from pileus.network.engine.linux.metadata import Answer, Listener
from pileus.network.engine.linux.meters import settle_meters
from pileus.network.engine.linux.nft import Nft
from pileus.network.engine.linux.shaping import router_limits
from pileus.network.engine.linux.spaces import QUIET, askers, identity, settle_addresses, settle_link
from pileus.network.engine.linux.wiring import PhysicalBridge, clear_far_end, join_far_end
from pileus.network.engine.records import FloatingIp, GatewayLeg, NetworkSlice, RouterSlice

SETTINGS = {
    **QUIET,
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv6/conf/all/forwarding": "1",
}


def targets_of(router: RouterSlice) -> dict[tuple[str, int], str]:
    """Where a port of a floating IP leads; port 0 stands for all of one that is a single guest's."""
    found = {(floating.floating_ip, 0): floating.fixed_ip for floating in router.floating_ips if floating.fixed_ip}
    for floating in router.floating_ips:
        for forwarding in floating.forwardings:
            ports = range(forwarding.port, forwarding.last + 1)
            found.update(((floating.floating_ip, port), forwarding.ip) for port in ports)
    return found


def by_leg(router: RouterSlice) -> tuple[list[FloatingIp], dict[str, list[FloatingIp]]]:
    """The floating IPs at the router's gateway, and those at other legs of it, by the legs' names."""
    legs = {leg.network_id: names.link(names.LEG, leg.port_id) for leg in router.legs}
    if router.gateway is not None:
        legs.pop(router.gateway.network_id, None)
    apart: dict[str, list[FloatingIp]] = {}
    for floating in router.floating_ips:
        if floating.network_id in legs:
            apart.setdefault(legs[floating.network_id], []).append(floating)
    return [floating for floating in router.floating_ips if floating.network_id not in legs], apart


def _led(floating: list[FloatingIp]) -> list[tuple[str, str]]:
    return [(str(ip_interface(one.floating_ip).ip), str(ip_interface(one.fixed_ip).ip))
            for one in floating if one.fixed_ip is not None]


PORTED = ("tcp", "udp", "sctp", "dccp")


def compile_translation(router: RouterSlice) -> tuple[str, str]:
    """The router's nftables transaction and its generation."""
    outer, apart = by_leg(router)
    pairs = _led(outer)
    addresses = [str(ip_interface(a).ip) for a in (router.gateway.addresses if router.gateway else ())]
    own = next((address for address in addresses if ":" not in address), None)
    hairpin = 'ct status dnat iifname "qr-*" oifname "qr-*" snat to'
    after = ['oifname "qg-*" snat to ip saddr map @sources', f"{hairpin} ip saddr map @sources"]
    untranslated = [f'"{names.link(names.LEG, leg.port_id)}"' for leg in router.legs
                    if router.gateway is not None and leg.scope4 is not None and leg.scope4 == router.gateway.scope4]
    if untranslated:
        after.insert(1, f'oifname "qg-*" iifname {{ {", ".join(untranslated)} }} accept')
    for leg, floating in sorted(apart.items()):
        sources = ", ".join(f"{inside} : {outside}" for outside, inside in sorted(_led(floating)))
        after.insert(0, f'ct status dnat iifname "{leg}" accept')
        after += [f'oifname "{leg}" snat to ip saddr map {{ {sources} }}'] if sources else []
    if own is not None:
        after += [f'oifname "qg-*" snat to {own}'] if router.enable_snat else []
        after.append(f"{hairpin} {own}")
    every = pairs + [pair for floating in apart.values() for pair in _led(floating)]
    maps = _pairs("destinations", every) + _pairs("sources", [(fixed, floating) for floating, fixed in pairs])
    forwards = {protocol: _forwards(router, protocol) for protocol in PORTED}
    maps += "".join(_map(f"{protocol}_forwards", "ipv4_addr . inet_service : ipv4_addr . inet_service", elements)
                    for protocol, elements in forwards.items() if elements)
    led = "".join(f"    dnat ip addr . port to ip daddr . {protocol} dport map @{protocol}_forwards\n"
                  for protocol, elements in forwards.items() if elements)
    body = f"table ip {names.TABLE} {{\n{maps}"
    body += (
        "  chain before {\n    type nat hook prerouting priority dstnat; policy accept;\n"
        f"    dnat to ip daddr map @destinations\n{led}  }}\n"
        "  chain after {\n    type nat hook postrouting priority srcnat; policy accept;\n    "
        + "\n    ".join(after) + "\n  }\n"
        "  chain to_router {\n    type filter hook input priority filter; policy accept;\n"
        f'    iifname "qg-*" ip daddr {METADATA} drop\n  }}\n{router_limits(router)}}}\n')
    body += scope_walls(router) + proxy_wall(router)
    generation = "generation_" + hashlib.sha256(body.encode()).hexdigest()[:16]
    text = "".join(f"add table {family} {names.TABLE}\ndelete table {family} {names.TABLE}\n"
                   for family in ("ip", "inet")) + body
    return text + f"add chain ip {names.TABLE} {generation}\n", generation


def scope_walls(router: RouterSlice) -> str:
    """Between address scopes only what was translated passes: the same address may mean something else there."""
    gateway = [] if router.gateway is None else [router.gateway]
    lines = []
    for version in (4, 6):
        legs = [(names.link(names.LEG, leg.port_id), leg.scope4 if version == 4 else leg.scope6) for leg in router.legs]
        ends = legs + [(names.link(names.GATEWAY_LEG, leg.port_id), leg.scope4 if version == 4 else leg.scope6)
                       for leg in gateway]
        apart = [f'"{source}" . "{target}"' for source, one in ends for target, other in legs
                 if one != other and source != target]
        if apart:
            lines.append(f"    meta nfproto ipv{version} iifname . oifname {{ {', '.join(apart)} }} counter drop\n")
    if not lines:
        return ""
    return (f"table inet {names.TABLE} {{\n  chain scopes {{\n    type filter hook forward priority 5; policy accept;\n"
            f"    ct state established,related accept\n    ct status dnat accept\n{''.join(lines)}  }}\n}}\n")


def proxy_wall(router: RouterSlice) -> str:
    """Where the router answers for guests, only these are reached from outside."""
    if router.proxied is None:
        return ""
    let_in = f"    ip6 daddr {{ {', '.join(router.proxied)} }} accept\n" if router.proxied else ""
    return (f"table inet {names.TABLE} {{\n  chain proxied {{\n"
            "    type filter hook forward priority 6; policy accept;\n"
            f'    meta nfproto != ipv6 accept\n    iifname != "qg-*" accept\n'
            f"    ct state established,related accept\n{let_in}    counter drop\n  }}\n}}\n")


def _pairs(name: str, pairs: list[tuple[str, str]]) -> str:
    return _map(name, "ipv4_addr : ipv4_addr", [f"{key} : {value}" for key, value in sorted(pairs)])


def _map(name: str, kind: str, elements: list[str]) -> str:
    listed = f"    elements = {{ {', '.join(elements)} }}\n" if elements else ""
    return f"  map {name} {{\n    type {kind}\n{listed}  }}\n"


def _forwards(router: RouterSlice, protocol: str) -> list[str]:
    """One element per port, as the kernel's own ranges do not keep the order of ports."""
    return [
        f"{ip_interface(floating.floating_ip).ip} . {forwarding.port + i} : "
        f"{ip_interface(forwarding.ip).ip} . {forwarding.inside + i}"
        for floating in router.floating_ips for forwarding in floating.forwardings if forwarding.protocol == protocol
        for i in range(forwarding.last - forwarding.port + 1)]


class RouterSpace:
    """The router of one slice in its namespace; everything here is settled in a thread, as it is many small calls."""

    def __init__(self, host: str, router_id: str, answer: Answer | None):
        self.host, self.router_id, self.answer = host, router_id, answer
        self.namespace = names.namespace(host, "router", router_id)
        self.identity: tuple[int, int] | None = None
        self.listener: Listener | None = None
        self.advertiser: Advertiser | None = None

    def close(self) -> None:
        """A socket keeps its namespace alive, so this comes before the namespace's removal."""
        if self.listener is not None:
            self.listener.close()
        if self.advertiser is not None:
            self.advertiser.close()
        self.identity = self.listener = self.advertiser = None

    async def update(
        self, router: RouterSlice, networks: Mapping[str, NetworkSlice], physical: Mapping[str, PhysicalBridge],
        *, trusted: bool,
    ) -> list[str]:
        """Make it so; what had to be changed. `trusted`: it is as last time. Raises EngineFailed."""
        changes = []
        if not trusted or self.identity is None:
            changes = await asyncio.to_thread(self._settle, router, physical)
        if self.identity != identity(self.namespace):
            self.close()
            if self.answer is not None:
                self.listener = Listener(self.namespace, self.answer)
                await self.listener.start()
            self.advertiser = Advertiser(self.namespace)
            self.identity = identity(self.namespace)
        if self.listener is not None:
            attached = {leg.network_id for leg in router.legs}
            self.listener.neighbours = askers([network for i, network in networks.items() if i in attached])
        if self.advertiser is not None:
            self.advertiser.update(router.legs)
        return changes

    def _settle(self, router: RouterSlice, physical: Mapping[str, PhysicalBridge]) -> list[str]:
        namespaces.write_settings(self.namespace, SETTINGS)
        changes: list[str] = []
        if router.gateway is not None and router.gateway.physical is not None:
            changes += self._gateway_link(router.gateway, physical)
        links = Links(self.namespace)
        try:
            changes += self._legs(links, router)
            changes += self._routes(links, router)
        finally:
            links.close()
        changes += self._translation(router) + settle_meters(self.namespace, router)
        return changes + settle_followed(self.namespace, router)

    def _gateway_link(self, gateway: GatewayLeg, physical: Mapping[str, PhysicalBridge]) -> list[str]:
        place = physical.get(gateway.physical or "")
        if place is None:
            raise EngineFailed(f"host {self.host} has no bridge of physical network {gateway.physical}")
        far, near = names.link(names.GATEWAY, gateway.port_id), names.link(names.GATEWAY_LEG, gateway.port_id)
        links = Links(self.namespace)
        try:
            changes = []
            if links.find(near) is None:
                clear_far_end(place, far)
                links.add_veth(near, gateway.mtu, far, place.namespace)
                changes.append(f"link {near} added")
        finally:
            links.close()
        if join_far_end(place, far):
            changes.append(f"link {far} joined to {place.bridge}")
        return changes

    def _legs(self, links: Links, router: RouterSlice) -> list[str]:
        changes: list[str] = []
        present = links.links()
        wanted = {names.link(names.LEG, leg.port_id) for leg in router.legs}
        if router.gateway is not None:
            wanted.add(names.link(names.GATEWAY_LEG, router.gateway.port_id))
        for name, link in present.items():
            if name.startswith((names.LEG, names.GATEWAY_LEG)) and name not in wanted:
                links.delete(link.index)
                changes.append(f"link {name} removed")
        if not present["lo"].up:
            links.set_up(present["lo"].index)
        apart = by_leg(router)[1]
        link, done = self._loopback(links, present["lo"])
        changes += done
        for leg in router.legs:
            name = names.link(names.LEG, leg.port_id)
            if name in present:
                link, done = settle_link(links, name, leg.mac, leg.mtu)
                wanted_here = {*leg.addresses, *(f"{one.floating_ip}/32" for one in apart.get(name, ()))}
                changes += done + settle_addresses(links, link, wanted_here)
        if router.gateway is not None:
            changes += self._gateway(links, router, router.gateway)
        return changes

    def _loopback(self, links: Links, link: Link) -> tuple[Link, list[str]]:
        """The metadata address, for networks whose guests reach it through their router."""
        if f"{METADATA}/32" in links.addresses(link.index):
            return link, []
        links.add_address(link.index, f"{METADATA}/32")
        return link, [f"address {METADATA} of {link.name} added"]

    def _gateway(self, links: Links, router: RouterSlice, gateway: GatewayLeg) -> list[str]:
        name = names.link(names.GATEWAY_LEG, gateway.port_id)
        link, changes = settle_link(links, name, gateway.mac, gateway.mtu)
        floating = [f"{floating.floating_ip}/32" for floating in by_leg(router)[0]]
        before = links.addresses(link.index)
        wanted = {*gateway.addresses, *floating}
        changes += settle_addresses(links, link, wanted)
        changes += self._proxied(links, link, router.proxied)
        fresh = sorted(wanted - before)
        if fresh or changes:
            announce(self.namespace, name, gateway.mac, [a.split("/")[0] for a in fresh or wanted if ":" not in a])
        return changes

    def _proxied(self, links: Links, link: Link, wanted: tuple[str, ...] | None) -> list[str]:
        if wanted is not None:
            namespaces.write_settings(self.namespace, {f"ipv6/conf/{link.name}/proxy_ndp": "1",
                                                       f"ipv6/neigh/{link.name}/proxy_delay": "0"})
        there, changes = links.proxied(link.index), []
        for ip in sorted(there - set(wanted or ())):
            links.delete_proxied(link.index, ip)
            changes.append(f"{ip} answered for no more")
        for ip in sorted(set(wanted or ()) - there):
            links.add_proxied(link.index, ip)
            changes.append(f"{ip} answered for")
        return changes

    def _routes(self, links: Links, router: RouterSlice) -> list[str]:
        wanted = {Route(route.destination, route.nexthop) for route in router.routes}
        if router.gateway is not None:
            wanted |= {Route("::/0" if ":" in hop else "0.0.0.0/0", hop) for hop in router.gateway.nexthops}
        actual, changes = links.routes(), []
        for route in sorted(actual - wanted, key=str):
            links.delete_route(route)
            changes.append(f"{route} removed")
        for route in sorted(wanted - actual, key=str):
            links.add_route(route)
            changes.append(f"{route} added")
        return changes

    def _translation(self, router: RouterSlice) -> list[str]:
        text, generation = compile_translation(router)
        nft = Nft(self.namespace)
        try:
            if generation in nft.chains("ip", names.TABLE):
                return []
            nft.run(text)
        finally:
            nft.close()
        conntrack = Conntrack(self.namespace)
        try:
            own = {a.split("/")[0] for a in (router.gateway.addresses if router.gateway else ())}
            conntrack.cut_translations(targets_of(router), own)
        finally:
            conntrack.close()
        return [f"address translation of router {self.router_id} replaced"]
