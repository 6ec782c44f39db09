"""A copy of a disk as it is at one moment, made by the QEMU that is using it."""

import asyncio
import time
from pathlib import Path

from pileus.compute.drivers.disks import qemu_img
from pileus.compute.drivers.hardware import Hardware
from pileus.compute.drivers.qemu_insides import quiet
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess

JOB = COPY = "snapshot"
COPY_SECONDS = 3600.0
LOOK_SECONDS = 0.05


async def copy_while_running(process: QemuProcess, hardware: Hardware, into: Path) -> None:
    """The guest's root disk as it is now, without what it lies over; the guest goes on meanwhile, and is quiet only
    for the moment that the copy is of."""
    await _clear_up(process)  # what an earlier try left
    await qemu_img("create", "-q", "-f", "qcow2", str(into), str(await _root_bytes(process)))
    file = {"driver": "file", "filename": str(into)}
    await process.execute("blockdev-add", {"driver": "qcow2", "node-name": COPY, "file": file})
    try:
        async with quiet(process.folder, hardware):
            await process.execute("blockdev-backup", {
                "job-id": JOB, "device": "disk-root", "target": COPY, "sync": "full", "auto-dismiss": False})
        await _copied(process)
    finally:
        await _clear_up(process)


async def _root_bytes(process: QemuProcess) -> int:
    nodes = await process.execute("query-named-block-nodes", {"flat": True})
    assert isinstance(nodes, list)
    return next(int(node["image"]["virtual-size"]) for node in nodes if node.get("node-name") == "disk-root")


async def _job(process: QemuProcess) -> dict[str, object] | None:
    jobs = await process.execute("query-jobs")
    assert isinstance(jobs, list)
    return next((job for job in jobs if job["id"] == JOB), None)


async def _concluded(process: QemuProcess) -> dict[str, object]:
    give_up = time.monotonic() + COPY_SECONDS
    while True:
        job = await _job(process)
        if job is None or job["status"] == "concluded":
            return job or {}
        if time.monotonic() > give_up:
            raise QemuFailed(f"its disk could not be copied within {COPY_SECONDS:.0f} s")
        await asyncio.sleep(LOOK_SECONDS)


async def _copied(process: QemuProcess) -> None:
    if error := (await _concluded(process)).get("error"):
        raise QemuFailed(f"its disk could not be copied: {error}")


async def _clear_up(process: QemuProcess) -> None:
    job = await _job(process)
    if job is not None:
        if job["status"] != "concluded":
            await process.execute("job-cancel", {"id": JOB})
            await _concluded(process)
        await process.execute("job-dismiss", {"id": JOB})
    nodes = await process.execute("query-named-block-nodes", {"flat": True})
    assert isinstance(nodes, list)
    if any(node.get("node-name") == COPY for node in nodes):
        await process.execute("blockdev-del", {"node-name": COPY})
