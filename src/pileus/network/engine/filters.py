"""Security group rules in one normal form, read by the ruleset compiler and by the flow check alike."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

import msgspec

from pileus.kit.numbers import digits
from pileus.network.engine.records import GroupSlice, Port, Rule

PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6-encap": 41, "ipv6-route": 43,
    "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59,
    "ipv6-opts": 60, "ospf": 89, "vrrp": 112, "pgm": 113, "sctp": 132, "udplite": 136,
}
WITH_PORTS = (6, 17, 33, 132, 136)
ICMP, ICMPV6 = 1, 58


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """`low` and `high` are ports, or type and code of ICMP. No remote means anyone."""

    ingress: bool
    version: int
    protocol: int | None
    low: int | None
    high: int | None
    cidr: str | None
    group_id: str | None


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as its first packet was seen; for ICMP, `port` is the type and `code` the code."""

    protocol: int
    source: str
    destination: str
    port: int
    code: int = 0


def protocol_number(name: str | None, version: int) -> int | None:
    """Raises ValueError for a protocol nobody knows."""
    if name is None or name.lower() in ("any", "0"):
        return None
    number = digits(name)
    number = PROTOCOLS.get(name.lower()) if number is None else number
    if number is None or number > 255:
        raise ValueError(f"unknown protocol {name}")
    return ICMPV6 if number == ICMP and version == 6 else number


def normal(rule: Rule) -> Match:
    """Raises ValueError for a rule that cannot be."""
    version = 6 if rule.ethertype.lower() == "ipv6" else 4
    if rule.direction not in ("ingress", "egress"):
        raise ValueError(f"unknown direction {rule.direction}")
    cidr = None if rule.remote_cidr is None else ip_network(rule.remote_cidr, strict=False)
    if cidr is not None and cidr.version != version:
        raise ValueError(f"{rule.remote_cidr} is not of {rule.ethertype}")
    number = protocol_number(rule.protocol, version)
    has_range = number in (*WITH_PORTS, ICMP, ICMPV6)
    if rule.port_min is not None and not has_range:
        raise ValueError("this protocol has no ports")
    bounds = rule.port_min, rule.port_max if rule.port_max is not None else rule.port_min
    if number in WITH_PORTS and bounds[0] is not None and not 0 <= bounds[0] <= (bounds[1] or 0) <= 65535:
        raise ValueError("the range of ports is empty")
    if number in (ICMP, ICMPV6) and not all(bound is None or 0 <= bound <= 255 for bound in bounds):
        raise ValueError("an ICMP type or code is above 255")
    return Match(
        ingress=rule.direction == "ingress", version=version, protocol=number, low=rule.port_min, high=rule.port_max,
        cidr=None if cidr is None or cidr.prefixlen == 0 else str(cidr), group_id=rule.remote_group_id)


def collapsed(addresses: Iterable[str], version: int) -> list[str]:
    """Disjoint, as sets with intervals want them."""
    networks = [ip_network(address, strict=False) for address in addresses]
    four = [network for network in networks if isinstance(network, IPv4Network)]
    six = [network for network in networks if isinstance(network, IPv6Network)]
    chosen = collapse_addresses(four) if version == 4 else collapse_addresses(six)
    return [str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net) for net in chosen]


class Members:
    """Asks whether an address belongs to a group, without a walk over thousands of members per flow."""

    def __init__(self, members: Iterable[str]):
        self.single = {address for address in members if "/" not in address}
        self.networks = [ip_network(address, strict=False) for address in members if "/" in address]

    def __contains__(self, address: str) -> bool:
        return address in self.single or any(ip_address(address) in network for network in self.networks)


class FlowCheck:
    """Decides about flows as the ruleset decides about their first packet."""

    def __init__(self, groups: Iterable[GroupSlice]):
        self.members: dict[str, Members] = {}
        self.rules: dict[str, list[Match]] = {}
        for group in groups:
            self.members[group.id] = Members(group.members)
            self.rules[group.id] = [match for rule in group.rules if (match := _readable(rule)) is not None]

    def allows(self, port: Port, flow: Flow, *, ingress: bool) -> bool:
        if not port.port_security:
            return True
        if flow.protocol == 17 and flow.port in (67, 547, 68, 546):
            return True
        rules = (match for group_id in port.security_group_ids for match in self.rules.get(group_id, ()))
        return any(match.ingress == ingress and self._admits(match, flow) for match in rules)

    def _admits(self, match: Match, flow: Flow) -> bool:
        remote = flow.source if match.ingress else flow.destination
        if match.version != ip_address(remote).version or match.protocol not in (None, flow.protocol):
            return False
        if match.low is not None and match.protocol in WITH_PORTS:
            inside = match.low <= flow.port <= (match.low if match.high is None else match.high)
        else:
            inside = match.low in (None, flow.port) and match.high in (None, flow.code)
        if not inside:
            return False
        if match.cidr is not None and ip_address(remote) not in ip_network(match.cidr):
            return False
        return match.group_id is None or remote in self.members.get(match.group_id, ())


def _readable(rule: Rule) -> Match | None:
    try:
        return normal(rule)
    except ValueError:
        return None


def port_addresses(port: Port) -> list[tuple[str, str]]:
    """(mac, address or network) pairs the port may send from, its link-local addresses included."""
    pairs = [(port.mac, fixed.ip) for fixed in port.fixed_ips]
    pairs += [(pair.mac or port.mac, pair.ip) for pair in port.allowed_address_pairs]
    macs = sorted({mac for mac, _ in pairs} | {port.mac})
    pairs += [(mac, link_local(mac)) for mac in macs]
    seen = dict.fromkeys((mac.lower(), plain(address)) for mac, address in pairs)
    return list(seen)


@lru_cache(maxsize=65536)
def plain(address: str) -> str:
    """In the one form the kernel and we compare by. Raises ValueError for what is no address or network."""
    if "/" not in address:
        return str(ip_address(address))
    network = ip_network(address, strict=False)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


@lru_cache(maxsize=65536)
def link_local(mac: str) -> str:
    return eui64("fe80::/64", mac)


def eui64(prefix: str, mac: str) -> str:
    """The address a link of this MAC gives itself in the prefix."""
    parts = bytes.fromhex(mac.replace(":", ""))
    if len(parts) != 6:
        raise ValueError(f"{mac} is not a MAC address")
    tail = bytes((parts[0] ^ 2, *parts[1:3], 0xFF, 0xFE, *parts[3:]))
    return str(ip_network(prefix)[int.from_bytes(tail, "big")])
