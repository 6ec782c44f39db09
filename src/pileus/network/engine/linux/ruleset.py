"""Compiles a slice into one nftables transaction for its host: anti-spoofing, stateful filtering, tunnel protection."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Container, Iterable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

import msgspec

from pileus.network.engine.filters import WITH_PORTS, Match, collapsed, normal, plain, port_addresses
from pileus.network.engine.linux import names
from pileus.network.engine.linux.local_ips import local_ip_chains
from pileus.network.engine.linux.logged import LogLimit, dropping, log_chains, wants
from pileus.network.engine.linux.shaping import shaping
from pileus.network.engine.records import GroupSlice, Port, Slice

GUEST_MARK = 0x40000000   # tells the marks of guests' packets from marks that others on the host may use
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
# What most packets of a busy guest are, TCP from an address that is the guest's, is let through by one look.
BRIDGE_CHAINS = """
  chain six {
    icmpv6 type { nd-router-advert, nd-redirect } counter drop
    udp sport 547 udp dport 546 counter drop
    ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit } accept
    ip6 saddr :: icmpv6 type { mld-listener-report, mld2-listener-report } accept
    icmpv6 type nd-neighbor-advert iifname != @targets_any iifname . ether saddr . @th,64,128 != @targets counter drop
    meta mark set iifname . ether saddr . ip6 saddr map @sources6 accept
    iifname . ether saddr . ip6 saddr @ranges6 accept
    counter drop
  }
  chain four_udp {
    ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
    udp sport 67 udp dport 68 counter drop
  }
  chain four {
    ip protocol udp jump four_udp
    meta mark set iifname . ether saddr . ip saddr map @sources4 accept
    iifname . ether saddr . ip saddr @ranges4 accept
    counter drop
  }
  chain resolving {
    iifname . arp saddr ether != @macs counter drop
    arp saddr ip 0.0.0.0 accept
    meta mark set iifname . ether saddr . arp saddr ip map @sources4 accept
    iifname . ether saddr . arp saddr ip @ranges4 accept
    counter drop
  }
  chain guest {
    iifname @open accept
    iifname . ether saddr != @macs counter drop
    meta mark set iifname map @marks
    ether type vmap { ip : goto four, ip6 : goto six, arp : goto resolving }
    counter drop
  }
  chain from_guest {
    type filter hook prerouting priority -300; policy accept;
    meta mark set 0
    ether type ip ip protocol tcp meta mark set iifname . ether saddr . ip saddr map @sources4 accept
    ether type ip6 ip6 nexthdr tcp meta mark set iifname . ether saddr . ip6 saddr map @sources6 accept
    iifname @guests goto guest
    iifname "tap*" counter drop
  }
  chain to_guest {
    type filter hook forward priority -10; policy accept;
    meta mark set 0
    meta mark set oifname map @marks accept
    oifname @guests accept
    oifname "pv*" ether saddr @service_macs drop
    oifname "px*" ether saddr @service_macs drop
    oifname "tap*" counter drop
  }
  chain to_host {
    type filter hook input priority -300; policy accept;
    iifname { "tap*", "pv*", "pr*", "ps*", "px*" } drop
  }
"""
INET_CHAINS = """
  chain track_in {
    type filter hook prerouting priority raw; policy accept;
    udp dport 4789 notrack
    ct zone set iifname map @zones
  }
  chain track_out {
    type filter hook output priority raw; policy accept;
    udp dport 4789 notrack
  }
  chain tunnels {
    type filter hook input priority filter; policy accept;
    udp dport 4789 ip saddr != @peers4 counter drop
    udp dport 4789 ip6 saddr != @peers6 counter drop
  }
  chain always_out {
    udp sport 68 udp dport 67 accept
    udp sport 546 udp dport 547 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept
    icmpv6 type { mld-listener-report, mld2-listener-report } accept
  }
  chain always_in {
    udp sport 67 udp dport 68 accept
    udp sport 547 udp dport 546 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, mld-listener-query } accept
  }
  chain out_of_guest {
    type filter hook prerouting priority filter; policy accept;
    meta mark & 0x40000000 == 0 accept
    meta l4proto != tcp jump always_out
    meta mark vmap @outward
    counter drop
  }
  chain into_guest {
    type filter hook forward priority filter; policy accept;
    meta mark & 0x40000000 == 0 accept
    meta l4proto != tcp jump always_in
    meta mark vmap @inward
    counter drop
  }
"""
STATEFUL = """    ct state established,related ct mark 0 accept
    ct state { established, related, invalid } counter drop
"""


Elements = dict[str, list[str]]          # by the name of their set or map


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """`generation` names the text, `zones` are by network id, `refused` says which ports were left out, and why.

    The name is made of the `skeleton` (all but the elements of ports and members) and of the `total` of all elements,
    in which order does not matter: so that it is known after a change of a few elements, too.
    """

    text: str
    generation: str
    zones: dict[str, int]
    refused: dict[str, str]
    skeleton: str = ""
    total: int = 0
    logged: dict[int, Port] = {}


def compile_ruleset(wanted: Slice, limit: LogLimit | None = None) -> Ruleset:
    refused: dict[str, str] = {}
    ports = [port for port in wanted.ports if usable(port, refused)]
    zones = _numbers((network.network.id for network in wanted.networks), 65533)
    known, marks = {group.id for group in wanted.groups}, _marks(ports)
    logged = {marks[port.id]: port for port in ports if wants(port)}
    around = _Around(ports, zones, refused, logged, limit or LogLimit())
    elements: Elements = defaultdict(list)
    for port in ports:
        for name, element in port_elements(port, marks[port.id], known):
            elements[name].append(element)
    for group in wanted.groups:
        elements.update(member_elements(group))
    body = "\n".join((_bridge_table(wanted, elements), _inet_table(wanted, around, elements)))
    bare = "\n".join((_bridge_table(wanted, {}), _inet_table(wanted, around, {})))
    skeleton = hashlib.sha256(bare.encode()).hexdigest()
    total = sum(weight(name, element) for name, listed in elements.items() for element in listed) % WHOLE
    generation = generation_of(skeleton, total)
    text = "".join(f"add table {family} {names.TABLE}\ndelete table {family} {names.TABLE}\n" for family in FAMILIES)
    text += body + "".join(f"add chain {family} {names.TABLE} {generation}\n" for family in FAMILIES)
    return Ruleset(text=text, generation=generation, zones=zones, refused=refused, skeleton=skeleton, total=total,
                   logged=logged)


WHOLE = 1 << 64


def weight(name: str, element: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{name} {element}".encode(), digest_size=8).digest(), "big")


def generation_of(skeleton: str, total: int) -> str:
    return "generation_" + hashlib.sha256(f"{skeleton} {total}".encode()).hexdigest()[:16]


def port_elements(port: Port, mark: int, known: Container[str]) -> list[tuple[str, str]]:
    """What one port puts into which set; `known` are the groups that the host has."""
    tap = f'"{names.link(names.TAP, port.id)}"'
    found = [("guests", tap)]
    if not port.port_security:
        return [*found, ("open", tap)]
    pairs = port_addresses(port)
    found += [("macs", f"{tap} . {mac}") for mac in sorted({mac for mac, _ in pairs})]
    ranges: dict[int, list[str]] = {4: [], 6: []}
    for mac, address in pairs:
        version = 6 if ":" in address else 4
        element = f"{tap} . {mac} . {address}"
        if "/" in address:
            ranges[version].append(element)
        else:
            found.append((f"sources{version}", f"{element} : {mark:#x}"))
            if version == 6:
                found.append(("targets", f"{tap} . {mac} . {int(IPv6Address(address)):#034x}"))
    found += [(f"ranges{version}", element) for version in (4, 6) for element in _disjoint(ranges[version])]
    if ranges[6]:
        found.append(("targets_any", tap))
    chain = combination_name(combination_of(port.security_group_ids, known))
    return [*found, ("marks", f"{tap} : {mark:#x}"), ("outward", f"{mark:#x} : goto {chain}_out"),
            ("inward", f"{mark:#x} : goto {chain}_in")]


def combination_of(group_ids: Iterable[str], known: Container[str]) -> tuple[str, ...]:
    return tuple(sorted(i for i in group_ids if i in known))


def combination_name(key: tuple[str, ...]) -> str:
    return "c_" + hashlib.sha256(" ".join(key).encode()).hexdigest()[:12]


FAMILIES = ("bridge", "inet")
REMOVAL = "".join(f"add table {family} {names.TABLE}\ndelete table {family} {names.TABLE}\n" for family in FAMILIES)


def usable(port: Port, refused: dict[str, str]) -> bool:
    """A port with an address that cannot be read is left out, which leaves it without any traffic."""
    try:
        pairs = port_addresses(port)
    except ValueError as error:
        refused[port.id] = str(error)
        return False
    if not all(MAC.fullmatch(mac) for mac, _ in pairs):
        refused[port.id] = "not a MAC address"
        return False
    return True


def _number(record_id: str, limit: int) -> int:
    return int.from_bytes(hashlib.sha256(record_id.encode()).digest()[:4], "big") % limit + 1


def _numbers(ids: Iterable[str], limit: int) -> dict[str, int]:
    """Numbers from 1 that stay the same for an id whatever others come and go, but for rare collisions."""
    taken: dict[int, str] = {}
    for record_id in sorted(ids):
        number = _number(record_id, limit)
        while number in taken:
            number = number % limit + 1
        taken[number] = record_id
    return {record_id: number for number, record_id in taken.items()}


@lru_cache(maxsize=65536)
def _own_mark(port_id: str) -> int:
    return GUEST_MARK | _number(port_id, GUEST_MARK - 2)


def mark_of(port: Port) -> int:
    """Its mark as long as no other port's number is the same."""
    return _own_mark(port.id)


def _marks(ports: list[Port]) -> dict[str, int]:
    return {port_id: GUEST_MARK | number for port_id, number in _numbers((p.id for p in ports), GUEST_MARK - 2).items()}


def _collection(kind: str, name: str, type_text: str, elements: Iterable[str], *, intervals: bool = False) -> str:
    listed = ",\n      ".join(elements)
    flags = "    flags interval\n" if intervals else ""
    body = f"    elements = {{ {listed} }}\n" if listed else ""
    return f"  {kind} {name} {{\n    {type_text}\n{flags}{body}  }}\n"


def _bridge_table(wanted: Slice, elements: Elements) -> str:
    four, six = "type ifname . ether_addr . ipv4_addr", "type ifname . ether_addr . ipv6_addr"
    service_macs = [names.service_mac(network.network.id) for network in wanted.networks]

    def filled(kind: str, name: str, type_text: str, *, intervals: bool = False) -> str:
        return _collection(kind, name, type_text, elements.get(name, ()), intervals=intervals)
    return "".join((
        f"table bridge {names.TABLE} {{\n",
        filled("set", "guests", "type ifname"),
        filled("set", "open", "type ifname"),
        filled("set", "macs", "type ifname . ether_addr"),
        filled("map", "sources4", f"{four} : mark"),
        filled("set", "ranges4", four, intervals=True),
        filled("map", "sources6", f"{six} : mark"),
        filled("set", "ranges6", six, intervals=True),
        filled("set", "targets", "typeof iifname . ether saddr . @th,64,128"),
        filled("set", "targets_any", "type ifname"),
        _collection("set", "service_macs", "type ether_addr", sorted(set(service_macs))),
        filled("map", "marks", "type ifname : mark"),
        BRIDGE_CHAINS, local_ip_chains(wanted), shaping([port for port in wanted.ports if port.qos is not None]), "}\n",
    ))


def _disjoint(elements: list[str]) -> list[str]:
    """Ranges of one port and MAC that lie in each other are joined, as a set with intervals refuses overlaps."""
    by_owner: dict[str, list[str]] = {}
    for element in elements:
        owner, address = element.rsplit(" . ", 1)
        by_owner.setdefault(owner, []).append(address)
    return [
        f"{owner} . {address}" for owner, addresses in by_owner.items()
        for address in collapsed(addresses, 6 if ":" in addresses[0] else 4)
    ]


class _Around(NamedTuple):
    ports: list[Port]
    zones: dict[str, int]
    refused: dict[str, str]
    logged: dict[int, Port]
    limit: LogLimit


def _inet_table(wanted: Slice, around: _Around, elements: Elements) -> str:
    ports, zones, refused = around.ports, around.zones, around.refused
    groups = {group.id: group for group in wanted.groups}
    combinations = {combination_of(port.security_group_ids, groups) for port in ports if port.port_security}
    named = sorted((combination_name(key), key) for key in combinations)
    peers = sorted({plain(peer) for network in wanted.networks for peer in network.peers})
    bridges = [f'"{names.link(names.BRIDGE, i)}" : {zone}' for i, zone in sorted(zones.items())]
    return "".join((
        f"table inet {names.TABLE} {{\n",
        _collection("map", "zones", "typeof iifname : ct zone", bridges),
        _collection("set", "peers4", "type ipv4_addr", (peer for peer in peers if ":" not in peer)),
        _collection("set", "peers6", "type ipv6_addr", (peer for peer in peers if ":" in peer)),
        *(_members(group, elements) for group in wanted.groups),
        *(_group(group, groups, refused) for group in wanted.groups),
        log_chains(around.logged, around.limit),
        *(_combination(key, name, groups, around.logged) for name, key in named),
        _collection("map", "outward", "type mark : verdict", elements.get("outward", ())),
        _collection("map", "inward", "type mark : verdict", elements.get("inward", ())),
        INET_CHAINS, "}\n",
    ))


def member_elements(group: GroupSlice) -> Elements:
    found: Elements = {}
    for version in (4, 6):
        addresses = [plain(member) for member in group.members if _is_address(member, version)]
        wide = any("/" in member for member in addresses)
        found[f"m{version}_{names.short(group.id)}"] = collapsed(addresses, version) if wide else addresses
    return found


def has_ranges(group: GroupSlice) -> bool:
    return any("/" in member for member in group.members)


def _members(group: GroupSlice, elements: Elements) -> str:
    return "".join(_collection(
        "set", name, f"type ipv{version}_addr", elements.get(name, ()), intervals=has_ranges(group))
        for version in (4, 6) for name in [f"m{version}_{names.short(group.id)}"])


def _is_address(member: str, version: int) -> bool:
    """What cannot be read belongs to no group."""
    try:
        return (":" in plain(member)) == (version == 6)
    except ValueError:
        return False


def _group(group: GroupSlice, groups: dict[str, GroupSlice], refused: dict[str, str]) -> str:
    lines: dict[bool, list[str]] = {True: [], False: []}
    for rule in group.rules:
        try:
            match = normal(rule)
        except ValueError as error:
            refused[group.id] = str(error)
            continue
        if match.group_id is None or match.group_id in groups:
            lines[match.ingress].append(f"    {match_text(match)} accept\n")
    name = names.short(group.id)
    return "".join(
        f"  chain g_{name}_{way} {{\n{''.join(dict.fromkeys(lines[ingress]))}  }}\n"
        for ingress, way in ((False, "out"), (True, "in")))


def match_text(match: Match) -> str:
    parts = [f"meta nfproto ipv{match.version}"]
    family, side = ("ip" if match.version == 4 else "ip6"), ("saddr" if match.ingress else "daddr")
    if match.protocol in WITH_PORTS:
        parts.append(f"meta l4proto {match.protocol}")
        if match.low is not None:
            parts.append(f"th dport {match.low}-{match.high if match.high is not None else match.low}")
    elif match.protocol in (1, 58):
        word = "icmp" if match.protocol == 1 else "icmpv6"
        parts.append(f"meta l4proto {match.protocol}")
        if match.low is not None:
            parts.append(f"{word} type {match.low}")
        if match.high is not None:
            parts.append(f"{word} code {match.high}")
    elif match.protocol is not None:
        parts.append(f"meta l4proto {match.protocol}")
    if match.cidr is not None:
        parts.append(f"{family} {side} {match.cidr}")
    if match.group_id is not None:
        parts.append(f"{family} {side} @m{match.version}_{names.short(match.group_id)}")
    return " ".join(parts)


def _combination(key: tuple[str, ...], name: str, groups: dict[str, GroupSlice], logged: dict[int, Port]) -> str:
    state = "" if key and not any(groups[i].stateful for i in key) else STATEFUL
    return "".join(
        f"  chain {name}_{way} {{\n{state}"
        + "".join(f"    jump g_{names.short(i)}_{way}\n" for i in key) + f"    {dropping(logged, way)}\n  }}\n"
        for way in ("out", "in"))

