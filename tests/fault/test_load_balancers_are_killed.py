"""kill -9 while load balancers are made, changed and deleted; what they carry goes on meanwhile. `prove` strikes the
same sagas at each of their points (tests/load_balancer/test_sagas.py)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pileus.load_balancer.sagas.apply_changes import ApplyChanges
from pileus.load_balancer.sagas.delete_load_balancer import DeleteLoadBalancer
from tests.fault.audit import Links, audit
from tests.fault.cloud import BROKEN, Cloud, wait

MADE = [f"{ApplyChanges.name}:{at}" for at in ("bind_ports:after", "configure:after")]
CHANGED = [f"{ApplyChanges.name}:{at}" for at in ("configure:before", "await_ports:after")]
DELETED = [f"{DeleteLoadBalancer.name}:{at}" for at in ("leave_host:after", "remove_ports:before")]
PATH = "/v2.0/lbaas/loadbalancers"


@pytest.fixture(scope="module", autouse=True)
def disarmed(hurt: Cloud) -> Iterator[None]:
    """No later test may meet the last point."""
    yield
    hurt.arm("")


def create(cloud: Cloud) -> str:
    (subnet,) = cloud.api().get("network", "/v2.0/subnets", name="private-subnet")["subnets"]
    member = {"address": "10.0.0.2", "protocol_port": 53}
    pool = {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "members": [member]}
    return cloud.api().post("load-balancer", PATH, {"loadbalancer": {
        "vip_subnet_id": subnet["id"], "listeners": [
            {"protocol": "TCP", "protocol_port": 53, "default_pool": pool}]}})["loadbalancer"]["id"]


def show(cloud: Cloud, balancer_id: str) -> dict[str, Any] | None:
    found = cloud.api().get("load-balancer", PATH)["loadbalancers"]
    return next((each for each in found if each["id"] == balancer_id), None)


def await_active(cloud: Cloud, balancer_id: str) -> None:
    wait("an active load balancer", lambda: (show(cloud, balancer_id) or {}).get("provisioning_status") == "ACTIVE")


def test_changes_are_killed(cloud: Cloud, empty: Links):
    """One after the other. A configuration that is the same keeps its process, whoever looks after it."""
    balancer_id = create(cloud)
    await_active(cloud, balancer_id)
    before = cloud.balancers(balancer_id)
    assert len(before) == 1
    for number, point in enumerate(CHANGED):
        cloud.arm(point)
        with contextlib.suppress(*BROKEN):
            cloud.api().call("PUT", "load-balancer", f"{PATH}/{balancer_id}", {"loadbalancer": {"name": f"n{number}"}})
        cloud.await_death()
        cloud.up()
        await_active(cloud, balancer_id)
        assert (show(cloud, balancer_id) or {})["name"] == f"n{number}"
    time.sleep(3.0)                                                # for a look of the host's
    assert cloud.balancers(balancer_id) == before
    delete(cloud, balancer_id)
    gone(cloud, empty, balancer_id)


@pytest.mark.parametrize("point", MADE)
def test_making_is_killed(cloud: Cloud, empty: Links, point: str):
    cloud.arm(point)
    balancer_id = create(cloud)
    cloud.await_death()
    cloud.up()
    await_active(cloud, balancer_id)
    delete(cloud, balancer_id)
    gone(cloud, empty, balancer_id)


def test_deletion_is_killed(cloud: Cloud, empty: Links):
    for point in DELETED:
        balancer_id = create(cloud)
        await_active(cloud, balancer_id)
        cloud.arm(point)
        delete(cloud, balancer_id)
        cloud.await_death()
        cloud.up()
        gone(cloud, empty, balancer_id)


def delete(cloud: Cloud, balancer_id: str) -> None:
    with contextlib.suppress(*BROKEN):
        cloud.api().call("DELETE", "load-balancer", f"{PATH}/{balancer_id}", cascade="true")


def gone(cloud: Cloud, empty: Links, balancer_id: str) -> None:
    """It, its process, its namespace, its ports: nothing is left."""
    wait("no load balancer", lambda: show(cloud, balancer_id) is None)
    audit(cloud, empty)
    assert cloud.balancers(balancer_id) == []
    assert cloud.rows("network", "select id from port where device_owner = 'Octavia'") == []
    assert cloud.rows("load_balancer", "select id from pool union select id from listener union select id from leg"
                      ) == []
