"""The files a QEMU guest starts from: made where they are not there, grown where they are too small, whole or not."""

import asyncio
import shutil
from pathlib import Path

import msgspec

from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, Image
from pileus.compute.drivers.config_drive import write_config_drive
from pileus.compute.drivers.disks import (
    MIB,
    BadDisk,
    grow,
    inspect,
    make_empty,
    make_overlay,
    make_raw,
    make_swap,
    put_base,
    qemu_img,
)
from pileus.compute.drivers.guest_folder import MEMORY, STATE, GuestFolder, GuestState
from pileus.compute.drivers.qemu_devices import assign_slots, disk_names
from pileus.compute.drivers.qemu_launch import BadSpec, DiskFile, bus_of, hardware_of
from pileus.compute.drivers.qemu_machine import firmware_files

RESCUE_BASE = "base-rescue"
TPM = "tpm-state"
OF_THE_IMAGE = ("kernel", "ramdisk", "disk-config0", "disk-cdrom0", "uefi-variables", TPM)
LIMITED = (DiskKind.ROOT, DiskKind.EPHEMERAL, DiskKind.SWAP)


def root_names(spec: GuestSpec) -> tuple[str, str]:
    """The files of the root disk and of what it lies over."""
    suffix = f"-{spec.root}" if spec.root else ""
    return f"disk-root{suffix}", f"base{suffix}"


def raw_name(spec: GuestSpec) -> str:
    """Of a root disk that is no qcow2. What is in a file never tells its format: its guest writes that."""
    return f"raw-{root_names(spec)[0].removeprefix('disk-')}"


def root_file(folder: GuestFolder, spec: GuestSpec) -> tuple[str, str]:
    """(name, format) of the root disk that is there."""
    raw = raw_name(spec)
    return (raw, "raw") if (folder.path / raw).exists() else (root_names(spec)[0], "qcow2")


async def make_disks(folder: GuestFolder, spec: GuestSpec, lock: int, *, raw: bool = False) -> tuple[DiskFile, ...]:
    """Every file the guest starts from; what is there already stays as it is. `raw`: how root disks are kept."""
    found: list[DiskFile] = []
    limited = bool(hardware_of(spec).disk_limits)
    # What is there of an older root disk goes only when the new one is made: its image may be unusable.
    for disk in spec.disks:
        if disk.kind is DiskKind.ROOT:
            await make_root(folder, spec, disk.size_mb, lock, raw=raw)
    await asyncio.to_thread(forget_older, folder, spec)
    for name, disk in zip(disk_names(spec), spec.disks, strict=True):
        made = await make_disk(folder, spec, disk, name, lock)
        found.append(msgspec.structs.replace(made, boot_order=disk.boot_order,
                                             limited=limited and disk.kind in LIMITED))  # fmt: skip
    if spec.image is not None:
        for name, source in (("kernel", spec.image.kernel_path), ("ramdisk", spec.image.ramdisk_path)):
            if source:
                await asyncio.to_thread(put_base, folder.path / name, Path(source))
    if (firmware := firmware_files(spec)) is not None:
        if not all(path.exists() for path in firmware):
            raise BadSpec("this host has no UEFI firmware (Debian package ovmf)")
        await asyncio.to_thread(copy_whole, firmware[1], folder.path / "uefi-variables")
    return tuple(found)


async def make_disk(folder: GuestFolder, spec: GuestSpec, disk: Disk, name: str, lock: int) -> DiskFile:
    path = folder.path / f"disk-{name}"
    if disk.kind is DiskKind.CONFIG:
        await asyncio.to_thread(write_config_drive, path, spec.config_drive, spec.config_drive_format)
        # A disk of these two can be written to; only a CD-ROM cannot.
        of_ata = bus_of(spec, disk.kind) in ("sata", "ide")
        cdrom = of_ata and spec.config_drive_format == "iso9660"
        return DiskFile(name=name, file=path.name, format="raw", read_only=cdrom or not of_ata, cdrom=cdrom)
    if disk.kind is DiskKind.SWAP:
        await asyncio.to_thread(make_swap, path, disk.size_mb)
        return DiskFile(name=name, file=path.name, format="raw")
    if disk.kind is DiskKind.CDROM:
        if spec.image is None:
            raise BadSpec("a CD-ROM needs an image")
        return await make_cdrom(path, spec.image, name)
    if disk.kind is DiskKind.RESCUE:
        if spec.rescue is None:
            raise BadSpec("a rescue disk needs an image")
        if hardware_of(spec).rescue_cdrom:
            return await make_cdrom(folder.path / RESCUE_BASE, spec.rescue, name)
        await over_image(path, folder.path / RESCUE_BASE, spec.rescue, 0, lock)
    elif disk.kind is DiskKind.ROOT:
        file, kind = root_file(folder, spec)
        return DiskFile(name=name, file=file, format=kind)
    else:
        await make_empty(path, disk.size_mb, lock=lock)
    return DiskFile(name=name, file=path.name, format="qcow2")


async def make_cdrom(base: Path, image: Image, name: str) -> DiskFile:
    await asyncio.to_thread(put_base, base, Path(image.path))
    kind = inspect(base, image.disk_format).format
    return DiskFile(name=name, file=base.name, format=kind, read_only=True, cdrom=True)


async def make_root(folder: GuestFolder, spec: GuestSpec, size_mb: int, lock: int, *, raw: bool) -> None:
    """Over the image, or a copy of it. Where the guest has the image as a CD-ROM the disk is empty, to install on."""
    root, base = (folder.path / name for name in root_names(spec))
    image = None if any(disk.kind is DiskKind.CDROM for disk in spec.disks) else spec.image
    plain = folder.path / raw_name(spec)
    if plain.exists() or raw and not root.exists():
        source = None if image is None or plain.exists() else (Path(image.path), image.disk_format)
        await make_raw(plain, source, size_mb * MIB, lock=lock)
    elif image is not None:
        await over_image(root, base, image, size_mb, lock)
    else:
        await make_empty(root, size_mb, lock=lock)


async def over_image(path: Path, base: Path, image: Image, size_mb: int, lock: int) -> None:
    """A disk over an image, as large as asked for, or as it is if that is larger."""
    await asyncio.to_thread(put_base, base, Path(image.path))
    await make_overlay(path, base, inspect(base, image.disk_format), size_mb, lock=lock)
    await grow(path, size_mb, lock=lock)


def forget_older(folder: GuestFolder, spec: GuestSpec) -> None:
    """Files of an earlier root disk, and of a rescue that is over. The image decides about some others."""
    current = {*root_names(spec), raw_name(spec)}
    if spec.rescue is None:
        for name in ("disk-rescue", RESCUE_BASE):
            (folder.path / name).unlink(missing_ok=True)
    else:
        current.add(RESCUE_BASE)
    older = [path for pattern in ("disk-root*", "raw-root*", "base*") for path in folder.path.glob(pattern)
             if path.name not in current and path.suffix != ".new"]  # fmt: skip
    if older:
        for name in OF_THE_IMAGE:
            (folder.path / name).unlink(missing_ok=True)
        for path in older:
            path.unlink()


async def copy_root(folder: GuestFolder, spec: GuestSpec, into: Path) -> None:
    """The root disk of a guest that is off, without what it lies over."""
    root, kind = root_file(folder, spec)
    await qemu_img("convert", "-q", "-f", kind, "-O", "qcow2", root, str(into), folder=folder.path)


def moving_files(folder: GuestFolder, spec: GuestSpec) -> dict[str, int]:
    """Name and size of what another host needs; the state goes first."""
    (root, _), (_, base) = root_file(folder, spec), root_names(spec)
    names = [STATE, base, RESCUE_BASE, *OF_THE_IMAGE, MEMORY, root]
    names += [f"disk-{name}" for name in disk_names(spec) if name != "root"]
    there = [name for name in dict.fromkeys(names) if (folder.path / name).exists()]
    return {name: (folder.path / name).stat().st_size for name in there}


def read_piece(folder: GuestFolder, name: str, offset: int, length: int) -> bytes:
    with open(folder.path / name, "rb") as file:
        file.seek(offset)
        return file.read(length)


def write_piece(folder: GuestFolder, spec: GuestSpec, name: str, offset: int, piece: bytes) -> None:
    """Places on the bus stay what they were on the other host: guests name devices by them."""
    if name == STATE:
        theirs = msgspec.json.decode(piece, type=GuestState)
        folder.write(GuestState(spec=spec, slots=assign_slots(spec, theirs.slots), started=False, saved=theirs.saved))
        return
    if "/" in name or not name.startswith(("disk-", "raw-root", "base", *OF_THE_IMAGE, MEMORY)):
        raise BadDisk(f"{name} is no file of a guest")
    with open(folder.path / name, "r+b" if offset else "wb") as file:
        file.seek(offset)
        file.write(piece)


def copy_whole(source: Path, target: Path) -> None:
    """A copy that is there whole or not at all. Already there: do nothing."""
    if not target.exists():
        fresh = target.with_name(f"{target.name}.new")
        shutil.copyfile(source, fresh)
        fresh.replace(target)

