"""Programs that end with whoever waits for them."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def child(*command: str, **how: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program for the time of the block; `how` is that of asyncio.create_subprocess_exec. Raises FileNotFoundError
    where there is no such program, also where a folder of PATH may not be looked into, of which systems say otherwise.

    When the block is left, however that happens, the program has ended: else it is killed. This holds for a caller who
    is cancelled while the program is being started, too; uvloop would let go of it then.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **how))
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _surely(_started_for_nobody(starting))
        raise
    except PermissionError as error:
        program, path = command[0], (how.get("env") or os.environ).get("PATH")
        if os.sep in program or shutil.which(program, path=path):
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program) from error
    try:
        yield process
    finally:
        if process.returncode is None:
            await _surely(_ended(process))


def bound_memory(process: asyncio.subprocess.Process, size: int) -> None:
    """From now on it may have that many bytes of address space."""
    if process.returncode is None:          # else its number may be another's by now
        with suppress(ProcessLookupError):  # it was faster
            resource.prlimit(process.pid, resource.RLIMIT_AS, (size, size))


async def _started_for_nobody(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    try:
        process = await starting
    except OSError:
        return                          # there is no such program: nothing was started
    await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):  # it was faster
        process.kill()
    await process.communicate()         # its pipes are read to their ends: nothing of it is left in the loop


async def _surely(work: Coroutine[Any, Any, None]) -> None:
    """Done when this returns, even to a caller who is cancelled again meanwhile."""
    task, again = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            again = error
    task.result()
    if again:
        raise again
