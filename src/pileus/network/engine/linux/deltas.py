"""What a few changed ports change in a host's ruleset, as one small transaction instead of the whole text."""

from collections.abc import Iterable

import msgspec

from pileus.network.engine.linux import names
from pileus.network.engine.linux.ruleset import (
    FAMILIES,
    WHOLE,
    Ruleset,
    combination_of,
    generation_of,
    has_ranges,
    mark_of,
    member_elements,
    port_elements,
    usable,
    weight,
)
from pileus.network.engine.records import GroupSlice, Neighbour, NetworkSlice, Port, Slice

INET_SETS = ("outward", "inward")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two slices that have the same networks, routers and rules."""

    added: tuple[Port, ...]
    removed: tuple[Port, ...]
    networks: tuple[NetworkSlice, ...]            # whose neighbours differ
    groups: tuple[tuple[GroupSlice, GroupSlice], ...]

    @property
    def parted(self) -> list[Port]:
        """Ports that left for good; the others of `removed` come again, changed."""
        kept = {port.id for port in self.added}
        return [port for port in self.removed if port.id not in kept]


def difference(before: Slice, wanted: Slice) -> Change | None:
    """None when more than ports, neighbours and members differs."""
    if before.underlay_ip != wanted.underlay_ip or before.routers != wanted.routers:
        return None
    if len(before.networks) != len(wanted.networks) or len(before.groups) != len(wanted.groups):
        return None
    networks, groups = [], []
    for old, new in zip(before.networks, wanted.networks, strict=True):
        if (old.network, old.subnets, old.peers, old.local_ips) != (
                new.network, new.subnets, new.peers, new.local_ips):
            return None
        if old.neighbours != new.neighbours:
            networks.append(new)
    for was, now in zip(before.groups, wanted.groups, strict=True):
        if (was.id, was.rules, was.stateful) != (now.id, now.rules, now.stateful):
            return None
        if was.members != now.members:
            groups.append((was, now))
    if any(port.under is not None or port.accepts or port.drops for port in set(before.ports) ^ set(wanted.ports)):
        return None
    turned = {network.network.id for network in wanted.networks if network.local_ips}
    if any(port.network_id in turned for port in set(before.ports) ^ set(wanted.ports)):
        return None
    old_ports, new_ports = ({port.id: port for port in one.ports} for one in (before, wanted))
    return Change(
        added=tuple(port for port in wanted.ports if old_ports.get(port.id) != port),
        removed=tuple(port for port in before.ports if new_ports.get(port.id) != port),
        networks=tuple(networks), groups=tuple(groups))


def ruleset_after(known: Ruleset, before: Slice, wanted: Slice, change: Change) -> Ruleset | None:
    """The ruleset of `wanted`, its text being what leads there from `known`. None where only the whole text will do:
    numbers collide, a combination of groups comes or goes, or sets change between single addresses and ranges."""
    ids = {group.id for group in wanted.groups}
    if known.refused or not all(usable(port, {}) for port in change.added) or not _plain(change.groups):
        return None
    if any(port.qos is not None for port in (*change.added, *change.removed)):
        return None
    if _combinations(before, ids) != _combinations(wanted, ids):
        return None
    if not (_distinct(before.ports) and _distinct(wanted.ports)):
        return None
    gone = {pair for port in change.removed for pair in port_elements(port, mark_of(port), ids)}
    new = {pair for port in change.added for pair in port_elements(port, mark_of(port), ids)}
    for was, now in change.groups:
        gone |= _pairs(was)
        new |= _pairs(now)
    gone, new = gone - new, new - gone
    total = (known.total - sum(weight(*pair) for pair in gone) + sum(weight(*pair) for pair in new)) % WHOLE
    generation = generation_of(known.skeleton, total)
    text = _commands("delete", gone) + _commands("add", new)
    if generation != known.generation:
        text += "".join(f"delete chain {family} {names.TABLE} {known.generation}\n"
                        f"add chain {family} {names.TABLE} {generation}\n" for family in FAMILIES)
    return msgspec.structs.replace(known, text=text, generation=generation, total=total)


def _plain(groups: Iterable[tuple[GroupSlice, GroupSlice]]) -> bool:
    return not any(has_ranges(was) or has_ranges(now) for was, now in groups)


def _combinations(one: Slice, ids: set[str]) -> set[tuple[str, ...]]:
    sets = {port.security_group_ids for port in one.ports if port.port_security}
    return {combination_of(groups, ids) for groups in sets}


def _distinct(ports: tuple[Port, ...]) -> bool:
    """Whether each has the number that its id alone gives it."""
    return len({mark_of(port) for port in ports}) == len(ports)


def _pairs(group: GroupSlice) -> set[tuple[str, str]]:
    return {(name, element) for name, listed in member_elements(group).items() for element in listed}


def _commands(verb: str, pairs: set[tuple[str, str]]) -> str:
    by_set: dict[str, list[str]] = {}
    for name, element in sorted(pairs):
        by_set.setdefault(name, []).append(element)
    lines = []
    for name, elements in by_set.items():
        family = "inet" if name in INET_SETS or name[0] == "m" and name[1:2] in ("4", "6") else "bridge"
        lines.append(f"{verb} element {family} {names.TABLE} {name} {{ {', '.join(elements)} }}\n")
    return "".join(lines)


def neighbours_moved(before: Slice, change: Change) -> list[tuple[str, list[Neighbour], list[Neighbour]]]:
    """Per changed network: the neighbours that went, and those that came."""
    old = {network.network.id: network.neighbours for network in before.networks}
    moved = []
    for network in change.networks:
        was, now = set(old[network.network.id]), set(network.neighbours)
        moved.append((network.network.id, list(was - now), list(now - was)))
    return moved
