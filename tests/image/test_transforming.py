"""What becomes of images while they are imported: decompressed, converted, given properties; all of it or nothing."""

import gzip
import hashlib
import itertools
import os
import random
import struct
import time

import pytest

from pileus.image.conversion import NotConvertible
from pileus.image.model import images, tasks
from pileus.image.model.images import IMPORTING, Image
from pileus.image.model.tasks import Task
from pileus.image.reconcilers.stored_data import orphaned_data
from pileus.image.sagas.import_image import ImportImage
from pileus.image.stores.base import StoreFull
from pileus.image.stores.file import FileStore
from pileus.image.uploads import upload
from pileus.kit.saga_engine import Engine
from pileus.kit.saga_testing import Crash, prove
from tests.image.conftest import ADMIN, OCTETS
from tests.image.test_formats import MIB, qcow2
from tests.image.test_imports import contents, imported, pieces_of, task_of

DATA = random.Random(1).randbytes(60_000) + bytes(40_000)
DISK = qcow2(size=MIB)
BOTH = {"import_plugins": ["image_decompression", "image_conversion"], "import_format": "qcow2"}


async def to_qcow2(source, was, target, wanted):
    assert (was, wanted, source.read_bytes()) == ("raw", "qcow2", DATA)
    target.write_bytes(DISK)


async def import_staged(world, content, **body):
    image = await world.image(**body)
    put = await world.http.put(f"/v2/images/{image}/stage", content=content, headers=OCTETS)
    assert put.status_code == 204, put.text
    assert (await imported(world, image, {"name": "glance-direct"})).status_code == 202
    return image, await world.shown(image), await task_of(world, image)


async def test_decompressed(make_world):
    world = await make_world(settings={"import_plugins": ["image_decompression"]})
    image, shown, task = await import_staged(world, gzip.compress(DATA), container_format="compressed")
    assert (shown["status"], shown["container_format"], shown["disk_format"]) == ("active", "bare", "raw"), task
    assert (shown["size"], shown["virtual_size"]) == (len(DATA), len(DATA))
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA
    assert len(contents(world.store)) == 1 and not (world.directory / "work").exists()
    _, shown, _ = await import_staged(world, DATA)
    assert (shown["status"], shown["size"]) == ("active", len(DATA))
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    assert len(contents(world.store)) == 1


async def test_decompressed_and_converted(make_world):
    world = await make_world(settings=BOTH, convert=to_qcow2)
    for container, content in (("compressed", gzip.compress(DATA)), ("bare", DATA)):
        image, shown, task = await import_staged(world, content, container_format=container)
        assert (shown["status"], shown["container_format"], shown["disk_format"]) == ("active", "bare", "qcow2"), task
        assert (shown["size"], shown["virtual_size"]) == (len(DISK), MIB)
        assert (await world.http.get(f"/v2/images/{image}/file")).content == DISK
        assert list((world.directory / "work").iterdir()) == []
    for kept in ({"disk_format": "iso", "container_format": "ovf"}, {"disk_format": "aki", "container_format": "aki"}):
        _, shown, _ = await import_staged(world, DATA, **kept)
        assert shown["status"] == "active" and shown.items() >= kept.items()
    assert len(contents(world.store)) == 4


async def not_converted(source, was, target, wanted):
    raise NotConvertible("it is not what it should be")


async def test_what_is_converted_is_looked_into_in_any_case(make_world):
    world = await make_world(settings={"import_plugins": ["image_conversion"], "import_format": "raw",
                                       "require_format_match": False}, convert=not_converted)
    _, shown, task = await import_staged(world, DATA, disk_format="qcow2")
    assert (shown["status"], task["status"]) == ("uploading", "failure") and "qcow2" in task["message"]


async def no_room(source, was, target, wanted):
    raise StoreFull("full")


@pytest.mark.parametrize(("content", "body", "more", "why"), [
    (gzip.compress(bytes(21_000_000)), {"container_format": "compressed"}, {}, "exceeds the limit of 20000000"),
    (gzip.compress(bytes(3 * MIB)), {"container_format": "compressed"}, {"limits": {"image_size_total": 2}}, "room"),
    (gzip.compress(DISK), {"container_format": "compressed"}, {}, "it is qcow2"),
    (gzip.compress(qcow2(backing=b"/etc/passwd")), {"container_format": "compressed", "disk_format": "qcow2"}, {},
     "backing"),
    (DATA, {"container_format": "compressed"}, {}, "neither by gzip, zip nor xz"),
    (gzip.compress(DATA)[:-5], {"container_format": "compressed"}, {}, "ends too early"),
    (qcow2(size=1 << 50), {"disk_format": "qcow2"}, {"import_format": "raw"}, "1125899906842624 bytes"),
    (DATA, {}, {"convert": not_converted}, "not what it should be"), (DATA, {}, {"convert": no_room}, "enough disk")],
    ids=itertools.count())
async def test_what_cannot_be_brought_into_form(make_world, content, body, more, why):
    convert = more.get("convert", to_qcow2)
    world = await make_world(settings=BOTH | {k: v for k, v in more.items() if k != "convert"}, convert=convert)
    image, shown, task = await import_staged(world, content, **body)
    assert (shown["status"], task["status"]) == ("uploading", "failure") and why in task["message"], task["message"]
    assert len(contents(world.store)) == 1 and list(world.directory.glob("work/*")) == []
    assert shown["os_hash_value"] == hashlib.sha512(content).hexdigest()
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    assert world.kept() == []


async def test_properties_are_given(make_world):
    settings = {"import_plugins": ["inject_image_metadata"], "import_properties": {"from": "outside", "b": "new"}}
    world = await make_world(settings=settings)
    _, shown, _ = await import_staged(world, DATA, a="1", b="2")
    assert {name: shown[name] for name in ("a", "b", "from")} == {"a": "1", "b": "new", "from": "outside"}
    found = (await world.http.get("/v2/images?from=outside")).json()["images"]
    assert len(found) == 1
    image = await world.image(headers=ADMIN)
    await world.http.put(f"/v2/images/{image}/stage", content=DATA, headers=OCTETS | ADMIN)
    await imported(world, image, {"name": "glance-direct"}, ADMIN)
    assert "from" not in await world.shown(image)


async def test_what_is_being_made_is_no_orphan(make_world):
    world = await make_world(settings=BOTH)
    image = await world.image()
    made = "22222222-2222-4222-8222-222222222222"
    async with world.db.write() as tx:
        await images.change(tx, await images.get(tx, image), 1.0, status=IMPORTING, made_id=made)
    writing = await world.store.write(made)
    writing.write([DATA])
    await writing.finish()
    os.utime(world.store.path(made), (1, 1))
    await orphaned_data.run(world)
    assert contents(world.store) == [made]
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    assert contents(world.store) == []


async def test_what_a_killed_conversion_left_goes_with_the_image(make_world):
    world = await make_world(settings=BOTH, convert=to_qcow2)
    image = await world.image()
    await world.http.put(f"/v2/images/{image}/stage", content=DATA, headers=OCTETS)
    asked = await world.http.post(f"/v2/images/{image}/import", json={"method": {"name": "glance-direct"}})
    assert asked.status_code == 202
    async with world.db.read() as reader:
        made = (await images.get(reader, image)).made_id

    def killed(point):
        if point == "image.import_image:transform:before":
            raise Crash(point)

    world.sagas.reach = killed
    with pytest.raises(Crash):
        await world.sagas.drain()
    left = world.directory / "work" / made / "disk.qcow2"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    after = Engine(world.db, world, clock=lambda: time.time() + 600.0, backoff=lambda attempt: 0.0)
    await after.drain()
    assert world.kept() == []


async def test_it_survives_everything(make_world, tmp_path):
    worlds = iter(range(1000))
    image_id, staged, made = ("11111111-1111-4111-8111-11111111111" + n for n in "123")

    async def small_world():
        folder = tmp_path / str(next(worlds))
        world = await make_world(settings=BOTH, store=FileStore(folder / "first"), convert=to_qcow2)
        async with world.db.write() as tx:
            await images.add(tx, Image(id=image_id, disk_format="raw", container_format="compressed"))
            await tasks.add(tx, Task(id="t", type="x", owner="o", user_id="u", request_id="r", image_id=image_id,
                                     input={}, created_at=1.0, updated_at=1.0))
            image = await images.get(tx, image_id)
        image = await upload(world, image, pieces_of(gzip.compress(DATA)), declared=None)
        world.store.path(image.data_id).rename(world.store.path(staged))
        async with world.db.write() as tx:
            await images.change(tx, image, 1.0, importing_to=["file"], data_id=staged, made_id=made, status=IMPORTING)
        return world

    async def facts(world):
        async with world.db.read() as reader:
            image, task = await images.get(reader, image_id), await tasks.get(reader, "t")
        return {"image": (image.status, image.data_id, image.made_id, image.disk_format, image.size),
                "task": (task.status,), "kept": contents(world.store)}

    work = ImportImage(image_id=image_id, task_id="t", data_id=staged, made_id=made, stores=["file"])
    packed = len(gzip.compress(DATA))
    await prove(small_world, work, facts, unwound={
        "image": ("uploading", staged, None, "raw", packed), "task": ("failure",), "kept": [staged]}, lives=make_world)


def test_the_disk_of_these_tests_says_its_size():
    assert struct.unpack_from(">Q", DISK, 24)[0] == MIB
