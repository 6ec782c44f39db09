"""How the storage daemon of a volume is spoken with, whatever it says first."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from pileus.volume.drivers import qcow2
from pileus.volume.drivers.base import ExportOptions
from pileus.volume.drivers.daemon import DISK, MONITOR, Daemon
from pileus.volume.drivers.processes import DaemonFailed

EVENT = {"event": "JOB_STATUS_CHANGE", "data": {"id": "mirror", "status": "ready"},
         "timestamp": {"seconds": 1, "microseconds": 0}}
GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}


class Monitor:
    """Tells of an event before it greets, as often as it is told to."""

    def __init__(self, events: int):
        self.events, self.seen = events, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen += 1
        writer.write(json.dumps(EVENT if self.seen <= self.events else GREETING).encode() + b"\r\n")
        while text := await reader.read(4096):           # one command at a time, without a line's end
            asked = json.loads(text)
            answer = {"return": [], "id": asked["id"]} if "id" in asked else {"return": {}}
            writer.write(json.dumps(answer).encode() + b"\r\n")
        writer.close()


@pytest.mark.parametrize(("events", "answers"), [(0, True), (2, True), (9, False)])
async def test_an_event_before_the_greeting(tmp_path, events, answers):
    monitor = Monitor(events)
    server = await asyncio.start_unix_server(monitor.serve, tmp_path / MONITOR)
    daemon = Daemon(tmp_path, tmp_path)
    try:
        if answers:
            assert await daemon.execute(("query-jobs", {})) == [[]]
        else:
            with pytest.raises(DaemonFailed, match="query-jobs"):
                await daemon.execute(("query-jobs", {}))
    finally:
        server.close()
    assert monitor.seen == min(events + 1, 5)


REFUSES = """#!/bin/sh
case "$*" in *io_uring*)
    echo "Unable to use io_uring: failed to init linux io_uring ring: Operation not permitted" >&2
    exit 1
esac
exec {} "$@"
"""


async def test_a_kernel_that_has_no_ring(tmp_path, monkeypatch):
    refusing = tmp_path / "bin" / "qemu-storage-daemon"
    refusing.parent.mkdir()
    refusing.write_text(REFUSES.format(shutil.which("qemu-storage-daemon")))
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(refusing.parent), prepend=":")
    await qcow2.run("qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / DISK), "1M")
    daemon = Daemon(tmp_path)

    export = await daemon.ensure(ExportOptions(), "volume")
    try:
        found = await qcow2.info(f"nbd+unix:///volume?socket={export.socket}", "raw")
        assert found["virtual-size"] == 1 << 20
    finally:
        await daemon.end()
