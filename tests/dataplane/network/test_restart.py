"""The program is killed and started again while packets are on their way: none is lost, and nothing is changed."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from pileus.kit.child import child
from pileus.network.engine.records import Snapshot
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import Program, pinging

pytestmark = pytest.mark.asyncio(loop_scope="module")
TREE = Path(__file__).parents[3]


@asynccontextmanager
async def agent_of(net: Cloud, file: Path) -> AsyncIterator[list[str]]:
    """An agent of the first host as a process, which is killed at the end: what it had to change when it came."""
    async with child(
            sys.executable, "-m", "tests.dataplane.network.agent_child", net.lab.host_namespace("h1"), net.lab.outside,
            str(file), stdout=asyncio.subprocess.PIPE, cwd=TREE,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join((str(TREE / "src"), str(TREE))))) as process:
        assert process.stdout is not None
        yield json.loads(await asyncio.wait_for(process.stdout.readline(), 30))


async def test_killed_and_started_again_under_traffic(net: Cloud, tmp_path: Path):
    agent = net.lab.agents[net.lab.host_name("h1")]
    assert agent.slice is not None
    file = tmp_path / "snapshot"
    file.write_bytes(msgspec.msgpack.encode(Snapshot(seq=net.next(), slice=agent.slice)))
    await agent.close()
    ways = {"to another host": ("a1", "10.0.0.12"), "through a router": ("a1", "10.0.1.11"),
            "out by a floating IP": ("a1", "198.51.100.1"), "out by the gateway's": ("a3", "198.51.100.1")}
    async with AsyncExitStack() as under_way:
        async with agent_of(net, file) as changes:
            assert changes == []
            pings = {way: await under_way.enter_async_context(pinging(net[guest], address))
                     for way, (guest, address) in ways.items()}
            stream = await Program.start(net["c1"].namespace, "stream", "10.0.0.12", "7001")
        assert await net["a2"].reaches("10.0.0.11"), "nobody is in charge"
        async with agent_of(net, file) as changes:
            assert changes == [], "all was as it should be"
            assert {way: await ping.lost() for way, ping in pings.items()} == dict.fromkeys(ways, [])
            assert int(await stream.say("end")) > 0, "what was sent came back, mebibytes of it"
            await stream.stop()
    await net.lab.start_agent("h1")
