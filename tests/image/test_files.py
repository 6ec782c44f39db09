"""Contents: up, down, in pieces, and all that can go wrong on the way, after which nothing half-made is left."""

import asyncio
import errno
import hashlib
import os

import pytest

from pileus.image.client import pieces_of
from pileus.image.model import images
from pileus.image.reconcilers.stored_data import abandoned_uploads, orphaned_data
from pileus.image.stores.file import FileStore, FileWriting
from pileus.image.uploads import begin
from pileus.kit.client import Refused
from tests.image.conftest import OCTETS, OTHER


async def test_up_and_down(world):
    image = await world.image()
    url = f"/v2/images/{image}/file"
    empty = await world.http.get(url)
    assert empty.status_code == 204 and empty.content == b""
    data = os.urandom(1024)
    assert (await world.http.put(url, content=data, headers=OCTETS)).status_code == 204
    shown = await world.shown(image)
    assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", 1024, 1024)
    assert shown["checksum"] == hashlib.md5(data).hexdigest() and shown["os_hash_algo"] == "sha512"
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    down = await world.http.get(url)
    assert down.content == data and down.headers["content-md5"] == shown["checksum"]
    assert down.headers["content-type"] == "application/octet-stream" and down.headers["content-length"] == "1024"
    again = await world.http.put(url, content=data, headers=OCTETS)
    assert again.status_code == 409
    assert (await world.http.put(url, content=data)).status_code == 415
    assert (await world.http.put(url, content=data, headers=OCTETS | OTHER)).status_code == 404
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    assert world.kept() == []


@pytest.mark.parametrize(("asked", "status", "expected"), [
    ("bytes=0-3", 206, b"0123"), ("bytes=4-", 206, b"456789"), ("bytes=-2", 206, b"89"), ("bytes=8-99", 206, b"89"),
    ("bytes=10-", 416, None), ("bytes=5-4", 416, None), ("bytes=-", 416, None), ("lines=1-2", 416, None),
    ("bytes=0-1,4-5", 200, b"0123456789")])
async def test_ranges(world, asked, status, expected):
    image = await world.image(b"0123456789")
    answer = await world.http.get(f"/v2/images/{image}/file", headers={"range": asked})
    assert answer.status_code == status
    if expected is not None:
        assert answer.content == expected
    if status == 206:
        first = b"0123456789".index(expected[:1])
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/10"


async def test_large_in_odd_pieces(world):
    data = os.urandom(9_000_001)

    async def pieces():
        for first in range(0, len(data), 77_777):
            yield data[first:first + 77_777]

    image = await world.image()
    assert (await world.http.put(f"/v2/images/{image}/file", content=pieces(), headers=OCTETS)).status_code == 204
    assert (await world.shown(image))["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert b"".join([piece async for piece in world.client.download(image)]) == data


async def assert_as_if_nothing_happened(world, image):
    shown = await world.shown(image)
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert world.kept() == []
    assert (await world.http.put(f"/v2/images/{image}/file", content=b"x", headers=OCTETS)).status_code == 204


async def put_raw(world, image, messages, headers=()):
    """What a server would tell the application, message by message."""
    told = iter(messages)
    answers = []

    async def receive():
        return next(told)

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": "PUT", "path": f"/v2/images/{image}/file", "query_string": b"", "headers": [
        (b"host", b"cloud"), (b"x-auth-token", b"both@p1"), (b"content-type", b"application/octet-stream"),
        (b"accept", b"application/json"), *headers]}
    await world.app(scope, receive, send)
    return [message["status"] for message in answers if "status" in message]


def some(size, more=True):
    return {"type": "http.request", "body": bytes(size), "more_body": more}


async def test_the_client_goes_away(world):
    image = await world.image()
    assert await put_raw(world, image, [some(5_000_000), {"type": "http.disconnect"}]) == []
    await assert_as_if_nothing_happened(world, image)


async def test_fewer_bytes_than_declared(world):
    image = await world.image()
    assert await put_raw(world, image, [some(100, more=False)], [(b"x-openstack-image-size", b"200")]) == [400]
    await assert_as_if_nothing_happened(world, image)


async def test_too_many_bytes(world):
    image = await world.image()
    assert await put_raw(world, image, [some(1)], [(b"content-length", b"20000001")]) == [413]
    assert await put_raw(world, image, [some(15_000_000), some(6_000_000)]) == [413]
    await assert_as_if_nothing_happened(world, image)


class FullStore(FileStore):
    """The kernel's own full disk."""

    full = True

    async def write(self, data_id):
        writing = await super().write(data_id)
        if self.full:
            os.close(writing.fd)
            writing.fd = os.open("/dev/full", os.O_WRONLY)
        return writing


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_too_full_to_begin(make_world, tmp_path, why):
    def no_room(path, flags, mode):
        raise OSError(why, os.strerror(why), str(path))

    store = FileStore(tmp_path / "images", opener=no_room)
    world = await make_world(store=store)
    image = await world.image()
    refused = await world.http.put(f"/v2/images/{image}/file", content=b"x", headers=OCTETS)
    assert refused.status_code == 413 and "not enough disk space" in refused.text
    store.opener = os.open
    await assert_as_if_nothing_happened(world, image)


async def test_full_disk(make_world, tmp_path):
    store = FullStore(tmp_path / "images")
    world = await make_world(store=store)
    for size in (10, 9_000_000):
        image = await world.image()
        answer = await world.http.put(f"/v2/images/{image}/file", content=bytes(size), headers=OCTETS)
        assert answer.status_code == 413 and "not enough disk space" in answer.text
        store.full = False
        await assert_as_if_nothing_happened(world, image)
        await world.http.delete(f"/v2/images/{image}")
        store.full = True


async def test_deleted_during_the_upload(world):
    image = await world.image()
    gone = asyncio.Event()

    async def pieces():
        yield bytes(100)
        assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
        gone.set()
        yield bytes(100)

    answer = await world.http.put(f"/v2/images/{image}/file", content=pieces(), headers=OCTETS)
    assert answer.status_code in (204, 410) and gone.is_set()
    assert world.kept() == []


async def test_one_upload_at_a_time_but_renaming_is_free(world):
    image = await world.image()
    url = f"/v2/images/{image}"

    async def pieces():
        assert (await world.http.put(url + "/file", content=b"y", headers=OCTETS)).status_code == 409
        yield b"x"
        assert (await world.http.put(url + "/tags/busy")).status_code == 204

    # The client library reads all pieces before it calls the application, hence the messages by hand.
    running = asyncio.Event()

    async def receive():
        if not running.is_set():
            running.set()
            return some(10)
        await anext(steps, None)
        return some(0, more=False)

    async def steps_of():
        async for _ in pieces():
            pass
        yield

    steps = steps_of()
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    await world.app({"type": "http", "method": "PUT", "path": f"/v2/images/{image}/file", "query_string": b"",
                     "headers": [(b"x-auth-token", b"both@p1"), (b"content-type", b"application/octet-stream")]},
                    receive, send)
    assert statuses[0] == 204
    shown = await world.shown(image)
    assert (shown["status"], shown["size"], shown["tags"]) == ("active", 10, ["busy"])


async def test_uploads_of_dead_processes_are_forgotten(world):
    image = await world.image()
    async with world.db.read() as reader:
        row = await images.get(reader, image)
    started = await begin(world, row)
    writing = await world.store.write(started.data_id)
    writing.write([b"half"])
    assert (await world.http.put(f"/v2/images/{image}/file", content=b"y", headers=OCTETS)).status_code == 409
    await abandoned_uploads.run(world)
    assert (await world.shown(image))["status"] == "saving"
    world.clock.turn(1000)
    await abandoned_uploads.run(world)
    assert (await world.shown(image))["status"] == "queued"
    os.utime(writing.draft, (1, 1))
    await orphaned_data.run(world)
    assert world.kept() == []
    assert (await world.http.put(f"/v2/images/{image}/file", content=b"y", headers=OCTETS)).status_code == 204


async def test_orphaned_contents_go_and_others_stay(world):
    image = await world.image(b"kept")
    orphan = await world.store.write("00000000-0000-4000-8000-000000000000")
    orphan.write([b"nobody's"])
    await orphan.finish()
    for path in (world.directory / "data").iterdir():
        os.utime(path, (1, 1))
    await orphaned_data.run(world)
    assert world.kept() == ["data"]
    assert (await world.http.get(f"/v2/images/{image}/file")).content == b"kept"


async def test_client(world, tmp_path):
    path = tmp_path / "guest.img"
    path.write_bytes(os.urandom(3_000_000))
    client = world.client
    made = await client.ensure_image("guest", path, properties={"hw_rng_model": "virtio"})
    assert made.is_active and made.size == 3_000_000 and made.visibility == "public"
    assert made.properties == {"hw_rng_model": "virtio"}
    assert (await client.ensure_image("guest", path)).id == made.id
    assert await client.get(made.id) == made == await client.find_by_name("guest") == await client.find(made.id)
    assert b"".join([piece async for piece in client.download(made.id)]) == path.read_bytes()
    path.write_bytes(b"newer")
    newer = await client.ensure_image("guest", path)
    assert newer.id != made.id and (await client.get(made.id)).is_active
    path.write_bytes(b"not a qcow2")
    with pytest.raises(Refused):
        await client.ensure_image("bad", path, disk_format="qcow2")
    assert await client.find_by_name("bad", status=None) is None
    for _ in range(2):
        await client.remove(made.id)
    assert await client.find(made.id) is None
    with pytest.raises(Refused):
        await client.get(made.id)
    with pytest.raises(Refused):
        _ = [piece async for piece in client.download(made.id)]
    assert [piece async for piece in pieces_of(path)] == [b"not a qcow2"]
    assert isinstance(await world.store.write(made.id), FileWriting)
