"""A process for the test of full disks: mounts a small file system of its own, fills it, and tries to make a guest."""

import asyncio
import ctypes
import os
import sys
import uuid
from pathlib import Path

from boot_sectors import filling_sector

from pileus.compute.drivers.base import Disk, DiskKind, GuestFailed, GuestSpec, GuestVolume, Image, Power
from pileus.compute.drivers.image_cache import ImageCache, ImageUnusable, Write
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.volume.drivers.base import ExportOptions, Origin, VolumeFailed
from pileus.volume.drivers.file import FileDriver


def mount(folder: Path, options: str) -> None:
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "no file system could be mounted")


def fill(path: Path, leave: int) -> None:
    with open(path, "wb", buffering=0) as file:
        about = os.statvfs(path.parent)
        file.write(bytes(max(0, about.f_bavail * about.f_frsize - leave)))


async def on_its_disk(folder: Path) -> None:
    small = folder / "small"
    mount(small, "size=5m")  # with the filling too small for the guest's disk, and without it large enough
    image = Image(id="writing", disk_format="raw", path=str(folder / "image"))
    disks = (Disk(kind=DiskKind.ROOT, size_mb=3, boot_order=0),)
    spec = GuestSpec(id=str(uuid.uuid4()), name="web", vcpus=1, memory_mb=64, image=image, disks=disks)
    await filled_by_a_guest(folder, small / "instances", spec)


async def on_its_volume(folder: Path) -> None:
    """The volume is on the small file system, and larger; the guest's folder is not."""
    small = folder / "small"
    mount(small, "size=5m")
    volumes = FileDriver("here", small / "volumes")
    (folder / "image").write_bytes(filling_sector())
    await volumes.ensure("root", 1)
    await volumes.fill("root", str(folder / "image"), "raw")
    export = await volumes.export("root", ExportOptions())
    volume = GuestVolume(volume_id="root", socket=export.socket, export=export.name, boot_order=1)
    spec = GuestSpec(id=str(uuid.uuid4()), name="web", vcpus=1, memory_mb=64, disks=(), volumes=(volume,))
    await filled_by_a_guest(folder, folder / "instances", spec)
    (small / "filling").write_bytes(bytes(os.statvfs(small).f_bavail * os.statvfs(small).f_frsize))
    try:
        await volumes.ensure("another", 1, Origin(volume_id="root"))
    except VolumeFailed as error:
        assert "No space left on device" in error.reason, error.reason
    else:
        raise AssertionError("the copy was made")
    assert [held.id for held in await volumes.held()] == ["root"]
    (small / "filling").unlink()
    await volumes.remove("root")


async def filled_by_a_guest(folder: Path, instances: Path, spec: GuestSpec) -> None:
    """Runs again once there is room; what it has written until then is there."""
    small = folder / "small"
    driver = QemuDriver(QemuSettings(instances=instances, hostname="host-1"))
    (small / "filling").write_bytes(bytes(3 << 20))
    (folder / "image").write_bytes(filling_sector())
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


if sys.argv[2] in ("guest", "volume"):
    asyncio.run((on_its_disk if sys.argv[2] == "guest" else on_its_volume)(Path(sys.argv[1])))
else:
    asyncio.run(full_before(Path(sys.argv[1]), sys.argv[2]))
