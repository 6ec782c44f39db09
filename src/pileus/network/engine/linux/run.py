"""Runs a program without a shell and without blocking the loop."""

import asyncio

from pileus.network.engine.base import EngineFailed

SECONDS = 60.0


async def run(command: list[str], text: str = "") -> str:
    """Its standard output. Raises EngineFailed when it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate(text.encode())
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise EngineFailed(f"{' '.join(command)}: {errors.decode(errors='replace').strip()}")
    return output.decode()
