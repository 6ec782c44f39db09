"""Hosts as columns: what filters make masks of and weighers vectors. A column is made when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pileus.compute.model.hosts import Facts, version_number

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
Vector = NDArray[np.float64]


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """What the scheduler knows of a host. `free` is what placement would still hand out of each resource class."""

    name: str
    provider_id: str
    zone: str
    enabled: bool
    up: bool
    reason: str = ""                          # why it is disabled or down
    free: dict[str, float] = {}
    offered: bool = True                      # by placement, for this very server
    servers: int = 0
    vcpus_used: int = 0
    memory_mb_used: int = 0
    io_ops: int = 0                           # servers that are being made, moved or saved there
    failed_builds: int = 0                    # since the last one that succeeded
    address: str = ""
    facts: Facts = Facts()
    metadata: dict[str, tuple[str, ...]] = {}  # of its aggregates: the values of each key


# What extra specs (capabilities:…) and the hint query may name, as upstream's schedulers name it.
ATTRIBUTES: dict[str, Callable[[HostState], Any]] = {
    "host": lambda host: host.name,
    "uuid": lambda host: host.provider_id,
    "hypervisor_hostname": lambda host: host.facts.hostname or host.name,
    "nodename": lambda host: host.facts.hostname or host.name,
    "host_ip": lambda host: host.address,
    "hypervisor_type": lambda host: host.facts.hypervisor_type,
    "hypervisor_version": lambda host: version_number(host.facts.hypervisor_version),
    "free_ram_mb": lambda host: host.free.get("MEMORY_MB", 0.0),
    "free_disk_mb": lambda host: host.free.get("DISK_GB", 0.0) * 1024,
    "free_disk_gb": lambda host: host.free.get("DISK_GB", 0.0),
    "disk_available_least": lambda host: host.facts.disk_free_gb,
    "vcpus": lambda host: host.facts.vcpus,
    "vcpus_total": lambda host: host.facts.vcpus,
    "vcpus_used": lambda host: host.vcpus_used,
    "memory_mb": lambda host: host.facts.memory_mb,
    "memory_mb_used": lambda host: host.memory_mb_used,
    "total_usable_ram_mb": lambda host: host.facts.memory_mb,
    "local_gb": lambda host: host.facts.disk_gb,
    "total_usable_disk_gb": lambda host: host.facts.disk_gb,
    "running_vms": lambda host: host.servers,
    "num_instances": lambda host: host.servers,
    "num_io_ops": lambda host: host.io_ops,
    "current_workload": lambda host: host.io_ops,
    "failed_builds": lambda host: host.failed_builds,
    "cpu_info": lambda host: host.facts.cpu,
}


class Columns:
    """Rows are hosts, in the order given."""

    def __init__(self, hosts: Sequence[HostState]):
        self.hosts = hosts
        self._numbers: dict[str, Vector] = {}
        self._plain: dict[str, NDArray[Any]] = {}
        self._masks: dict[Hashable, Mask] = {}
        self._rows: dict[str, int] = {}
        self._coded: dict[Hashable, tuple[Rows, list[Any]]] = {}

    def __len__(self) -> int:
        return len(self.hosts)

    def number(self, field: str) -> Vector:
        """A field of HostState."""
        if field not in self._numbers:
            self._numbers[field] = np.array([float(getattr(host, field)) for host in self.hosts])
        return self._numbers[field]

    def free(self, resource_class: str) -> Vector:
        key = f"free {resource_class}"
        if key not in self._numbers:
            self._numbers[key] = np.array([host.free.get(resource_class, 0.0) for host in self.hosts])
        return self._numbers[key]

    def made_of(self, name: str, read: Callable[[HostState], float]) -> Vector:
        """A number that is made of several; `name` says which."""
        if name not in self._numbers:
            self._numbers[name] = np.array([read(host) for host in self.hosts])
        return self._numbers[name]

    def version(self) -> Vector:
        if "version" not in self._numbers:
            self._numbers["version"] = self.plain("hypervisor_version").astype(np.float64)
        return self._numbers["version"]

    def plain(self, path: str) -> NDArray[Any]:
        """What each host is under the name of an attribute, or of a part of one (cpu_info.arch): numbers where all
        are numbers, else words; one that is not known is empty."""
        if path not in self._plain:
            codes, distinct = self.coded(path, lambda host: attribute(host, path))
            if not all(isinstance(value, int | float) for value in distinct):
                distinct = ["" if value is None else str(value) for value in distinct]
            self._plain[path] = np.array(distinct)[codes]
        return self._plain[path]

    def coded(self, key: Hashable, read: Callable[[HostState], Any]) -> tuple[Rows, list[Any]]:
        """Many hosts share few values: for each host the place of its value among the distinct ones. `read` says
        what is under `key`."""
        if key not in self._coded:
            places: dict[Any, int] = {}
            distinct: list[Any] = []
            codes = np.zeros(len(self.hosts), np.int64)
            for row, host in enumerate(self.hosts):
                value = read(host)
                name = value if isinstance(value, Hashable) else repr(value)
                place = places.setdefault(name, len(distinct))
                if place == len(distinct):
                    distinct.append(value)
                codes[row] = place
            self._coded[key] = codes, distinct
        return self._coded[key]

    def where(self, key: Hashable, read: Callable[[HostState], Any], passes: Callable[[Any], bool],
              *, asked: str = "") -> Mask:
        """Hosts whose value passes; asked once per distinct value. With `asked`, which names what is asked, the
        answer is kept."""
        name = (key, asked)
        if asked and name in self._masks:
            return self._masks[name]
        codes, distinct = self.coded(key, read)
        mask = np.array([passes(value) for value in distinct], dtype=np.bool_)[codes]
        if asked:
            self._masks[name] = mask
        return mask

    def with_metadata(self, key: str, passes: Callable[[tuple[str, ...]], bool]) -> Mask:
        """Hosts whose aggregates' values of a key pass; () stands for hosts in no aggregate that has it."""
        return self.where(("metadata", key), lambda host: host.metadata.get(key, ()), passes)

    def metadata_keys(self) -> set[str]:
        _, distinct = self.coded("metadata keys", lambda host: frozenset(host.metadata))
        return set().union(*distinct)

    def named(self, names: Iterable[str]) -> Mask:
        self._rows = self._rows or {host.name: row for row, host in enumerate(self.hosts)}
        mask = np.zeros(len(self.hosts), dtype=np.bool_)
        mask[[self._rows[name] for name in names if name in self._rows]] = True
        return mask

    def names(self, rows: Rows, most: int = 3) -> str:
        """For a sentence."""
        named = ", ".join(self.hosts[int(row)].name for row in rows[:most])
        return named + (f" and {len(rows) - most} more" if len(rows) > most else "")


def attribute(host: HostState, path: str) -> Any:
    name, *rest = path.replace(":", ".").split(".")
    found = ATTRIBUTES[name](host) if name in ATTRIBUTES else None
    for part in rest:
        found = found.get(part) if isinstance(found, dict) else None
    return found
