"""Where contents are: said by owners in patches, added and hashed once and for all, read from web servers."""

import hashlib
import os

import pytest

from pileus.image.model import images, tasks
from pileus.image.model.images import ACTIVE, IMPORTING, Image, Location
from pileus.image.model.tasks import Task
from pileus.image.reconcilers.cached_images import cached_images
from pileus.image.sagas.add_location import AddLocation
from pileus.image.stores.base import NoSuchData
from pileus.kit.saga_testing import prove
from tests.image.conftest import ADMIN, OCTETS, OTHER, V21
from tests.image.web import web_server

DATA = os.urandom(150_000)
SHORT = f"HTTP/1.1 200 OK\r\ncontent-length: {len(DATA)}\r\nconnection: close\r\n\r\n".encode() + DATA[:-1]
SHA256, SHA512 = hashlib.sha256(DATA).hexdigest(), hashlib.sha512(DATA).hexdigest()
SERVICE = {"x-auth-token": "service@admins"}


@pytest.fixture
async def web():
    async with web_server({"/image": DATA, "/short": SHORT}, ranges=True) as (url, port, asked):
        yield url, port, asked


@pytest.fixture
def settings(web):
    return {"import_networks": ["127.0.0.0/8"], "import_ports": [web[1]], "web_store": True}


@pytest.fixture
async def world(make_world, settings):
    return await make_world(settings=settings | {"show_locations": True})


async def added(world, image, url, headers=None, **known):
    body = {"url": url} | ({"validation_data": known} if known else {})
    return await world.http.post(f"/v2/images/{image}/locations", json=body, headers=headers)


async def patched(world, image, operation, path, value=None, headers=None):
    change = {"op": operation, "path": path} | ({} if operation == "remove" else {"value": value})
    return await world.http.patch(f"/v2/images/{image}", json=[change], headers=V21 | (headers or {}))


async def task_of(world, image):
    return (await world.http.get(f"/v2/images/{image}/tasks")).json()["tasks"][0]


async def test_add_a_location(world, web):
    image = await world.image()
    answer = await added(world, image, web[0] + "/image")
    assert answer.status_code == 202 and answer.json() == {"url": web[0] + "/image", "metadata": {"store": "web"}}
    shown = await world.shown(image)
    assert (shown["status"], shown["os_hash_algo"], shown["os_hash_value"], shown["size"], shown["stores"]) == (
        "active", "sha512", None, len(DATA), "web")
    assert (await added(world, image, web[0] + "/image")).status_code == 409
    await world.sagas.drain()
    shown, task = await world.shown(image), await task_of(world, image)
    assert (shown["os_hash_value"], shown["checksum"]) == (SHA512, hashlib.md5(DATA).hexdigest())
    assert (task["status"], task["type"]) == ("success", "location_import")
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA
    part = await world.http.get(f"/v2/images/{image}/file", headers={"range": "bytes=149990-"})
    assert (part.status_code, part.content) == (206, DATA[-10:]) and "range: bytes=149990-" in web[2][-1]
    assert (await world.http.get("/v2/info/stores")).json()["stores"][-1] == {
        "id": "web", "weight": 0, "read-only": "true"}
    assert (await world.http.delete(f"/v2/stores/web/{image}")).status_code == 403
    assert (await world.http.get(f"/v2/images/{image}/locations")).status_code == 403
    seen = await world.http.get(f"/v2/images/{image}/locations", headers=SERVICE)
    assert seen.json() == [{"url": web[0] + "/image", "metadata": {"store": "web"}}] == shown["locations"]
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204


async def test_what_is_said_of_it_is_compared(world, web):
    image = await world.image()
    known = {"os_hash_algo": "sha256", "os_hash_value": SHA256}
    assert (await added(world, image, web[0] + "/image", **known)).status_code == 202
    assert (await world.shown(image))["status"] == "importing"
    await world.sagas.drain()
    shown = await world.shown(image)
    assert (shown["status"], shown["os_hash_algo"], shown["os_hash_value"]) == ("active", "sha256", SHA256)
    assert (await world.client.get(image)).sha512 == ""
    wrong = await world.image()
    await added(world, wrong, web[0] + "/image", os_hash_algo="sha512", os_hash_value="deadbeef" * 16)
    await world.sagas.drain()
    shown, task = await world.shown(wrong), await task_of(world, wrong)
    assert (shown["status"], shown["os_hash_algo"], shown["checksum"], shown["size"]) == ("queued", None, None, None)
    assert task["status"] == "failure" and "not matched" in task["message"] and shown["stores"] == "web"
    put = await world.http.put(f"/v2/images/{wrong}/file", content=b"other", headers=OCTETS)
    assert put.status_code == 204 and (await world.shown(wrong))["stores"] == "file"


@pytest.mark.parametrize("known", [
    {"os_hash_algo": "sha512", "os_hash_value": "abc"}, {"os_hash_value": SHA512}, {"os_hash_algo": "sha512"},
    {"os_hash_algo": "sha123", "os_hash_value": SHA512}, {"os_hash_algo": "sha512", "os_hash_value": SHA256},
    {"os_hash_algo": "sha512", "os_hash_value": "x" * 128}, {"hash": "x"}])
async def test_what_says_nothing_is_refused(world, web, known):
    image = await world.image()
    assert (await added(world, image, web[0] + "/image", **known)).status_code == 400
    assert (await world.shown(image))["status"] == "queued" and web[2] == []


@pytest.mark.parametrize("url", ["", "gopher://info.cern.ch/", "file:///etc/passwd", "http://10.0.0.1/", "http://u@h/",
                                 "http://169.254.169.254/latest"])
async def test_only_from_where_imports_may_fetch(world, url):
    image = await world.image()
    assert (await added(world, image, url)).status_code == 400
    assert (await patched(world, image, "add", "/locations/-", {"url": url, "metadata": {}})).status_code == 400


async def test_what_cannot_be_located(world, web, make_world, settings):
    image = await world.image()
    assert (await added(world, image, web[0] + "/none")).status_code == 400
    assert (await added(world, image, web[0] + "/image", OTHER)).status_code == 404
    assert (await added(world, await world.image(disk_format=None), web[0] + "/image")).status_code == 400
    names = ("img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid")
    assert (await added(world, await world.image(**dict.fromkeys(names, "x")), web[0] + "/image")).status_code == 400
    lying = await world.image(disk_format="qcow2")
    assert (await added(world, lying, web[0] + "/image")).status_code == 202
    await world.sagas.drain()
    assert (await world.shown(lying))["status"] == "queued" and "qcow2" in (await task_of(world, lying))["message"]
    without = await make_world(settings=settings | {"web_store": False})
    assert (await added(without, await without.image(), web[0] + "/image")).status_code == 400


async def test_nothing_is_hashed_where_the_operator_says_so(make_world, settings, web):
    world = await make_world(settings=settings | {"hash_locations": False})
    image, plain = await world.image(), await world.image()
    await added(world, image, web[0] + "/image", os_hash_algo="sha256", os_hash_value=SHA256)
    await added(world, plain, web[0] + "/image")
    for each, value in ((image, SHA256), (plain, None)):
        shown = await world.shown(each)
        assert (shown["status"], shown["os_hash_value"], (await task_of(world, each))["status"]) == (
            "active", value, "success")
        assert "locations" not in shown
    refused = await patched(world, image, "add", "/locations/-", {"url": web[0] + "/image#2", "metadata": {}})
    assert refused.status_code == 403


async def test_a_place_that_has_something_else_by_then(world, web):
    image = await world.image()
    await added(world, image, web[0] + "/image")
    async with world.db.write() as tx:
        row = await images.get(tx, image)
        await images.change(tx, row, 1.0, size=row.size + 1)
    await world.sagas.drain()
    shown, task = await world.shown(image), await task_of(world, image)
    assert (shown["status"], shown["os_hash_algo"], task["status"]) == ("queued", None, "failure")
    assert "and had 150001" in task["message"]


async def test_patches_of_locations(world, web):
    image = await world.image()
    assert (await world.shown(image))["locations"] == []
    first, second = web[0] + "/image", web[0] + "/image#new"
    made = await patched(world, image, "add", "/locations/-", {"url": first, "metadata": {"foo": "bar"}})
    assert made.status_code == 200, made.text
    shown = made.json()
    assert (shown["status"], shown["os_hash_algo"], shown["os_hash_value"]) == ("active", None, None)
    assert shown["locations"] == [{"url": first, "metadata": {"foo": "bar", "store": "web"}}]
    again = await patched(world, image, "add", "/locations/1", {"url": first, "metadata": {}})
    assert again.status_code == 400
    two = (await patched(world, image, "add", "/locations/-", {"url": second, "metadata": {}})).json()["locations"]
    assert [each["url"] for each in two] == [first, second]
    assert (await patched(world, image, "replace", "/locations", two)).json()["locations"] == two
    two[0]["metadata"]["date"] = "2015-10-15"
    assert (await patched(world, image, "replace", "/locations", two)).json()["locations"] == two
    assert (await patched(world, image, "replace", "/locations", two[:1])).status_code == 400
    assert (await patched(world, image, "replace", "/locations", [])).status_code == 403
    assert (await patched(world, image, "remove", "/locations/7", headers=ADMIN)).status_code == 400
    left = await patched(world, image, "remove", "/locations/0", headers=ADMIN)
    assert left.json()["locations"] == two[1:]
    assert (await patched(world, image, "remove", "/locations/0", headers=ADMIN)).status_code == 403
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA
    assert (await world.http.get("/v2/images")).json()["images"][0]["locations"] == two[1:]
    for path, value in (("/locations/x", {"url": first, "metadata": {}}), ("/locations/-", {"url": first}),
                        ("/locations/-", "x"), ("/locations", {}), ("/locations/-/url", "x")):
        assert (await patched(world, image, "add", path, value)).status_code == 400, path


async def test_patches_with_hashes(world, web):
    image, url = await world.image(), web[0] + "/image"
    known = {"checksum": "1" * 32, "os_hash_algo": "sha512", "os_hash_value": "deadbeef" * 16}
    made = await patched(world, image, "replace", "/locations", [
        {"url": url, "metadata": {}, "validation_data": known}, {"url": url + "#2", "metadata": {}}])
    assert made.status_code == 200, made.text
    assert known.items() <= made.json().items() and len(made.json()["locations"]) == 2
    for wrong in ({"checksum": "2" * 32}, {"os_hash_value": "beefdead" * 16}, {"os_hash_algo": "sha256"}):
        value = {"url": url + "#new", "metadata": {}, "validation_data": known | wrong}
        assert (await patched(world, image, "add", "/locations/-", value)).status_code == 409
    value = {"url": url + "#new", "metadata": {}, "validation_data": known}
    assert len((await patched(world, image, "add", "/locations/0", value)).json()["locations"]) == 3


async def test_contents_of_ours_have_locations_too(world, web):
    image = await world.image(DATA)
    own, = (await world.shown(image))["locations"]
    assert own["url"].startswith("file:///") and own["metadata"] == {"store": "file"}
    both = (await patched(world, image, "add", "/locations/-", {"url": web[0] + "/image", "metadata": {}})).json()
    assert both["stores"] == "file,web" and both["locations"][0] == own
    assert (await patched(world, image, "remove", "/locations/0", headers=ADMIN)).status_code == 403
    own["metadata"] = {"x": "y"}
    assert (await patched(world, image, "replace", "/locations", [own, both["locations"][1]])).status_code == 400
    assert (await world.http.delete(f"/v2/stores/file/{image}")).status_code == 204
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA and world.kept() == []


async def test_a_located_image_is_cached_and_copied(world, web):
    image = await world.image()
    await added(world, image, web[0] + "/image")
    await world.sagas.drain()
    assert (await world.http.put(f"/v2/cache/{image}", headers=ADMIN)).status_code == 202
    await cached_images.run(world)
    asked = len(web[2])
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA and len(web[2]) == asked
    copied = await world.http.post(f"/v2/images/{image}/import", headers=ADMIN, json={
        "method": {"name": "copy-image"}, "stores": ["file"]})
    assert copied.status_code == 202
    await world.sagas.drain()
    assert (await world.shown(image))["stores"] == "file,web"


async def test_the_image_is_deleted_meanwhile(world, web):
    image = await world.image()
    await added(world, image, web[0] + "/image")
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    await world.sagas.drain()
    task = (await world.http.get("/v2/tasks", headers=ADMIN)).json()["tasks"][0]
    assert task["status"] == "failure" and "deleted meanwhile" in task["message"]


async def test_a_connection_that_breaks_is_not_a_whole_image(world, web):
    image = await world.image()
    await added(world, image, web[0] + "/image")
    await world.sagas.drain()
    async with world.db.write() as tx:
        await images.change(tx, await images.get(tx, image), 1.0, locations=[Location(url=web[0] + "/short")])
    with pytest.raises(NoSuchData, match="to its end"):
        await world.http.get(f"/v2/images/{image}/file")
    async with world.db.write() as tx:
        await images.change(tx, await images.get(tx, image), 1.0, size=7)
    assert (await world.http.get(f"/v2/images/{image}/file")).status_code == 409


@pytest.mark.parametrize("expected", ["", SHA512])
async def test_adding_survives_everything(make_world, settings, web, expected):
    async def small_world():
        world = await make_world(settings=settings)
        async with world.db.write() as tx:
            await images.add(tx, Image(
                id="i", disk_format="raw", container_format="bare", status=IMPORTING if expected else ACTIVE,
                data_id="d", size=len(DATA), os_hash_algo="sha512", locations=[Location(url=web[0] + "/image")]))
            await tasks.add(tx, Task(id="t", type="x", owner="o", user_id="u", request_id="r", image_id="i", input={},
                                     created_at=1.0, updated_at=1.0))
        return world

    async def facts(world):
        async with world.db.read() as reader:
            image, task = await images.get(reader, "i"), await tasks.get(reader, "t")
        return {"image": (image.status, image.os_hash_algo, image.os_hash_value, image.checksum, image.found_in),
                "task": (task.status,)}

    ends = ("queued" if expected else "active", None, None, None, ["web"])
    await prove(small_world, AddLocation(image_id="i", task_id="t", data_id="d", url=web[0] + "/image",
                                         expected=expected), facts, unwound={"image": ends, "task": ("failure",)},
                                         lives=make_world)
