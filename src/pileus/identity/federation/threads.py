"""A few threads for what SAML costs, so that strangers who send documents take nothing from anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pileus.kit.faults import Unavailable

T = TypeVar("T")
THREADS, MOST_WAITING = 2, 32


class Threads:
    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="saml")
        self._asked = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Raises Unavailable when too many wait."""
        if self._asked >= MOST_WAITING:
            raise Unavailable(reason="Too many log in by SAML at once; try again.")
        self._asked += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, work)
        running.add_done_callback(self._done)
        return await running

    def _done(self, _: asyncio.Future[T]) -> None:
        self._asked -= 1
