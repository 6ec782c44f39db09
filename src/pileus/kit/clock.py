"""Time as a port: production reads the machine, tests turn the hands."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Protocol


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def __call__(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class TurnedClock:
    """Stands still until a test turns it; sleepers wake in the order of their times."""

    def __init__(self, now: float = 1_700_000_000.0):
        self.now = now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, woken))
        await woken

    def turn(self, seconds: float) -> None:
        self.now += seconds
        due = sorted((entry for entry in self._sleepers if entry[0] <= self.now), key=lambda entry: entry[0])
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self.now]
        for _, woken in due:
            if not woken.done():
                woken.set_result(None)


def stamp(seconds: float) -> str:
    """2026-11-21T08:00:00Z, seconds since the epoch cut to whole ones, as most of OpenStack's APIs write a time."""
    return _stamp(int(seconds))


@functools.lru_cache(10_000)                     # much of what a list tells was made in one second
def _stamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
