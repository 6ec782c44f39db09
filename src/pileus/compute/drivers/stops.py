"""The stream of guests that stopped by themselves, from a driver to its one reader."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from pileus.compute.drivers.base import GuestStopped

KEPT = 1000
PRESS_SECONDS = 10.0  # after which a power button is pressed again


class Stops:
    """Keeps the latest that nobody has read yet. Older ones are let go: `guests` tells what is so."""

    def __init__(self) -> None:
        self._waiting: deque[GuestStopped] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, stop: GuestStopped) -> None:
        self._waiting.append(stop)
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def read(self) -> AsyncIterator[GuestStopped]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()
