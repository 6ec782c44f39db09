"""Which NUMA nodes of a host hold those of a guest: for the scheduler, and for the host that makes the guest; pure."""

from __future__ import annotations

import msgspec

from pileus.compute.drivers.hardware import HostCell, NumaNode, Pages

SMALL_KB = 4


class NodeWish(msgspec.Struct, frozen=True, kw_only=True):
    """A NUMA node of the guest, which one of the host's is to hold."""

    shared: int = 0                           # processors
    dedicated: int = 0
    memory_mb: int
    page_kb: int = 0                          # 0: as usual, -1: any large size


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What of a guest has its place in a host."""

    vcpus: int
    memory_mb: int
    numa: tuple[NumaNode, ...] = ()
    pinned: tuple[int, ...] = ()
    page_kb: int = 0

    @property
    def nodes(self) -> tuple[NumaNode, ...]:
        """Of which each is held by one of the host's. A guest that says nothing of nodes, and wants pages or processors
        of its own, is held by one as a whole; none where it is all the same where it runs."""
        if self.numa or not (self.pinned or self.page_kb):
            return self.numa
        return (NumaNode(cpus=tuple(range(self.vcpus)), memory_mb=self.memory_mb),)

    @property
    def wishes(self) -> tuple[NodeWish, ...]:
        own = set(self.pinned)
        return tuple(NodeWish(shared=len(set(node.cpus) - own), dedicated=len(own & set(node.cpus)),
                              memory_mb=node.memory_mb, page_kb=self.page_kb) for node in self.nodes)


def holds(cell: HostCell, node: NodeWish) -> bool:
    return (node.shared <= cell.cpus and node.dedicated <= cell.dedicated_free and node.memory_mb <= cell.memory_mb
            and (not node.page_kb or any(_are_enough(pages, node) for pages in cell.pages)))


def _are_enough(pages: Pages, node: NodeWish) -> bool:
    right = pages.size_kb > SMALL_KB if node.page_kb < 0 else pages.size_kb == node.page_kb
    return right and pages.free * pages.size_kb >= node.memory_mb * 1024


def placed(nodes: tuple[NodeWish, ...], cells: tuple[HostCell, ...]) -> tuple[int, ...] | None:
    """The number of the host's node for each of the guest's, no two the same, the first that do; None where that cannot
    be."""
    if not nodes:
        return ()
    for place, cell in enumerate(cells):
        if holds(cell, nodes[0]):
            rest = placed(nodes[1:], cells[:place] + cells[place + 1:])
            if rest is not None:
                return (cell.number, *rest)
    return None
