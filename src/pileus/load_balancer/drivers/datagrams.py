"""Listeners of UDP, which HAProxy has not: the kernel's own translation of addresses, as nftables rules. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from ipaddress import ip_address

from pileus.load_balancer.drivers.base import BalancerSpec, ListenerSpec, MemberSpec, PoolSpec

TABLE = "inet balancer"
MOST_SLOTS = 1024                # among which weights are shared out
CHAINS = {"guard": "type filter hook prerouting priority -150", "inward": "type nat hook prerouting priority dstnat",
          "outward": "type nat hook postrouting priority srcnat",
          "forwarded": "type filter hook forward priority 0; policy drop"}


def listeners_of(spec: BalancerSpec) -> list[ListenerSpec]:
    return [listener for listener in spec.listeners if listener.protocol == "UDP"]


def counter(direction: str, listener: ListenerSpec) -> str:
    return f"{direction}_{listener.id.replace('-', '_')}"


def rules(spec: BalancerSpec, down: Set[str]) -> str:
    """One transaction, after which the table is as it should be, whatever it was; counters count on. `down`: members
    that get nothing."""
    found = listeners_of(spec)
    if not found:
        return f"add table {TABLE}\ndelete table {TABLE}\n"
    return "\n".join(_lines(spec, found, down)) + "\n"


def _lines(spec: BalancerSpec, found: list[ListenerSpec], down: Set[str]) -> Iterator[str]:
    pools = {pool.id: pool for pool in spec.pools}
    yield f"add table {TABLE}"
    for name, kind in CHAINS.items():
        yield f"add chain {TABLE} {name} {{ {kind}; }}"
        yield f"flush chain {TABLE} {name}"
    yield f"add rule {TABLE} outward ct status dnat masquerade"
    for listener in found:
        for direction in ("in", "out", "new"):
            yield f"add counter {TABLE} {counter(direction, listener)}"
        pool = pools.get(listener.default_pool_id or "")
        for address in spec.addresses:
            yield from _of_address(listener, pool, address, down)
    yield f"add rule {TABLE} forwarded ct status dnat accept"              # and nothing else: it is nobody's router


def _of_address(listener: ListenerSpec, pool: PoolSpec | None, address: str, down: Set[str]) -> Iterator[str]:
    version = ip_address(address).version
    family = "ip" if version == 4 else "ip6"
    here = f"{family} daddr {address} udp dport {listener.port}"
    allowed = [prefix for prefix in listener.allowed or () if (":" in prefix) == (version == 6)]
    if listener.allowed is not None:
        others = f" {family} saddr != {{ {', '.join(allowed)} }}" if allowed else ""
        yield f"add rule {TABLE} guard {here}{others} drop"
    same = f"meta l4proto udp ct original {family} daddr {address} ct original proto-dst {listener.port}"
    for direction, name in (("original", "in"), ("reply", "out")):
        yield f"add rule {TABLE} forwarded {same} ct direction {direction} counter name {counter(name, listener)}"
    if slots := _slots(pool, version, down):
        of_client = pool is not None and "SOURCE_IP" in (pool.algorithm, pool.persistence)
        chosen = f"jhash {family} saddr" if of_client else "numgen inc"
        places = ", ".join(f"{number} : {member.address} . {member.port}" for number, member in enumerate(slots))
        yield (f"add rule {TABLE} inward {here} counter name {counter('new', listener)} "
               f"dnat {family} to {chosen} mod {len(slots)} map {{ {places} }}")


def _slots(pool: PoolSpec | None, version: int, down: Set[str]) -> list[MemberSpec]:
    """Members by turns, each as often as it weighs. Those that stand by come in when no other is left."""
    able = [member for member in pool.members if member.enabled and member.weight and member.id not in down
            and ip_address(member.address).version == version] if pool else []
    able = [member for member in able if not member.backup] or able
    if not able:
        return []
    weights = [member.weight for member in able]
    unit = max(math.gcd(*weights), math.ceil(sum(weights) / MOST_SLOTS))
    left = {member.id: max(1, weight // unit) for member, weight in zip(able, weights, strict=True)}
    slots: list[MemberSpec] = []
    while any(left.values()):
        for member in able:
            if left[member.id]:
                left[member.id] -= 1
                slots.append(member)
    return slots
