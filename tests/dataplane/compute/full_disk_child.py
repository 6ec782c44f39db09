"""A process for the test of full disks: mounts a small file system of its own, fills it, and tries to make a guest."""

import asyncio
import ctypes
import os
import struct
import sys
import uuid
from pathlib import Path

from pileus.compute.drivers.base import Disk, DiskKind, GuestFailed, GuestSpec, Image, Power
from pileus.compute.drivers.image_cache import ImageCache, ImageUnusable, Write
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings


def mount(folder: Path, options: str) -> None:
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "no file system could be mounted")


def fill(path: Path, leave: int) -> None:
    with open(path, "wb", buffering=0) as file:
        about = os.statvfs(path.parent)
        file.write(bytes(max(0, about.f_bavail * about.f_frsize - leave)))


def writing_sector() -> bytes:
    """A system in one sector that writes its disk over and over, 32 KiB at a time, by way of the firmware."""
    start = b"\xfc\x31\xc0\x8e\xd8"  # cld; xor ax,ax; mov ds,ax
    # again: mov ax,0x4300; mov dl,0x80; mov si,packet; int 0x13; add word [packet+8],64; jmp again
    packet_at = 0x7C00 + len(start) + 17
    body = b"\xb8\x00\x43\xb2\x80\xbe" + struct.pack("<H", packet_at) + b"\xcd\x13"
    body += b"\x83\x06" + struct.pack("<H", packet_at + 8) + b"\x40\xeb\xef"
    packet = struct.pack("<BBHHHQ", 16, 0, 64, 0x8000, 0, 2048)
    return (start + body + packet).ljust(510, b"\0") + b"\x55\xaa"


async def filled_by_a_guest(folder: Path) -> None:
    small = folder / "small"
    mount(small, "size=5m")  # with the filling too small for the guest's disk, and without it large enough
    driver = QemuDriver(QemuSettings(instances=small / "instances", hostname="host-1"))
    (small / "filling").write_bytes(bytes(3 << 20))
    (folder / "image").write_bytes(writing_sector())
    image = Image(id="writing", disk_format="raw", path=str(folder / "image"))
    disks = (Disk(kind=DiskKind.ROOT, size_mb=3, boot_order=0),)
    spec = GuestSpec(id=str(uuid.uuid4()), name="web", vcpus=1, memory_mb=64, image=image, disks=disks)
    await driver.ensure(spec)
    await driver.run(spec.id)
    async with asyncio.timeout(30):
        stop = await anext(aiter(driver.events()))
    print(stop.power, stop.reason)
    (seen,) = await driver.guests()
    assert (seen.power, seen.reason) == (Power.PAUSED, "a disk of its host is full or failed"), seen
    (small / "filling").unlink()
    assert (await driver.run(spec.id)).power is Power.RUNNING
    await driver.remove(spec.id)
    await driver.close()


async def full_before(folder: Path, room: str) -> None:
    small = folder / "small"
    mount(small, "size=1m")
    driver = QemuDriver(QemuSettings(instances=small / "instances", hostname="host-1"))
    cache = ImageCache(small / "images")
    fill(small / "filling", 0 if room == "none" else 16 << 10)

    async def fetch(write: Write) -> None:
        for _ in range(8):
            await write(bytes(64 << 10))

    try:
        await cache.ensure("image", "", fetch)
    except ImageUnusable as error:
        assert list((small / "images").iterdir()) == []
        assert "No space left on device" in error.reason
    else:
        raise AssertionError("the image fitted")
    image = Image(id="empty", disk_format="raw", path=str(folder / "image"))
    spec = GuestSpec(id=str(uuid.uuid4()), name="web", vcpus=1, memory_mb=64, image=image)
    try:
        await driver.ensure(spec)
    except GuestFailed as error:
        print(error.reason)
    else:
        raise AssertionError("the guest was made")
    await driver.remove(spec.id)
    assert await driver.guests() == []
    await driver.close()


if sys.argv[2] == "guest":
    asyncio.run(filled_by_a_guest(Path(sys.argv[1])))
else:
    asyncio.run(full_before(Path(sys.argv[1]), sys.argv[2]))
