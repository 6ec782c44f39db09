"""glance-download from another region: its image service answers elsewhere, and takes the same tokens."""

import asyncio
import socket
from contextlib import asynccontextmanager

import msgspec
import sqlalchemy as sa

from pileus.image.model import images, tasks
from pileus.image.model.images import IMPORTING, Image
from pileus.image.model.tasks import Task
from pileus.image.sagas.import_image import REGION, ImportImage
from pileus.image.stores.file import FileStore
from pileus.kit import db
from pileus.kit.saga import sagas
from pileus.kit.saga_testing import prove
from pileus.kit.serve import Server
from pileus.kit.web import Site
from tests.image.conftest import OTHER
from tests.image.test_imports import DATA, contents, imported, task_of
from tests.image.web import web_server

ELSEWHERE = "11111111-1111-4111-8111-111111111112"


def catalog(url, asked=None):
    async def catalog_of(token):
        if asked is not None:
            asked.append(token)
        return [{"type": "compute", "endpoints": [{"region_id": "Two", "interface": "public", "url": "http://no/"}]},
                {"type": "image", "endpoints": [
                    {"region_id": region, "interface": "public", "url": where}
                    for region, where in (("RegionOne", "http://here/"), ("Two", f"{url}/v2/"))]}]
    return catalog_of


@asynccontextmanager
async def over_http(world):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(Site({"/image": world.app}), [listener])
        serving = asyncio.create_task(server.run_until_stopped())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/image"
        finally:
            await server.stop()
            await serving


@asynccontextmanager
async def elsewhere(**more):
    """An image service that has one image."""
    about = {"id": ELSEWHERE, "status": "active", "disk_format": "raw", "container_format": "bare", "size": len(DATA),
             "name": None, "visibility": "public", "owner": "p1", "virtual_size": None, "checksum": None,
             "os_hash_algo": None, "os_hash_value": None, "min_disk": 0, "min_ram": 0, "protected": False,
             "os_hidden": False, "tags": [], "created_at": "", "updated_at": ""} | more
    place = f"/v2/images/{ELSEWHERE}"
    async with web_server({place: msgspec.json.encode(about), f"{place}/file": DATA}) as (url, _, _):
        yield url


async def test_from_another_region(make_world, tmp_path):
    other = await make_world(store=FileStore(tmp_path / "two"))
    source = await other.image(DATA, hw_cpu_cores="5", speed="88mph", os_distro="rhel")
    empty = await other.image()
    method = {"name": "glance-download", "glance_image_id": source, "glance_region": "Two"}
    asked = []
    async with over_http(other) as url:
        world = await make_world(catalog_of=catalog(url, asked))
        image = await world.image(disk_format="iso", container_format="ovf", hw_cpu_cores="1")
        for wrong, reason in (({"glance_region": "Three"}, "no public image service in region Three"),
                              ({"glance_service_interface": "admin"}, "no admin image service in region Two"),
                              ({"glance_image_id": ELSEWHERE}, "No image found"),
                              ({"glance_image_id": empty}, "queued")):
            assert (await imported(world, image, method | wrong)).status_code == 202
            failed = await task_of(world, image)
            assert failed["status"] == "failure" and reason in failed["message"]
            assert (await world.shown(image))["hw_cpu_cores"] == "1"
            world.clock.turn(1)
        stranger = await world.image(headers=OTHER)
        await imported(world, stranger, method, OTHER)
        assert (await world.shown(stranger))["status"] == "queued"        # p2 does not see what p1 has there, either
        await imported(world, image, method)
    shown, there = await world.shown(image), await other.shown(source)
    assert (shown["status"], shown["disk_format"], shown["hw_cpu_cores"], shown["os_distro"]) == (
        "active", "raw", "5", "rhel")
    assert "speed" not in shown and shown["os_hash_value"] == there["os_hash_value"]
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA
    assert set(asked) == {"both@p1", "both@p2"}


async def test_what_comes_must_be_what_was_hashed(make_world):
    async with elsewhere(os_hash_algo="sha512", os_hash_value="0" * 128) as url:
        world = await make_world(catalog_of=catalog(url))
        image = await world.image()
        await imported(world, image, {"name": "glance-download", "glance_image_id": ELSEWHERE, "glance_region": "Two"})
        failed = await task_of(world, image)
    assert failed["status"] == "failure" and "is not what its hash says" in failed["message"]
    assert (await world.shown(image))["status"] == "queued" and world.kept() == []


async def test_the_token_is_sealed(make_world):
    world = await make_world(catalog_of=catalog("http://127.0.0.1:1"))
    image = await world.image()
    method = {"name": "glance-download", "glance_image_id": ELSEWHERE, "glance_region": "Two"}
    answer = await world.http.post(f"/v2/images/{image}/import", json={"method": method})
    async with world.db.read() as reader:
        rows = await db.scalars(reader, sa.select(sagas.c.data))
    assert answer.status_code == 202 and "127.0.0.1:1" in str(rows) and "both@p1" not in str(rows)


async def test_it_survives_everything(make_world, tmp_path):
    ids = ["11111111-1111-4111-8111-111111111111", "11111111-1111-4111-8111-111111111113"]
    worlds = iter(range(1000))
    async with elsewhere() as url:
        async def small_world():
            folder = tmp_path / str(next(worlds))
            world = await make_world(store=FileStore(folder), secret=b"secret")
            async with world.db.write() as tx:
                await images.add(tx, Image(id=ids[0], disk_format="iso", container_format="bare"))
                image = await images.get(tx, ids[0])
                await images.change(tx, image, 1.0, importing_to=["file"], data_id=ids[1], status=IMPORTING)
                await tasks.add(tx, Task(id="t", type="x", owner="o", user_id="u", request_id="r", image_id=ids[0],
                                         input={}, created_at=1.0, updated_at=1.0))
            return world

        async def facts(world):
            async with world.db.read() as reader:
                image, task = await images.get(reader, ids[0]), await tasks.get(reader, "t")
            return {"image": (image.status, image.disk_format, image.failed_import), "task": task.status,
                    "kept": contents(world.store)}

        sealed = (await make_world(secret=b"secret")).box.seal("both@p1")
        work = ImportImage(image_id=ids[0], task_id="t", method=REGION, url=url, data_id=ids[1], source_id=ELSEWHERE,
                           sealed_token=sealed, stores=["file"])
        await prove(small_world, work, facts, lives=make_world, unwound={
            "image": ("queued", "iso", ["file"]), "task": "failure", "kept": []})
