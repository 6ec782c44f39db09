"""Which host a server goes to, and why not the others: pure functions over columns.

A filter is a boolean mask over the hosts, a weigher a vector. Whatever comes out, the verdict says per filter how
many hosts were left and, where a filter left none, the sentence that tells what would have to change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]
NO_VALID_HOST = "No valid host was found."
PLACEMENT_CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB")
UNITS = {"VCPU": "vCPUs", "MEMORY_MB": "MiB of memory", "DISK_GB": "GiB of disk"}


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """What the scheduler knows of a host. `free` is what placement would still hand out of each resource class."""

    name: str
    provider_id: str
    zone: str
    enabled: bool
    up: bool
    reason: str = ""                          # why it is disabled or down
    free: dict[str, float] = {}
    servers: int = 0


class GroupWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's group asks: its policy, and how many of its servers are on which host."""

    policy: str
    most_per_host: int = 1
    hosts: dict[str, int] = {}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a server asks of its host."""

    resources: dict[str, int]
    zone: str | None = None
    host: str | None = None
    different_from: tuple[str, ...] = ()      # hosts, by the hint different_host
    same_as: tuple[str, ...] = ()             # hosts, by the hint same_host
    tried: tuple[str, ...] = ()               # hosts on which this boot failed already
    group: GroupWish | None = None


class Sifted(msgspec.Struct, frozen=True, kw_only=True):
    """One filter's row of the table in `pileus trace`."""

    filter: str
    hosts_in: int
    hosts_out: int
    why: str = ""                             # said when hosts_out is 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts in the order of preference, and how it came to that."""

    hosts: tuple[str, ...]
    table: tuple[Sifted, ...]

    @property
    def sentence(self) -> str:
        """For the fault of the server; empty when there is a host."""
        if self.hosts:
            return ""
        if not self.table:
            return f"{NO_VALID_HOST} There are no hosts: none has reported yet."
        last = self.table[-1]
        seen = [f"{row.filter} left {row.hosts_out} of {row.hosts_in}." for row in self.table[:-1]
                if row.hosts_out != row.hosts_in]
        return " ".join([NO_VALID_HOST, *seen, f"{last.filter} left 0 of {last.hosts_in}: {last.why}"])


Filter = Callable[[Sequence[HostState], Wish], Mask]
Reason = Callable[[Sequence[HostState], Wish], str]


def _mask(values: list[bool]) -> Mask:
    return np.array(values, dtype=np.bool_)


def _names(hosts: Sequence[HostState], most: int = 3) -> str:
    named = ", ".join(host.name for host in hosts[:most])
    return named + (f" and {len(hosts) - most} more" if len(hosts) > most else "")


def working(hosts: Sequence[HostState], wish: Wish) -> Mask:
    return _mask([host.enabled and host.up for host in hosts])


def working_why(hosts: Sequence[HostState], wish: Wish) -> str:
    off = [h for h in hosts if not h.enabled]
    down = [h for h in hosts if h.enabled and not h.up]
    said = []
    if off:
        reason = f" ({off[0].reason})" if off[0].reason else ""
        said.append(f"{_names(off)} disabled{reason}; enable one with 'openstack compute service set --enable'")
    if down:
        said.append(f"{_names(down)} down; bring one back")
    return ", and ".join(said) + "."


def asked_host(hosts: Sequence[HostState], wish: Wish) -> Mask:
    return _mask([wish.host in (None, host.name) for host in hosts])


def asked_host_why(hosts: Sequence[HostState], wish: Wish) -> str:
    return f"host {wish.host} was asked for and is not among {_names(hosts)}."


def zone(hosts: Sequence[HostState], wish: Wish) -> Mask:
    return _mask([wish.zone in (None, host.zone) for host in hosts])


def zone_why(hosts: Sequence[HostState], wish: Wish) -> str:
    there = ", ".join(sorted({host.zone for host in hosts}))
    return f"availability zone {wish.zone} has none of them; zones with hosts: {there}."


def different_host(hosts: Sequence[HostState], wish: Wish) -> Mask:
    return _mask([host.name not in wish.different_from for host in hosts])


def different_host_why(hosts: Sequence[HostState], wish: Wish) -> str:
    return f"the servers named by the hint different_host occupy {_names(hosts)}; another host is needed."


def same_host(hosts: Sequence[HostState], wish: Wish) -> Mask:
    return _mask([not wish.same_as or host.name in wish.same_as for host in hosts])


def same_host_why(hosts: Sequence[HostState], wish: Wish) -> str:
    return f"the servers named by the hint same_host are on {', '.join(wish.same_as)}, which cannot take this one."


def affinity(hosts: Sequence[HostState], wish: Wish) -> Mask:
    group = wish.group
    free = group is None or group.policy != "affinity" or not group.hosts
    return _mask([free or group is not None and host.name in group.hosts for host in hosts])


def affinity_why(hosts: Sequence[HostState], wish: Wish) -> str:
    there = ", ".join(sorted(wish.group.hosts if wish.group else ()))
    return f"the server's group keeps its servers together, and they are on {there}, which cannot take this one."


def anti_affinity(hosts: Sequence[HostState], wish: Wish) -> Mask:
    group = wish.group
    if group is None or group.policy != "anti-affinity":
        return _mask([True] * len(hosts))
    return _mask([group.hosts.get(host.name, 0) < group.most_per_host for host in hosts])


def anti_affinity_why(hosts: Sequence[HostState], wish: Wish) -> str:
    most = wish.group.most_per_host if wish.group else 1
    return (f"the server's group wants at most {most} of its servers on a host, and {_names(hosts)} "
            "have that many; another host is needed.")


def not_tried(hosts: Sequence[HostState], wish: Wish) -> Mask:
    return _mask([host.name not in wish.tried for host in hosts])


def not_tried_why(hosts: Sequence[HostState], wish: Wish) -> str:
    return f"the boot was tried and failed on {_names(hosts)}."


def room(hosts: Sequence[HostState], wish: Wish) -> Mask:
    fits = np.ones(len(hosts), dtype=np.bool_)
    for name, amount in wish.resources.items():
        fits &= np.array([host.free.get(name, 0.0) for host in hosts]) >= amount
    return fits


def room_why(hosts: Sequence[HostState], wish: Wish) -> str:
    """The nearest miss: the host that lacks the least, measured in parts of what is asked for."""
    lacks = np.zeros(len(hosts))
    for name, amount in wish.resources.items():
        free = np.array([host.free.get(name, 0.0) for host in hosts])
        lacks += np.maximum(amount - free, 0.0) / max(amount, 1)
    nearest = hosts[int(np.argmin(lacks))]
    short = [f"{amount - nearest.free.get(name, 0.0):g} more {UNITS.get(name, name)} "
             f"(has {nearest.free.get(name, 0.0):g} of {amount:g})"
             for name, amount in wish.resources.items() if nearest.free.get(name, 0.0) < amount]
    return f"the nearest, {nearest.name}, would need {' and '.join(short)}."


FILTERS: tuple[tuple[str, Filter, Reason], ...] = (
    ("ComputeFilter", working, working_why),
    ("AskedHostFilter", asked_host, asked_host_why),
    ("AvailabilityZoneFilter", zone, zone_why),
    ("SameHostFilter", same_host, same_host_why),
    ("DifferentHostFilter", different_host, different_host_why),
    ("ServerGroupAffinityFilter", affinity, affinity_why),
    ("ServerGroupAntiAffinityFilter", anti_affinity, anti_affinity_why),
    ("RetryFilter", not_tried, not_tried_why),
    ("ResourceFilter", room, room_why),
)


def weigh(hosts: Sequence[HostState], wish: Wish) -> Vector:
    """Prefer hosts with much free memory, then few servers: the spread upstream's default weighers give. What a soft
    policy of the server's group asks counts for more than both."""
    memory = np.array([host.free.get("MEMORY_MB", 0.0) for host in hosts])
    crowd = np.array([host.servers for host in hosts], dtype=np.float64)
    return _scaled(memory) - 0.1 * _scaled(crowd) + 2.0 * _soft(hosts, wish)


def _soft(hosts: Sequence[HostState], wish: Wish) -> Vector:
    group = wish.group
    if group is None or not group.policy.startswith("soft-"):
        return np.zeros(len(hosts))
    there = _scaled(np.array([group.hosts.get(host.name, 0) for host in hosts], dtype=np.float64))
    return there if group.policy == "soft-affinity" else -there


def _scaled(values: Vector) -> Vector:
    width = values.max() - values.min()
    return (values - values.min()) / width if width else np.zeros_like(values)


def select(hosts: Sequence[HostState], wish: Wish, *, most: int = 5) -> Verdict:
    """Up to `most` hosts, the best first; none, with the reason, when a filter left none."""
    table: list[Sifted] = []
    left = list(hosts)
    for name, passes, why in FILTERS:
        if not left:
            break
        mask = passes(left, wish)
        kept = [host for host, fits in zip(left, mask, strict=True) if fits]
        table.append(Sifted(filter=name, hosts_in=len(left), hosts_out=len(kept), why="" if kept else why(left, wish)))
        left = kept
    if not left:
        return Verdict(hosts=(), table=tuple(table))
    order = np.argsort(-weigh(left, wish), kind="stable")[:most]
    return Verdict(hosts=tuple(left[int(i)].name for i in order), table=tuple(table))
