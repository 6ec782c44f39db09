"""What a security group rule may say: protocols, ports, ICMP types, prefixes; pure checks."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import Any

import msgspec

from pileus.kit.numbers import digits
from pileus.network import faults

NAMES = ("ah", "dccp", "egp", "esp", "gre", "hopopt", "icmp", "igmp", "ip", "ipip", "ipv6-encap", "ipv6-frag",
         "ipv6-icmp", "icmpv6", "ipv6-nonxt", "ipv6-opts", "ipv6-route", "ospf", "pgm", "rsvp", "sctp", "tcp", "udp",
         "udplite", "vrrp")
WITH_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite", "6", "17", "33", "132", "136")
ICMP = ("icmp", "icmpv6", "ipv6-icmp", "1", "58")
ONLY_SIX = ("icmpv6", "ipv6-icmp", "ipv6-encap", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route",
            "41", "43", "44", "58", "59", "60")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    ethertype: str
    protocol: str | int | None
    port_min: str | int | None
    port_max: str | int | None
    prefix: str | None
    group_id: str | None
    address_group_id: str | None = None


def checked(asked: Asked) -> dict[str, Any]:
    """The same as columns of a rule. Raises what clients see."""
    ethertype = {"ipv4": "IPv4", "ipv6": "IPv6"}.get(asked.ethertype.lower())
    if ethertype is None:
        raise faults.InvalidRule(reason=f"Security group rule for ethertype '{asked.ethertype}' not supported. "
                                        "Allowed values are ['IPv4', 'IPv6'].")
    protocol = _protocol(asked.protocol)
    if protocol in ONLY_SIX and ethertype != "IPv6":
        raise faults.InvalidRule(reason=f"Invalid ethertype {ethertype} for protocol {protocol}.")
    low, high = _number(asked.port_min), _number(asked.port_max)
    low, high = _ports(protocol, low, high)
    if sum(map(bool, (asked.prefix, asked.group_id, asked.address_group_id))) > 1:
        raise faults.InvalidRule(reason="Only remote_ip_prefix or remote_group_id or remote_address_group_id may be "
                                        "provided.")
    return {"ethertype": ethertype, "protocol": protocol, "port_range_min": low, "port_range_max": high,
            "remote_ip_prefix": _prefix(asked.prefix, ethertype), "remote_group_id": asked.group_id or None,
            "remote_address_group_id": asked.address_group_id or None}


def _protocol(given: str | int | None) -> str | None:
    if given is None or given == "":
        return None
    text = str(given).lower()
    if text in ("any", "0"):
        return None
    if text in NAMES or (digits(text) or 256) <= 255:
        return text
    raise faults.InvalidRule(reason=f"Security group rule protocol {given} not supported. Only protocol values "
                                    f"{list(NAMES)} and integer representations [0 to 255] are supported.")


def _number(given: str | int | None) -> int | None:
    if given is None or given == "":
        return None
    try:
        return int(given)
    except ValueError:
        raise faults.InvalidInput(reason=f"'{given}' is not an integer") from None


def _ports(protocol: str | None, low: int | None, high: int | None) -> tuple[int | None, int | None]:
    if low is None and high is None:
        return None, None
    if protocol in ICMP:
        for name, value in (("type (port-range-min)", low), ("code (port-range-max)", high)):
            if value is not None and not 0 <= value <= 255:
                raise faults.InvalidIcmp(field=name, value=value)
        if low is None:
            raise faults.MissingIcmpType(value=high)
        return low, high
    if protocol is None:
        raise faults.ProtocolRequired()
    if protocol not in WITH_PORTS:
        raise faults.InvalidRule(reason=f"Port range cannot be specified for protocol {protocol}.")
    for value in (low, high):
        if value is not None and not 0 <= value <= 65535:
            raise faults.InvalidPortValue(port=value)
    if low is None or high is None or low > high:
        raise faults.InvalidPortRange()
    return low, high


def _prefix(given: str | None, ethertype: str) -> str | None:
    """As it was said, with a prefix length; which network that is, is for `normalized`."""
    if not given:
        return None
    try:
        net = ip_network(given, strict=False)
    except ValueError:
        raise faults.InvalidInput(reason=f"'{given}' is not a valid IP subnet") from None
    if net.version != int(ethertype[-1]):
        raise faults.InvalidRule(reason=f"Conflicting value ethertype {ethertype} for CIDR {given}")
    return str(ip_interface(given))


def normalized(prefix: str | None) -> str | None:
    """The network that a rule's prefix means."""
    return None if prefix is None else str(ip_network(prefix, strict=False))
