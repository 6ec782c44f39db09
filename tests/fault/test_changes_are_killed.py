"""kill -9 after each step of deleting, stopping, starting and rebooting guests; while many boot at once; while a volume
is attached and detached. Before each step of every saga, the proofs of sagas do it, with hosts that only pretend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pileus.compute.sagas.attach_volume import AttachVolume, DetachVolume
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.sagas.delete_server import DeleteServer
from pileus.compute.sagas.power_server import PowerServer
from tests.fault.audit import Links, audit
from tests.fault.cloud import BROKEN, Cloud, wait
from tests.fault.points import harmless, points_of

DELETE, POWER = points_of(DeleteServer, ("after",)), points_of(PowerServer, ("after",))
MANY = 10


@pytest.fixture(scope="module", autouse=True)
def disarmed(hurt: Cloud) -> Iterator[None]:
    """No later test may meet the last point."""
    yield
    hurt.arm("")


@pytest.mark.parametrize("point", DELETE)
def test_deletion_is_killed_at(cloud: Cloud, empty: Links, blank: dict[str, str], point: str):
    cloud.arm(point)
    server_id = cloud.boot("deleted", **blank)
    cloud.delete(server_id)
    cloud.await_death()
    following = DELETE[DELETE.index(point) + 1:][:1]
    cloud.up(kill_at=following[0] if following and harmless(point, following[0]) else "")
    cloud.await_gone(server_id)
    audit(cloud, empty)


def test_stopping_and_starting_are_killed(cloud: Cloud, empty: Links):
    """By turns, at one point after the other."""
    server_id = cloud.boot("powered")
    cloud.await_login(server_id)
    for number in range(len(POWER)):
        action, wanted = ("os-start", "ACTIVE") if number % 2 else ("os-stop", "SHUTOFF")
        said = cloud.console(server_id)
        killed_while(cloud, number, server_id, action)
        cloud.status(server_id, wanted)
        audit(cloud, empty)
        if action == "os-start":
            cloud.await_login(server_id, said)


def test_rebooting_is_killed(cloud: Cloud, empty: Links, blank: dict[str, str]):
    server_id = cloud.boot("rebooted", **blank)
    for number in range(len(POWER)):
        killed_while(cloud, number, server_id, "reboot", {"type": "HARD"})
        cloud.status(server_id, "ACTIVE")
        audit(cloud, empty)


def killed_while(cloud: Cloud, number: int, server_id: str, action: str, body: Any = None) -> None:
    """Of the points of power sagas, the one with this number; then the cloud is up again, armed for the next one."""
    point, following = POWER[number], POWER[number + 1:][:1]
    cloud.arm(point)
    cloud.act(server_id, action, body)
    cloud.await_death()
    cloud.up(kill_at=following[0] if following and harmless(point, following[0]) else "")


@pytest.fixture(scope="module")
def crowd(make_cloud: Callable[..., Cloud]) -> Iterator[tuple[Cloud, Links]]:
    """A cloud whose hosts only pretend, and what it has on the machine without servers."""
    cloud = make_cloud(driver="fake")
    cloud.up()
    cloud.add_image()
    yield cloud, cloud.links()
    cloud.destroy()


@pytest.mark.parametrize("point", ["claim:after", "define_guest:before", "mark_active:after"])
def test_many_boots_are_killed_at_once(crowd: tuple[Cloud, Links], point: str):
    """When the first of ten comes by the point, the others are anywhere."""
    cloud, empty = crowd
    cloud.arm(f"{BootServer.name}:{point}")
    cloud.ask(cloud.body("many", min_count=MANY))
    cloud.await_death()
    cloud.up()
    wait("ten servers", lambda: [server["status"] for server in cloud.servers().values()] == ["ACTIVE"] * MANY)
    audit(cloud, empty)
    for server_id in cloud.servers():
        cloud.delete(server_id)
    wait("no server", lambda: not cloud.servers())
    audit(cloud, empty)


def test_attaching_and_detaching_are_killed(crowd: tuple[Cloud, Links]):
    """By turns, each time at another point; whoever asked sees the end of it without asking again."""
    cloud, empty = crowd
    attach = [f"{AttachVolume.name}:{point}" for point in ("connect:after", "plug:after")]
    detach = [f"{DetachVolume.name}:{point}" for point in ("unplug:after", "detach:after")]
    turns = [point for pair in zip(attach, detach, strict=True) for point in pair]
    cloud.arm(turns[0])
    server_id = cloud.boot("with a volume")
    volume_id = cloud.api().post("block-storage", "/volumes", {"volume": {"size": 1}})["volume"]["id"]
    wait("the volume", lambda: status_of(cloud, volume_id) == "available")
    for number, point in enumerate(turns):
        path = f"/servers/{server_id}/os-volume_attachments"
        with contextlib.suppress(*BROKEN):
            if point in attach:
                cloud.api().post("compute", path, {"volumeAttachment": {"volumeId": volume_id}})
            else:
                cloud.api().call("DELETE", "compute", f"{path}/{volume_id}")
        cloud.await_death()
        cloud.up(kill_at=turns[number + 1] if number + 1 < len(turns) else "")
        wanted = "in-use" if point in attach else "available"
        wait(f"the volume becoming {wanted}", lambda wanted=wanted: status_of(cloud, volume_id) == wanted)
        audit(cloud, empty)
    cloud.delete(server_id)
    cloud.await_gone(server_id)
    audit(cloud, empty)


def status_of(cloud: Cloud, volume_id: str) -> str:
    return cloud.api().get("block-storage", f"/volumes/{volume_id}")["volume"]["status"]
