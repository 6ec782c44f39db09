"""A served volume goes to another back end while it is written to: QEMU's block mirror in its daemon.

Every write is acknowledged when both have it, so once they are in step nothing is lost whichever of them dies. What an
attempt that failed has left in the daemon goes with the daemon: it starts anew, and clients come back to it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.volume.drivers.base import Export, ExportOptions, Key, Mirror
from pileus.volume.drivers.daemon import Daemon
from pileus.volume.drivers.layers import bare, layers, let_in
from pileus.volume.drivers.processes import DaemonFailed

JOB, FILTER, THERE = "mirror", "mirroring", "there"
RECONNECT_SECONDS = 1                   # for which guests wait for a target that went away before they go on without it


async def follow(daemon: Daemon, export: Export, options: ExportOptions, key: Key | None) -> Export:
    """Begin, go on or, once in step, end, as is wanted; whether it is in step. Raises DaemonFailed."""
    assert options.mirror is not None
    if daemon.is_away and daemon.pid() is None:
        return msgspec.structs.replace(export, in_step=True)
    try:
        job = await _job(daemon)
        if job is not None:
            return msgspec.structs.replace(export, in_step=await _go_on(daemon, job, alone=options.mirror.alone))
        now = daemon.wanted()
        if now is not None and now.mirror is not None:           # how far it came with that nobody knows
            await daemon.start(options, export.name, key)
        await _begin(daemon, export, options, options.mirror)
        return export
    except DaemonFailed as error:
        if daemon.is_away:
            raise DaemonFailed(str(error), unsettled=True) from error
        await daemon.start(options, export.name, key)
        raise


async def _go_on(daemon: Daemon, job: dict[str, Any], *, alone: bool) -> bool:
    if job["status"] == "ready" and alone:
        daemon.set_away(True)                # said beforehand: the disk is never served again by mistake
        await daemon.execute(("job-complete", {"id": JOB}))
        job = await _job(daemon) or job
    if job["status"] != "concluded":
        return job["status"] == "ready" and not alone
    if daemon.is_away and not job.get("error"):
        return True
    daemon.set_away(False)
    raise DaemonFailed(job.get("error") or "it is mirrored no longer")


async def _job(daemon: Daemon) -> dict[str, Any] | None:
    """It is kept by the daemon when it has ended, for the daemon alone knows how."""
    (jobs,) = await daemon.execute(("query-jobs", {}))
    return next((job for job in jobs if job["id"] == JOB), None)


async def _begin(daemon: Daemon, export: Export, options: ExportOptions, mirror: Mirror) -> None:
    """QEMU mirrors only what is no layer of another; the layers are put on what mirrors."""
    daemon.note(msgspec.structs.replace(options, mirror=mirror))
    there = {"driver": "nbd", "node-name": THERE, "export": mirror.to.name, "discard": "unmap",
             "server": {"type": "unix", "path": mirror.to.socket}, "reconnect-delay": RECONNECT_SECONDS}
    job = {"job-id": JOB, "device": "disk", "target": THERE, "sync": "full", "copy-mode": "write-blocking",
           "filter-node-name": FILTER, "auto-dismiss": False}
    await daemon.execute(("blockdev-add", there))
    if not layers(options):
        await daemon.execute(("blockdev-mirror", job))
        return
    await daemon.cut_off()
    await daemon.execute(*bare(options), ("blockdev-mirror", job), *let_in(options, export.name, FILTER))
