"""What tests of real guests share: an image that is built once, a network namespace, drivers that are cleaned up."""

import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, Image
from pileus.compute.drivers.guest_folder import guest_folders
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.compute.drivers.qemu_process import kill_stray
from pileus.guest_image import GuestImage, Recipe
from pileus.guest_image.assembly import described
from tests import guest_images


@pytest.fixture(scope="session")
def guest() -> GuestImage:
    return described(guest_images.built(), Recipe())


@pytest.fixture(scope="session")
def namespace() -> Iterator[Path]:
    name = f"dataplane-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield Path("/run/netns") / name
    subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture
async def settings(tmp_path: Path, namespace: Path) -> AsyncIterator[QemuSettings]:
    settings = QemuSettings(instances=tmp_path / "instances", hostname="host-1", namespace=namespace)
    yield settings
    # A test that failed half way leaves no QEMU behind either.
    for folder in guest_folders(settings.instances):
        await kill_stray(folder)


@pytest.fixture
async def driver(settings: QemuSettings) -> AsyncIterator[QemuDriver]:
    driver = QemuDriver(settings)
    yield driver
    for guest in await driver.guests():
        await driver.remove(guest.id)
    await driver.close()


@pytest.fixture
def make_spec(tmp_path: Path) -> Callable[..., GuestSpec]:
    """A guest with an empty raw image, changed as asked."""

    def make(**changes: object) -> GuestSpec:
        path = tmp_path / "image"
        path.write_bytes(bytes(1 << 20))
        spec = GuestSpec(
            id=str(uuid.uuid4()),
            name="web",
            vcpus=1,
            memory_mb=64,
            image=Image(id="empty", disk_format="raw", path=str(path)),
            disks=(Disk(kind=DiskKind.ROOT, boot_order=0),),
        )
        return msgspec.structs.replace(spec, **changes)

    return make
