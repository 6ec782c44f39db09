"""QCOW2 files by way of qemu-img, and what their headers tell without it."""

from __future__ import annotations

import asyncio
import os
import struct
from pathlib import Path
from typing import Any

import msgspec

from pileus.kit.child import child

# Of images, by the names that clients and QEMU have for them.
IMAGE_FORMATS = {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx"}
WHOLE_VMDK = ("monolithicSparse", "streamOptimized")          # types that are one file
MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")          # up to and with the offset of the snapshot table
_OFFSET = 0x00FF_FFFF_FFFF_FE00                       # of entries in tables of clusters
_SNAPSHOT = struct.Struct(">QIHHIIQII")


class QemuImageFailed(Exception):
    """qemu-img refused; its words."""


class Header(msgspec.Struct, frozen=True):
    size: int
    snapshots: tuple[str, ...]


def header(path: Path) -> Header:
    """Size and names of internal snapshots; reads two places of the file, also while it is in use."""
    with path.open("rb") as file:
        fields = _HEADER.unpack(file.read(_HEADER.size))
        if fields[0] != MAGIC:
            raise QemuImageFailed(f"{path} is no QCOW2 file")
        size, count, table = fields[5], fields[11], fields[12]
        names = []
        for _ in range(count):
            file.seek(table)
            entry = _SNAPSHOT.unpack(file.read(_SNAPSHOT.size))
            id_size, name_size, extra = entry[2], entry[3], entry[8]
            file.seek(table + _SNAPSHOT.size + extra + id_size)
            names.append(file.read(name_size).decode())
            table += (_SNAPSHOT.size + extra + id_size + name_size + 7) // 8 * 8
    return Header(size, tuple(names))


def beginning(path: Path, length: int) -> bytes:
    """Of what the disk inside holds, up to its first cluster; it is all zeros where nothing was written."""
    with path.open("rb") as file:
        fields = _HEADER.unpack(file.read(_HEADER.size))
        place = fields[8]                                  # of the first table, of which each entry leads to a second
        for _ in range(2):
            file.seek(place)
            place = int.from_bytes(file.read(8)) & _OFFSET
            if not place:
                return bytes(length)
        file.seek(place)
        return file.read(min(length, 1 << fields[4]))


async def run(*arguments: str, inherit: tuple[int, ...] = ()) -> bytes:
    """A program of QEMU's; what it printed. Raises QemuImageFailed."""
    async with child(*arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                     stderr=asyncio.subprocess.PIPE, pass_fds=inherit) as process:
        out, complaint = await process.communicate()
    if process.returncode:
        raise QemuImageFailed(" ".join(complaint.decode(errors="replace").split())[-500:] or f"{arguments[0]} failed")
    return out


async def info(source: str, disk_format: str) -> dict[str, Any]:
    return msgspec.json.decode(await run("qemu-img", "info", "-U", "--output=json", "-f", disk_format, source))


def refers_elsewhere(found: dict[str, Any]) -> bool:
    """Whether an image that `info` tells of has some of its content in other files."""
    data = found.get("format-specific", {}).get("data", {})
    return bool(found.get("backing-filename") or data.get("data-file")
                or data.get("create-type", "monolithicSparse") not in WHOLE_VMDK)


async def create(path: Path, size: int) -> None:
    await run("qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size))


async def convert(source: str, disk_format: str, target: Path, *, snapshot: str | None = None,
                  target_format: str = "qcow2") -> None:
    """A new file with the content of `source`, which may be in use when a snapshot of it is named; on the disk."""
    chosen = ("-l", f"snapshot.name={snapshot}") if snapshot else ()
    await run("qemu-img", "convert", "-q", "-U", "-f", disk_format, *chosen, "-O", target_format, source, str(target))
    await asyncio.to_thread(flush, target)


async def clone(source: Path, target: Path, *, snapshot: str) -> None:
    """The same of a file beside it: the kernel copies, and file systems that can (XFS, Btrfs) let both share what is
    there. What it holds of zeros is copied as well."""
    await run("qemu-img", "convert", "-q", "-U", "-C", "-f", "qcow2", "-l", f"snapshot.name={snapshot}", "-O", "qcow2",
              str(source), str(target))
    await asyncio.to_thread(flush, target)


async def write_image(raw: Path, target: Path, disk_format: str) -> None:
    """A raw file as an image of another format, by its name for clients."""
    kept = ("-o", "force_size=on") if disk_format == "vhd" else ()       # else it is rounded to what a drive could have
    await run("qemu-img", "convert", "-q", "-f", "raw", "-O", IMAGE_FORMATS[disk_format], *kept, str(raw), str(target))


async def overwrite(source: str, disk_format: str, target: Path, size: int) -> None:
    """Write the content of `source` into a file that keeps its snapshots; what lies behind it becomes zeros."""
    await run("qemu-io", "-f", "qcow2", "-c", f"write -z -u 0 {size}", str(target))
    await run("qemu-img", "convert", "-q", "-n", "-f", disk_format, "-O", "qcow2", source, str(target))
    await asyncio.to_thread(flush, target)


def flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
