"""Flavors over HTTP: views by version, who sees what, extra specs, access."""

import uuid

import pytest

from pileus.compute.model import flavors
from tests.compute.simple_cloud import simple_cloud

SMALL = {"name": "small", "ram": 512, "vcpus": 1, "disk": 10}
LATEST = {"version": "2.96"}


@pytest.fixture
async def cloud(make_db):
    async with simple_cloud(make_db) as made:
        yield made


async def make(cloud, **more):
    return (await cloud.ok("POST", "/flavors", {"flavor": SMALL | more}))["flavor"]


async def ids(cloud, query="", **more):
    return [flavor["id"] for flavor in (await cloud.ok("GET", f"/flavors{query}", **more))["flavors"]]


def links(flavor_id):
    return [{"rel": "self", "href": f"http://compute/v2.1/flavors/{flavor_id}"},
            {"rel": "bookmark", "href": f"http://compute/flavors/{flavor_id}"}]


async def test_views_by_version(cloud):
    made = await make(cloud, id=7)
    first = {"id": "7", "name": "small", "ram": 512, "vcpus": 1, "disk": 10, "swap": "", "links": links("7"),
             "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": False, "os-flavor-access:is_public": True,
             "rxtx_factor": 1.0}
    assert made == first
    by_version = {"2.1": first, "2.55": first | {"description": None},
                  "2.61": first | {"description": None, "extra_specs": {}},
                  "2.96": first | {"description": None, "extra_specs": {}, "swap": 0}}
    for version, expected in by_version.items():
        assert await cloud.ok("GET", "/flavors/7", version=version, token="reader@p2") == {"flavor": expected}
        assert await cloud.ok("GET", "/flavors/detail", version=version) == {"flavors": [expected]}
    name = {"id": "7", "name": "small", "links": links("7")}
    assert await cloud.ok("GET", "/flavors") == {"flavors": [name]}
    assert await cloud.ok("GET", "/flavors", **LATEST) == {"flavors": [name | {"description": None}]}


async def test_everything_given(cloud):
    body = {"flavor": {
        "id": "big one", "name": "big", "ram": "1024", "vcpus": "2", "disk": 0, "swap": "16", "rxtx_factor": "2.5",
        "OS-FLV-EXT-DATA:ephemeral": 3, "os-flavor-access:is_public": "False", "description": "large\nand wide"}}
    made = (await cloud.ok("POST", "/flavors", body, version="2.55"))["flavor"]
    assert made | {"links": []} == {
        "id": "big one", "name": "big", "ram": 1024, "vcpus": 2, "disk": 0, "swap": 16, "rxtx_factor": 2.5,
        "OS-FLV-EXT-DATA:ephemeral": 3, "OS-FLV-DISABLED:disabled": False, "os-flavor-access:is_public": False,
        "description": "large\nand wide", "links": []}
    for given in ({}, {"id": None}, {"id": "auto"}):
        found = (await make(cloud, name=f"n{given}", **given))["id"]
        assert found == str(uuid.UUID(found))


REFUSED = [
    {"name": ""}, {"name": " a"}, {"name": "a\x00"}, {"name": "a" * 256}, {"name": None}, {"ram": 0}, {"ram": "x"},
    {"ram": 1.5}, {"ram": -1}, {"ram": 2**31}, {"ram": "99999999999"}, {"vcpus": 0}, {"vcpus": "0"}, {"disk": -1},
    {"swap": -1}, {"OS-FLV-EXT-DATA:ephemeral": -1}, {"rxtx_factor": 0}, {"rxtx_factor": "-1"}, {"rxtx_factor": "x"},
    {"rxtx_factor": 1e39}, {"id": " a"}, {"id": "a/b"}, {"id": ""}, {"id": "a" * 256}, {"id": True}, {"more": 1},
    {"os-flavor-access:is_public": "perhaps"}, {"description": "too early"}]


async def test_refused_at_creation(cloud):
    for change in REFUSED:
        assert (await cloud.refused("POST", "/flavors", {"flavor": SMALL | change}))[0] == 400, change


async def test_taken_ids_and_names(cloud):
    await make(cloud, id="1")
    assert await cloud.refused("POST", "/flavors", {"flavor": SMALL | {"id": "1", "name": "b"}}) == (
        409, "Flavor with ID 1 already exists.")
    assert await cloud.refused("POST", "/flavors", {"flavor": SMALL | {"id": "2"}}) == (
        409, "Flavor with name small already exists.")
    assert (await cloud.call("DELETE", "/flavors/1")).status_code == 202
    assert await cloud.refused("DELETE", "/flavors/1") == (404, "Flavor 1 could not be found.")
    assert await cloud.refused("GET", "/flavors/1") == (404, "Flavor 1 could not be found.")
    await make(cloud, id="1")


async def test_description(cloud):
    await make(cloud, id="1")
    body = {"flavor": {"description": "mine"}}
    assert (await cloud.refused("PUT", "/flavors/1", body, version="2.54"))[0] in (404, 405)
    changed = await cloud.ok("PUT", "/flavors/1", body, version="2.55")
    assert changed["flavor"]["description"] == "mine"
    assert (await cloud.ok("PUT", "/flavors/1", {"flavor": {"description": None}}, **LATEST))[
        "flavor"]["description"] is None
    assert (await cloud.refused("PUT", "/flavors/1", {"flavor": {}}, **LATEST))[0] == 400
    assert (await cloud.refused("PUT", "/flavors/1", {"flavor": {"description": "\x07"}}, **LATEST))[0] == 400
    assert (await cloud.refused("PUT", "/flavors/9", body, **LATEST))[0] == 404


async def test_only_administrators_change(cloud):
    await make(cloud, id="1")
    for method, path, body in [
            ("POST", "/flavors", {"flavor": SMALL}), ("DELETE", "/flavors/1", None),
            ("PUT", "/flavors/1", {"flavor": {"description": "x"}}), ("DELETE", "/flavors/1/os-extra_specs/a", None),
            ("POST", "/flavors/1/os-extra_specs", {"extra_specs": {"a": "1"}}),
            ("PUT", "/flavors/1/os-extra_specs/a", {"a": "1"}), ("GET", "/flavors/1/os-flavor-access", None),
            ("POST", "/flavors/1/action", {"addTenantAccess": {"tenant": "p2"}}),
            ("POST", "/flavors/1/action", {"removeTenantAccess": {"tenant": "p2"}})]:
        assert (await cloud.refused(method, path, body, token="member@p2", **LATEST))[0] == 403


async def test_order_filters_and_pages(cloud):
    async with cloud.db.write() as tx:
        await flavors.default_flavors(tx)
        await flavors.default_flavors(tx)
    assert await ids(cloud) == ["1", "2", "3", "4", "42", "5", "84"]
    assert await ids(cloud, "?sort_key=memory_mb&sort_dir=desc") == ["5", "4", "3", "2", "1", "84", "42"]
    assert await ids(cloud, "?minDisk=40&minRam=8192") == ["4", "5"]
    seen, url = [], "/flavors/detail?limit=3&sort_key=vcpus&sort_dir=desc"
    while url:
        found = await cloud.ok("GET", url)
        seen += [flavor["id"] for flavor in found["flavors"]]
        url = found["flavors_links"][0]["href"] if "flavors_links" in found else None
    assert seen == ["5", "4", "3", "84", "42", "2", "1"]
    assert await ids(cloud, "?limit=0") == []
    assert await ids(cloud, "?marker=42&sort_key=description") == ["5", "84"]
    for bad in ("marker=x", "limit=-1", "limit=x", "minRam=x", "sort_key=nope", "sort_dir=up", "is_public=perhaps"):
        assert (await cloud.refused("GET", f"/flavors?{bad}"))[0] == 400


async def test_who_sees_what(cloud):
    await make(cloud, id="open")
    await make(cloud, id="closed", name="closed", **{"os-flavor-access:is_public": False})
    member = {"token": "member@p2"}
    assert await ids(cloud) == ["open"] == await ids(cloud, "?is_public=none", **member)
    assert await ids(cloud, "?is_public=None") == ["closed", "open"]
    for no in ("f", "false", "no", "0"):
        assert await ids(cloud, f"?is_public={no}") == ["closed"]
    for path in ("/flavors/closed", "/flavors/closed/os-extra_specs", "/flavors/closed/os-extra_specs/a"):
        assert await cloud.refused("GET", path, **member) == (404, "Flavor closed could not be found.")
    access = [{"flavor_id": "closed", "tenant_id": "p2"}]
    add = {"addTenantAccess": {"tenant": "p2"}}
    assert await cloud.ok("POST", "/flavors/closed/action", add) == {"flavor_access": access}
    assert await cloud.refused("POST", "/flavors/closed/action", add) == (
        409, "Flavor access already exists for flavor closed and project p2 combination.")
    assert await cloud.ok("GET", "/flavors/closed/os-flavor-access") == {"flavor_access": access}
    assert await ids(cloud, **member) == ["closed", "open"]
    await cloud.ok("GET", "/flavors/closed", **member)
    assert await ids(cloud, token="member@p3") == ["open"]
    remove = {"removeTenantAccess": {"tenant": "p2"}}
    assert await cloud.ok("POST", "/flavors/closed/action", remove) == {"flavor_access": []}
    assert (await cloud.refused("POST", "/flavors/closed/action", remove))[0] == 404
    assert await ids(cloud, **member) == ["open"]


async def test_access_of_public_flavors(cloud):
    await make(cloud, id="open")
    assert (await cloud.refused("GET", "/flavors/open/os-flavor-access"))[0] == 404
    assert (await cloud.refused("POST", "/flavors/open/action", {"addTenantAccess": {"tenant": "p2"}},
                                version="2.7"))[0] == 409
    assert (await cloud.refused("POST", "/flavors/open/action", {"removeTenantAccess": {"tenant": "p2"}}))[0] == 404
    for bad in ({"addTenantAccess": {}}, {"addTenantAccess": {"tenant": ""}}, {"nope": {}}, {}):
        assert (await cloud.refused("POST", "/flavors/open/action", bad))[0] == 400


async def test_extra_specs(cloud):
    await make(cloud, id="1")
    url = "/flavors/1/os-extra_specs"
    assert await cloud.ok("GET", url) == {"extra_specs": {}}
    given = {"extra_specs": {"hw:cpu_policy": "dedicated", "count": 3}}
    as_text = {"hw:cpu_policy": "dedicated", "count": "3"}
    assert await cloud.ok("POST", url, given) == {"extra_specs": as_text}
    assert await cloud.ok("PUT", f"{url}/count", {"count": "4"}) == {"count": "4"}
    assert await cloud.ok("GET", f"{url}/count", token="reader@p2") == {"count": "4"}
    assert await cloud.ok("GET", url, token="reader@p2") == {"extra_specs": as_text | {"count": "4"}}
    shown = await cloud.ok("GET", "/flavors/1", version="2.61", token="reader@p2")
    assert shown["flavor"]["extra_specs"] == as_text | {"count": "4"}
    removed = await cloud.call("DELETE", f"{url}/count")
    assert (removed.status_code, removed.content) == (200, b"")
    for method in ("GET", "DELETE"):
        assert await cloud.refused(method, f"{url}/count") == (404, "Flavor 1 has no extra specs with key count.")
    for bad in ({}, {"extra_specs": {}}, {"extra_specs": {"a$": "1"}}, {"extra_specs": {"a": None}},
                {"extra_specs": {"a": "x" * 256}}, {"extra_specs": {"a" * 256: "1"}}, {"extra_specs": {"": "1"}}):
        assert (await cloud.refused("POST", url, bad))[0] == 400
    for bad in ({}, {"b": "1"}, {"a": "1", "b": "1"}):
        assert (await cloud.refused("PUT", f"{url}/a", bad))[0] == 400
    assert (await cloud.refused("GET", "/flavors/9/os-extra_specs"))[0] == 404
