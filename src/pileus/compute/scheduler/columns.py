"""Hosts as columns: what filters make masks of and weighers vectors. A column is made when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pileus.compute.model.hosts import Facts, version_number

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
Vector = NDArray[np.float64]


MOST_MASKS = 64                               # answers that are kept
SPARE = 64                                    # values


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


class _Coded:
    """For each host the place of its value among the distinct ones."""

    def __init__(self, hosts: Sequence[HostState], read: Callable[[HostState], Any]):
        self.read, self.places = read, dict[Any, int]()
        self.distinct: list[Any] = []
        self.codes: Rows = np.array([self._place(read(host)) for host in hosts], np.int64)

    def _place(self, value: Any) -> int:
        name = value if isinstance(value, Hashable) else repr(value)
        place = self.places.setdefault(name, len(self.distinct))
        if place == len(self.distinct):
            self.distinct.append(value)
        return place

    def put(self, row: int, host: HostState) -> bool:
        """Whether that is another value than before."""
        place = self._place(self.read(host))
        changed = bool(self.codes[row] != place)
        self.codes[row] = place
        return changed


class Columns:
    """Rows are hosts, in the order given. `put` keeps what was made already in step with hosts that changed."""

    def __init__(self, hosts: Sequence[HostState]):
        self.hosts = list(hosts)
        self._numbers: dict[str, tuple[Vector, Callable[[HostState], float]]] = {}
        self._plain: dict[str, NDArray[Any]] = {}
        self._masks: dict[tuple[Hashable, str], tuple[Mask, Callable[[Any], bool]]] = {}
        self._rows: dict[str, int] = {}
        self._coded: dict[Hashable, _Coded] = {}
        self._offered: Vector | None = None

    def __len__(self) -> int:
        return len(self.hosts)

    def put(self, changed: Mapping[int, HostState]) -> None:
        """Have these hosts, which are the same ones, at their rows."""
        for row, host in changed.items():
            self.hosts[row] = host
        for numbers, read in self._numbers.values():
            for row, host in changed.items():
                numbers[row] = read(host)
        moved: dict[Hashable, list[int]] = {}
        for key, coded in self._coded.items():
            moved[key] = [row for row, host in changed.items() if coded.put(row, host)]
        for (key, _), (mask, passes) in self._masks.items():
            coded = self._coded[key]
            for row in moved[key]:
                mask[row] = passes(coded.distinct[coded.codes[row]])
        self._plain = {path: values for path, values in self._plain.items()
                       if self._put_numbers(values, self._coded[path], moved[path])}
        for key in [key for key, coded in self._coded.items() if len(coded.distinct) > 2 * len(self) + SPARE]:
            del self._coded[key]                          # values that no host has any more are let go of
            self._plain.pop(str(key), None)
            self._masks = {name: mask for name, mask in self._masks.items() if name[0] != key}

    @staticmethod
    def _put_numbers(values: NDArray[Any], coded: _Coded, rows: list[int]) -> bool:
        """False where the column has to be made anew: for words, and for numbers of another kind."""
        for row in rows:
            value = coded.distinct[coded.codes[row]]
            if values.dtype.kind not in "if" or not isinstance(value, int if values.dtype.kind == "i" else int | float):
                return False
            values[row] = value
        return True

    def offer(self, names: Collection[str] | None) -> None:
        """Which hosts placement offers for the server in question; None: those that say so themselves."""
        self._offered = None if names is None else np.array([host.provider_id in names for host in self.hosts], float)

    def number(self, field: str) -> Vector:
        """A field of HostState."""
        if field == "offered" and self._offered is not None:
            return self._offered
        return self.made_of(field, lambda host: float(getattr(host, field)))

    def free(self, resource_class: str) -> Vector:
        return self.made_of(f"free {resource_class}", lambda host: host.free.get(resource_class, 0.0))

    def made_of(self, name: str, read: Callable[[HostState], float]) -> Vector:
        """A number that is made of several fields; `name` says which."""
        if name not in self._numbers:
            self._numbers[name] = np.array([read(host) for host in self.hosts], np.float64), read
        return self._numbers[name][0]

    def version(self) -> Vector:
        return self.made_of("version", lambda host: float(version_number(host.facts.hypervisor_version)))

    def plain(self, path: str) -> NDArray[Any]:
        """What each host is under the name of an attribute, or of a part of one (cpu_info.arch): numbers where all
        are numbers, else words; one that is not known is empty."""
        if path not in self._plain:
            codes, distinct = self.coded(path, lambda host: attribute(host, path))
            there = np.flatnonzero(np.bincount(codes))
            if not all(isinstance(distinct[place], int | float) for place in there):
                distinct = ["" if value is None else str(value) for value in distinct]
            else:
                distinct = [value if isinstance(value, int | float) else 0 for value in distinct]
            self._plain[path] = np.array(distinct)[codes]
        return self._plain[path]

    def coded(self, key: Hashable, read: Callable[[HostState], Any]) -> tuple[Rows, list[Any]]:
        """Many hosts share few values: for each host the place of its value among the distinct ones. `read` says
        what is under `key`. Values that no host has any more may still be among them."""
        if key not in self._coded:
            self._coded[key] = _Coded(self.hosts, read)
        return self._coded[key].codes, self._coded[key].distinct

    def where(self, key: Hashable, read: Callable[[HostState], Any], passes: Callable[[Any], bool],
              *, asked: str = "") -> Mask:
        """Hosts whose value passes; asked once per distinct value. With `asked`, which names what is asked, the
        answer is kept."""
        name = (key, asked)
        if asked and name in self._masks:
            return self._masks[name][0]
        codes, distinct = self.coded(key, read)
        mask = np.array([passes(value) for value in distinct], dtype=np.bool_)[codes]
        if asked:
            while len(self._masks) >= MOST_MASKS:
                del self._masks[next(iter(self._masks))]
            self._masks[name] = mask, passes
        return mask

    def with_metadata(self, key: str, passes: Callable[[tuple[str, ...]], bool]) -> Mask:
        """Hosts whose aggregates' values of a key pass; () stands for hosts in no aggregate that has it."""
        return self.where(("metadata", key), lambda host: host.metadata.get(key, ()), passes)

    def metadata_keys(self) -> set[str]:
        codes, distinct = self.coded("metadata keys", lambda host: frozenset(host.metadata))
        return set().union(*(distinct[place] for place in np.flatnonzero(np.bincount(codes))))

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


class Kept:
    """The columns of all hosts, kept from one decision to the next: only rows of hosts that changed are made anew."""

    def __init__(self) -> None:
        self.columns = Columns(())

    def in_step(self, states: Sequence[HostState]) -> Columns:
        """Good until the next call, in which hosts may have changed."""
        before = self.columns.hosts
        if [host.name for host in before] == [host.name for host in states]:
            self.columns.put({row: new for row, (old, new) in enumerate(zip(before, states, strict=True))
                              if old != new})
        else:
            self.columns = Columns(states)
        return self.columns
