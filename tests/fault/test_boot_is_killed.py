"""kill -9 of the whole program before and after each of the sixteen steps of a boot, then `up` again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pileus.compute.sagas.boot_server import BootServer
from tests.fault.audit import Links, audit
from tests.fault.cloud import Cloud, wait
from tests.fault.points import harmless, points_of

STEPS = [step.name for step in BootServer.steps]
# Of the three steps in the API: `authenticate:after` is before `validate`, `validate:after` is before `record`.
UNRECORDED = [f"compute.api:create_server:{moment}" for moment in (
    "authenticate:before", "authenticate:after", "validate:after", "record:after")]
RECORDED = "compute.api:create_server:answer:before"
BOOT = points_of(BootServer)
POINTS = [*BOOT[:len(STEPS)], *UNRECORDED, *BOOT[len(STEPS):], RECORDED]


@pytest.fixture(scope="module", autouse=True)
def disarmed(hurt: Cloud) -> Iterator[None]:
    """No later test may meet the last point."""
    yield
    hurt.arm("")


def test_the_saga_has_the_steps_that_are_told_of():
    assert len(STEPS) == 13


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(cloud: Cloud, empty: Links, blank: dict[str, str], point: str):
    following = POINTS[POINTS.index(point) + 1:][:1]
    cloud.arm(point)
    name = f"killed-{POINTS.index(point)}"
    cloud.ask(cloud.body(name, **blank))
    cloud.await_death()
    before = cloud.guests()
    cloud.up(kill_at=following[0] if following and harmless(point, following[0]) else "")
    found = [server_id for server_id, server in cloud.servers().items() if server["name"] == name]
    assert len(found) == (0 if point in UNRECORDED else 1)
    for server_id in found:
        server = cloud.settled(server_id)
        assert server["status"] == "ACTIVE", server
        audit(cloud, empty)
        if server_id in before:
            assert cloud.guests()[server_id] == before[server_id], "a guest that was there was not adopted"
        cloud.delete(server_id)
        cloud.await_gone(server_id)
    audit(cloud, empty)


def test_killed_after_it_is_active(cloud: Cloud, empty: Links, blank: dict[str, str]):
    """A guest that runs is adopted, never restarted; and again while nothing at all goes on."""
    server_id = cloud.boot("adopted", **blank)
    before = cloud.guests()[server_id]
    for _ in range(2):
        cloud.kill()
        assert cloud.guests()[server_id] == before
        cloud.up()
        wait("a sign of life of the host", lambda: host_is_up(cloud))
        assert cloud.settled(server_id)["status"] == "ACTIVE"
        assert cloud.guests()[server_id] == before
        audit(cloud, empty)


def host_is_up(cloud: Cloud) -> bool:
    found = cloud.api("admin").get("compute", "/os-services", binary="nova-compute")["services"]
    return any(service["state"] == "up" for service in found)
