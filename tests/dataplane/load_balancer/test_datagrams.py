"""Datagrams from clients to members, by the kernel."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pileus.load_balancer.drivers.base import ListenerSpec, MonitorSpec, PoolSpec
from tests.dataplane.load_balancer.lab import ID, VIP, VIP6, Lab, member

pytestmark = pytest.mark.asyncio(loop_scope="module")
DNS = ListenerSpec(id="dns-1", protocol="UDP", port=53, default_pool_id="pool")
WATCHED = MonitorSpec(type="UDP-CONNECT", delay=1, timeout=1, rise=1, fall=1)
SERVE = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[2], 53))
while True:
    said, who = s.recvfrom(2000)
    s.sendto(sys.argv[1].encode() + b" " + who[0].encode(), who)
"""
ASK = """
import socket, sys
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    if len(sys.argv) > 3:
        s.bind(("", int(sys.argv[3])))
    s.settimeout(1)
    s.connect((sys.argv[1], 53))
    s.send(b"x")
    try:
        print(s.recv(2000).decode())
    except OSError:
        print("nothing")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory) -> AsyncIterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("balancers"))
    try:
        await made.make()
        for name in ("m1", "m2"):
            await serve(made, name)
        await serve(made, "m1", "fd09::11", "m1-six")
        yield made
    finally:
        await made.close()


async def serve(lab: Lab, name: str, address: str = "", key: str = "") -> None:
    address = address or {"m1": "10.9.0.11", "m2": "10.9.0.12"}[name]
    lab.servers[key or name] = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", lab.space(name), "python3", "-c", SERVE, name, address)

    async def answers() -> bool:
        return (await ask(lab, 1, address))[name] == 1

    await lab.until(answers, f"{name} serves")


async def ask(lab: Lab, count: int, address: str = VIP, port: str = "", *, at: str = "client") -> Counter[str]:
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", lab.space(at), "python3", "-c", ASK, address, str(count), *([port] if port else []),
        stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return Counter(line.split()[0] for line in out.decode().splitlines())


def pool(**more: object) -> PoolSpec:
    return PoolSpec(**{"id": "pool", "protocol": "UDP", "algorithm": "ROUND_ROBIN", "members": (
        member("m1", port=53), member("m2", port=53))} | more)


async def test_datagrams_go_to_all_members(lab):
    await lab.have(listeners=(DNS,), pools=(pool(),))
    assert await ask(lab, 6) == {"m1": 3, "m2": 3}
    await lab.have(listeners=(DNS,), pools=(pool(members=(
        member("m1", port=53, weight=3), member("m2", port=53), member("m1", id="six", address="fd09::11", port=53))),))
    assert await ask(lab, 8) == {"m1": 6, "m2": 2}
    assert await ask(lab, 2, VIP6) == {"m1": 2}


async def test_clients_stay(lab):
    await lab.have(listeners=(DNS,), pools=(pool(algorithm="SOURCE_IP"),))
    assert len(await ask(lab, 5)) == 1


async def test_only_those_who_are_allowed(lab):
    allowed = ListenerSpec(id="dns-1", protocol="UDP", port=53, default_pool_id="pool", allowed=("10.9.0.2/32",))
    await lab.have(listeners=(allowed,), pools=(pool(),))
    assert [await ask(lab, 1, VIP, port) for port in ("6001", "6002")] == [{"m1": 1}, {"m2": 1}]
    assert await ask(lab, 1, at="stranger") == {"nothing": 1}
    assert await ask(lab, 1, VIP6) == {"nothing": 1}


async def test_members_are_watched_and_flows_follow(lab):
    await lab.have(listeners=(DNS,), pools=(pool(monitor=WATCHED),))

    async def both() -> bool:
        return (await lab.look()).members == {"m1": True, "m2": True}

    await lab.until(both, "both answer")
    first = next(iter(await ask(lab, 1, VIP, "5353")))
    other = "m1" if first == "m2" else "m2"
    if first == "m1":
        await lab.stop("m1-six")
    await lab.stop(first)

    async def one() -> bool:
        return (await lab.look()).members == {first: False, other: True}

    await lab.until(one, "one does not answer")
    assert await ask(lab, 3) == {other: 3}
    assert await ask(lab, 1, VIP, "5353") == {other: 1}           # the very flow that went to the other one
    await serve(lab, first)
    await lab.until(both, "both answer again")
    assert await ask(lab, 4) == {"m1": 2, "m2": 2}


async def test_what_went_through_is_counted_across_changes(lab):
    await lab.have(listeners=(DNS,), pools=(pool(),))
    await lab.look()
    await ask(lab, 3)
    counted = (await lab.look()).listeners["dns-1"]
    assert counted.total_connections == 3 and counted.bytes_in == 3 * 29 and counted.bytes_out > 3 * 29
    await lab.have(listeners=(DNS,), pools=(pool(algorithm="SOURCE_IP"),))
    await ask(lab, 2)
    assert (await lab.look()).listeners["dns-1"].total_connections == 2


async def test_rules_that_were_taken_away_come_back(lab):
    await lab.have(listeners=(DNS,), pools=(pool(),))
    await lab.driver._inside(ID, "nft", "flush", "ruleset")
    assert await ask(lab, 1) == {"nothing": 1}
    await lab.look()
    assert await ask(lab, 2) == {"m1": 1, "m2": 1}
    await lab.have(listeners=(), pools=())
    assert await ask(lab, 1) == {"nothing": 1}
