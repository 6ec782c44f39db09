"""What a machine has to give to guests, read from the kernel; and whether KVM can be trusted on it."""

import os
import platform
import shutil
from pathlib import Path
from typing import Literal

CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/meminfo")
KERNEL_COUNTS = Path("/proc/stat")
KVM_DEVICE = Path("/dev/kvm")


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
