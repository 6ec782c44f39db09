"""The metadata server against clients that are guests, and therefore may send anything."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from pileus.network.engine.linux.metadata import Listener, MetadataRequest, MetadataResponse
from pileus.network.engine.linux.namespaces import HERE
from pileus.network.engine.records import Neighbour

ASKER = Neighbour(port_id="p1", mac="fa:16:3e:00:00:01", ips=("127.0.0.1",), device_id="s1", project_id="t1")


async def answer(request: MetadataRequest) -> MetadataResponse:
    if request.path == "/broken":
        raise RuntimeError("no answer")
    if request.path == "/split":
        return MetadataResponse(status=200, headers={"x": "a\r\nb: c"})
    told = f"{request.method} {request.path} {request.device_id} {request.headers.get('x-instance-id', '')}"
    return MetadataResponse(status=200, body=told.encode() + request.body)


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener(HERE, answer, ("127.0.0.1", 0))
    made.neighbours = {"127.0.0.1": ASKER}
    await made.start()
    yield made
    made.close()


async def talk(listener: Listener, data: bytes) -> bytes:
    """All that comes back until the server closes; we close our half."""
    reader, writer = await asyncio.open_connection(*listener.socket.getsockname())
    try:
        writer.write(data)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def get(path: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "host: 169.254.169.254", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def test_who_asks_is_known_from_the_address_alone(listener: Listener):
    answered = await talk(listener, get("/x", "X-Instance-ID: other"))
    assert answered.startswith(b"HTTP/1.1 200 OK\r\n") and answered.endswith(b"GET /x s1 other")
    listener.neighbours = {}
    assert (await talk(listener, get("/x"))).startswith(b"HTTP/1.1 404 ")


async def test_several_requests_on_one_connection(listener: Listener):
    answered = await talk(listener, get("/a") + get("/b", "content-length: 2", method="POST", body="!!") + get("/c"))
    assert [answered.count(part) for part in (b"200 OK", b"GET /a s1", b"POST /b s1 !!", b"GET /c s1")] == [3, 1, 1, 1]


async def test_head_has_no_body(listener: Listener):
    answered = await talk(listener, get("/x", method="HEAD"))
    assert answered.startswith(b"HTTP/1.1 200 OK") and answered.endswith(b"\r\n\r\n")


async def test_bad_input_gets_a_clear_answer_or_none(listener: Listener):
    assert (await talk(listener, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert (await talk(listener, get("/x", "a: " + "b" * 40000))).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    huge = await talk(listener, get("/x", "content-length: 100000", method="POST", body="c" * 100000))
    assert huge.startswith(b"HTTP/1.1 413 ") or huge == b""
    cut = await talk(listener, get("/x", "content-length: 10", method="POST", body="cut"))
    assert cut.startswith(b"HTTP/1.1 400 ")
    assert await talk(listener, b"") == b""


async def test_an_answer_that_fails_is_said_to_have_failed(listener: Listener):
    assert (await talk(listener, get("/broken"))).startswith(b"HTTP/1.1 503 ")
    assert b"b: c" not in await talk(listener, get("/split"))
    assert (await talk(listener, get("/x"))).startswith(b"HTTP/1.1 200 ")
