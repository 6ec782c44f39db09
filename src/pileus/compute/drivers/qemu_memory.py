"""The memory of a suspended guest: written to a file by QEMU, and where the next QEMU goes on from."""

import asyncio
import os
import time

from pileus.compute.drivers.guest_folder import MEMORY, GuestFolder
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess

SAVE_SECONDS = 600.0
LOOK_SECONDS = 0.02
NO_LIMIT = 1 << 40  # bytes a second


async def save(process: QemuProcess, folder: GuestFolder) -> None:
    """Stop the guest and write its memory, whole or not at all. Already so: do nothing."""
    target = folder.path / MEMORY
    if await process.status() == "postmigrate":
        if target.exists():
            return
        await process.execute("cont")  # an earlier try ended between the two
    target.unlink(missing_ok=True)
    await process.execute("stop")
    fresh = folder.path / f"{MEMORY}.new"
    file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        await process.execute("migrate-set-parameters", {"max-bandwidth": NO_LIMIT})
        await process.give(MEMORY, file)
        await process.execute("migrate", {"uri": f"fd:{MEMORY}"})
        await _written(process)
        await asyncio.to_thread(os.fsync, file)
    except QemuFailed:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    fresh.replace(target)


async def _written(process: QemuProcess) -> None:
    give_up = time.monotonic() + SAVE_SECONDS
    while time.monotonic() < give_up:
        told = await process.execute("query-migrate")
        assert isinstance(told, dict)
        if told.get("status") == "completed":
            return
        if told.get("status") in ("failed", "cancelled"):
            raise QemuFailed(str(told.get("error-desc", "its memory could not be written")))
        await asyncio.sleep(LOOK_SECONDS)
    raise QemuFailed(f"its memory could not be written within {SAVE_SECONDS:.0f} s")


async def restored(process: QemuProcess) -> None:
    """Wait until a QEMU has read all of the memory it was given."""
    give_up = time.monotonic() + SAVE_SECONDS
    while await process.status() == "inmigrate":
        if time.monotonic() > give_up:
            raise QemuFailed(f"its memory could not be read within {SAVE_SECONDS:.0f} s")
        await asyncio.sleep(LOOK_SECONDS)
