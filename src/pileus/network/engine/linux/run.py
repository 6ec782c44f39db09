"""Runs a program without a shell and without blocking the loop."""

import asyncio
import os

from pileus.kit.child import child
from pileus.network.engine.base import EngineFailed

SECONDS = 60.0


async def run(command: list[str], text: str = "", seconds: float = SECONDS) -> str:
    """Its standard output. Raises EngineFailed when it cannot be started, fails or takes too long."""
    with os.fdopen(os.memfd_create("input"), "w+b") as given:     # no pipe that a program could close before it is read
        given.write(text.encode())
        given.seek(0)
        try:
            async with asyncio.timeout(seconds), child(
                    *command, stdin=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE) as process:
                output, errors = await process.communicate()
        except TimeoutError as error:
            raise EngineFailed(f"{' '.join(command)}: not done within {seconds:g} s") from error
        except OSError as error:
            raise EngineFailed(f"{' '.join(command)}: {error.strerror}") from error
    if process.returncode:
        raise EngineFailed(f"{' '.join(command)}: {errors.decode(errors='replace').strip()}")
    return output.decode()
