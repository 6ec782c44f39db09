"""Truths that must keep holding: functions without input, run by the clock and when somebody wakes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pileus.kit import context
from pileus.kit.ids import new_request_id

log = logging.getLogger(__name__)


class Reconciler(msgspec.Struct, frozen=True):
    name: str
    every: float                                   # seconds
    run: Callable[[Any], Awaitable[None]]


def reconciler(every: float) -> Callable[[Callable[[Any], Awaitable[None]]], Reconciler]:
    """`every` seconds, less or more a tenth, so that hosts do not move in step."""
    return lambda function: Reconciler(function.__name__, every, function)


class Runner:
    """Runs the reconcilers of one service in one process; each at most once at a time."""

    def __init__(self, reconcilers: list[Reconciler], services: Any):
        self.reconcilers, self.services = reconcilers, services
        self._woken = {r.name: asyncio.Event() for r in reconcilers}

    def wake(self, name: str, *, after: float = 0.0) -> None:
        """Run it now, or `after` seconds, without waiting for its turn."""
        if after:
            asyncio.get_running_loop().call_later(after, self._woken[name].set)
        else:
            self._woken[name].set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for each in self.reconcilers:
                group.create_task(self._keep(each), name=f"reconciler {each.name}")

    async def once(self) -> None:
        for each in self.reconcilers:
            await each.run(self.services)

    async def _keep(self, each: Reconciler) -> None:
        woken = self._woken[each.name]
        while True:
            woken.clear()
            context.request_id.set(new_request_id())
            try:
                await each.run(self.services)
            except Exception:
                log.warning("reconciler %s failed; it runs again", each.name, exc_info=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(each.every * random.uniform(0.9, 1.1)):     # wait_for may lose a cancel
                    await woken.wait()
