"""A folder like the one in which the kernel tells of NUMA nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def numa_folder(folder: Path, nodes: Mapping[int, tuple[str, int]]) -> Path:
    """`nodes`: by number the list of its processors and its memory in MiB."""
    for number, (cpus, memory_mb) in nodes.items():
        node = folder / f"node{number}"
        node.mkdir(parents=True)
        (node / "cpulist").write_text(f"{cpus}\n")
        (node / "meminfo").write_text(f"Node {number} MemTotal:       {memory_mb * 1024} kB\n")
    return folder
