"""Programs that a host's engine runs: whatever goes wrong with them is a fault of the engine, told and tried again."""

import asyncio

import pytest

from pileus.kit.bus import Handlers, MemoryBus
from pileus.network.agent.fake_host import FakeHost
from pileus.network.agent.handlers import Agent, Pace
from pileus.network.engine.base import EngineFailed, Report
from pileus.network.engine.linux.run import run
from pileus.network.engine.records import Slice, Snapshot
from pileus.network.messages import CONDUCTOR, ApplySlice, HostSeen, PortsReported

handlers = Handlers()


class Conductor:
    """Hears how a host is, until it is as its slice says."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.done = asyncio.Event()


@handlers.on(HostSeen)
async def host_seen(conductor: Conductor, message: HostSeen) -> None:
    conductor.errors.append(message.error)
    if message.seq == 1:
        conductor.done.set()


@handlers.on(PortsReported)
async def ports_reported(conductor: Conductor, message: PortsReported) -> bool:
    return True


class Slow(FakeHost):
    """Its first program does not end."""

    seconds = [0.05]

    async def resync(self, snapshot: Snapshot | None = None) -> Report:
        while self.seconds:
            await run(["sleep", "1000"], seconds=self.seconds.pop())
        return await super().resync(snapshot)


async def test_what_a_program_says():
    assert await run(["cat"], "hello") == "hello"


@pytest.mark.parametrize(("command", "seconds", "said"), [
    (["sh", "-c", "echo no >&2; exit 3"], 60.0, ": no$"),
    (["/there/is/no/such"], 60.0, "^/there/is/no/such: No such file or directory$"),
    (["sleep", "1000"], 0.05, "^sleep 1000: not done within 0.05 s$")])
async def test_what_goes_wrong_is_a_fault_of_the_engine(command: list[str], seconds: float, said: str):
    with pytest.raises(EngineFailed, match=said):
        await run(command, seconds=seconds)


async def test_a_host_tells_of_a_program_that_took_too_long_and_tries_again():
    bus, conductor = MemoryBus(), Conductor()
    await bus.listen(CONDUCTOR, handlers, conductor)
    agent = Agent("h1", "192.0.2.1", Slow("h1"), bus, pace=Pace(heartbeat=0.05, again=0.02))
    task = asyncio.create_task(agent.run())
    wanted = ApplySlice(snapshot=Snapshot(seq=1, slice=Slice(host="h1", underlay_ip="192.0.2.1")))
    async with asyncio.timeout(20):
        while not conductor.done.is_set():
            await bus.cast(wanted, host="h1")
            await asyncio.sleep(0.02)
    assert "sleep 1000: not done within 0.05 s" in conductor.errors and conductor.errors[-1] == ""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bus.close()
