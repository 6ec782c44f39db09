"""DELETE while a boot stands at each of its steps, and at moments that nobody chose: nothing is left behind."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from pileus.compute.sagas.boot_server import BootServer
from tests.fault.audit import Links, audit
from tests.fault.cloud import Cloud, wait

POINTS = [f"{BootServer.name}:{step.name}:{moment}" for step in BootServer.steps for moment in ("before", "after")]
PAUSED = "select step from saga where subject = :of and phase = 'forward' and lease is null and wake_at > :since"
RANDOM_SERVERS = 20
SLOWEST_BOOT = 1.5


@pytest.fixture
def pause(cloud: Cloud) -> Iterator[Callable[[str], int]]:
    """Has sagas stand still at a point."""
    yield cloud.pause_at.write_text
    cloud.pause_at.write_text("")


@pytest.mark.parametrize("point", POINTS)
def test_deleted_at(cloud: Cloud, empty: Links, blank: dict[str, str], pause: Callable[[str], int], point: str):
    step = point.split(":")[1]
    pause(point)
    server_id = cloud.ask(cloud.body("paused", **blank))
    wait(f"the boot standing at {point}",
         lambda: cloud.rows("compute", PAUSED, of=server_id, since=time.time() + 60) == [(step,)])
    delete_for_good(cloud, server_id)
    audit(cloud, empty)


def test_deleted_at_random_moments(cloud: Cloud, empty: Links, blank: dict[str, str]):
    """Two at a time: the second is asked for while the first one goes."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    body, going = cloud.body("random", **blank), []
    for _ in range(RANDOM_SERVERS):
        server_id = cloud.ask(body)
        time.sleep(moments.uniform(0.0, SLOWEST_BOOT))
        cloud.delete(server_id)
        going.append(server_id)
        if len(going) == 2:
            delete_for_good(cloud, going.pop(0))
    for server_id in going:
        delete_for_good(cloud, server_id)
    audit(cloud, empty)


def delete_for_good(cloud: Cloud, server_id: str) -> None:
    """204, as often as it is there; then 404."""
    for _ in range(2):
        cloud.api().call("DELETE", "compute", f"/servers/{server_id}", accept=(404,))
    cloud.await_gone(server_id)
    answer = cloud.api().call("DELETE", "compute", f"/servers/{server_id}", accept=(404,))
    assert answer["itemNotFound"]["code"] == 404
