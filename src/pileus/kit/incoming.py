"""Long request bodies, read from the connection straight into large blocks: no parser, no copies, few turns.

A server's protocol cuts a body into what each read of the socket gave. Who streams hundreds of megabytes takes the
connection over instead, for as long as the body lasts.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import httptools
from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BLOCK = 1 << 20
AHEAD = 4                       # blocks that may lie ready; then the client waits
SLOW = 5.0                      # seconds after which a block is handed over although it is not full
UNSHARED = 3                    # references to what only a list holds: by it, the loop over it and sys.getrefcount()
TAKE_OVER = "pileus.take_over"

Piece = bytes | memoryview


async def pieces(request: Request, *, slow: float = SLOW) -> AsyncIterator[Piece]:
    """The body as it comes, in blocks where the server can, each after `slow` seconds at most. Raises
    ClientDisconnect."""
    take_over = request.scope.get("extensions", {}).get(TAKE_OVER)
    incoming = take_over() if take_over is not None else None
    if incoming is not None:
        async for piece in incoming.blocks(slow):
            yield piece
        return
    async for piece in request.stream():
        if piece:
            yield piece


class Protocol(HttpToolsProtocol):
    """uvicorn's, which can hand over the rest of a body whose length is known."""

    left: int = 0                                    # bytes of the body that have not come; 0 also where nobody knows
    incoming: Incoming | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.left, self.incoming = 0, None
        self.scope["extensions"] = {TAKE_OVER: functools.partial(self._take_over, self.scope)}    # type: ignore

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if name.lower() == b"content-length" and value.isdigit():
            self.left = int(value)

    def on_body(self, body: bytes) -> None:
        self.left = max(0, self.left - len(body))
        super().on_body(body)

    def _take_over(self, scope: Any) -> Incoming | None:
        """None: there is nothing left to read, or it is another request's."""
        if scope is not self.scope or self.left < BLOCK or self.transport.is_closing():
            return None
        self.incoming = Incoming(self, self.left)
        return self.incoming

    def on_response_complete(self) -> None:
        if self.incoming is not None:
            self.incoming.discard()
        super().on_response_complete()

    def new_parser(self) -> None:
        """The parser did not see the body end."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)      # as uvicorn sets its own


class Incoming(asyncio.BufferedProtocol):
    """Has the connection of `http` until `left` bytes have come in, and then gives it back."""

    def __init__(self, http: Protocol, left: int):
        self.http, self.cycle, self.left = http, http.cycle, left
        self.ready: deque[Piece] = deque([bytes(self.cycle.body)] if self.cycle.body else [])
        self.cycle.body = bytearray()
        self.arrived, self.memory = asyncio.Event(), list[bytearray]()
        self.lost = self.unwanted = False
        self._next_block()
        self._becomes(self)
        if self.cycle.waiting_for_100_continue:
            http.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.cycle.waiting_for_100_continue = False

    def _becomes(self, protocol: Any) -> None:
        """Reading begins anew, for the loop asks a protocol how it reads only then."""
        self.http.flow.pause_reading()
        self.http.transport.set_protocol(protocol)
        self.http.flow.resume_reading()

    def _next_block(self) -> None:
        """Memory nobody holds a view of any more, if there is: to get fresh memory takes as long as to fill it."""
        free = next((each for each in self.memory if sys.getrefcount(each) == UNSHARED), None)
        if free is None:
            free = bytearray(BLOCK)
            self.memory.append(free)
        self.block, self.filled = memoryview(free)[:self.left], 0

    async def blocks(self, slow: float) -> AsyncIterator[Piece]:
        while True:
            while self.ready:
                piece = self.ready.popleft()
                self.http.flow.resume_reading()
                yield piece
            if self.lost:
                raise ClientDisconnect()
            if not self.left:
                return
            self.arrived.clear()
            try:
                async with asyncio.timeout(slow):
                    await self.arrived.wait()
            except TimeoutError:
                self._hand_over()

    def discard(self) -> None:
        """The answer was given: what still comes is nobody's."""
        self.unwanted = True
        self.ready.clear()

    # -- what the loop calls ----------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.block[self.filled:]

    def buffer_updated(self, nbytes: int) -> None:
        self.left -= nbytes
        self.filled += nbytes
        if self.unwanted:
            self.filled = 0
            self.block = self.block[:self.left]
        elif self.filled == len(self.block):
            self._hand_over()
        if not self.left:
            self._give_back()

    def _hand_over(self) -> None:
        if self.filled:
            self.ready.append(self.block[:self.filled])
            self._next_block()
        self.arrived.set()
        if len(self.ready) >= AHEAD:
            self.http.flow.pause_reading()

    def _give_back(self) -> None:
        self.http.left, self.http.incoming = 0, None
        self.http.new_parser()
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._becomes(self.http)

    def eof_received(self) -> None:
        """The connection closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.arrived.set()
        self.http.connection_lost(exc)

    def pause_writing(self) -> None:
        self.http.pause_writing()

    def resume_writing(self) -> None:
        self.http.resume_writing()
