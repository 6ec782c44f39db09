"""The screen and the serial port of a fake guest: sockets that greet as real ones do."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path

RFB_GREETING = b"RFB 003.008\n"
VERSION_BYTES = len(RFB_GREETING)
NO_SECURITY = b"\x01\x01"  # one type: none
CHOSEN = b"\0\0\0\0"
SHARED_BYTES = 1
PIXEL_FORMAT = bytes([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])


class FakeConsole:
    """Speaks just enough of RFB to say how large its screen is, and echoes what is typed on its serial port."""

    def __init__(self, folder: Path, guest_id: str) -> None:
        self._folder, self._guest_id = folder, guest_id
        self._servers: list[asyncio.Server] = []

    @classmethod
    async def open(cls, guest_id: str) -> "FakeConsole":
        console = cls(Path(tempfile.mkdtemp(prefix="fake-console-")), guest_id)
        for kind, answer in (("vnc", console._screen), ("serial", console._serial)):
            console._servers.append(await asyncio.start_unix_server(answer, console.path(kind)))
        return console

    def path(self, kind: str) -> Path:
        return self._folder / kind

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        shutil.rmtree(self._folder)

    async def _screen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            writer.write(RFB_GREETING)
            await reader.readexactly(VERSION_BYTES)
            writer.write(NO_SECURITY)
            await reader.readexactly(1)
            writer.write(CHOSEN)
            await reader.readexactly(SHARED_BYTES)
            name = self._guest_id.encode()
            size = (640).to_bytes(2, "big") + (480).to_bytes(2, "big")
            writer.write(size + PIXEL_FORMAT + len(name).to_bytes(4, "big") + name)
            await reader.read()

    async def _serial(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while typed := await reader.read(4096):
                writer.write(typed)
                await writer.drain()
