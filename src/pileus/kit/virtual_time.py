"""An event loop in which waiting takes no time: when nothing is left to do, its time jumps to the next timer.

For simulations. Everything must be in this process: what waits for a socket or a process would see hours pass. Threads
are waited for, during which time stands still.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

THREAD_SECONDS = 1.0               # of real time, to wait for a thread at once
FINEST = 1e-6                      # timers that are nearer than this are due


class _Jumping(selectors.DefaultSelector):
    """Passes time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.threads = 0.0, 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout is not None and timeout <= 0:
            return found
        if self.threads or timeout is None:
            return super().select(THREAD_SECONDS)
        self.now += max(timeout, FINEST)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._clock_resolution = FINEST

    def time(self) -> float:
        """Seconds since it was made."""
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: Any) -> None:
        self._jumping.threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Waits until the threads have ended, whatever `timeout` says: its seconds would pass at once."""
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._jumping.threads -= 1


class LoopClock:
    """The time of the running loop, as seconds since the epoch."""

    def __init__(self, start: float = 1_700_000_000.0):
        self.start = start

    def __call__(self) -> float:
        return self.start + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
