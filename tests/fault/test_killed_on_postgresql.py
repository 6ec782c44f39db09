"""A whole cloud with its databases on a PostgreSQL server: kill -9 in the middle of each kind of change to a server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from pileus.processes.databases import HOLE
from tests.cloud_databases import SERVICES
from tests.fault.audit import audit
from tests.fault.cloud import Cloud

TOOL = Path(__file__).parents[2] / "tools" / "servers"
# What is asked of a server one after the other, the point where the cloud is killed, and what becomes of the server.
CHANGES: list[tuple[str, Any, str, str]] = [
    ("createImage", {"name": "copy"}, "compute.snapshot_server:save:after", "ACTIVE"),
    ("rebuild", None, "compute.rebuild_server:define_guest:after", "ACTIVE"),
    ("resize", {"flavorRef": "1"}, "compute.resize_server:exchange_claims:after", "VERIFY_RESIZE"),
    ("revertResize", None, "compute.revert_resize:take_back_claim:before", "ACTIVE"),
    ("resize", {"flavorRef": "1"}, "compute.resize_server:run_guest:after", "VERIFY_RESIZE"),
    ("confirmResize", None, "compute.confirm_resize:release:after", "ACTIVE"),
    ("shelve", None, "compute.shelve_server:save:after", "SHELVED_OFFLOADED"),
    ("unshelve", None, "compute.unshelve_server:claim:after", "ACTIVE"),
    ("os-stop", None, "compute.power_server:name_volumes:after", "SHUTOFF"),
    ("os-start", None, "compute.power_server:command_host:after", "ACTIVE"),
]
BOOT, DELETE = "compute.boot_server:bind_host:after", "compute.delete_server:remove_guest:after"


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[str, str]]:
    """URLs of empty databases for all services: for processes in a sandbox, by a socket, and for those of here."""
    folder = Path(tempfile.mkdtemp(prefix="pileus-fault-servers-"))
    folder.chmod(0o711)
    words = ["postgresql", "--dir", str(folder)]
    started = subprocess.run([sys.executable, TOOL, "start", *words, "--json"], capture_output=True, text=True,
                             check=False, timeout=120)
    assert started.returncode == 0, started.stderr
    (url,) = json.loads(started.stdout).values()
    asyncio.run(make_databases(url))
    place = urlsplit(url)._replace(path=f"/{HOLE}")
    login, _, port = place.netloc.partition("@127.0.0.1:")
    inside = place._replace(netloc=f"{login}@", query=f"host={folder}/postgresql&port={port}")
    yield urlunsplit(inside), urlunsplit(place)
    subprocess.run([sys.executable, TOOL, "stop", *words], check=True, timeout=60)
    shutil.rmtree(folder)


async def make_databases(url: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for service in SERVICES:
            await connection.execute(sa.text(f"CREATE DATABASE {service}"))
    await engine.dispose()


@pytest.fixture(scope="module")
def cloud(make_cloud: Callable[..., Cloud], databases: tuple[str, str]) -> Cloud:
    inside, here = databases
    cloud = make_cloud("fake", databases=here)
    cloud.environment["PILEUS_DATABASE__URL"] = inside
    cloud.up()
    cloud.add_image()
    return cloud


def test_every_kind_of_change_is_killed(cloud: Cloud):
    """Each ends as it would have without, nobody asks again, and nothing is left behind."""
    empty = cloud.links()
    assert not [*cloud.state.folder.glob("db/*.sqlite")]
    cloud.arm(BOOT)
    cloud.ask(cloud.body("one"))
    cloud.await_death()
    cloud.up(kill_at=CHANGES[0][2])
    (server_id,) = cloud.servers()
    assert cloud.settled(server_id)["status"] == "ACTIVE"
    audit(cloud, empty)
    for number, (action, body, _, status) in enumerate(CHANGES):
        cloud.act(server_id, action, {"imageRef": cloud.image()["id"]} if action == "rebuild" else body)
        cloud.await_death()
        cloud.up(kill_at=CHANGES[number + 1][2] if number + 1 < len(CHANGES) else DELETE)
        cloud.status(server_id, status)
        if status in ("ACTIVE", "SHUTOFF"):
            audit(cloud, empty)
    copies = cloud.api().get("image", "/v2/images", name="copy")["images"]
    assert [copy["status"] for copy in copies] == ["active"]
    cloud.delete(server_id)
    cloud.await_death()
    cloud.up()
    cloud.await_gone(server_id)
    audit(cloud, empty)
