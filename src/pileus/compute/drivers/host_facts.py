"""What a machine has to give to guests, read from the kernel; and whether KVM can be trusted on it."""

import os
import platform
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pileus.compute.drivers.hardware import HostCell, Pages
from pileus.compute.guest_topology import cpu_numbers

CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/meminfo")
KERNEL_COUNTS = Path("/proc/stat")
KVM_DEVICE = Path("/dev/kvm")
NODES = Path("/sys/devices/system/node")
SIBLINGS = Path("/sys/devices/system/cpu")
PCI_DEVICES = Path("/sys/bus/pci/devices")
PASSED_BY = "vfio-pci"


def cpu_fields() -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in CPU_INFO.read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def acceleration() -> Literal["kvm", "tcg"]:
    """KVM where the device opens and the processor has the extension. The device alone is no evidence: machines
    that are guests themselves may offer it and not run ordinary kernels on it."""
    flags = cpu_fields().get("flags", "").split()
    if not {"vmx", "svm"} & set(flags):
        return "tcg"
    try:
        os.close(os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return "tcg"
    return "kvm"


def memory_mb() -> int:
    for line in MEMORY_INFO.read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    raise RuntimeError(f"{MEMORY_INFO} tells no MemTotal")


def booted_at() -> float:
    """In seconds since the epoch, whatever became of the clock since."""
    for line in KERNEL_COUNTS.read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise RuntimeError(f"{KERNEL_COUNTS} tells no btime")


def disk_gb(folder: Path) -> tuple[int, int]:
    """All and free space of the file system a folder is on."""
    usage = shutil.disk_usage(folder)
    return usage.total >> 30, usage.free >> 30


def vcpus() -> int:
    return len(os.sched_getaffinity(0))


def cpu_description() -> dict[str, str | list[str]]:
    fields = cpu_fields()
    return {
        "arch": platform.machine(),
        "vendor": fields.get("vendor_id", ""),
        "model": fields.get("model name", ""),
        "features": sorted(fields.get("flags", "").split()),
    }


def threads() -> bool:
    """Whether cores have more than one thread each."""
    return any(len(core) > 1 for core in cores())


def cores(folder: Path = SIBLINGS) -> set[frozenset[int]]:
    """The processors of each core, which are its threads."""
    return {frozenset(cpu_numbers(path.read_text().strip()))
            for path in folder.glob("cpu[0-9]*/topology/thread_siblings_list")}


def cells(dedicated: Collection[int] = (), taken: Collection[int] = (), bound: Mapping[int, int] | None = None,
          nodes: Path = NODES) -> tuple[HostCell, ...]:  # fmt: skip
    """The NUMA nodes of the machine; one, where it tells of none. `dedicated` are the processors that are set aside,
    `taken` those of them that guests have, `bound` the MiB of each node that guests have for themselves."""
    found: list[HostCell] = []
    for number, cpus in cell_cpus(nodes).items():
        path = nodes / f"node{number}"
        if total := re.search(r"MemTotal:\s+(\d+) kB", (path / "meminfo").read_text()):
            left = int(total[1]) // 1024 - (bound or {}).get(number, 0)
            found.append(_cell(number, cpus, max(left, 0), path / "hugepages", dedicated, taken))
    everything = Path("/sys/kernel/mm/hugepages")
    return tuple(found) or (_cell(0, os.sched_getaffinity(0), memory_mb(), everything, dedicated, taken),)


def cell_cpus(nodes: Path = NODES) -> dict[int, set[int]]:
    """Our processors by the number of the NUMA node they are in; nodes without are left out."""
    found, ours = {}, os.sched_getaffinity(0)
    for number in sorted(int(path.name.removeprefix("node")) for path in nodes.glob("node[0-9]*")):
        if listed := (nodes / f"node{number}" / "cpulist").read_text().strip():
            found[number] = ours & set(cpu_numbers(listed))
    return found


def _cell(number: int, cpus: set[int], memory: int, pages: Path, dedicated: Collection[int],
          taken: Collection[int]) -> HostCell:  # fmt: skip
    own = cpus & set(dedicated)
    return HostCell(number=number, cpus=len(cpus - own), dedicated=len(own), dedicated_free=len(own - set(taken)),
                    memory_mb=memory, pages=_pages(pages))  # fmt: skip


def _pages(folder: Path) -> tuple[Pages, ...]:
    found = []
    for path in folder.glob("hugepages-*kB"):
        size = int(path.name.removeprefix("hugepages-").removesuffix("kB"))
        total, free = (int((path / name).read_text()) for name in ("nr_hugepages", "free_hugepages"))
        if total:
            found.append(Pages(size_kb=size, total=total, free=free))
    return tuple(sorted(found, key=lambda each: each.size_kb))


def devices(wanted: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """By alias, the addresses of devices that are there and free to be passed through. `wanted`: addresses, or
    vendor:product."""
    found: dict[str, list[str]] = {}
    for path in sorted(PCI_DEVICES.glob("*")) if wanted else ():
        if (path / "driver").resolve().name != PASSED_BY:
            continue
        kind = ":".join((path / name).read_text().strip().removeprefix("0x") for name in ("vendor", "device"))
        for alias, named in wanted.items():
            if path.name in named or kind in named:
                found.setdefault(alias, []).append(path.name)
    return found
