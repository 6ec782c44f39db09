"""A router's address translation, and its walls between address scopes, as nftables rules."""

import hashlib
from collections.abc import Iterable
from ipaddress import ip_interface

from pileus.network.engine.linux import names
from pileus.network.engine.linux.dhcp import METADATA
from pileus.network.engine.linux.shaping import router_limits
from pileus.network.engine.records import FloatingIp, GatewayLeg, RouterSlice


def targets_of(router: RouterSlice) -> dict[tuple[str, int], str]:
    """Where a port of a floating IP leads; port 0 stands for all of one that is a single guest's."""
    found = {(floating.floating_ip, 0): floating.fixed_ip for floating in router.floating_ips if floating.fixed_ip}
    for floating in router.floating_ips:
        for forwarding in floating.forwardings:
            ports = range(forwarding.port, forwarding.last + 1)
            found.update(((floating.floating_ip, port), forwarding.ip) for port in ports)
    return found


def by_leg(router: RouterSlice) -> dict[str, list[FloatingIp]]:
    """The floating IPs by the link that they are at: a gateway, or else a leg inside."""
    ways = {leg.network_id: names.link(names.LEG, leg.port_id) for leg in router.legs}
    ways |= {way.network_id: names.link(names.GATEWAY_LEG, way.port_id) for way in reversed(router.gateways)}
    usual = ways[router.gateways[0].network_id] if router.gateways else ""
    found: dict[str, list[FloatingIp]] = {}
    for floating in router.floating_ips:
        found.setdefault(ways.get(floating.network_id, usual), []).append(floating)
    return found


def _led(floating: list[FloatingIp]) -> list[tuple[str, str]]:
    return [(str(ip_interface(one.floating_ip).ip), str(ip_interface(one.fixed_ip).ip))
            for one in floating if one.fixed_ip is not None]


PORTED = ("tcp", "udp", "sctp", "dccp")
HAIRPIN = 'ct status dnat iifname "qr-*" oifname "qr-*" snat to'


def compile_translation(router: RouterSlice) -> tuple[str, str]:
    """The router's nftables transaction and its generation."""
    at = {link: _led(floating) for link, floating in by_leg(router).items()}
    gateways = {names.link(names.GATEWAY_LEG, way.port_id): way for way in router.gateways}
    outer = [pair for link, pairs in at.items() if link in gateways or not link for pair in pairs]
    apart = {link: pairs for link, pairs in at.items() if link and link not in gateways}
    after: list[str] = [f'ct status dnat iifname "{link}" accept' for link in sorted(apart, reverse=True)]
    for link, way in gateways.items():
        after += _sources(link, at.get(link, ())) + _untranslated(router, link, way)
    after.append(f"{HAIRPIN} ip saddr map @sources")
    for link, pairs in sorted(apart.items()):
        after += _sources(link, pairs)
    own = {link: first for link, way in gateways.items() if (first := _first4(way)) is not None}
    if router.enable_snat:
        after += [f'oifname "{link}" snat to {address}' for link, address in own.items()]
    after += [f"{HAIRPIN} {address}" for address in list(own.values())[:1]]
    every = [pair for pairs in at.values() for pair in pairs]
    sources = {fixed: floating for floating, fixed in reversed(outer)}
    maps = _pairs("destinations", every) + _pairs("sources", list(sources.items()))
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


def _sources(link: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    listed = ", ".join(f"{inside} : {outside}" for outside, inside in sorted(pairs))
    return [f'oifname "{link}" snat to ip saddr map {{ {listed} }}'] if listed else []


def _untranslated(router: RouterSlice, link: str, way: GatewayLeg) -> list[str]:
    legs = [f'"{names.link(names.LEG, leg.port_id)}"' for leg in router.legs
            if leg.scope4 is not None and leg.scope4 == way.scope4]
    return [f'oifname "{link}" iifname {{ {", ".join(legs)} }} accept'] if legs else []


def _first4(way: GatewayLeg) -> str | None:
    return next((address.split("/")[0] for address in way.addresses if ":" not in address), None)


def scope_walls(router: RouterSlice) -> str:
    """Between address scopes only what was translated passes: the same address may mean something else there."""
    lines = []
    for version in (4, 6):
        legs = [(names.link(names.LEG, leg.port_id), leg.scope4 if version == 4 else leg.scope6) for leg in router.legs]
        ends = legs + [(names.link(names.GATEWAY_LEG, leg.port_id), leg.scope4 if version == 4 else leg.scope6)
                       for leg in router.gateways]
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
