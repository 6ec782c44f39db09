"""Programs of QEMU's that outlive us: started apart from us, found again by their pid files, ended by them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

START_SECONDS, QUIT_SECONDS = 30.0, 10.0


class DaemonFailed(Exception):
    """The daemon did not start, does not answer or refused; the message says why. `unsettled`: it may have done it."""

    def __init__(self, reason: str, *, unsettled: bool = False) -> None:
        super().__init__(reason)
        self.unsettled = unsettled


def living(pid_file: Path) -> int | None:
    """Who was started with that file. What is in it alone says nothing: the number may be somebody else's by now."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if str(pid_file).encode() in command.split(b"\0") else None


async def launch(command: Sequence[str], inherit: tuple[int, ...] = ()) -> None:
    """A program that makes itself a daemon. Not started as the loop starts programs: the daemon would inherit the pipe
    and never end it. Raises DaemonFailed."""
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, stdin=subprocess.DEVNULL, check=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=START_SECONDS, start_new_session=True, pass_fds=inherit)
    except subprocess.TimeoutExpired as error:
        raise DaemonFailed(f"qemu-storage-daemon did not start within {START_SECONDS:.0f} s") from error
    if done.returncode:
        raise DaemonFailed(" ".join(done.stderr.decode(errors="replace").split())[-500:])


async def end(pid_file: Path) -> None:
    """Gone. Not there: do nothing. Raises DaemonFailed."""
    pid = living(pid_file)
    try:
        descriptor = os.pidfd_open(pid) if pid is not None else -1
    except ProcessLookupError:
        return
    if descriptor >= 0:
        await _end(descriptor)


async def _end(descriptor: int) -> None:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(descriptor, number)
            try:
                async with asyncio.timeout(QUIT_SECONDS):
                    await gone.wait()
                return
            except TimeoutError:
                logging.getLogger(__name__).warning("a qemu-storage-daemon does not end by %s", number.name)
        raise DaemonFailed("it does not end")
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
