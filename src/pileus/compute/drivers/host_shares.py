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
    want their own, `nodes` the folder of the kernel that tells of NUMA nodes."""

    def __init__(self, instances: Path, dedicated: frozenset[int], nodes: Path = host_facts.NODES) -> None:
        self.instances, self.dedicated, self.nodes = instances, dedicated, nodes

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
            sizes = [node.memory_mb for node in shape_of(guest.spec).nodes]
            for node, cell in guest.cells.items():
                bound[cell] = bound.get(cell, 0) + (sizes[node] if node < len(sizes) else 0)
        return host_facts.cells(self.dedicated, taken, bound, self.nodes)

    def of(self, guest_id: str, state: GuestState) -> Share:
        """What a guest had before, where that is still possible. Raises BadSpec."""
        shape, hardware = shape_of(state.spec), hardware_of(state.spec)
        if not shape.nodes:
            return Share()
        if hardware.pinned and (hardware.thread_policy == "require"
                                or hardware.thread_policy == "isolate" and host_facts.threads()):  # fmt: skip
            raise BadSpec(f"this host has no processor thread policy {hardware.thread_policy}")
        others = self.others(guest_id)
        cells = self._placed(shape, state.cells, self.cells(others))
        cpus = host_facts.cell_cpus(self.nodes)
        taken = {cpu for other in others for cpu in other.pins.values()}
        pins: dict[int, int] = {}
        floating: dict[int, tuple[int, ...]] = {}
        for number, node in enumerate(shape.nodes):
            here = cpus[cells[number]] if cells else os.sched_getaffinity(0)
            mine = [cpu for cpu in node.cpus if cpu in hardware.pinned]
            pins |= self._pinned(mine, state.pins, here & self.dedicated, taken | set(pins.values()))
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
    def _pinned(mine: list[int], before: dict[int, int], ours: set[int], taken: set[int]) -> dict[int, int]:
        kept = {cpu: before[cpu] for cpu in mine if before.get(cpu) in ours}
        free = sorted(ours - taken - set(kept.values()))
        missing = [cpu for cpu in mine if cpu not in kept]
        if len(missing) > len(free):
            raise BadSpec(f"CPU pinning is not supported by the host: {len(missing)} processors of its own are wanted, "
                          f"and {len(free)} of those set aside are free")
        return kept | dict(zip(missing, free, strict=False))


def shape_of(spec: GuestSpec) -> Shape:
    hardware = hardware_of(spec)
    return Shape(vcpus=spec.vcpus, memory_mb=spec.memory_mb, numa=hardware.numa, pinned=hardware.pinned,
                 page_kb=hardware.page_kb)  # fmt: skip
