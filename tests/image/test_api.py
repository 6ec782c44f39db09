"""Conversations with the Image API."""

import json
import uuid

import pytest

from pileus.image import migrations
from pileus.image.model.tables import metadata
from tests.image.conftest import ADMIN, OTHER, READER, SYSTEM, V21
from tests.placement.test_migrations import differences


async def test_tables_are_as_declared(make_db):
    database = await make_db(migrations)
    async with database.write() as tx:
        assert await tx.run_sync(differences, metadata) == []


async def test_versions_schemas_and_info(world):
    nobody = {"x-auth-token": ""}
    first = await world.http.get("/", headers=nobody)
    assert first.status_code == 300
    assert first.json()["versions"][0] == {"id": "v2.17", "status": "CURRENT", "links": [
        {"rel": "self", "href": "http://cloud/image/v2/"}]}
    assert (await world.http.get("/versions", headers=nobody)).status_code == 200
    for name in ("image", "images", "member", "members", "task", "tasks"):
        assert (await world.http.get(f"/v2/schemas/{name}")).json()["name"] == name
    assert (await world.http.get("/v2/schemas/nope")).status_code == 404
    assert (await world.http.get("/v2/info/import")).json()["import-methods"]["value"] == [
        "glance-direct", "web-download", "copy-image", "glance-download"]
    assert (await world.http.get("/v2/info/stores")).json() == {
        "stores": [{"id": "file", "weight": 0, "default": "true"}]}
    assert (await world.http.get("/v2/images", headers=nobody)).status_code == 401


async def test_create_and_show(world):
    mine = str(uuid.uuid4())
    made = await world.http.post("/v2/images", json={
        "id": mine, "name": "web", "tags": ["b", "a", "b"], "min_disk": 3, "os_distro": "debian", "protected": True})
    assert made.status_code == 201 and made.headers["location"] == f"http://cloud/image/v2/images/{mine}"
    assert made.headers["openstack-image-import-methods"].startswith("glance-direct,web-download,")
    image = made.json()
    assert (image["id"], image["owner"], image["status"], image["visibility"]) == (mine, "p1", "queued", "shared")
    assert image["tags"] == ["a", "b"] and image["os_distro"] == "debian" and image["size"] is None
    assert image["created_at"] == "2023-11-14T22:13:20Z" and image["self"] == f"/v2/images/{mine}"
    assert (await world.http.get(f"/v2/images/{mine}")).json() == image
    assert (await world.http.post("/v2/images", json={"id": mine})).status_code == 409
    assert (await world.http.delete(f"/v2/images/{mine}")).status_code == 403
    assert (await world.http.get(f"/v2/images/{mine}", headers=OTHER)).status_code == 404
    assert (await world.http.get("/v2/images/" + str(uuid.uuid4()))).status_code == 404
    assert (await world.http.get("/v2/images/")).status_code == 404
    assert (await world.http.delete("/v2/images/")).status_code == 404
    assert (await world.http.delete("/v2/images")).status_code == 405


@pytest.mark.parametrize(("body", "status"), [
    ({"disk_format": "wrong"}, 400), ({"container_format": "wrong"}, 400), ({"visibility": "all"}, 400),
    ({"min_ram": -1}, 400), ({"min_ram": 2 ** 31}, 400), ({"min_ram": True}, 400), ({"protected": "yes"}, 400),
    ({"name": "x" * 256}, 400), ({"name": 5}, 400), ({"tags": "a"}, 400), ({"tags": ["x" * 256]}, 400),
    ({"id": "x"}, 400), ({"color": 5}, 400), ({"color": None}, 400), ({"status": "active"}, 403), ({"size": 1}, 403),
    ({"checksum": "x"}, 403), ({"os_glance_foo": "bar"}, 403), ({"locations": []}, 403), ({"owner": "p2"}, 403),
    ({"visibility": "public"}, 403),
    ({f"p{n}": "x" for n in range(129)}, 413), ({"tags": [str(n) for n in range(129)]}, 413)])
async def test_bad_images(world, body, status):
    answer = await world.http.post("/v2/images", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"].startswith(str(status)) and answer.json()["message"]
    assert (await world.http.get("/v2/images")).json()["images"] == []


async def test_refusals_are_what_the_client_accepts(world):
    url = "/v2/images/" + "<x>"
    page = await world.http.get(url, headers={"accept": "*/*"})
    assert page.headers["content-type"].startswith("text/html") and "&lt;x&gt;" in page.text
    assert (await world.http.get(url)).json()["title"] == "Not Found"
    plain = await world.http.get(url, headers={"accept": "image/png"})
    assert plain.headers["content-type"].startswith("text/plain")
    unknown = await world.http.get(url, headers={"x-auth-token": "bad"})
    assert unknown.status_code == 401 and unknown.json()["error"]["code"] == 401


async def test_patches(world):
    image = await world.image(os_distro="debian")
    url = f"/v2/images/{image}"

    async def patch(*operations, headers=V21):
        return await world.http.patch(url, json=list(operations), headers=headers)

    done = await patch({"op": "replace", "path": "/name", "value": "b"}, {"op": "add", "path": "/speed", "value": "9"},
                       {"op": "remove", "path": "/os_distro"}, {"op": "replace", "path": "/tags", "value": ["x"]},
                       {"op": "add", "path": "/trait:CUSTOM_A~1b", "value": "required"})
    assert done.status_code == 200, done.text
    shown = await world.shown(image)
    assert shown == done.json() and shown["name"] == "b" and shown["speed"] == "9" and "os_distro" not in shown
    assert shown["tags"] == ["x"] and shown["trait:CUSTOM_A/b"] == "required"
    old = await patch({"replace": "/name", "value": "c"},
                      headers={"content-type": "application/openstack-images-v2.0-json-patch"})
    assert old.json()["name"] == "c"
    for operation, status in (
            ({"op": "replace", "path": "/status", "value": "active"}, 403), ({"op": "remove", "path": "/name"}, 403),
            ({"op": "replace", "path": "/id", "value": str(uuid.uuid4())}, 403),
            ({"op": "add", "path": "/os_glance_x", "value": "y"}, 403),
            ({"op": "replace", "path": "/nope", "value": "y"}, 409), ({"op": "remove", "path": "/nope"}, 409),
            ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
            ({"op": "replace", "path": "/owner", "value": "p2"}, 403), ({"op": "move", "path": "/name"}, 400),
            ({"op": "add", "path": "/name"}, 400), ({"op": "add", "path": "name", "value": "x"}, 400),
            ({"op": "add", "path": "/a/b", "value": "x"}, 400), ({"op": "add", "path": "/min_ram", "value": "x"}, 400),
            ({"op": "replace", "path": "/locations", "value": []}, 403), ("x", 400)):
        assert (await patch(operation)).status_code == status, operation
    assert (await world.http.patch(url, json={}, headers=V21)).status_code == 400
    assert (await world.http.patch(url, json=[], headers={"content-type": "application/json"})).status_code == 415
    stranger = await world.http.patch(url, json=[], headers=V21 | OTHER)
    assert stranger.status_code == 404
    assert (await world.http.patch(url, json=[], headers=V21 | READER)).status_code == 403


async def test_formats_are_fixed_once_there_is_data(world):
    image = await world.image(b"x")
    same = {"op": "replace", "path": "/disk_format", "value": "raw"}
    assert (await world.http.patch(f"/v2/images/{image}", json=[same], headers=V21)).status_code == 200
    other = await world.http.patch(f"/v2/images/{image}", json=[same | {"value": "iso"}], headers=V21)
    assert other.status_code == 403


async def names(world, query="", headers=None):
    answer = await world.http.get("/v2/images?" + query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [image["name"] for image in answer.json()["images"]]


async def test_list_filters(world):
    for name, data, more in (("one", b"1", {"tags": ["x", "y"]}), ("two", b"22", {"tags": ["x"], "color": "red"}),
                             ("three, or so", b"333", {"protected": True, "min_ram": 5})):
        await world.image(data, name=name, **more)
        world.clock.turn(60)
    await world.image(name="hidden", os_hidden=True)
    assert await names(world) == ["three, or so", "two", "one"]
    for query, expected in (
            ("name=two", ["two"]), ("name=in:two,one", ["two", "one"]), ('name=in:"three, or so",two', 2),
            ("tag=x", ["two", "one"]), ("tag=x&tag=y", ["one"]), ("size_min=2", 2), ("size_max=1", ["one"]),
            ("size=2", ["two"]), ("color=red", ["two"]), ("color=blue", []), ("protected=true", 1), ("min_ram=5", 1),
            ("os_hidden=true", ["hidden"]), ("status=active", 3), ("status=queued", []), ("visibility=shared", 3),
            ("visibility=private", []), ("owner=p1", 3), ("owner=p2", []), ("disk_format=raw", 3),
            ("created_at=gt:2023-11-14T22:13:20Z", 2), ("created_at=lte:2023-11-14T22:13:20Z", ["one"]),
            ("created_at=eq:2023-11-14T22:14:20Z", ["two"]), ("updated_at=gte:2023-11-14T22:15:20", 1),
            ("created_at=neq:2023-11-14T22:14:20Z", 2), ("sort_key=size&sort_dir=asc", ["one", "two", "three, or so"]),
            ("sort=name:asc", ["one", "three, or so", "two"]), ("sort=size:desc,name:asc", 3), ("limit=0", [])):
        found = await names(world, query)
        assert (len(found) if isinstance(expected, int) else found) == expected, query
    for query in ("limit=x", "limit=-1", "marker=nope", "sort_key=nope", "sort_dir=up", "sort=a:b", "size_min=x",
                  "created_at=gt:x", "visibility=x", "member_status=x", "protected=x", "os_hidden=x",
                  "sort=name&sort_key=name"):
        assert (await world.http.get("/v2/images?" + query)).status_code == 400, query


async def test_pages(world):
    for number in range(5):
        await world.image(name=f"n{number}")
    found, url = [], "/v2/images?limit=2&sort=name:asc"
    while url:
        page = (await world.http.get(url)).json()
        assert page["first"].startswith("/v2/images?limit=2") and page["schema"] == "/v2/schemas/images"
        found.append([image["name"] for image in page["images"]])
        url = page.get("next")
    assert found == [["n0", "n1"], ["n2", "n3"], ["n4"]]


async def test_lists_show_what_changed(world):
    image = await world.image(name="old")
    one = f"/v2/images/{image}"
    assert await names(world) == ["old"]
    await world.http.patch(one, json=[{"op": "replace", "path": "/name", "value": "new"}], headers=V21)
    assert await names(world) == ["new"]
    await world.http.delete(one)
    world.clock.turn(1)
    await world.image(name="another of this id", id=image)
    assert await names(world) == ["another of this id"]


async def test_visibility(world):
    for visibility in ("private", "shared", "community", "public"):
        await world.image(name=visibility, visibility=visibility, headers=ADMIN)
    assert await names(world) == ["public"]
    assert await names(world, "visibility=community") == ["community"]
    assert set(await names(world, "visibility=all")) == {"community", "public"}
    assert len(await names(world, headers=ADMIN)) == 4
    public = (await world.http.get("/v2/images")).json()["images"][0]["id"]
    assert (await world.http.get(f"/v2/images/{public}")).status_code == 200
    assert (await world.http.delete(f"/v2/images/{public}")).status_code == 403


async def test_tags(world):
    image = await world.image()
    url = f"/v2/images/{image}/tags/"
    assert (await world.http.put(url + "fast")).status_code == 204
    assert (await world.http.put(url + "fast")).status_code == 204
    assert (await world.shown(image))["tags"] == ["fast"]
    assert (await world.http.delete(url + "fast")).status_code == 204
    assert (await world.http.delete(url + "fast")).status_code == 404
    assert (await world.http.put(f"/v2/images/{uuid.uuid4()}/tags/x")).status_code == 404
    assert (await world.http.put(url + "x" * 256)).status_code == 400


async def test_members(world):
    image = await world.image()
    url = f"/v2/images/{image}/members"
    added = await world.http.post(url, json={"member": "p2"})
    assert added.status_code == 200 and added.json()["status"] == "pending" and added.json()["image_id"] == image
    assert (await world.http.post(url, json={"member": "p2"})).status_code == 409
    assert (await world.http.get(f"/v2/images/{image}", headers=OTHER)).status_code == 200
    assert await names(world, headers=OTHER) == []
    assert await names(world, "visibility=shared&member_status=pending", headers=OTHER) == ["a"]
    assert (await world.http.put(url + "/p2", json={"status": "accepted"})).status_code == 403
    assert (await world.http.put(url + "/p2", json={"status": "maybe"}, headers=OTHER)).status_code == 400
    accepted = await world.http.put(url + "/p2", json={"status": "accepted"}, headers=OTHER)
    assert accepted.json()["status"] == "accepted"
    assert await names(world, headers=OTHER) == ["a"]
    await world.http.post(url, json={"member": "p3"})
    assert [each["member_id"] for each in (await world.http.get(url)).json()["members"]] == ["p2", "p3"]
    assert len((await world.http.get(url, headers=OTHER)).json()["members"]) == 1
    assert (await world.http.get(url + "/p3", headers=OTHER)).status_code == 404
    assert (await world.http.post(url, json={"member": "p4"}, headers=OTHER)).status_code == 403
    assert (await world.http.delete(url + "/p2")).status_code == 204
    assert (await world.http.delete(url + "/p2")).status_code == 404
    assert (await world.http.get(f"/v2/images/{image}", headers=OTHER)).status_code == 404
    private = await world.image(visibility="private")
    assert (await world.http.post(f"/v2/images/{private}/members", json={"member": "p2"})).status_code == 403
    assert (await world.http.post(url, json={})).status_code == 400


async def test_deactivation(world):
    image = await world.image(b"data")
    url = f"/v2/images/{image}"
    for _ in range(2):
        assert (await world.http.post(url + "/actions/deactivate")).status_code == 204
    assert (await world.shown(image))["status"] == "deactivated"
    assert (await world.http.get(url + "/file")).status_code == 403
    assert (await world.http.get(url + "/file", headers=ADMIN)).status_code == 200
    assert (await world.http.post(url + "/actions/reactivate")).status_code == 204
    assert (await world.http.get(url + "/file")).content == b"data"
    queued = await world.image()
    assert (await world.http.post(f"/v2/images/{queued}/actions/deactivate")).status_code == 403


async def test_ten_thousand_properties(world):
    many = {f"property{n}": "x" for n in range(10_000)}
    refused = await world.http.post("/v2/images", json={"name": "a"} | many)
    assert refused.status_code == 413 and "128" in refused.text
    image = await world.image()
    steps = [{"op": "add", "path": f"/{name}", "value": value} for name, value in many.items()]
    refused = await world.http.patch(f"/v2/images/{image}", content=json.dumps(steps), headers=V21)
    assert refused.status_code == 413 and "property1" not in await world.shown(image)


async def test_tokens_of_the_system_say_nothing_about_images(world):
    image = await world.image(b"x", visibility="community")
    for method, path, status in (
            ("GET", "", 403), ("POST", "", 403), ("GET", f"/{image}", 404), ("DELETE", f"/{image}", 404),
            ("GET", f"/{image}/file", 404), ("POST", f"/{image}/actions/deactivate", 404),
            ("GET", f"/{image}/members", 404), ("PUT", f"/{image}/tags/a", 404)):
        body = {"json": {"name": "n"}} if (method, path) == ("POST", "") else {}
        answer = await world.http.request(method, f"/v2/images{path}", headers=SYSTEM, **body)
        assert answer.status_code == status, (method, path, answer.text)
    assert (await world.http.get("/v2/tasks", headers=SYSTEM)).status_code == 403
    assert (await world.http.get("/v2/cache", headers=SYSTEM)).status_code == 403
