"""What every store must do; a store is done when it passes."""

import os
from contextlib import asynccontextmanager

import pytest

from pileus.image.config import ImageConfig
from pileus.image.stores.base import NoSuchData, ReadOnly
from pileus.image.stores.file import FileStore
from pileus.image.stores.web import WebStore
from tests.image.web import moved, web_server

ONE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(params=["file"])
def make_store(request, tmp_path):
    """Makes the store anew, as a restart does."""
    return {"file": lambda: FileStore(tmp_path / "images")}[request.param]


@asynccontextmanager
async def _file(tmp_path, data):
    store = FileStore(tmp_path / "images")
    writing = await store.write(ONE)
    writing.write([data])
    await writing.finish()
    yield store, ONE


def _web(*, ranges):
    @asynccontextmanager
    async def serve(tmp_path, data):
        async with web_server({"/image": data, "/moved": moved("/image")}, ranges=ranges) as (url, port, _):
            config = ImageConfig(import_ports=[port], import_networks=["127.0.0.0/8"])
            yield WebStore(config), url + "/moved"
    return serve


@pytest.fixture(params=["file", "web", "web without ranges"])
def make_filled(request):
    """Makes a store with a content: (store, its id)."""
    return {"file": _file, "web": _web(ranges=True), "web without ranges": _web(ranges=False)}[request.param]


async def whole(store, data_id):
    reading = await store.read(data_id)
    parts = [await reading.read(at, 100_000) for at in range(0, reading.size, 100_000)]
    await reading.close()
    return b"".join(parts)


async def test_reading_anywhere(make_filled, tmp_path):
    data = os.urandom(300_000)
    async with make_filled(tmp_path, data) as (store, data_id):
        assert await whole(store, data_id) == data
        reading = await store.read(data_id)
        assert reading.size == len(data)
        for first, length in ((0, 10), (10, 10), (299_999, 50), (300_000, 50), (400_000, 50), (7, 250_000), (0, 1)):
            assert await reading.read(first, length) == data[first:first + length]
        await reading.close()
        assert store.url(data_id).startswith(("file:///", "http://"))
        assert store.name and all(isinstance(value, str) for value in store.details().values())


async def test_reading_what_is_not_there(make_filled, tmp_path):
    async with make_filled(tmp_path, b"x") as (store, data_id):
        other = data_id.replace("moved", "none") if data_id != ONE else ONE.replace("1", "2")
        with pytest.raises(NoSuchData):
            await store.read(other)
        with pytest.raises(NoSuchData):
            store.url("../x")


async def test_a_store_that_is_read_only(tmp_path):
    async with _web(ranges=True)(tmp_path, b"x") as (store, url):
        with pytest.raises(ReadOnly):
            await store.write(url)
        with pytest.raises(ReadOnly):
            await store.remove(url)
        await store.sweep(0)
        assert await store.contents(0) == []


async def test_a_web_server_that_has_less_than_it_says():
    short = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nshort"
    unknown = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nwithout end"
    async with web_server({"/short": short, "/unknown": unknown}) as (url, port, _):
        store = WebStore(ImageConfig(import_ports=[port], import_networks=["127.0.0.0/8"]))
        reading = await store.read(url + "/short")
        with pytest.raises(NoSuchData):
            await reading.read(0, 9)
        await reading.close()
        with pytest.raises(NoSuchData, match="does not tell its size"):
            await store.read(url + "/unknown")
        with pytest.raises(NoSuchData, match="not a public address"):
            await WebStore(ImageConfig(import_ports=[port])).read(url + "/short")


async def test_write_read_remove(make_store):
    store, data = make_store(), os.urandom(300_000)
    writing = await store.write(ONE)
    writing.write([data[:5], b"", data[5:200_000]])
    writing.write([data[200_000:]])
    with pytest.raises(NoSuchData):
        await store.read(ONE)
    await writing.finish()
    await writing.finish()
    await writing.discard()
    assert await whole(store, ONE) == data == await whole(make_store(), ONE)
    assert await store.contents(0) == [ONE] and await store.contents(1000) == []
    reading = await store.read(ONE)
    await store.remove(ONE)
    await store.remove(ONE)
    assert await reading.read(299_999, 50) == data[-1:] and await reading.read(300_000, 50) == b""
    await reading.close()
    with pytest.raises(NoSuchData):
        await store.read(ONE)


async def test_many_small_pieces(make_store):
    store = make_store()
    writing = await store.write(ONE)
    writing.write([bytes([n % 256]) for n in range(3000)])
    await writing.finish()
    assert await whole(store, ONE) == bytes(n % 256 for n in range(3000))


async def test_long_contents(make_store):
    store, piece = make_store(), os.urandom(1 << 20)
    writing, unwanted = await store.write(ONE), await store.write(ONE)
    for _ in range(100):
        writing.write([piece])
        unwanted.write([piece])
    await unwanted.discard()
    await writing.finish()
    assert await whole(store, ONE) == piece * 100


async def test_what_a_disk_says_of_what_came_before_is_not_lost(tmp_path):
    store = FileStore(tmp_path / "images", opener=lambda path, flags, mode: os.open("/dev/null", os.O_WRONLY))
    writing = await store.write(ONE)
    writing.write([bytes(64 << 20)])                             # which this disk cannot be told to keep
    with pytest.raises(OSError, match="Invalid argument"):
        await writing.finish()
    await writing.discard()
    with pytest.raises(OSError, match="written to after the end"):
        writing.write([b"more"])
    assert await store.contents(0) == []


async def test_discard_leaves_nothing(make_store):
    store = make_store()
    writing = await store.write(ONE)
    writing.write([b"half"])
    await writing.discard()
    await writing.discard()
    with pytest.raises(NoSuchData):
        await store.read(ONE)
    assert await store.contents(0) == []


async def test_what_a_killed_process_left_is_swept(make_store):
    store = make_store()
    writing = await store.write(ONE)
    writing.write([b"half"])
    store = make_store()
    await store.sweep(1000)
    await store.sweep(0)
    assert await store.contents(0) == []
    again = await store.write(ONE)
    again.write([b"whole"])
    await again.finish()
    assert await whole(store, ONE) == b"whole"
    await writing.discard()
    assert await whole(store, ONE) == b"whole"


@pytest.mark.parametrize("data_id", ["../x", "", "a/b", "..", ONE + "/.."])
async def test_strange_ids_are_nobodys(make_store, data_id):
    with pytest.raises(NoSuchData):
        await make_store().read(data_id)
