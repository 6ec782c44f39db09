"""What every store must do; a store is done when it passes."""

import os

import pytest

from pileus.image.stores.base import NoSuchData
from pileus.image.stores.file import FileStore

ONE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(params=["file"])
def make_store(request, tmp_path):
    """Makes the store anew, as a restart does."""
    return {"file": lambda: FileStore(tmp_path / "images")}[request.param]


async def whole(store, data_id):
    reading = await store.read(data_id)
    parts = [await reading.read(at, 100_000) for at in range(0, reading.size, 100_000)]
    await reading.close()
    return b"".join(parts)


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


async def test_it_tells_of_itself(make_store):
    store = make_store()
    assert store.name and all(isinstance(value, str) for value in store.details().values())


async def test_many_small_pieces(make_store):
    store = make_store()
    writing = await store.write(ONE)
    writing.write([bytes([n % 256]) for n in range(3000)])
    await writing.finish()
    assert await whole(store, ONE) == bytes(n % 256 for n in range(3000))


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
