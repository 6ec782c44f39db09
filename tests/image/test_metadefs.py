"""Metadata definitions: namespaces and what they define, who sees them, and the catalogue a cloud begins with."""

import pytest

from tests.image.conftest import ADMIN, OTHER, READER

ALL = "/v2/metadefs/namespaces"
WHOLE = {
    "namespace": "Mine", "display_name": "My own", "visibility": "public", "description": "all of it",
    "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "my_"}, {"name": "Mine::Too"}],
    "objects": [{"name": "disk", "required": ["size"], "properties": {"size": {"title": "Size", "type": "integer"}}}],
    "properties": {"colour": {"title": "Colour", "type": "string", "enum": ["red", "green"]}},
    "tags": [{"name": "good"}, {"name": "bad"}]}


async def make(world, **body):
    made = await world.http.post(ALL, headers=ADMIN, json={"namespace": "Mine", "visibility": "public"} | body)
    assert made.status_code == 201, made.text
    return made.json()


async def test_a_whole_namespace(world):
    made = await make(world, **WHOLE)
    assert made["owner"] == "admins" and made["protected"] is False
    assert made["schema"] == "/v2/schemas/metadefs/namespace"
    shown = (await world.http.get(f"{ALL}/Mine")).json()
    assert {name: shown[name] for name in ("namespace", "display_name", "visibility", "description", "properties")} == {
        name: WHOLE[name] for name in ("namespace", "display_name", "visibility", "description", "properties")}
    assert shown["tags"] == [{"name": "bad"}, {"name": "good"}] and shown["objects"][0]["required"] == ["size"]
    assert shown["objects"][0]["self"] == "/v2/metadefs/namespaces/Mine/objects/disk"
    prefixed = (await world.http.get(f"{ALL}/Mine?resource_type=OS::Glance::Image")).json()
    assert list(prefixed["properties"]) == ["my_colour"] and prefixed["objects"][0]["required"] == ["my_size"]
    one = await world.http.get(f"{ALL}/Mine/properties/my_colour?resource_type=OS::Glance::Image")
    assert one.json() == {"name": "my_colour"} | WHOLE["properties"]["colour"]
    for name in ("colour?resource_type=OS::Glance::Image", "my_colour", "colour?resource_type=Nobody"):
        assert (await world.http.get(f"{ALL}/Mine/properties/{name}")).status_code == 404
    assert "Mine::Too" in [each["name"] for each in (
        await world.http.get("/v2/metadefs/resource_types")).json()["resource_types"]]
    again = await world.http.post(ALL, headers=ADMIN, json=WHOLE)
    assert again.status_code == 409 and "already exists" in again.text
    assert (await world.http.delete(f"{ALL}/Mine", headers=ADMIN)).status_code == 204
    assert (await world.http.get(f"{ALL}/Mine")).status_code == 404


async def test_private_and_protected(world):
    await make(world, visibility="private", owner="p1", protected=True)
    assert (await world.http.get(f"{ALL}/Mine")).status_code == 200
    for part in ("", "/objects", "/properties", "/tags", "/resource_types"):
        assert (await world.http.get(f"{ALL}/Mine{part}", headers=OTHER)).status_code == 404
    assert "Mine" not in (await world.http.get(ALL, headers=OTHER)).text
    assert "Mine" in (await world.http.get(ALL, headers=READER)).text
    assert (await world.http.delete(f"{ALL}/Mine")).status_code == 403
    assert (await world.http.delete(f"{ALL}/Mine", headers=OTHER)).status_code == 404
    refused = await world.http.delete(f"{ALL}/Mine", headers=ADMIN)
    assert refused.status_code == 403 and "is protected" in refused.text
    changed = await world.http.put(f"{ALL}/Mine", headers=ADMIN, json={"namespace": "Yours", "protected": False})
    assert (changed.status_code, changed.json()["owner"], changed.json()["visibility"]) == (200, "p1", "private")
    taken = await world.http.put(f"{ALL}/Yours", headers=ADMIN, json={"namespace": "OS::Compute::TPM"})
    assert taken.status_code == 409
    assert (await world.http.delete(f"{ALL}/Yours", headers=ADMIN)).status_code == 204


OBJECT = {"name": "a", "description": "d", "required": [], "properties": {"p": {"title": "P", "type": "string"}}}
PROPERTY = {"name": "a", "title": "A", "type": "integer", "minimum": 1.0, "operators": ["<or>"], "readonly": True}


@pytest.mark.parametrize(("kind", "body"), [("objects", OBJECT), ("properties", PROPERTY), ("tags", {"name": "a"})])
async def test_what_a_namespace_defines(world, kind, body):
    await make(world)
    url = f"{ALL}/Mine/{kind}"
    made = await world.http.post(f"{url}/a" if kind == "tags" else url, headers=ADMIN, json=body)
    assert made.status_code == 201 and made.json() | body == made.json()
    assert (await world.http.post(f"{url}/a" if kind == "tags" else url, headers=ADMIN, json=body)).status_code == 409
    assert (await world.http.get(f"{url}/a")).json() == made.json()
    assert "a" in str((await world.http.get(url)).json()[kind])
    for method, path, content in (("POST", url, body if kind != "tags" else {"tags": []}), ("DELETE", url, None),
                                  ("PUT", f"{url}/a", body), ("DELETE", f"{url}/a", None)):
        assert (await world.http.request(method, path, json=content)).status_code == 403
    changed = await world.http.put(f"{url}/a", headers=ADMIN, json=body | {"name": "b"})
    assert changed.status_code == 200 and changed.json()["name"] == "b"
    assert (await world.http.get(f"{url}/a")).status_code == 404
    assert (await world.http.delete(f"{url}/b", headers=ADMIN)).status_code == 204
    assert (await world.http.delete(f"{url}/b", headers=ADMIN)).status_code == 404
    assert (await world.http.delete(url, headers=ADMIN)).status_code == 204
    assert not (await world.http.get(url)).json()[kind]


async def test_many_tags(world):
    await make(world)
    url = f"{ALL}/Mine/tags"
    tags = {"tags": [{"name": name} for name in "abcde"]}
    assert (await world.http.post(url, headers=ADMIN, json=tags)).json()["tags"] == tags["tags"]
    page = (await world.http.get(f"{url}?limit=2")).json()
    assert [each["name"] for each in page["tags"]] == ["a", "b"] and page["next"].endswith("marker=b")
    rest = (await world.http.get(f"{url}?limit=3&marker=b")).json()
    assert [each["name"] for each in rest["tags"]] == ["c", "d", "e"] and "next" not in rest
    more = await world.http.post(url, headers=ADMIN | {"x-openstack-append": "true"}, json={"tags": [{"name": "f"}]})
    assert more.status_code == 201 and len((await world.http.get(url)).json()["tags"]) == 6
    assert (await world.http.post(url, headers=ADMIN, json={"tags": [{"name": "x"}, {"name": "x"}]})).status_code == 409
    assert len((await world.http.get(url)).json()["tags"]) == 6
    assert (await world.http.get(f"{url}?marker=nobody")).status_code == 404


async def test_associations(world):
    await make(world)
    url = f"{ALL}/Mine/resource_types"
    body = {"name": "Some::Kind", "prefix": "x_", "properties_target": "image"}
    made = await world.http.post(url, headers=ADMIN, json=body)
    assert made.status_code == 201 and made.json() | body == made.json()
    assert (await world.http.post(url, headers=ADMIN, json=body)).status_code == 409
    assert (await world.http.post(url, json=body)).status_code == 403
    assert (await world.http.get(url)).json() == {"resource_type_associations": [made.json()]}
    assert [each["namespace"] for each in (await world.http.get(
        f"{ALL}?resource_types=Some::Kind,None")).json()["namespaces"]] == ["Mine"]
    assert (await world.http.delete(f"{url}/Some::Kind", headers=ADMIN)).status_code == 204
    assert (await world.http.delete(f"{url}/Some::Kind", headers=ADMIN)).status_code == 404


async def test_the_catalogue_by_pages(world):
    found, url = [], f"{ALL}?limit=3&sort_key=namespace&sort_dir=asc"
    while url:
        page = (await world.http.get(url)).json()
        found += [each["namespace"] for each in page["namespaces"]]
        url = page.get("next")
    assert found == sorted(found) and len(found) >= 10 and "OS::Compute::LibvirtImage" in found
    shown = (await world.http.get(f"{ALL}/OS::Compute::LibvirtImage?resource_type=OS::Glance::Image")).json()
    assert "virtio" in shown["properties"]["hw_disk_bus"]["enum"]
    assert (await world.http.delete(f"{ALL}/OS::Compute::TPM", headers=ADMIN)).status_code == 403


@pytest.mark.parametrize("body", [
    {}, {"namespace": ""}, {"namespace": "x" * 81}, {"namespace": "x", "visibility": "shared"},
    {"namespace": "x", "colour": "red"}, {"namespace": "x", "properties": {"p": {"title": "t"}}},
    {"namespace": "x", "properties": {"p": {"title": "t", "type": "void"}}},
    {"namespace": "x", "tags": [{"name": "t"}] * 1001}])
async def test_bad_namespaces(world, body):
    assert (await world.http.post(ALL, headers=ADMIN, json=body)).status_code == 400


@pytest.mark.parametrize("query", ["sort_key=id", "sort_dir=up", "limit=-1", "limit=x"])
async def test_bad_queries(world, query):
    assert (await world.http.get(f"{ALL}?{query}")).status_code == 400


@pytest.mark.parametrize("name", ["namespace", "namespaces", "object", "objects", "property", "properties", "tag",
                                  "tags", "resource_type", "resource_types"])
async def test_schemas(world, name):
    found = await world.http.get(f"/v2/schemas/metadefs/{name}")
    assert found.status_code == 200 and found.json()["properties"]
    assert (await world.http.get(f"/v2/schemas/metadefs/{name}x")).status_code == 404
