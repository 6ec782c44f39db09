"""The program is killed and started again while packets are on their way: none is lost, and nothing is changed."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from pileus.network.engine.records import Snapshot
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import Program

pytestmark = pytest.mark.asyncio(loop_scope="module")
TREE = Path(__file__).parents[3]


async def begin(net: Cloud, file: Path) -> tuple[asyncio.subprocess.Process, list[str]]:
    """An agent of the first host as a process, once it is done; what it had to change."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.dataplane.network.agent_child", net.lab.host_namespace("h1"), net.lab.outside,
        str(file), stdout=asyncio.subprocess.PIPE, cwd=TREE,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join((str(TREE / "src"), str(TREE)))))
    assert process.stdout is not None
    return process, json.loads(await asyncio.wait_for(process.stdout.readline(), 30))


async def pinging(net: Cloud, name: str, address: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", net[name].namespace, "ping", "-n", "-q", "-i", "0.01", "-W", "1", address,
        stdout=asyncio.subprocess.PIPE)


async def counted(ping: asyncio.subprocess.Process) -> tuple[int, int]:
    """Sent and answered."""
    ping.send_signal(signal.SIGINT)
    output, _ = await ping.communicate()
    words = output.decode().split(" packets transmitted, ")
    return int(words[0].split()[-1]), int(words[1].split(" received")[0])


async def test_killed_and_started_again_under_traffic(net: Cloud, tmp_path: Path):
    agent = net.lab.agents[net.lab.host_name("h1")]
    assert agent.slice is not None
    file = tmp_path / "snapshot"
    file.write_bytes(msgspec.msgpack.encode(Snapshot(seq=net.next(), slice=agent.slice)))
    await agent.close()
    first, changes = await begin(net, file)
    assert changes == []
    ways = {"to another host": ("a1", "10.0.0.12"), "through a router": ("a1", "10.0.1.11"),
            "out by a floating IP": ("a1", "198.51.100.1"), "out by the gateway's": ("a3", "198.51.100.1")}
    pings = {way: await pinging(net, *ends) for way, ends in ways.items()}
    stream = await Program.start(net["c1"].namespace, "stream", "10.0.0.12", "7001")
    first.kill()
    await first.wait()
    assert await net["a2"].ping("10.0.0.11") == 2, "nobody is in charge"
    second, changes = await begin(net, file)
    assert changes == [], "all was as it should be"
    for way, ping in pings.items():
        sent, answered = await counted(ping)
        assert sent > 20 and answered >= sent - 1, f"{way}: {answered} of {sent}"     # the last may be on its way
    assert int(await stream.say("end")) > 0, "what was sent came back, mebibytes of it"
    await stream.stop()
    second.kill()
    await second.wait()
    await net.lab.start_agent("h1")
