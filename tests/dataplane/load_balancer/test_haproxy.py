"""HAProxy in a network namespace, with real connections from clients to members."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from pileus.load_balancer.drivers.base import ListenerSpec, MonitorSpec, PolicySpec, PoolSpec, RuleSpec
from pileus.load_balancer.drivers.haproxy import HaproxyDriver
from tests.dataplane.load_balancer.lab import DEVICE, ID, VIP, VIP6, Lab, member

HTTP = ListenerSpec(id="web", protocol="HTTP", port=80, default_pool_id="pool", headers=(
    "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"))
WATCHED = MonitorSpec(type="HTTP", delay=1, timeout=1, rise=1, fall=1)
BOTH = (member("m1"), member("m2"))


def pool(**more: object) -> PoolSpec:
    return PoolSpec(**{"id": "pool", "protocol": "HTTP", "algorithm": "ROUND_ROBIN", "members": BOTH} | more)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory) -> AsyncIterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("balancers"))
    try:
        await made.make()
        for name in ("m1", "m2"):
            await made.serve(name)
        yield made
    finally:
        await made.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def names(lab: Lab, count: int = 6, url: str = f"http://{VIP}/", *options: str) -> Counter[str]:
    return Counter([(await lab.curl(url, *options))[2]["name"] for _ in range(count)])


async def test_requests_go_to_all_members_with_what_they_need_to_know(lab):
    await lab.have(listeners=(HTTP,), pools=(pool(),))
    assert await names(lab) == {"m1": 3, "m2": 3}
    _, _, found = await lab.curl(f"http://{VIP}/a?b=c", "-H", "X-Forwarded-For: 1.2.3.4")
    assert found["path"] == "/a?b=c"
    assert (found["headers"]["x-forwarded-port"], found["headers"]["x-forwarded-proto"]) == ("80", "http")
    assert "10.9.0.2" in str(found["headers"])                      # whoever asked
    assert (await lab.curl(f"http://[{VIP6}]/"))[0] == 200
    assert (await lab.curl(f"http://{VIP}:81/"))[0] == 0


async def test_weights_and_backups(lab):
    await lab.have(listeners=(HTTP,), pools=(pool(members=(member("m1", weight=3), member("m2"))),))
    assert await names(lab, 8) == {"m1": 6, "m2": 2}
    await lab.have(listeners=(HTTP,), pools=(pool(members=(member("m1"), member("m2", backup=True))),))
    assert await names(lab, 4) == {"m1": 4}
    await lab.have(listeners=(HTTP,), pools=(pool(members=(member("m1", enabled=False), member("m2"))),))
    assert await names(lab, 4) == {"m2": 4}


async def test_clients_stay_where_they_were(lab, tmp_path):
    for kept, option in (("SOURCE_IP", ()), ("HTTP_COOKIE", ("-b", "jar", "-c", "jar")),
                         ("APP_COOKIE", ("-b", "jar", "-c", "jar"))):
        await lab.have(listeners=(HTTP,), pools=(pool(persistence=kept, cookie="SESSION"),))
        jar = [str(tmp_path / kept) if word == "jar" else word for word in option]
        assert len(await names(lab, 5, f"http://{VIP}/", *jar)) == 1, kept


async def test_policies(lab):
    def rule(kind: str, compare: str, value: str, **more: object) -> RuleSpec:
        return RuleSpec(**{"type": kind, "compare": compare, "value": value} | more)

    policies = (
        PolicySpec(id="p1", action="REJECT", rules=(rule("PATH", "STARTS_WITH", "/no"),)),
        PolicySpec(id="p2", action="REDIRECT_TO_URL", url="http://example.org/a%20b", code=301,
                   rules=(rule("HEADER", "EQUAL_TO", 'a "b" #c', key="X-Test"),)),
        PolicySpec(id="p3", action="REDIRECT_PREFIX", prefix="http://example.org",
                   rules=(rule("HOST_NAME", "ENDS_WITH", ".old"),)),
        PolicySpec(id="p4", action="REDIRECT_TO_POOL", pool_id="second", rules=(
            rule("FILE_TYPE", "EQUAL_TO", "jpg"), rule("COOKIE", "CONTAINS", "y", key="no", invert=True))),
        PolicySpec(id="p5", action="REJECT", rules=()))
    second = pool(id="second", members=(member("m2"),))
    await lab.have(listeners=(msgspec.structs.replace(HTTP, policies=policies),),
                   pools=(pool(members=(member("m1"),)), second))
    assert (await lab.curl(f"http://{VIP}/nowhere"))[0] == 403
    status, headers, _ = await lab.curl(f"http://{VIP}/", "-H", 'X-Test: a "b" #c')
    assert (status, headers["location"]) == (301, "http://example.org/a%20b")
    status, headers, _ = await lab.curl(f"http://{VIP}/x?y", "-H", "Host: www.OLD:80")
    assert (status, headers["location"]) == (302, "http://example.org/x?y")
    assert (await lab.curl(f"http://{VIP}/a.jpg"))[2]["name"] == "m2"
    assert (await lab.curl(f"http://{VIP}/a.jpg", "-b", "no=yes"))[2]["name"] == "m1"
    assert (await lab.curl(f"http://{VIP}/a.png"))[2]["name"] == "m1"


async def test_only_those_who_are_allowed(lab):
    await lab.have(listeners=(msgspec.structs.replace(HTTP, allowed=("10.9.0.2/32", "fd09::/64")),), pools=(pool(),))
    assert (await lab.curl(f"http://{VIP}/"))[0] == 200
    assert (await lab.curl(f"http://{VIP}/", at="stranger"))[0] == 0
    assert (await lab.curl(f"http://[{VIP6}]/", at="stranger"))[0] == 200


async def test_members_are_watched(lab):
    await lab.have(listeners=(HTTP,), pools=(pool(monitor=WATCHED),))

    async def answers() -> dict[str, bool]:
        return (await lab.driver.look())[ID].members

    async def both() -> bool:
        return await answers() == {"m1": True, "m2": True}

    await lab.until(both, "both members answer")
    await lab.stop("m2")
    try:
        async def one() -> bool:
            return await answers() == {"m1": True, "m2": False}

        await lab.until(one, "one is found not to")
        assert await names(lab, 4) == {"m1": 4}
    finally:
        await lab.serve("m2")
    await lab.until(both, "both answer again")


async def test_all_kinds_of_monitors(lab):
    for kind, right in (("TCP", True), ("PING", True), ("HTTP", True), ("TLS-HELLO", False), ("HTTPS", False)):
        monitor = msgspec.structs.replace(WATCHED, type=kind, http_version="1.1", domain="a.b", codes="200-204")
        await lab.have(listeners=(HTTP,), pools=(pool(monitor=monitor),))

        async def settled(right: bool = right) -> bool:
            return (await lab.driver.look())[ID].members == {"m1": right, "m2": right}

        await lab.until(settled, f"members by {kind} {'answer' if right else 'do not answer'}")
    elsewhere = (member("m1", monitor_port=81), member("m2", monitor_address="10.9.0.11"))
    await lab.have(listeners=(HTTP,), pools=(pool(monitor=WATCHED, members=elsewhere),))

    async def one() -> bool:
        return (await lab.driver.look())[ID].members == {"m1": False, "m2": True}

    await lab.until(one, "each is asked where it was said")


async def test_connections_without_http(lab):
    tcp = ListenerSpec(id="tcp", protocol="TCP", port=8080, default_pool_id="pool", connection_limit=50)
    metrics = ListenerSpec(id="metrics", protocol="PROMETHEUS", port=9090)
    await lab.have(listeners=(tcp, metrics), pools=(pool(protocol="TCP"),))
    assert await names(lab, 4, f"http://{VIP}:8080/") == {"m1": 2, "m2": 2}
    status, _, text = await lab.curl(f"http://{VIP}:9090/metrics")
    assert status == 200 and 'proxy="tcp"' in text
    assert (await lab.curl(f"http://{VIP}:9090/else"))[0] == 404


async def test_members_are_told_whose_connection_it_is(lab):
    for protocol in ("PROXY", "PROXYV2"):
        await lab.have(listeners=(HTTP,), pools=(pool(protocol=protocol),))
        assert (await lab.curl(f"http://{VIP}/"))[2]["proxied"] == ["10.9.0.2", VIP]


async def test_changes_cut_no_connection(lab):
    tcp, plain = ListenerSpec(id="tcp", protocol="TCP", port=8080, default_pool_id="plain"), pool(
        id="plain", protocol="TCP")
    await lab.have(listeners=(HTTP, tcp), pools=(pool(), plain))
    space = lab.space("client")
    slow = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", space, "python3", "-c", f"""
import http.client, time
connection = http.client.HTTPConnection("{VIP}", 8080)
for n in range(8):
    connection.request("GET", "/")
    assert connection.getresponse().read(), n
    time.sleep(0.4)
    connection.auto_open = 0
""")
    failed = []

    async def ask() -> None:
        for _ in range(40):
            failed.append((await lab.curl(f"http://{VIP}/"))[0] != 200)

    async def change() -> None:
        for number in range(8):
            await lab.have(listeners=(msgspec.structs.replace(HTTP, connection_limit=100 + number), tcp),
                           pools=(pool(), plain))

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        group.create_task(change())
    assert not any(failed)
    assert await slow.wait() == 0


async def test_the_next_process_of_the_cloud_takes_charge(lab):
    spec = await lab.have(listeners=(HTTP,), pools=(pool(),))
    running = lab.pids()
    again = HaproxyDriver(lab.driver.folder, lab.host)
    assert await again.held() == {ID: spec.digest} and await again.fallen() == []
    await again.ensure(spec)
    assert lab.pids() == running


async def test_what_is_killed_or_deleted_comes_back(lab):
    await lab.have(listeners=(HTTP,), pools=(pool(),))
    for pid in lab.pids():
        os.kill(pid, signal.SIGKILL)

    async def fell() -> bool:
        return await lab.driver.fallen() == [ID]

    await lab.until(fell, "it is seen to be gone")
    await lab.driver.mend(ID)
    assert (await lab.curl(f"http://{VIP}/"))[0] == 200 and await lab.driver.fallen() == []
    await lab.driver.wiring.remove(ID, [DEVICE])
    assert await lab.driver.fallen() == [ID]
    await lab.driver.mend(ID)
    await lab.join()

    async def answers() -> bool:
        return (await lab.curl(f"http://{VIP}/"))[0] == 200

    await lab.until(answers, "it answers again")


async def test_what_went_through_is_counted_once(lab):
    await lab.have(listeners=(HTTP,), pools=(pool(),))
    await lab.driver.look()
    await names(lab, 3)
    counted = (await lab.driver.look())[ID].listeners["web"]
    assert counted.total_connections == 3 and counted.bytes_in > 100 and counted.bytes_out > 300
    assert (await lab.driver.look())[ID].listeners["web"].total_connections == 0
    await lab.have(listeners=(msgspec.structs.replace(HTTP, connection_limit=9),), pools=(pool(),))
    await names(lab, 2)
    assert (await lab.driver.look())[ID].listeners["web"].total_connections == 2


async def test_nothing_is_left_of_it(lab):
    await lab.have(listeners=(HTTP,), pools=(pool(),))
    await lab.driver.remove(ID)
    assert lab.pids() == [] and not lab.driver.wiring.is_there(ID)
    assert not (lab.driver.folder / ID).exists() and await lab.driver.held() == {}
    await lab.driver.remove(ID)
