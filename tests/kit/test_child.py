"""No program outlives the one who waits for it."""

import asyncio
import os
from pathlib import Path

import pytest
import uvloop

from pileus.kit.child import bound_memory, child

LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]


def run(make, work):
    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(work)


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


async def sleeper():
    async with child("sleep", "1000", stdout=asyncio.subprocess.PIPE) as process:
        await process.communicate()


@pytest.mark.parametrize("make", LOOPS)
def test_cancelled_at_any_step(make):
    """Also while it is being started, and more than once."""
    async def many():
        before = children()
        for steps in range(40):
            work = asyncio.create_task(sleeper())
            for _ in range(steps):
                await asyncio.sleep(0)
            work.cancel()
            await asyncio.sleep(0)
            if steps % 2:
                work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert children() == before, steps

    run(make, many())


@pytest.mark.parametrize("make", LOOPS)
def test_what_it_prints(make):
    async def printed():
        async with child("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE) as process:
            said, _ = await process.communicate(b"spoken")
        return said, process.returncode

    assert run(make, printed()) == (b"spoken", 0)


@pytest.mark.parametrize("make", LOOPS)
def test_an_exception_in_the_block(make):
    async def failing():
        async with child("sleep", "1000") as process:
            raise LookupError(process.pid)

    with pytest.raises(LookupError) as caught:
        run(make, failing())
    assert str(caught.value.args[0]) not in children()


@pytest.mark.parametrize("make", LOOPS)
def test_none_of_that_name(make):
    async def absent():
        async with child("there-is-no-such-program"):
            raise AssertionError("it was started")

    async def cancelled():
        work = asyncio.create_task(absent())
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    with pytest.raises(FileNotFoundError):
        run(make, absent())
    run(make, cancelled())


@pytest.mark.parametrize("make", LOOPS)
def test_what_may_not_be_started_is_none(make, tmp_path):
    """Systems speak of permission, as they do of a folder of PATH that may not be looked into."""
    name = "there-is-no-such-program"
    (tmp_path / name).touch(mode=0o600)

    async def start(program):
        async with child(program, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}):
            raise AssertionError("it was started")

    with pytest.raises(FileNotFoundError):
        run(make, start(name))
    with pytest.raises(PermissionError):
        run(make, start(str(tmp_path / name)))


@pytest.mark.parametrize("make", LOOPS)
def test_memory_is_bounded(make):
    """One that ended before it could be bounded needs no bound."""
    async def bounded():
        async with child("sh", "-c", "read line; ulimit -v", stdin=asyncio.subprocess.PIPE,
                         stdout=asyncio.subprocess.PIPE) as process:
            bound_memory(process, 1 << 30)
            told, _ = await process.communicate(b"go\n")
        assert int(told) == 1 << 20
        bound_memory(process, 1 << 30)
    run(make, bounded())
