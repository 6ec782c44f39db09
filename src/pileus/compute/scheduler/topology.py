"""What of a host has its place in it: NUMA nodes with their processors and pages, and devices that guests get."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pileus.compute.asked_resources import PCI
from pileus.compute.drivers.hardware import HostCell
from pileus.compute.guest_topology import BadHardware, numa_nodes, page_size, pinned_cpus
from pileus.compute.model.servers import FlavorCopy
from pileus.compute.numa import NodeWish, Shape, placed
from pileus.compute.scheduler.columns import Columns, HostState, Mask, Rows, Vector
from pileus.compute.scheduler.wishes import Wish


def nodes_of(flavor: FlavorCopy, image: Mapping[str, str]) -> tuple[NodeWish, ...]:
    """Of a guest."""
    specs = flavor.extra_specs
    try:
        nodes = numa_nodes(image, specs, vcpus=flavor.vcpus, memory_mb=flavor.memory_mb)
        page_kb, pinned = page_size(image, specs), pinned_cpus(image, specs, flavor.vcpus)
    except BadHardware:                       # such a server is refused before it is made
        return ()
    return Shape(vcpus=flavor.vcpus, memory_mb=flavor.memory_mb, numa=nodes, pinned=pinned, page_kb=page_kb).wishes


def held(hosts: Columns, wish: Wish) -> Mask | None:
    if not wish.nodes:
        return None
    return hosts.where("cells", lambda host: host.facts.cells, lambda cells: placed(wish.nodes, cells) is not None)


def held_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    asked = "; ".join(_asked(node) for node in wish.nodes)
    first = hosts.hosts[int(rows[0])]
    has = "; ".join(_has(cell) for cell in first.facts.cells) or "none"
    return f"NUMA nodes that hold {asked} are wanted, and {hosts.names(rows)} have none that do ({first.name}: {has})."


def _asked(node: NodeWish) -> str:
    pages = "" if not node.page_kb else " in large pages" if node.page_kb < 0 else f" in pages of {node.page_kb} KiB"
    own = f" and {node.dedicated} of their own" if node.dedicated else ""
    return f"{node.shared} processors{own}, {node.memory_mb} MiB{pages}"


def _has(cell: HostCell) -> str:
    pages = "".join(f", {pages.free} free pages of {pages.size_kb} KiB" for pages in cell.pages)
    return (f"{cell.cpus} processors, {cell.dedicated_free} free of {cell.dedicated} set aside, {cell.memory_mb} MiB"
            f"{pages}")


def devices(hosts: Columns, wish: Wish) -> Mask | None:
    asked = {name: amount for name, amount in wish.resources.items() if name.startswith(PCI)}
    if not asked:
        return None
    mask = np.ones(len(hosts), dtype=np.bool_)
    for name, amount in asked.items():
        mask &= hosts.free(name) >= amount
    return mask


def devices_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    said = []
    for name, amount in wish.resources.items():
        if name.startswith(PCI):
            most = int(hosts.free(name)[rows].max())
            said.append(f"{amount} devices {name.removeprefix(PCI).lower()} (at most {most} free)")
    return f"it is to get {' and '.join(said)}, and {hosts.names(rows)} have not so many left."


def free_devices(hosts: Columns) -> Vector:
    return hosts.made_of("devices", _free_devices)


def _free_devices(host: HostState) -> float:
    return sum(amount for name, amount in host.free.items() if name.startswith(PCI))
