"""What the QEMU driver knows of a guest and of the host while it lives."""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pileus.compute.drivers.base import GuestFailed
from pileus.compute.drivers.disks import BadDisk
from pileus.compute.drivers.guest_folder import GuestFolder
from pileus.compute.drivers.qemu_launch import BadSpec
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess
from pileus.kit.child import child

# A process that was killed just now may have left a child that has yet to become another program.
LOCK_SECONDS = 2.0


def locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class HostInUse(Exception):
    """Another driver, of this process or another, has charge of these guests."""


class Guest:
    """What is known of a guest while this process lives. The lock is held while something is done to it."""

    def __init__(self, folder: GuestFolder) -> None:
        self.folder = folder
        self.lock = asyncio.Lock()
        self.process: QemuProcess | None = None
        self.watcher: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return self.folder.id


def take_charge(instances: Path) -> IO[str]:
    """The lock of a host's driver, held until it is closed. Raises HostInUse."""
    lock = open(instances / ".driver", "w")  # noqa: SIM115 - held until close
    give_up = time.monotonic() + LOCK_SECONDS
    while not locked(lock):
        if time.monotonic() > give_up:
            lock.close()
            raise HostInUse(f"another process has charge of the guests in {instances}")
        time.sleep(0.01)
    return lock


@contextmanager
def failing(guest_id: str, wanted: str) -> Iterator[None]:
    """Whatever goes wrong with the machine is told as what went wrong with the guest."""
    try:
        yield
    except (BadDisk, BadSpec, QemuFailed) as error:
        raise GuestFailed(guest_id, wanted, str(error)) from error
    except OSError as error:
        place = f" ({os.path.basename(error.filename)})" if isinstance(error.filename, str) else ""
        raise GuestFailed(guest_id, wanted, f"{error.strerror or error}{place}") from error


async def qemu_version(program: str) -> str:
    try:
        async with child(program, "--version", stdout=asyncio.subprocess.PIPE) as process:
            printed, _ = await process.communicate()
    except FileNotFoundError:
        return ""
    words = printed.decode(errors="replace").split()
    return words[3] if len(words) > 3 else ""
