"""kill -9 of the whole program at each step of an import, and in the middle of an upload, then `up` again."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pileus.image.sagas.import_image import ImportImage
from tests.fault.cloud import BROKEN, Cloud, wait
from tests.fault.points import harmless, points_of

POINTS = points_of(ImportImage)
DATA = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def two_stores() -> Iterator[Cloud]:
    folder = Path(tempfile.mkdtemp(prefix="pileus-fault-"))
    cloud = Cloud(folder / "cloud", None, driver="fake")
    cloud.state.folder.mkdir()
    (cloud.state.folder / "pileus.toml").write_text(f'[image.more_stores]\nsecond = "{folder / "second"}"\n')
    cloud.up()
    yield cloud
    if cloud.process() is None:
        cloud.up()
    cloud.destroy()
    shutil.rmtree(folder)


def kept(cloud: Cloud) -> dict[str, list[str]]:
    """The contents of both stores, whole ones and drafts."""
    stores = {"file": cloud.state.images, "second": cloud.state.folder.parent / "second"}
    return {f"{name}/{part}": sorted(path.name for path in (folder / part).iterdir())
            for name, folder in stores.items() for part in ("data", "incoming")}


def new_image(cloud: Cloud) -> str:
    return cloud.api("admin").post("image", "/v2/images", {
        "name": "import", "disk_format": "raw", "container_format": "bare"})["id"]


def put(cloud: Cloud, path: str, content: bytes) -> None:
    api = cloud.api("admin")
    answer = api.http.put(f"{api.catalog['image']}{path}", content=content, headers={
        "x-auth-token": api.token, "content-type": "application/octet-stream"})
    assert answer.status_code == 204, answer.text


def shown(cloud: Cloud, image: str) -> dict[str, Any]:
    return cloud.api("admin").get("image", f"/v2/images/{image}")


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(two_stores: Cloud, point: str):
    cloud = two_stores
    following = POINTS[POINTS.index(point) + 1:][:1]
    cloud.arm(point)
    before = kept(cloud)
    image = new_image(cloud)
    put(cloud, f"/v2/images/{image}/stage", DATA)
    body = {"method": {"name": "glance-direct"}, "stores": ["second"]}
    with contextlib.suppress(*BROKEN):                   # it may die before the answer is out
        cloud.api("admin").post("image", f"/v2/images/{image}/import", body)
    cloud.await_death()
    cloud.up(kill_at=following[0] if following and harmless(point, following[0]) else "")
    wait("the import", lambda: shown(cloud, image)["status"] == "active")
    assert shown(cloud, image)["stores"] == "second"
    task, = cloud.api("admin").get("image", f"/v2/images/{image}/tasks")["tasks"]
    assert task["status"] == "success"
    wait("an empty stage", lambda: kept(cloud)["file/data"] == before["file/data"])
    api = cloud.api("admin")
    got = api.http.get(f"{api.catalog['image']}/v2/images/{image}/file", headers={"x-auth-token": api.token})
    assert got.content == DATA
    api.call("DELETE", "image", f"/v2/images/{image}")
    assert kept(cloud) == before


def test_killed_in_the_middle_of_an_upload(two_stores: Cloud):
    cloud = two_stores
    cloud.arm("")
    image = new_image(cloud)
    before = kept(cloud)
    with socket.create_connection(("127.0.0.1", cloud.port)) as link:
        link.sendall((f"PUT /image/v2/images/{image}/file HTTP/1.1\r\nhost: localhost\r\nx-auth-token:"
                      f" {cloud.api('admin').token}\r\ncontent-type: application/octet-stream\r\n"
                      "content-length: 50000000\r\n\r\n").encode())
        link.sendall(os.urandom(20_000_000))
        wait("a draft", lambda: kept(cloud)["file/incoming"])
        cloud.kill()
    cloud.up()
    found = shown(cloud, image)
    assert (found["status"], found["size"]) == ("saving", None) and kept(cloud)["file/data"] == before["file/data"]
    api = cloud.api("admin")
    assert api.http.get(f"{api.catalog['image']}/v2/images/{image}/file",
                        headers={"x-auth-token": api.token}).status_code == 204
    api.call("DELETE", "image", f"/v2/images/{image}")
