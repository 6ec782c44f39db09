"""Disk images from one format into another by qemu-img, which gets a bounded share of the machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pileus.image.stores.base import StoreFull
from pileus.kit.child import bound_memory, child

# Our names of the formats that can be told apart, read and written, and qemu-img's.
FORMATS = {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx"}
MEMORY = 4 << 30                # of address space
SECONDS = 4 * 3600.0


class NotConvertible(Exception):
    """The message says what qemu-img says."""


async def convert(source: Path, was: str, target: Path, wanted: str) -> None:
    """Write `target`. `source` must have been inspected: it may refer to no other file. Raises NotConvertible and
    StoreFull."""
    try:
        async with asyncio.timeout(SECONDS), child(
                "qemu-img", "convert", "-q", "-f", FORMATS[was], "-O", FORMATS[wanted], str(source), str(target),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE) as process:
            bound_memory(process, MEMORY)
            _, told = await process.communicate()
    except FileNotFoundError as error:
        raise NotConvertible("qemu-img is not on this machine (Debian package qemu-utils)") from error
    except TimeoutError as error:
        raise NotConvertible(f"it takes longer than {SECONDS:.0f} s") from error
    complaint = " ".join(told.decode(errors="replace").split())[-500:]
    if process.returncode:
        if "No space left on device" in complaint:
            raise StoreFull(complaint)
        raise NotConvertible(complaint or f"qemu-img ended with {process.returncode}")
