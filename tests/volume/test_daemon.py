"""How the storage daemon of a volume is spoken with, whatever it says first."""

from __future__ import annotations

import asyncio
import json

import pytest

from pileus.volume.drivers.daemon import MONITOR, Daemon
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
