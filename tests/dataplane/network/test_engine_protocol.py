"""What the network service relies on, the same for every engine: when status comes, and that repeats are harmless."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from pileus.network.engine.base import Engine
from pileus.network.engine.fake import FakeEngine
from pileus.network.engine.records import Gone, Network, Records, Rule, SecurityGroup, State, Status
from tests.dataplane.network.lab import Guest, Lab
from tests.dataplane.network.topology import cloud, identity

A1 = identity("port a1")


class Stage:
    """An engine, the records of a small cloud, and how a guest gets plugged in."""

    def __init__(self, engine: Engine, records: Records, lab: Lab | None):
        self.engine, self.records, self.lab = engine, records, lab
        self.events: Any = engine.events()

    async def plug(self, port_id: str) -> None:
        if self.lab is not None:
            await Guest(self.lab, next(port for port in self.records.ports if port.id == port_id)).make()

    async def next(self, record_id: str, state: State) -> Status:
        async with asyncio.timeout(20):
            async for status in self.events:
                if (status.id, status.state) == (record_id, state):
                    return status
        raise AssertionError("the feed ended")

    async def rest(self) -> list[Status]:
        """What else was told, of ports."""
        found = []
        while not self.events.queue.empty():
            found.append(self.events.queue.get_nowait())
        return [status for status in found if status.kind == "port"]


@pytest_asyncio.fixture(params=["fake", "linux"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    lab = Lab()
    if request.param == "fake":
        yield Stage(FakeEngine(), cloud(lab.prefix, lab.hosts), None)
        return
    try:
        await lab.make()
        yield Stage(lab.engine, cloud(lab.prefix, lab.hosts), lab)
    finally:
        await lab.close()


async def test_a_bound_port_comes_up_with_its_revision(stage: Stage):
    await stage.engine.apply(stage.records, (), 1)
    await stage.plug(A1)
    assert (await stage.next(A1, State.UP)).revision == 1


async def test_repeats_tell_nothing_and_resync_tells_all(stage: Stage):
    await stage.plug(A1) if stage.lab else None
    await stage.engine.apply(stage.records, (), 1)
    await stage.next(A1, State.UP)
    await stage.rest()
    await stage.engine.apply(stage.records, (), 2)
    await stage.engine.apply(stage.records, (), 2)
    assert await stage.rest() == []
    assert (await stage.engine.resync(stage.records, 3)).changes == ()
    assert (await stage.next(A1, State.UP)).revision == 1


async def test_older_revisions_are_ignored(stage: Stage):
    await stage.plug(A1) if stage.lab else None
    await stage.engine.apply(stage.records, (), 1)
    port = next(port for port in stage.records.ports if port.id == A1)
    newer = msgspec.structs.replace(port, revision=7, admin_up=False)
    await stage.engine.apply(Records(ports=(newer,)), (), 2)
    assert (await stage.next(A1, State.DOWN)).revision == 7
    await stage.rest()
    await stage.engine.apply(Records(ports=(port,)), (), 3)
    assert await stage.rest() == []


async def test_ports_without_a_host_are_not_told_of(stage: Stage):
    ports = tuple(msgspec.structs.replace(port, host=None) for port in stage.records.ports)
    routers = tuple(msgspec.structs.replace(router, host=None) for router in stage.records.routers)
    await stage.engine.apply(msgspec.structs.replace(stage.records, ports=ports, routers=routers), (), 1)
    assert await stage.rest() == []


async def test_deleting_what_is_not_there_is_no_error(stage: Stage):
    await stage.engine.apply(Records(), [Gone(kind="ports", id=identity("nobody"))], 1)
    await stage.engine.apply(Records(), [Gone(kind="ports", id=identity("nobody"))], 1)


async def test_what_cannot_be_is_refused(stage: Stage):
    assert stage.engine.validate(stage.records) is None
    wrong = SecurityGroup(id=identity("g"), rules=(Rule(direction="ingress", protocol="tcp", port_min=9, port_max=3),))
    refusal = stage.engine.validate(Records(security_groups=(wrong,)))
    assert refusal is not None and "empty" in refusal.reason
    assert stage.engine.validate(Records(networks=(Network(id=identity("n"), vni=None),))) is not None
    assert stage.engine.validate(Records(networks=(Network(id='"; drop', vni=4),))) is not None


async def test_binding_is_asked_twice_with_one_answer(stage: Stage):
    port = stage.records.ports[0]
    first = stage.engine.bind(port, "somewhere")
    assert first is not None and len(first.device) <= 15
    assert stage.engine.bind(port, "somewhere") == first
