"""web-download over connections that break: the rest is asked for, of the same bytes or not at all."""

import asyncio
import os
import re
from contextlib import asynccontextmanager, suppress

import pytest

from pileus.image.config import ImageConfig
from pileus.image.fetching import MOST_BREAKS, FetchFailed, fetch

DATA = os.urandom(200_000)
LOCAL = ["127.0.0.0/8"]


@asynccontextmanager
async def breaking_server(*, sizes=(60_000,), tags=('"1"',)):
    """Sends so many bytes of DATA and hangs up, and has these ETags, one after the other; the last ones stay."""
    asked = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size, tag = (given[min(len(asked), len(given) - 1)] for given in (sizes, tags))
        asked.append(head)
        wanted, same = re.search("range: bytes=([0-9]+)-", head), re.search("if-range: (.*)\r", head)
        first = int(wanted[1]) if wanted and same and same[1] == tag else 0
        writer.write((f"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {first}-{len(DATA) - 1}/{len(DATA)}\r\n"
                      if first else "HTTP/1.1 200 OK\r\n").encode())
        writer.write(f"content-length: {len(DATA) - first}\r\nconnection: close\r\n".encode())
        writer.write((f"etag: {tag}\r\n\r\n" if tag else "\r\n").encode() + DATA[first:first + size])
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/image", ImageConfig(import_networks=LOCAL, import_ports=[port]), asked


async def whole(url, config):
    async with fetch(url, config) as (pieces, length):
        assert length == len(DATA)
        return b"".join([piece async for piece in pieces])


async def test_the_rest_is_asked_for():
    async with breaking_server() as (url, config, asked):
        assert await whole(url, config) == DATA
    assert [re.findall("range: (.*)\r", head) for head in asked] == [
        [], *([f"bytes={first}-", '"1"'] for first in (60_000, 120_000, 180_000))]


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
async def test_not_where_nobody_can_tell_that_it_is_the_same(etag):
    async with breaking_server(tags=[etag]) as (url, config, asked):
        with pytest.raises(FetchFailed, match="to its end"):
            await whole(url, config)
    assert len(asked) == 1


async def test_what_has_changed_meanwhile_is_not_put_together():
    async with breaking_server(tags=['"1"', '"2"']) as (url, config, asked):
        with pytest.raises(FetchFailed, match="changed meanwhile"):
            await whole(url, config)
    assert len(asked) == 2


async def test_a_server_that_only_hangs_up_is_given_up():
    async with breaking_server(sizes=[0]) as (url, config, asked):
        with pytest.raises(FetchFailed):
            await whole(url, config)
    assert len(asked) == 1                        # nothing came that another could go on from


async def test_breaks_with_nothing_between_them_are_counted():
    async with breaking_server(sizes=[60_000, 0]) as (url, config, asked):
        with pytest.raises(FetchFailed):
            await whole(url, config)
    assert len(asked) == 1 + MOST_BREAKS
