"""Limits that identity keeps beat quota sets; limits of users, and those that count nothing; over HTTP."""

from __future__ import annotations

import base64

import pytest

from pileus.identity.service_tokens import fixed_id
from tests.compute.simple_cloud import simple_cloud
from tests.compute.test_hosts import add_server

DEMO, COMPUTE = fixed_id("project", "demo"), fixed_id("service", "compute")


@pytest.fixture
async def simple(make_db):
    async with simple_cloud(make_db) as made:
        yield made


async def shown(simple, path="/os-quota-sets/p1"):
    return (await simple.ok("GET", path, version="2.56"))["quota_set"]


async def test_what_is_told_and_changed(simple):
    kept = {"servers": 3, "class:VCPU": 8, "class:MEMORY_MB": 4096, "server_key_pairs": 0, "server_metadata_items": 1,
            "server_injected_files": 2, "server_groups": 4, "server_group_members": 5, "class:DISK_GB": 7,
            "unheard_of": 1}
    told = {"instances": 3, "cores": 8, "ram": 4096, "key_pairs": 0, "metadata_items": 1, "injected_files": 2,
            "server_groups": 4, "server_group_members": 5}
    untold = {"injected_file_content_bytes": 10240, "injected_file_path_bytes": 255}
    simple.unified = kept
    for path in ("/os-quota-sets/p1", "/os-quota-sets/p1/defaults", "/os-quota-sets/p1?user_id=u"):
        assert await shown(simple, path) == {"id": "p1"} | told | untold
    await add_server(simple, "a")
    detail = await shown(simple, "/os-quota-sets/p1/detail")
    assert detail["cores"] == {"in_use": 2, "limit": 8, "reserved": 0}
    absolute = (await simple.ok("GET", "/limits", version="2.96"))["limits"]["absolute"]
    assert (absolute["maxTotalInstances"], absolute["maxTotalCores"], absolute["maxServerMeta"]) == (3, 8, 1)
    for url in ("/os-quota-sets/p1", "/os-quota-class-sets/default"):
        kind = "quota_set" if "sets/p1" in url else "quota_class_set"
        assert await simple.refused("PUT", url, {kind: {"cores": 9, "injected_file_path_bytes": 9}}) == (
            400, "The limit of cores is kept by the identity service, as class:VCPU: change it there.")
        assert (await simple.ok("PUT", url, {kind: {"injected_file_path_bytes": 9}}))[kind]["instances"] == 3
    assert await simple.refused("POST", "/os-keypairs", {"keypair": {"name": "k"}}) == (
        403, "Quota exceeded, too many key pairs.")
    simple.unified = {}
    assert (await shown(simple))["instances"] == 10


async def test_no_limit_is_passed_because_nobody_tells_it(simple):
    await add_server(simple, "a")
    simple.unified = None
    for method, path, body in [
            ("GET", "/os-quota-sets/p1", None), ("GET", "/limits", None),
            ("PUT", "/os-quota-sets/p1", {"quota_set": {}}), ("POST", "/os-keypairs", {"keypair": {"name": "k"}}),
            ("PUT", "/servers/id-a/metadata", {"metadata": {"a": "b"}})]:
        answer = await simple.call(method, path, body)
        assert answer.status_code == 503 and "cannot be asked for" in answer.text, path
    assert await simple.ok("PUT", "/servers/id-a/metadata", {"metadata": {}}) == {"metadata": {}}


async def test_metadata_within_the_quota(simple):
    await add_server(simple, "a")
    await simple.ok("PUT", "/os-quota-sets/p1", {"quota_set": {"metadata_items": 2}})
    url = "/servers/id-a/metadata"
    await simple.ok("PUT", url, {"metadata": {"a": "1", "b": "2"}})
    assert await simple.refused("POST", url, {"metadata": {"c": "3"}}) == (
        403, "Maximum number of metadata items exceeds 2")
    await simple.ok("POST", url, {"metadata": {"a": "3"}})
    await simple.ok("PUT", "/os-quota-sets/p1", {"quota_set": {"metadata_items": -1}})
    await simple.ok("POST", url, {"metadata": {f"k{n}": "" for n in range(200)}})


class Limits:
    """Of the demo project, as an administrator registers them in identity and changes them."""

    def __init__(self, cloud):
        self.cloud, self.ids = cloud, {}

    async def register(self, **limits):
        """Limits of all, by the names of identity, where __ stands for a colon."""
        body = {"registered_limits": [
            {"service_id": COMPUTE, "resource_name": name.replace("__", ":"), "default_limit": limit}
            for name, limit in limits.items()]}
        answer = await self.cloud.ask("POST", "/identity/v3/registered_limits", body, user="admin")
        assert answer.status_code == 201, answer.text

    async def set(self, name, limit):
        """The project's own."""
        if name in self.ids:
            answer = await self.cloud.ask("PATCH", f"/identity/v3/limits/{self.ids[name]}",
                                          {"limit": {"resource_limit": limit}}, user="admin")
            assert answer.status_code == 200, answer.text
            return
        answer = await self.cloud.ask("POST", "/identity/v3/limits", {"limits": [
            {"service_id": COMPUTE, "project_id": DEMO, "resource_name": name, "resource_limit": limit}]}, user="admin")
        assert answer.status_code == 201, answer.text
        self.ids[name] = answer.json()["limits"][0]["id"]


async def refusal(answer):
    assert answer.status_code == 403, answer.text
    return answer.json()["forbidden"]["message"]


async def test_servers_by_unified_limits(cloud):
    """By count and by resource class, at creation and resize; counted from rows, so at once."""
    made = await cloud.compute("POST", "/flavors", {"flavor": {
        "name": "large", "id": "large", "vcpus": 2, "ram": 64, "disk": 2}}, user="admin")
    assert made.status_code == 200, made.text
    limits = Limits(cloud)
    await limits.register(servers=1, class__VCPU=10, class__MEMORY_MB=10_000, class__DISK_GB=10)
    first = await cloud.server(flavorRef="large")
    assert await refusal(await cloud.boot()) == (
        "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances")
    await limits.set("servers", -1)
    await limits.set("class:DISK_GB", 3)
    assert await refusal(await cloud.boot(flavorRef="large")) == (
        "Quota exceeded for class:DISK_GB: Requested 2, but already used 2 of 3 class:DISK_GB")
    await limits.set("class:DISK_GB", 4)
    await limits.set("class:VCPU", 3)
    assert "class:VCPU" in await refusal(await cloud.boot(flavorRef="large"))
    small = await cloud.server(flavorRef="42")
    resized = await cloud.compute("POST", f"/servers/{small}/action", {"resize": {"flavorRef": "large"}})
    assert "class:VCPU" in await refusal(resized)
    await cloud.compute("DELETE", f"/servers/{first}")
    await cloud.cloud.compute.sagas.drain()
    taken = await cloud.boot(flavorRef="large", min_count=1, max_count=5)
    assert taken.status_code == 202, taken.text                        # as many of them as fit
    listed = (await cloud.compute("GET", "/servers")).json()["servers"]
    assert len(listed) == 2
    used = (await cloud.compute("GET", "/limits")).json()["limits"]["absolute"]
    assert (used["maxTotalInstances"], used["maxTotalCores"], used["totalCoresUsed"]) == (-1, 3, 3)


async def test_limits_of_users_and_of_files(cloud):
    """A user's own limit binds beside the project's; files that are put into guests have limits of their own; server
    groups are told as used."""
    async def quota(query="", **limits):
        answer = await cloud.compute("PUT", f"/os-quota-sets/{DEMO}{query}", {"quota_set": limits}, user="admin")
        assert answer.status_code == 200, answer.text

    def file(path="/a", content=b"a"):
        return {"path": path, "contents": base64.b64encode(content).decode()}

    group = {"server_group": {"name": "g", "policies": ["affinity"]}}
    assert (await cloud.compute("POST", "/os-server-groups", group)).status_code == 200
    told = (await cloud.compute("GET", "/limits")).json()["limits"]["absolute"]
    assert told["totalServerGroupsUsed"] == 1
    await quota(injected_files=1, injected_file_content_bytes=4, injected_file_path_bytes=3)
    for files, says in [([file(), file("/b")], "file limit exceeded"), ([file("/abc")], "path exceeds maximum 3"),
                        ([file(content=b"12345")], "content exceeds maximum 4")]:
        assert says in await refusal(await cloud.boot(personality=files)), files
    await cloud.server(personality=[file("/ab", b"1234")])
    user = fixed_id("user", "demo")
    await quota(f"?user_id={user}", instances=1)
    assert "already used 1 of 1 instances" in await refusal(await cloud.boot())
    await quota(f"?user_id={fixed_id('user', 'admin')}", instances=1)
    await quota(f"?user_id={user}", instances=2)
    await cloud.server()
