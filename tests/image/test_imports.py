"""Imports: staged, fetched from the web, copied between stores, taken over; what fails, and what a kill leaves."""

import hashlib
import os
import socket

import pytest

from pileus.image.config import ImageConfig
from pileus.image.fetching import FetchFailed, NotAllowed, fetch, place
from pileus.image.model import images, tasks
from pileus.image.model.images import ACTIVE, IMPORTING, UPLOADING, Image
from pileus.image.model.tasks import Task
from pileus.image.reconcilers.stored_data import orphaned_data
from pileus.image.sagas.import_image import COPY, DIRECT, REGION, WEB, ImportImage
from pileus.image.stores.base import StoreFull
from pileus.image.stores.file import FileStore
from pileus.image.uploads import upload
from pileus.kit.saga_testing import prove
from tests.image.conftest import ADMIN, OCTETS, OTHER
from tests.image.web import moved, web_server

DATA = os.urandom(150_000)
LOCAL = {"import_networks": ["127.0.0.0/8", "::1/128"]}


@pytest.fixture
async def two_stores(make_world, tmp_path):
    return await make_world(settings=LOCAL | {
        "more_stores": {"second": str(tmp_path / "second")}, "store_weights": {"second": 5}})


def contents(store):
    return sorted(path.name for folder in (store.data, store.drafts) for path in folder.iterdir())


async def staged(world, **body):
    image = await world.image(**body)
    put = await world.http.put(f"/v2/images/{image}/stage", content=DATA, headers=OCTETS)
    assert put.status_code == 204
    return image


async def imported(world, image, method, headers=None, **more):
    answer = await world.http.post(f"/v2/images/{image}/import", headers=headers, json={"method": method} | more)
    if answer.status_code == 202:
        await world.sagas.drain()
    return answer


async def task_of(world, image):
    return (await world.http.get(f"/v2/images/{image}/tasks")).json()["tasks"][0]


async def test_stage_and_import(world):
    image = await staged(world)
    asked = await imported(world, image, {"name": "glance-direct"})
    assert asked.status_code == 202
    assert (await world.client.get(image)).properties == {}
    assert (await world.client.set_properties(image, {"a": "b"})).properties == {"a": "b"}
    shown, task = await world.shown(image), await task_of(world, image)
    assert (shown["status"], shown["stores"], shown["os_glance_importing_to_stores"]) == ("active", "file", "")
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert (task["status"], task["type"], task["request_id"]) == (
        "success", "api_image_import", asked.headers["x-openstack-request-id"])
    assert task["input"]["import_req"]["method"]["name"] == "glance-direct"
    assert (await world.http.get(f"/v2/tasks/{task['id']}", headers=ADMIN)).json() == task
    assert set(task) == set((await world.http.get(task["schema"])).json()["properties"])
    assert (await world.http.get(f"/v2/tasks/{task['id']}")).status_code == 403
    assert (await world.http.get(f"/v2/images/{image}/tasks", headers=OTHER)).status_code == 404


async def test_into_all_stores_one_and_back(two_stores):
    world = two_stores
    found = (await world.http.get("/v2/info/stores")).json()["stores"]
    assert found == [{"id": "second", "weight": 5}, {"id": "file", "weight": 0, "default": "true"}]
    detail = await world.http.get("/v2/info/stores/detail", headers=ADMIN)
    assert detail.json()["stores"][0]["properties"]["data_dir"].endswith("second/data")
    assert (await world.http.get("/v2/info/stores/detail")).status_code == 403
    image = await staged(world)
    await imported(world, image, {"name": "glance-direct"}, all_stores=True)
    assert (await world.shown(image))["stores"] == "second,file"
    data_id, = contents(world.stores["second"])
    world.stores["second"].path(data_id).unlink()               # one store has lost it
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA
    for store, status in (("second", 204), ("second", 404), ("file", 403), ("third", 404)):
        assert (await world.http.delete(f"/v2/stores/{store}/{image}")).status_code == status
    assert (await world.shown(image))["stores"] == "file"
    await imported(world, image, {"name": "copy-image"}, ADMIN, all_stores=True)
    assert (await world.shown(image))["stores"] == "second,file" and contents(world.stores["second"]) == [data_id]
    assert (await imported(world, image, {"name": "copy-image"}, ADMIN, stores=["second"])).status_code == 409
    assert (await imported(world, image, {"name": "copy-image"}, all_stores=True)).status_code == 403
    other = await staged(world)
    await imported(world, other, {"name": "glance-direct"}, stores=["second"])
    assert (await world.shown(other))["stores"] == "second" and contents(world.stores["file"]) == [data_id]
    third = await world.image(DATA, headers={"x-image-meta-store": "second"})
    assert (await world.shown(third))["stores"] == "second"
    for each in (image, other, third):
        assert (await world.http.delete(f"/v2/images/{each}")).status_code == 204
    assert contents(world.stores["file"]) == contents(world.stores["second"]) == []


class NoRoom(FileStore):
    async def write(self, data_id):
        raise StoreFull("no room")


@pytest.mark.parametrize("all_must_succeed", [True, False])
async def test_a_store_that_is_full(two_stores, tmp_path, all_must_succeed):
    world = two_stores
    world.stores["second"] = NoRoom(tmp_path / "full", name="second")
    image = await staged(world)
    await imported(world, image, {"name": "glance-direct"}, all_stores=True, all_stores_must_succeed=all_must_succeed)
    shown, task = await world.shown(image), await task_of(world, image)
    if all_must_succeed:
        assert (shown["status"], shown["size"], task["status"]) == ("uploading", len(DATA), "failure")
        assert shown["os_glance_failed_import"] == "second,file" and "no room" in task["message"]
        assert len(contents(world.store)) == 1
        assert (await imported(world, image, {"name": "glance-direct"})).status_code == 202
        assert (await world.shown(image))["status"] == "active"
    else:
        assert (shown["status"], shown["stores"], shown["os_glance_failed_import"]) == ("active", "file", "second")


async def test_web_download(make_world):
    async with web_server({"/image": DATA, "/moved": moved("/image"), "/loop": moved("/loop"),
                           "/liar": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nshort",
                           "/inside": moved("http://[::ffff:10.0.0.1]/image")}) as (url, port, asked):
        world = await make_world(settings=LOCAL | {"import_ports": [port]})
        image = await world.image()
        for path, why in (("/none", "answered 404"), ("/loop", "too often"), ("/liar", "to its end"),
                          ("/inside", "does not pass filtering")):
            assert (await imported(world, image, {"name": "web-download", "uri": url + path})).status_code == 202
            shown, task = await world.shown(image), await task_of(world, image)
            assert shown["status"] == "queued" and shown["os_glance_failed_import"] == "file" and world.kept() == []
            assert task["status"] == "failure" and why in task["message"], task
            world.clock.turn(1)
        assert (await imported(world, image, {"name": "web-download", "uri": url + "/moved"})).status_code == 202
        shown = await world.shown(image)
        assert (shown["status"], shown["checksum"]) == ("active", hashlib.md5(DATA).hexdigest())
        assert f"host: 127.0.0.1:{port}" in asked[-1].lower() and "accept-encoding: identity" in asked[-1].lower()
        lying = await world.image(disk_format="qcow2")
        await imported(world, lying, {"name": "web-download", "uri": url + "/image"})
        assert "qcow2" in (await task_of(world, lying))["message"] and len(world.kept()) == 1


async def test_an_image_too_large_for_us(make_world):
    async with web_server({"/image": b"HTTP/1.1 200 OK\r\ncontent-length: 20000001\r\n\r\n"}) as (url, port, _):
        world = await make_world(settings=LOCAL | {"import_ports": [port]})
        image = await world.image()
        await imported(world, image, {"name": "web-download", "uri": url + "/image"})
        assert "exceeds the limit" in (await task_of(world, image))["message"]


@pytest.mark.parametrize("url", [
    "", "x", "ftp://example.com/x", "http://example.com:22/x", "http://user@example.com/", "http://[::1/", "http:///x",
    "http://127.0.0.1/", "http://10.1.2.3/", "http://169.254.169.254/latest", "http://[::1]/", "http://[fe80::1]/",
    "http://0.0.0.0/", "http://100.64.0.1/", "http://224.0.0.1/", "http://[::ffff:192.168.0.1]/",
    "http://[64:ff9b::a00:1]/", "http://[2002:7f00:1::]/", "http://bad.example/x", "http://bad.example./x",
    "http://exa\u0441mple.com/", "http://example.com/\r\nx: y", "file:///etc/passwd", "http://example.com:99999/"])
async def test_addresses_that_are_refused_at_once(world, url):
    with pytest.raises(NotAllowed):
        place(url, ImageConfig(import_refused_hosts=["bad.example"]))
    image = await world.image()
    if "bad.example" not in url:
        asked = await imported(world, image, {"name": "web-download", "uri": url})
        assert asked.status_code == 400 and "does not pass filtering" in asked.text


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1"])
async def test_names_of_private_addresses(host):
    """Whatever a name resolves to is judged, and that address is connected to."""
    with pytest.raises((NotAllowed, FetchFailed)):
        async with fetch(f"http://{host}/", ImageConfig()):
            pytest.fail("fetched")


def test_only_from_listed_hosts():
    config = ImageConfig(import_hosts=["good.example"])
    assert place("https://good.example/a?b", config).target == "/a?b"
    with pytest.raises(NotAllowed):
        place("https://other.example/a", config)


async def test_glance_download(world):
    source = await world.image(DATA, hw_cpu_cores="5", speed="88mph", os_distro="rhel")
    image = await world.image(disk_format="iso", container_format="ovf", hw_cpu_cores="1")
    method = {"name": "glance-download", "glance_image_id": source, "glance_region": "RegionOne"}
    assert (await imported(world, image, method | {"glance_image_id": "foo"})).status_code == 400
    for wrong in ({"glance_region": "Elsewhere"}, {"glance_service_interface": "none"}):
        assert (await imported(world, image, method | wrong)).status_code == 202
        assert (await task_of(world, image))["status"] == "failure"
        assert (await world.shown(image))["hw_cpu_cores"] == "1"
        world.clock.turn(1)
    stranger = await world.image(headers=OTHER)
    assert (await imported(world, stranger, method, OTHER)).status_code == 202
    assert (await world.shown(stranger))["status"] == "queued"
    await imported(world, image, method)
    shown = await world.shown(image)
    assert (shown["status"], shown["disk_format"], shown["hw_cpu_cores"], shown["os_distro"]) == (
        "active", "raw", "5", "rhel")
    assert "speed" not in shown and shown["checksum"] == hashlib.md5(DATA).hexdigest()


@pytest.mark.parametrize(("body", "status"), [
    ({}, 400), ({"method": "x"}, 400), ({"method": {"name": "x"}}, 400), ({"method": {"name": "glance-direct"}}, 409),
    ({"method": {"name": "copy-image"}}, 403), ({"method": {"name": "web-download"}}, 400),
    ({"method": {"name": "web-download", "uri": "http://example.com/"}, "stores": ["none"]}, 400),
    ({"method": {"name": "web-download", "uri": "http://example.com/"}, "stores": []}, 400),
    ({"method": {"name": "web-download", "uri": "http://example.com/"}, "stores": ["file"], "all_stores": True}, 400)])
async def test_imports_that_make_no_sense(world, body, status):
    image = await world.image()
    assert (await world.http.post(f"/v2/images/{image}/import", json=body)).status_code == status
    bare = await world.image(disk_format=None)
    wanted = {"method": {"name": "web-download", "uri": "http://example.com/"}}
    assert (await world.http.post(f"/v2/images/{bare}/import", json=wanted)).status_code == 400
    assert (await world.http.post(f"/v2/images/{image}/import", json=wanted, headers=OTHER)).status_code == 404


async def test_the_image_is_deleted_meanwhile(world):
    image = await staged(world)
    asked = await world.http.post(f"/v2/images/{image}/import", json={"method": {"name": "glance-direct"}})
    assert asked.status_code == 202 and (await world.shown(image))["status"] == "importing"
    again = await world.http.post(f"/v2/images/{image}/import", json={"method": {"name": "glance-direct"}})
    assert again.status_code == 409
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    await world.sagas.drain()
    assert world.kept() == []
    task = (await world.http.get("/v2/tasks", headers=ADMIN)).json()["tasks"][0]
    assert task["status"] == "failure" and "deleted meanwhile" in task["message"]


async def test_import_by_task(make_world):
    async with web_server({"/image": DATA}) as (url, port, _):
        world = await make_world(settings=LOCAL | {"import_ports": [port]})
        body = {"type": "import", "input": {"import_from": f"{url}/image", "import_from_format": "raw",
                                            "image_properties": {"name": "new", "visibility": "public"}}}
        assert (await world.http.post("/v2/tasks", json=body)).status_code == 403
        made = await world.http.post("/v2/tasks", json=body, headers=ADMIN)
        assert made.status_code == 201 and made.json()["status"] == "pending"
        await world.sagas.drain()
        done = (await world.http.get(f"/v2/tasks/{made.json()['id']}", headers=ADMIN)).json()
        assert done["status"] == "success" and (await world.shown(done["result"]["image_id"]))["name"] == "new"
        bad = {"type": "import", "input": body["input"] | {"import_from": "http://nobody.qcow2:1/"}}
        assert (await world.http.post("/v2/tasks", json=bad, headers=ADMIN)).status_code == 400
        page = (await world.http.get("/v2/tasks?limit=1&status=success", headers=ADMIN)).json()
        assert [each["id"] for each in page["tasks"]] == [done["id"]] and "next" not in page
        assert (await world.http.get("/v2/tasks/none", headers=ADMIN)).status_code == 404


async def test_a_copy_nobody_refers_to_goes(two_stores):
    world = two_stores
    image = await world.image(DATA)
    data_id, = contents(world.store)
    writing = await world.stores["second"].write(data_id)
    writing.write([DATA])
    await writing.finish()
    for store in world.stores.values():
        os.utime(store.path(data_id), (1, 1))
    await orphaned_data.run(world)
    assert contents(world.stores["second"]) == [] and contents(world.store) == [data_id]
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA


# -- whatever happens, whenever -------------------------------------------------------------

@pytest.mark.parametrize("method", [DIRECT, WEB, COPY, REGION])
async def test_an_import_survives_everything(make_world, tmp_path, method):
    worlds = iter(range(1000))
    async with web_server({"/image": DATA}) as (url, port, _):
        async def small_world():
            folder = tmp_path / str(next(worlds))
            world = await make_world(settings=LOCAL | {"import_ports": [port],
                                                       "more_stores": {"second": str(folder / "second")}},
                                     store=FileStore(folder / "first"))
            ids = ["11111111-1111-4111-8111-11111111111" + n for n in "123"]
            for image_id in ids[:2]:
                async with world.db.write() as tx:
                    await images.add(tx, Image(id=image_id, disk_format="raw", container_format="bare"))
            async with world.db.read() as reader:
                image, source = [await images.get(reader, image_id) for image_id in ids[:2]]
            await upload(world, source, pieces_of(DATA), declared=None)
            if method in (DIRECT, COPY):
                image = await upload(world, image, pieces_of(DATA), declared=None)
                world.store.path(image.data_id).rename(world.store.path(ids[2]))
            async with world.db.write() as tx:
                image = await images.change(tx, image, 1.0, importing_to=["second"], data_id=ids[2], **(
                    {} if method == COPY else {"status": IMPORTING}))
                await tasks.add(tx, Task(id="t", type="x", owner="o", user_id="u", request_id="r", image_id=ids[0],
                                         input={}, created_at=1.0, updated_at=1.0))
            return world

        async def kept_for(world):
            async with world.db.read() as reader:
                return {(await images.get(reader, "11111111-1111-4111-8111-111111111112")).data_id}

        async def facts(world):
            source = await kept_for(world)
            async with world.db.read() as reader:
                image = await images.get(reader, "11111111-1111-4111-8111-111111111111")
                task = await tasks.get(reader, "t")
            return {"image": (image.status, image.stores, image.importing_to, image.failed_import, image.checksum),
                    "task": (task.status,),
                    "kept": {name: [each for each in contents(store) if each not in source]
                             for name, store in world.stores.items()}}

        work = ImportImage(
            image_id="11111111-1111-4111-8111-111111111111", task_id="t", method=method, url=f"{url}/image",
            data_id="11111111-1111-4111-8111-111111111113", source_id="11111111-1111-4111-8111-111111111112",
            stores=["second"], had=["file"] if method == COPY else [])
        status = {COPY: ACTIVE, DIRECT: UPLOADING}.get(method)
        ends = ((status, ["file"], [], ["second"], hashlib.md5(DATA).hexdigest()) if status
                else ("queued", None, [], ["second"], None))
        kept = {"file": [work.data_id] if status else [], "second": []}
        await prove(small_world, work, facts, unwound={"image": ends, "task": ("failure",), "kept": kept},
                    lives=make_world)


async def pieces_of(data):
    yield data


def test_ports_are_free_to_choose():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert place(f"http://example.com:{port}/", ImageConfig(import_ports=[port])).port == port
