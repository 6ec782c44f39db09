"""The clouds of this ring: one that is hurt again and again, and fresh ones for what changes a cloud as a whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pileus.processes.build_guest_image import PREBUILT
from tests import guest_images
from tests.fault.audit import Links
from tests.fault.cloud import Cloud
from tests.fault.logins import floating_ip, let_in


@pytest.fixture(scope="session")
def image() -> Path:
    """A folder with the guest image."""
    given = os.environ.get(PREBUILT)
    return Path(given) if given else guest_images.built()


@pytest.fixture(scope="session")
def make_cloud(image: Path) -> Iterator[Callable[..., Cloud]]:
    """Clouds in folders with short names, for sockets; gone at the end, whatever became of them."""
    made: list[tuple[Path, Cloud]] = []

    def make(driver: str = "qemu", databases: str = "") -> Cloud:
        folder = Path(tempfile.mkdtemp(prefix="pileus-fault-"))
        made.append((folder, Cloud(folder / "cloud", image, driver=driver, databases=databases)))
        return made[-1][1]

    yield make
    for folder, cloud in made:
        if cloud.state.folder.exists():
            cloud.destroy()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def hurt(make_cloud: Callable[..., Cloud]) -> Cloud:
    cloud = make_cloud()
    cloud.up()
    cloud.image()
    return cloud


@pytest.fixture(scope="session")
def empty(hurt: Cloud) -> Links:
    """What a cloud that had its first server, and has none, keeps on the machine."""
    server_id = hurt.boot("first")
    hurt.delete(server_id)
    hurt.await_gone(server_id)
    return hurt.links()


@pytest.fixture(scope="session")
def blank(hurt: Cloud) -> dict[str, str]:
    """What a server is to be made of whose guest has nothing to do, and leaves the processors to others."""
    return {"imageRef": hurt.add_image("demo", "private")}


@pytest.fixture
def cloud(hurt: Cloud, empty: Links) -> Iterator[Cloud]:
    """The cloud that is hurt, running and without servers; what a failed test left is cleared away."""
    if hurt.process() is None:
        hurt.up()
    yield hurt
    if hurt.process() is None:
        hurt.up()
    for server_id in hurt.servers():
        hurt.api("admin").call("DELETE", "compute", f"/servers/{server_id}", accept=(404,))
        hurt.await_gone(server_id)


@pytest.fixture
def reachable(cloud: Cloud) -> tuple[str, str]:
    """A server one can log in to, and its floating IP."""
    server_id = cloud.boot("reachable", **let_in(cloud))
    return server_id, floating_ip(cloud, server_id)
