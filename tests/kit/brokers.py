"""Faults between a bus and its broker: a way that can be cut, closed or made silent, and a broker to kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

from yarl import URL

TOOL = Path(__file__).parents[2] / "tools" / "servers"


async def await_true(true: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not become true"
        await asyncio.sleep(0.01)


class Proxy:
    """A port that leads to the broker, as long as we let it."""

    def __init__(self, broker: str):
        self.target = broker
        self.swallow = False
        self._silent: set[asyncio.StreamWriter] = set()
        self._ways: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return str(URL(self.target).with_port(self._port))

    async def __aenter__(self) -> Self:
        await self.open_door()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close_door()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open_door(self) -> None:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close_door(self) -> None:
        """Nobody gets in any more, and who is in is thrown out."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        for way in list(self._ways):
            way.transport.abort()

    def swallow_only_old(self) -> None:
        """Connections that are there stay silent, new ones work."""
        self._silent |= self._ways
        self.swallow = False

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            broker = URL(self.target)
            there, back = await asyncio.open_connection(broker.host, broker.port)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, back), (there, writer)):
            self._ways.add(sink)
            task = asyncio.create_task(self._pass_on(source, sink, (writer, back)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter,
                       both: tuple[asyncio.StreamWriter, ...]) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    if not self.swallow and sink not in self._silent:
                        sink.write(data)
                        await sink.drain()
        finally:
            for way in both:
                self._ways.discard(way)
                way.transport.abort()


class Broker:
    """A RabbitMQ of one test."""

    def __init__(self, folder: Path):
        self.folder, self.url = folder, ""

    async def tool(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(TOOL), *words, "--dir", str(self.folder), stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode()

    async def start(self) -> str:
        self.url = json.loads(await self.tool("start", "rabbitmq", "--json"))["PILEUS_TEST_RABBITMQ"]
        return self.url

    def kill(self) -> None:
        """SIGKILL to every process that works in the folder."""
        pids = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(self.folder):
                    pids.append(int(entry.name))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def private_broker() -> AsyncIterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="pileus-test-broker-"))
    os.chmod(folder, 0o711)
    broker = Broker(folder)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.tool("stop")
        shutil.rmtree(folder)
