"""The control plane over fake hosts in virtual time: what must hold, holds in spite of failures, and would be seen."""

import asyncio
import time

import pytest

from pileus.commands.simulate import simulated
from pileus.kit.virtual_time import LoopClock, VirtualLoop
from pileus.processes.simulation import Plan


@pytest.mark.whole_cloud
def test_what_must_hold_does():
    report = simulated(Plan(hosts=50, hours=1, seed=3, servers=40, signs=2000))
    assert report.broken == []
    happened = ("servers booted", "delete, taken", "hosts died", "hypervisors spoiled", "conductor ended", "audits")
    assert all(report.counts[name] for name in happened), report.counts
    assert report.boot_seconds and max(report.boot_seconds) < 3600


@pytest.mark.parametrize("at_once", [1, 40])
def test_waiting_takes_no_time(at_once):
    async def wait(seconds):
        clock = LoopClock()
        before = clock()
        await asyncio.sleep(seconds)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        assert await asyncio.to_thread(lambda: time.sleep(0.01) or 5) == 5
        return clock() - before

    async def all_of_them():
        return await asyncio.gather(*(wait(3600.0 + number) for number in range(at_once)))

    began = time.monotonic()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        waited = runner.run(all_of_them())
    assert [round(each) for each in waited] == [7200 + 2 * number for number in range(at_once)]
    assert time.monotonic() - began < 60
