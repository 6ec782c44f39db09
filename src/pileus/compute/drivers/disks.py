"""Disk files: what an image file really is, and the disks guests get; whole or not there, never half."""

import asyncio
import os
import shutil
import struct
from pathlib import Path

import msgspec
from oslo_utils.imageutils.format_inspector import ImageFormatError, SafetyCheckFailed, detect_file_format

from pileus.kit.child import bound_memory, child

QEMU_IMG_SECONDS = 120
CONVERT_SECONDS = 3600
MEMORY = 4 << 30  # of address space, for what reads images of strangers in formats of others
FOREIGN = {"vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx"}  # brought to qcow2, by QEMU's names of them
RAW_FORMATS = frozenset({"raw", "iso", "ami", "aki", "ari"})
CONTAINERS = frozenset({"qcow2", "vmdk", "vdi", "vhd", "vhdx", "qed"})  # of disks; no disk or kernel begins like one
QCOW2_MAGIC = b"QFI\xfb"
QCOW2_EXTERNAL_DATA = 1 << 2
SECTOR = 512
CHECK_LEAKS = 3  # what `qemu-img check` ends with when space is lost, but nothing is wrong
MIB = 1 << 20


class BadDisk(Exception):
    """A disk or image that cannot be used or made; the message says why."""


class Size(msgspec.Struct, frozen=True):
    """A disk as its user sees it."""

    format: str
    bytes: int


def inspect(path: Path, disk_format: str) -> Size:
    """The size of an image file. Raises BadDisk if it is missing, no such format, or refers to any other file."""
    if disk_format not in RAW_FORMATS and disk_format != "qcow2":
        others = ", ".join(FOREIGN)
        raise BadDisk(f"disk format {disk_format} is not supported by this host; qcow2, raw, {others} are")
    try:
        with open(path, "rb") as file:
            header = file.read(104)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise BadDisk(f"image file cannot be read: {error.strerror}") from error
    if size == 0:
        raise BadDisk("image file is empty")
    if disk_format in RAW_FORMATS:
        return Size("raw", -(-size // SECTOR) * SECTOR)
    if header[:4] != QCOW2_MAGIC or len(header) < 72:
        raise BadDisk("image file is no qcow2, though it is said to be")
    version, backing, _, _, virtual = struct.unpack_from(">IQIIQ", header, 4)
    if version not in (2, 3):
        raise BadDisk(f"image file is qcow2 of unknown version {version}")
    if backing:
        raise BadDisk("image file has a backing file, which is not allowed")
    if version == 3 and len(header) >= 80 and struct.unpack_from(">Q", header, 72)[0] & QCOW2_EXTERNAL_DATA:
        raise BadDisk("image file keeps its data in another file, which is not allowed")
    return Size("qcow2", virtual)


async def verify(path: Path, disk_format: str) -> Size:
    """As `inspect`, and what else can be found out about the file before any guest has it: what it is in truth, and
    for one that is not raw QEMU's own opinion."""
    size = inspect(path, disk_format)
    if size.format == "raw" and (found := await asyncio.to_thread(detected, path)) in CONTAINERS:
        raise BadDisk(f"image file is {found}, though it is said to be {disk_format}")
    if size.format == "qcow2":
        told = msgspec.json.decode(await qemu_img("info", "--output=json", "-f", "qcow2", str(path)), type=dict)
        await qemu_img("check", "-q", "-f", "qcow2", str(path), fine=(0, CHECK_LEAKS), failure="image file is damaged")
        details = told.get("format-specific", {}).get("data", {})
        if told.get("backing-filename") or details.get("data-file") or details.get("corrupt"):
            raise BadDisk("image file refers to another file or is marked corrupt")
    return size


async def to_qcow2(path: Path, disk_format: str) -> None:
    """Make a qcow2 of an image file in one of the foreign formats. Raises BadDisk, also if it refers to other files."""
    await asyncio.to_thread(_must_be_whole, path, disk_format)
    fresh = path.with_name(f"{path.name}.qcow2")
    await qemu_img("convert", "-q", "-f", FOREIGN[disk_format], "-O", "qcow2", str(path), str(fresh),
                   seconds=CONVERT_SECONDS, memory=MEMORY)
    fresh.replace(path)


def _must_be_whole(path: Path, disk_format: str) -> None:
    try:
        found = detect_file_format(str(path))
        if found is None or str(found) != disk_format:
            raise BadDisk(f"image file is {found}, though it is said to be {disk_format}")
        found.safety_check()
    except (ImageFormatError, SafetyCheckFailed) as error:
        raise BadDisk(f"image file is not to be trusted: {error}") from error


def detected(path: Path) -> str:
    """The format that the content has; empty where it could be several."""
    try:
        return str(detect_file_format(str(path)))
    except ImageFormatError:
        return ""


async def make_overlay(path: Path, base: Path, base_size: Size, size_mb: int, *, lock: int) -> None:
    """A qcow2 disk over an image, named relative to it, so that both can be moved together."""
    wanted = size_mb * MIB or base_size.bytes
    if wanted < base_size.bytes:
        raise BadDisk(f"a root disk of {size_mb} MiB is too small for an image of {-(-base_size.bytes // MIB)} MiB")
    backing = ("-b", base.name, "-F", base_size.format)
    await make_whole(path, "create", "-q", "-f", "qcow2", *backing, "{path}", str(wanted), lock=lock)


def virtual_bytes(path: Path) -> int:
    """The size of a qcow2 disk of ours as its guest sees it."""
    with open(path, "rb") as file:
        return int.from_bytes(file.read(32)[24:32], "big")


async def grow(path: Path, size_mb: int, *, lock: int) -> None:
    """Make a disk of ours at least that large. It never shrinks: what its guest wrote stays."""
    if virtual_bytes(path) < size_mb * MIB:
        await qemu_img("resize", "-q", "-f", "qcow2", path.name, str(size_mb * MIB), folder=path.parent, keep=(lock,))


async def make_raw(path: Path, image: tuple[Path, str] | None, size: int, *, lock: int) -> None:
    """A raw disk with what is in an image (path, format), if any, as large as asked for. It never shrinks."""
    found = None if image is None else inspect(*image)
    if found is not None and image is not None:
        if size and size < found.bytes:
            raise BadDisk(f"a root disk of {size // MIB} MiB is too small for an image of {-(-found.bytes // MIB)} MiB")
        source = str(image[0].absolute())
        await make_whole(path, "convert", "-q", "-f", found.format, "-O", "raw", source, "{path}", lock=lock)
    await asyncio.to_thread(_stretch, path, size)


def _stretch(path: Path, size: int) -> None:
    with open(path, "ab") as file:
        if file.tell() < size:
            file.truncate(size)


async def make_empty(path: Path, size_mb: int, *, lock: int) -> None:
    await make_whole(path, "create", "-q", "-f", "qcow2", "{path}", str(size_mb * MIB), lock=lock)


def make_swap(path: Path, size_mb: int) -> None:
    """A disk a Linux guest can swap to at once: its first page ends in a signature. Already there: do nothing."""
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.new")
    page = bytearray(4096)
    struct.pack_into("<II", page, 1024, 1, size_mb * MIB // 4096 - 1)  # version, last page
    page[4086:] = b"SWAPSPACE2"
    with open(fresh, "wb") as file:
        file.write(page)
        file.truncate(size_mb * MIB)
    fresh.replace(path)


async def make_whole(path: Path, *arguments: str, lock: int) -> None:
    """Let qemu-img make a file under another name, then put it in place. Already there: do nothing.

    It is given the guest's lock: should this process be killed, the next one waits until qemu-img is done as well.
    """
    if await asyncio.to_thread(path.exists):
        return
    fresh = path.with_name(f"{path.name}.new")
    words = [argument.replace("{path}", fresh.name) for argument in arguments]
    await qemu_img(*words, folder=path.parent, keep=(lock,))
    fresh.replace(path)


def put_base(path: Path, image: Path) -> None:
    """Give a guest its own link to a cached image: the cache may forget the file, the guest keeps it."""
    if path.exists():
        return
    try:
        os.link(image, path)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise BadDisk("image file is not on this host") from error
        # The cache is on another file system, or the file may not be linked by us.
        fresh = path.with_name(f"{path.name}.new")
        shutil.copyfile(image, fresh)
        fresh.replace(path)


async def qemu_img(
    *arguments: str,
    folder: Path | None = None,
    keep: tuple[int, ...] = (),
    fine: tuple[int, ...] = (0,),
    failure: str = "",
    seconds: float = QEMU_IMG_SECONDS,
    memory: int | None = None,
) -> bytes:
    """What qemu-img printed; `keep` are descriptors it inherits, `memory` is what it may have, in bytes.

    Raises BadDisk, with `failure` or else its own words, when it ends in no fine way.
    """
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        async with (
            asyncio.timeout(seconds),
            child("qemu-img", *arguments, cwd=folder, pass_fds=keep, stdin=none, stdout=pipe, stderr=pipe) as process,
        ):
            if memory is not None:
                bound_memory(process, memory)
            printed, complaint = await process.communicate()
    except FileNotFoundError as error:
        raise BadDisk("qemu-img is not on this host (Debian package qemu-utils)") from error
    except TimeoutError as error:
        raise BadDisk(f"qemu-img {arguments[0]} took longer than {seconds:.0f} s") from error
    if process.returncode not in fine:
        raise BadDisk(
            failure or complaint.decode(errors="replace").strip()[-500:] or f"qemu-img ended with {process.returncode}"
        )
    return printed
