"""What browsers reach at /console: a page with noVNC, and the socket that leads to a guest's screen or serial port."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from pileus.compute.drivers.sockets import connected
from pileus.compute.messages import FindConsole
from pileus.compute.model import console_tokens
from pileus.compute.runtime import Compute
from pileus.kit.bus import Failed, NobodyThere

NOVNC = Path("/usr/share/novnc")                # of the system package
CURE = ("noVNC was not on this machine when the cloud was started. Cure: sudo apt-get install --no-install-recommends "
        "novnc, then start the cloud anew")
PAGE = Path(__file__).parent / "console.html"
BINARY = "binary"
PIECE_BYTES = 64 << 10
NOT_ALLOWED, NOT_THERE = 4403, 4404


class ConsoleApp:
    """Whoever has a token gets through, once; sockets of guests are on this machine, as all hosts are."""

    def __init__(self, compute: Compute, novnc: Path = NOVNC):
        self.compute = compute
        self._viewer = StaticFiles(directory=novnc) if novnc.is_dir() else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["type"] == "websocket":
            await self._socket(WebSocket(scope, receive, send))
        elif path == "/vnc.html":
            await (await self._page())(scope, receive, send)
        elif path.startswith("/novnc/") and self._viewer is not None:
            inner = dict(scope, root_path=scope.get("root_path", "") + "/novnc")
            await self._viewer(inner, receive, send)
        else:
            await PlainTextResponse("There is no such page.", 404)(scope, receive, send)

    async def _page(self) -> Response:
        if self._viewer is None:
            return PlainTextResponse(CURE, 503)
        return HTMLResponse(await asyncio.to_thread(PAGE.read_text), headers={"cache-control": "no-store"})

    async def _socket(self, socket: WebSocket) -> None:
        async with self.compute.db.write() as tx:
            token = socket.query_params.get("token", "")
            opened = await console_tokens.use(tx, token, self.compute.clock())
        if opened is None:
            await socket.close(NOT_ALLOWED)
            return
        try:
            path = await self.compute.bus.call(
                FindConsole(guest_id=opened.server_id, kind=opened.kind), host=opened.host)
            reader, writer = await asyncio.open_unix_connection(sock=connected(Path(path)))
        except (Failed, NobodyThere, OSError):
            await socket.close(NOT_THERE)
            return
        with contextlib.closing(writer):
            await socket.accept(BINARY if BINARY in socket.scope.get("subprotocols", []) else None)
            await carry(socket, reader, writer)


async def carry(socket: WebSocket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Both ways, until either end has had enough."""

    async def to_guest() -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            writer.write(message.get("bytes") or (message.get("text") or "").encode())
            await writer.drain()

    async def to_browser() -> None:
        while piece := await reader.read(PIECE_BYTES):
            await socket.send_bytes(piece)
        await socket.close()

    with contextlib.suppress(WebSocketDisconnect, ConnectionError):
        ways = [asyncio.ensure_future(way()) for way in (to_guest, to_browser)]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
