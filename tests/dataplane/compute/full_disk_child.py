"""A process for the test of full disks: mounts a small file system of its own, fills it, and tries to make a guest."""

import asyncio
import ctypes
import os
import sys
import uuid
from pathlib import Path

from pileus.compute.drivers.base import GuestFailed, GuestSpec, Image
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


async def main(folder: Path, room: str) -> None:
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
    await driver.remove(spec.id)
    assert await driver.guests() == []
    await driver.close()


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
