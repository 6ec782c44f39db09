"""Long bodies by the connection itself: whole, answered early, broken off, slow; and the connection after them."""

import asyncio
import hashlib
import os
import socket
import time

import pytest
import uvloop
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from pileus.kit.incoming import BLOCK, pieces
from pileus.kit.serve import Server

LONG = os.urandom(9 * BLOCK + 4321)


class App:
    """Answers with the hash of the body; /early after the first block, /count with how the body came."""

    def __init__(self, slow):
        self.slow, self.taken, self.left_by, self.go_on = slow, 0, 0, asyncio.Event()
        self.go_on.set()

    async def __call__(self, scope, receive, send):
        request, sha, sizes = Request(dict(scope), receive), hashlib.sha512(), []
        try:
            async for piece in pieces(request, slow=self.slow):
                sha.update(piece)
                sizes.append(len(piece))
                self.taken += len(piece)
                await self.go_on.wait()
                if request.url.path == "/early":
                    break
        except ClientDisconnect:
            self.left_by += 1
            return
        text = str(len(sizes)) if request.url.path == "/count" else sha.hexdigest()
        await PlainTextResponse(text)(scope, receive, send)


def served(conversation, slow=5.0):
    """Hold `conversation(app, port)` with a server, on both kinds of loop that serve."""
    async def hold():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            app = App(slow)
            server = Server(app, [listener])
            serving = asyncio.create_task(server.run_until_stopped())
            async with asyncio.timeout(20):
                await conversation(app, listener.getsockname()[1])
            await server.stop()
            await serving

    for make in (uvloop.new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(hold())


def head(path, size, *more):
    return "\r\n".join([f"PUT {path} HTTP/1.1", "host: x", f"content-length: {size}", *more, "", ""]).encode()


async def answer(reader):
    got = await reader.readuntil(b"\r\n\r\n")
    length = int(got.lower().partition(b"content-length: ")[2].split()[0])
    return (await reader.readexactly(length)).decode()


async def until(holds, seconds=15.0):
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not become so in time"
        await asyncio.sleep(0.005)


def test_one_after_another_on_one_connection():
    async def conversation(app, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in (LONG, b"short", LONG[:BLOCK], b"", LONG):
            writer.write(head("/", len(body)) + body)
            assert await answer(reader) == hashlib.sha512(body).hexdigest()
        writer.write(head("/", len(LONG)) + LONG + head("/", 3) + b"end")       # and before the answer was read
        assert await answer(reader) == hashlib.sha512(LONG).hexdigest()
        assert await answer(reader) == hashlib.sha512(b"end").hexdigest()
        writer.write(head("/count", len(LONG)) + LONG)
        assert int(await answer(reader)) <= len(LONG) // BLOCK + 3
        chunked = b"PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n300000\r\n"
        writer.write(chunked + LONG[:0x300000] + b"\r\n0\r\n\r\n")
        assert await answer(reader) == hashlib.sha512(LONG[:0x300000]).hexdigest()
        writer.close()

    served(conversation)


def test_an_early_answer_leaves_the_connection_usable():
    async def conversation(app, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/early", len(LONG)) + LONG)
        await answer(reader)
        assert app.taken < len(LONG)
        writer.write(head("/", 5) + b"after")
        assert await answer(reader) == hashlib.sha512(b"after").hexdigest()
        writer.close()

    served(conversation)


def test_a_client_that_waits_to_be_asked():
    async def conversation(app, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/", len(LONG), "expect: 100-continue"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(LONG)
        assert await answer(reader) == hashlib.sha512(LONG).hexdigest()
        writer.close()

    served(conversation)


@pytest.mark.parametrize("sent", [0, 100, 3 * BLOCK + 5])
def test_a_body_that_breaks_off(sent):
    async def conversation(app, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/", len(LONG)) + LONG[:sent])
        await until(lambda: app.taken >= sent // 2)
        writer.transport.abort()
        await until(lambda: app.left_by == 1)

    served(conversation)


def test_who_reads_slowly_is_not_sent_more():
    async def conversation(app, port):
        app.go_on.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = bytes(64 * BLOCK)
        writer.transport.set_write_buffer_limits(0)
        writer.write(head("/", len(body)) + body)
        await until(lambda: app.taken)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await writer.drain()
        app.go_on.set()
        assert await answer(reader) == hashlib.sha512(body).hexdigest()
        writer.close()

    served(conversation)


def test_what_comes_slowly_is_handed_over_in_time():
    async def conversation(app, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/", len(LONG)))
        for first in range(0, 3000, 1000):
            writer.write(LONG[first:first + 1000])
            await until(lambda first=first: app.taken == first + 1000)
        writer.write(LONG[3000:])
        assert await answer(reader) == hashlib.sha512(LONG).hexdigest()
        writer.close()

    served(conversation, slow=0.02)
