"""What of a host each guest has for itself: NUMA nodes for its memory, processors for those of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pileus.compute.drivers import host_facts
from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.guest_folder import GuestState, guest_folders
from pileus.compute.drivers.hardware import HostCell
from pileus.compute.drivers.qemu_launch import BadSpec, hardware_of
from pileus.compute.numa import Shape, holds, placed


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one guest gets. Of a host with a single node nothing is said of nodes: all is in it."""

    cells: dict[int, int] = {}  # its node -> the host's
    pins: dict[int, int] = {}  # its processor -> the host's that no other guest has
    floating: dict[int, tuple[int, ...]] = {}  # its other processors in nodes -> those of the host's node


class HostShares:
    """Of the guests kept below `instances`. `dedicated` are the host's processors that are set aside for guests that
    want their own, `nodes` and `siblings` the folders of the kernel that tell of NUMA nodes and of the threads of
    cores."""

    def __init__(self, instances: Path, dedicated: frozenset[int], nodes: Path = host_facts.NODES,
                 siblings: Path = host_facts.SIBLINGS) -> None:  # fmt: skip
        self.instances, self.dedicated, self.nodes, self.siblings = instances, dedicated, nodes, siblings

    def others(self, guest_id: str) -> list[GuestState]:
        """What is kept of the other guests of this host."""
        found = (folder.read() for folder in guest_folders(self.instances) if folder.id != guest_id)
        return [each for each in found if each is not None]

    def cells(self, guests: Iterable[GuestState] | None = None) -> tuple[HostCell, ...]:
        """The host's nodes with what is left of them, beside what the guests have: all of them if none are given."""
        guests = self.others("") if guests is None else guests
        taken: set[int] = set()
        bound: dict[int, int] = {}
        for guest in guests:
            taken |= set(guest.pins.values())
            sizes = [node.memory_mb for node in shape_of(guest.spec).nodes] if guest.cells else []
            for node, cell in guest.cells.items():
                bound[cell] = bound.get(cell, 0) + (sizes[node] if node < len(sizes) else 0)
        return host_facts.cells(self.dedicated, taken, bound, self.nodes)

    def of(self, guest_id: str, state: GuestState) -> Share:
        """What a guest had before, where that is still possible. Raises BadSpec."""
        shape, hardware = shape_of(state.spec), hardware_of(state.spec)
        if not shape.nodes:
            return Share()
        others = self.others(guest_id)
        cells = self._placed(shape, state.cells, self.cells(others))
        cpus = host_facts.cell_cpus(self.nodes)
        cores = host_facts.cores(self.siblings)
        taken = {cpu for other in others for cpu in self._held_by(other, cores)}
        pins: dict[int, int] = {}
        floating: dict[int, tuple[int, ...]] = {}
        for number, node in enumerate(shape.nodes):
            here = cpus[cells[number]] if cells else os.sched_getaffinity(0)
            mine = [cpu for cpu in node.cpus if cpu in hardware.pinned]
            ours = here & self.dedicated
            kept = {cpu: state.pins[cpu] for cpu in mine if state.pins.get(cpu) in ours}
            missing = [cpu for cpu in mine if cpu not in kept]
            gone = taken | set(kept.values()) | set(pins.values())
            free = in_policy(hardware.thread_policy, ours - gone, gone, cores)
            if len(missing) > len(free):
                policy = f" by thread policy {hardware.thread_policy}" if hardware.thread_policy else ""
                raise BadSpec(f"CPU pinning is not supported by the host: {len(missing)} processors of its own are "
                              f"wanted, and {len(free)} of those set aside are free{policy}")
            pins |= kept | dict(zip(missing, free, strict=False))
            if cells and (shared := here - self.dedicated):
                floating |= {cpu: tuple(sorted(shared)) for cpu in node.cpus if cpu not in hardware.pinned}
        return Share(cells=cells, pins=pins, floating=floating)

    @staticmethod
    def _placed(shape: Shape, before: dict[int, int], cells: tuple[HostCell, ...]) -> dict[int, int]:
        if len(cells) < 2:
            return {}
        wishes, by_number = shape.wishes, {cell.number: cell for cell in cells}
        kept = [by_number.get(before.get(number, -1)) for number in range(len(wishes))]
        if len(set(before.values())) == len(before) == len(wishes) and all(
                cell is not None and holds(cell, wish) for cell, wish in zip(kept, wishes, strict=True)):  # fmt: skip
            return before
        found = placed(wishes, cells)
        if found is None:
            raise BadSpec(f"no NUMA nodes of this host have room for its {len(wishes)}")
        return dict(enumerate(found))

    @staticmethod
    def _held_by(guest: GuestState, cores: set[frozenset[int]]) -> set[int]:
        """The host's processors that no other guest may have: one that shares no core has whole ones."""
        pins = set(guest.pins.values())
        if not pins or hardware_of(guest.spec).thread_policy != "isolate":
            return pins
        return pins.union(*(core for core in cores if core & pins))


def in_policy(policy: str, free: set[int], gone: set[int], cores: set[frozenset[int]]) -> list[int]:
    """The free processors a guest may have, in the order in which it takes them: whole cores first; of whole cores
    alone (require); one of each core that nobody else is on (isolate)."""
    whole = sorted(sorted(core & free) for core in cores if core & free and not core & gone)
    if policy == "isolate":
        return [threads[0] for threads in whole]
    if policy == "require":
        return [cpu for threads in whole if len(threads) > 1 for cpu in threads]
    first = [cpu for threads in whole for cpu in threads]
    return first + sorted(free - set(first))


def shape_of(spec: GuestSpec) -> Shape:
    hardware = hardware_of(spec)
    return Shape(vcpus=spec.vcpus, memory_mb=spec.memory_mb, numa=hardware.numa, pinned=hardware.pinned,
                 page_kb=hardware.page_kb)  # fmt: skip
