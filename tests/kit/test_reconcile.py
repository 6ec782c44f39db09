"""Reconcilers end when they are told to, even while somebody wakes them."""

import asyncio

from pileus.kit.reconcile import Runner, reconciler


@reconciler(every=1000)
async def nothing(ran):
    ran.set()


async def test_a_runner_that_is_woken_and_cancelled_at_once_ends():
    ran = asyncio.Event()
    runner = Runner([nothing], ran)
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        await ran.wait()
        await asyncio.sleep(0)
        runner.wake("nothing")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
