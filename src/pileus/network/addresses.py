"""Address arithmetic: pools, free addresses, EUI-64, overlaps; pure functions."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Literal

import msgspec

Net = IPv4Network | IPv6Network
AUTO_MODES = ("slaac", "dhcpv6-stateless")
WIDEST = 8192                # addresses looked at in one query at most


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: str
    end: str

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"


def key_of(ip: str) -> str:
    """32 hex digits that sort as the addresses do."""
    return f"{int(ip_address(ip)):032x}"


def from_number(number: int, version: int) -> str:
    """Versions tell apart what numbers alone do not: ::5 and 0.0.0.5."""
    if version == 4:
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return str(ip_address(number.to_bytes(16, "big")))


def canonical(ip: str) -> str | None:
    """The usual way to write the address; None when it is none."""
    try:
        return str(ip_address(ip))
    except ValueError:
        return None


def network_of(cidr: str) -> Net | None:
    try:
        return ip_network(cidr, strict=False)
    except ValueError:
        return None


def bounds(net: Net) -> tuple[int, int]:
    """First and last usable address. IPv4 keeps network and broadcast address, IPv6 the first (anycast)."""
    first, last = int(net.network_address), int(net.broadcast_address)
    if net.version == 4 and net.prefixlen < 31:
        return first + 1, last - 1
    if net.version == 6 and net.prefixlen < 127:
        return first + 1, last
    return first, last


def default_gateway(net: Net) -> str:
    return from_number(bounds(net)[0], net.version)


def default_pools(net: Net, gateway: str | None) -> list[Pool]:
    """All usable addresses but the gateway's."""
    first, last = bounds(net)
    held = int(ip_address(gateway)) if gateway is not None else None
    ranges = [(first, last)]
    if held is not None and first <= held <= last:
        ranges = [(first, held - 1), (held + 1, last)]
    return [Pool(from_number(a, net.version), from_number(b, net.version)) for a, b in ranges if a <= b]


def ranges_of(pools: Iterable[Pool]) -> list[tuple[int, int]]:
    return sorted((int(ip_address(pool.start)), int(ip_address(pool.end))) for pool in pools)


def window(ranges: Sequence[tuple[int, int]], after: int, size: int) -> Iterator[tuple[int, int]]:
    """Stretches of at most `size` addresses in the order they are tried: behind `after`, then from the beginning."""
    yield from _pieces(((max(a, after + 1), b) for a, b in ranges), size)
    yield from _pieces(((a, min(b, after)) for a, b in ranges), size)


def _pieces(ranges: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """Longer from one to the next: where the first is full, the others may be as well."""
    for first, last in ranges:
        start = first
        while start <= last:
            yield start, min(last, start + size - 1)
            start, size = start + size, min(size * 8, WIDEST)


def eui64(cidr: str, mac: str) -> str:
    """The address a guest with this MAC makes for itself on the subnet."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    suffix = int.from_bytes(octets[:3] + b"\xff\xfe" + octets[3:], "big")
    return from_number(int(ip_network(cidr).network_address) | suffix, 6)


PoolFault = Literal["invalid", "outside", "overlap"]


def check_pools(net: Net, pools: Sequence[Pool]) -> tuple[PoolFault, str] | None:
    """What is wrong with the pools of a subnet, and with which."""
    first, last = bounds(net)
    ranges = []
    for pool in pools:
        start, end = canonical(pool.start), canonical(pool.end)
        if start is None or end is None or {ip_address(start).version, ip_address(end).version} != {net.version}:
            return "invalid", str(pool)
        low, high = int(ip_address(start)), int(ip_address(end))
        if low > high:
            return "invalid", str(pool)
        if low < first or high > last:
            return "outside", str(pool)
        ranges.append((low, high, pool))
    ranges.sort(key=lambda entry: entry[:2])
    for (_, high, one), (low, _, other) in zip(ranges, ranges[1:], strict=False):
        if low <= high:
            return "overlap", f"{one}, {other}"
    return None


def contains(pools: Iterable[Pool], ip: str) -> Pool | None:
    number = int(ip_address(ip))
    return next((pool for pool in pools if int(ip_address(pool.start)) <= number <= int(ip_address(pool.end))), None)


def free_prefix(prefixes: Iterable[str], taken: Collection[str], length: int) -> str | None:
    """The first network of this length inside the prefixes that overlaps nothing taken."""
    used = sorted((int(net.network_address), int(net.broadcast_address)) for net in map(ip_network, taken))
    starts = [start for start, _ in used]
    for prefix in sorted(map(ip_network, prefixes), key=lambda net: int(net.network_address)):
        if prefix.prefixlen > length:
            continue
        size = 1 << (prefix.max_prefixlen - length)
        candidate, last = int(prefix.network_address), int(prefix.broadcast_address)
        while candidate + size - 1 <= last:
            blocking = _blocking(used, starts, candidate, candidate + size - 1)
            if blocking is None:
                return f"{from_number(candidate, prefix.version)}/{length}"
            candidate = (blocking // size + 1) * size
    return None


def _blocking(used: list[tuple[int, int]], starts: list[int], first: int, last: int) -> int | None:
    """The end of a taken range that overlaps [first, last]."""
    at = bisect.bisect_right(starts, last) - 1
    return used[at][1] if at >= 0 and used[at][1] >= first else None


def summarized(prefixes: Iterable[str]) -> list[str]:
    """The same addresses in as few prefixes as possible."""
    return [str(net) for net in collapse_addresses([ip_network(p) for p in prefixes])]  # type: ignore[type-var]


def without(prefixes: Iterable[str], gone: Sequence[Net]) -> list[str]:
    """The prefixes but for the addresses that are gone."""
    left: list[Net] = [ip_network(prefix) for prefix in prefixes]
    for hole in gone:
        kept: list[Net] = []
        for net in left:
            if not net.overlaps(hole):  # type: ignore[arg-type]
                kept.append(net)
            elif net.prefixlen < hole.prefixlen:
                kept.extend(net.address_exclude(hole))  # type: ignore[arg-type]
        left = kept
    return [str(net) for net in left]
