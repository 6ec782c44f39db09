"""Weighers: vectors over the hosts that passed, each scaled to 0 … 1 and multiplied by what counts for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pileus.compute.scheduler import topology
from pileus.compute.scheduler.columns import Columns, Rows, Vector
from pileus.compute.scheduler.wishes import Wish

Weigher = Callable[[Columns, Wish], Vector]


def _group(hosts: Columns, wish: Wish) -> Vector:
    """How far a host is what a soft policy of the server's group asks."""
    group = wish.group
    if group is None or not group.policy.startswith("soft-"):
        return np.zeros(len(hosts))
    there = np.array([float(group.hosts.get(host.name, 0)) for host in hosts.hosts])
    return there if group.policy == "soft-affinity" else -there


# Name -> (what it looks at, how much it counts by default). Less than 0: the fewer, the better.
WEIGHERS: dict[str, tuple[Weigher, float]] = {
    "ram": (lambda hosts, wish: hosts.free("MEMORY_MB"), 1.0),
    "cpu": (lambda hosts, wish: hosts.free("VCPU"), 1.0),
    "disk": (lambda hosts, wish: hosts.free("DISK_GB"), 1.0),
    "io_ops": (lambda hosts, wish: hosts.number("io_ops"), -1.0),
    "num_instances": (lambda hosts, wish: hosts.number("servers"), -0.1),
    "hypervisor_version": (lambda hosts, wish: hosts.version(), 1.0),
    # Hosts with devices are left to those that want some, and hosts with many to those that want many.
    "pci": (lambda hosts, wish: -topology.free_devices(hosts), 1.0),
    "group": (_group, 10.0),
    "failed_builds": (lambda hosts, wish: hosts.number("failed_builds"), -1000.0),
}


def weigh(hosts: Columns, rows: Rows, wish: Wish, multipliers: Mapping[Any, float]) -> dict[str, Vector]:
    """What each weigher gives to the hosts in `rows`, with its multiplier; those that tell nothing are left out."""
    found: dict[str, Vector] = {}
    for name, (read, default) in WEIGHERS.items():
        counts = multipliers.get(name, default)
        values = read(hosts, wish)[rows] if counts else np.zeros(len(rows))
        width = values.max() - values.min()
        if width:
            found[name] = counts * (values - values.min()) / width
    return found


def total(weights: Mapping[str, Vector], count: int) -> Vector:
    return sum(weights.values(), np.zeros(count))
