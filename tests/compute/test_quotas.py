"""Quotas, limits and usage over HTTP, and the counting behind them."""

import asyncio

import pytest

from pileus.compute.model import quotas
from pileus.compute.model.tables import servers
from pileus.compute.times import iso_micro
from tests.compute.simple_cloud import simple_cloud
from tests.compute.test_hosts import add_server, server_row

COMMON = {"instances": 10, "cores": 20, "ram": 51200, "key_pairs": 100, "metadata_items": 128, "server_groups": 10,
          "server_group_members": 10}
FILES = {"injected_files": 5, "injected_file_content_bytes": 10240, "injected_file_path_bytes": 255}
PROXIED = {"fixed_ips": -1, "floating_ips": -1, "security_groups": -1, "security_group_rules": -1}
BY_VERSION = {"2.1": COMMON | FILES | PROXIED, "2.36": COMMON | FILES, "2.57": COMMON, "2.96": COMMON}
HOUR = 3600.0


@pytest.fixture
async def cloud(make_db):
    async with simple_cloud(make_db) as made:
        yield made


async def quota_set(cloud, path="/os-quota-sets/p1", **more):
    return (await cloud.ok("GET", path, **{"version": "2.57"} | more))["quota_set"]


async def update(cloud, path="/os-quota-sets/p1", version="2.57", **limits):
    return (await cloud.ok("PUT", path, {"quota_set": limits}, version=version))["quota_set"]


@pytest.mark.parametrize("version", BY_VERSION)
async def test_views_by_version(cloud, version):
    expected = BY_VERSION[version]
    for path in ("/os-quota-sets/p1", "/os-quota-sets/p1/defaults", "/os-quota-sets/p1?user_id=u"):
        assert await quota_set(cloud, path, version=version, token="reader@p1") == {"id": "p1"} | expected
    detail = await quota_set(cloud, "/os-quota-sets/p1/detail", version=version)
    assert detail == {"id": "p1"} | {
        name: {"in_use": 0, "limit": limit, "reserved": 0} for name, limit in expected.items()}
    assert await update(cloud, version=version, instances=3, cores="4") == expected | {"instances": 3, "cores": 4}
    assert await quota_set(cloud, version=version) == {"id": "p1"} | expected | {"instances": 3, "cores": 4}
    assert (await cloud.call("DELETE", "/os-quota-sets/p1", version=version)).status_code == 202
    assert await quota_set(cloud, version=version) == {"id": "p1"} | expected


async def test_users(cloud):
    await update(cloud, instances=5)
    assert (await update(cloud, "/os-quota-sets/p1?user_id=u", instances=2))["instances"] == 2
    assert (await quota_set(cloud, "/os-quota-sets/p1?user_id=u"))["instances"] == 2
    assert (await quota_set(cloud, "/os-quota-sets/p1?user_id=other"))["instances"] == 5
    for too_much in (6, -1):
        assert (await cloud.refused("PUT", "/os-quota-sets/p1?user_id=u", {"quota_set": {"instances": too_much}}))[
            0] == 400
    await cloud.ok("DELETE", "/os-quota-sets/p1?user_id=u")
    assert (await quota_set(cloud, "/os-quota-sets/p1?user_id=u"))["instances"] == 5


async def test_room_for_what_is_there(cloud):
    for name in ("a", "b"):
        await add_server(cloud, name)
    await add_server(cloud, "gone", alive=None, deleted_at=2.0)
    await add_server(cloud, "elsewhere", project_id="p2")
    await add_server(cloud, "kept for a while", state="soft-delete")
    async with cloud.db.read() as reader:
        assert await quotas.usage(reader, "p1") == {"instances": 2, "cores": 4, "ram": 1024}
        assert await quotas.usage(reader, "p1", "nobody") == {"instances": 0, "cores": 0, "ram": 0}
    detail = await quota_set(cloud, "/os-quota-sets/p1/detail")
    assert detail["cores"] == {"in_use": 4, "limit": 20, "reserved": 0}
    status, message = await cloud.refused("PUT", "/os-quota-sets/p1", {"quota_set": {"cores": 3}})
    assert (status, message) == (
        400, "Quota limit 3 for cores must be greater than or equal to already used and reserved 4.")
    assert (await update(cloud, cores=3, force=True))["cores"] == 3
    assert (await update(cloud, cores=-1))["cores"] == -1


async def test_refused(cloud):
    for body in ({"instances": -2}, {"instances": "x"}, {"instances": 2**31}, {"nope": 1}, {"instances": None},
                 {"fixed_ips": 1}, {"injected_files": 1}, {"force": "perhaps"}):
        assert (await cloud.refused("PUT", "/os-quota-sets/p1", {"quota_set": body}, version="2.57"))[0] == 400
    assert (await cloud.refused("GET", "/os-quota-sets/p1?more=1", version="2.75"))[0] == 400
    member = {"token": "member@p1"}
    for method, path, body in [
            ("PUT", "/os-quota-sets/p1", {"quota_set": {}}), ("DELETE", "/os-quota-sets/p1", None),
            ("GET", "/os-quota-sets/p2", None), ("GET", "/os-quota-sets/p2/detail", None),
            ("GET", "/os-quota-class-sets/default", None), ("GET", "/limits?tenant_id=p2", None),
            ("PUT", "/os-quota-class-sets/default", {"quota_class_set": {}}), ("GET", "/os-simple-tenant-usage", None),
            ("GET", "/os-simple-tenant-usage/p2", None)]:
        assert (await cloud.refused(method, path, body, **member))[0] == 403, path


async def test_classes(cloud):
    url = "/os-quota-class-sets/default"
    without_groups = {k: v for k, v in (COMMON | FILES | PROXIED).items() if not k.startswith("server_group")}
    for version, expected in {"2.1": without_groups, "2.49": without_groups, "2.50": COMMON | FILES,
                              "2.57": COMMON}.items():
        assert await cloud.ok("GET", url, version=version) == {"quota_class_set": {"id": "default"} | expected}
    body = {"quota_class_set": {"instances": 7, "ram": "1000"}}
    assert await cloud.ok("PUT", url, body, version="2.57") == {
        "quota_class_set": COMMON | {"instances": 7, "ram": 1000}}
    await update(cloud, instances=8)
    shown = await quota_set(cloud)
    assert (shown["instances"], shown["ram"]) == (8, 1000)
    assert (await quota_set(cloud, "/os-quota-sets/p1/defaults"))["instances"] == 7


async def test_limits(cloud):
    await add_server(cloud, "a")
    newest = {"maxTotalInstances": 10, "maxTotalCores": 20, "maxTotalRAMSize": 51200, "maxTotalKeypairs": 100,
              "maxServerMeta": 128, "maxServerGroups": 10, "maxServerGroupMembers": 10, "totalInstancesUsed": 1,
              "totalCoresUsed": 2, "totalRAMUsed": 512, "totalServerGroupsUsed": 0}
    files = {"maxPersonality": 5, "maxPersonalitySize": 10240}
    proxied = {"maxTotalFloatingIps": -1, "maxSecurityGroups": -1, "maxSecurityGroupRules": -1,
               "totalFloatingIpsUsed": 0, "totalSecurityGroupsUsed": 0}
    image = {"maxImageMeta": 128}
    for version, expected in {"2.1": newest | files | proxied | image, "2.36": newest | files | image,
                              "2.39": newest | files, "2.57": newest, "2.96": newest}.items():
        shown = await cloud.ok("GET", "/limits", version=version, token="reader@p1")
        assert shown == {"limits": {"rate": [], "absolute": expected}}
    other = await cloud.ok("GET", "/limits?tenant_id=p2&reserved=1", version="2.96")
    assert other["limits"]["absolute"]["totalInstancesUsed"] == 0
    assert (await cloud.refused("GET", "/limits?more=1", version="2.96"))[0] == 400


async def test_usage(cloud):
    now = cloud.clock()
    await add_server(cloud, "a", launched_at=now - 10 * HOUR)
    await add_server(cloud, "b", launched_at=now - 10 * HOUR, deleted_at=now - 9 * HOUR, alive=None)
    await add_server(cloud, "c", launched_at=now - 5 * HOUR, deleted_at=now - 4 * HOUR, alive=None)
    await add_server(cloud, "never", launched_at=None)
    await add_server(cloud, "p", project_id="p2", launched_at=now - HOUR)
    period = {"start": iso_micro(now - 6 * HOUR), "stop": iso_micro(now + HOUR)}
    query = f"?start={period['start']}&end={period['stop']}"
    totals = {"total_hours": 7.0, "total_vcpus_usage": 14.0, "total_memory_mb_usage": 3584.0,
              "total_local_gb_usage": 77.0}
    one = {"instance_id": "id-a", "name": "a", "tenant_id": "p1", "flavor": "small", "state": "active", "hours": 6.0,
           "uptime": 36000, "vcpus": 2, "memory_mb": 512, "local_gb": 11, "started_at": iso_micro(now - 10 * HOUR),
           "ended_at": None}
    two = one | {"instance_id": "id-c", "name": "c", "state": "terminated", "hours": 1.0, "uptime": 3600,
                 "started_at": iso_micro(now - 5 * HOUR), "ended_at": iso_micro(now - 4 * HOUR)}
    whole = {"tenant_id": "p1", "server_usages": [one, two]} | period | totals
    shown = await cloud.ok("GET", f"/os-simple-tenant-usage/p1{query}", token="reader@p1")
    assert shown == {"tenant_usage": whole}
    listed = (await cloud.ok("GET", f"/os-simple-tenant-usage{query}&detailed=1"))["tenant_usages"]
    assert listed[0] == whole and [usage["tenant_id"] for usage in listed] == ["p1", "p2"]
    listed = (await cloud.ok("GET", f"/os-simple-tenant-usage{query}"))["tenant_usages"]
    assert listed[0] == {key: value for key, value in whole.items() if key != "server_usages"}
    assert await cloud.ok("GET", "/os-simple-tenant-usage/p3") == {"tenant_usage": {}}
    assert (await cloud.ok("GET", "/os-simple-tenant-usage/p1"))["tenant_usage"]["total_hours"] == 12.0
    for bad in (f"/p1?start={period['stop']}&end={period['start']}", "/p1?start=yesterday", "?detailed=perhaps"):
        assert (await cloud.refused("GET", f"/os-simple-tenant-usage{bad}"))[0] == 400
    assert (await cloud.refused("GET", "/os-simple-tenant-usage/"))[0] == 404


async def test_pages_of_usage(cloud):
    for name, project in {"a": "p1", "b": "p2", "c": "p1"}.items():
        await add_server(cloud, name, project_id=project, launched_at=cloud.clock() - HOUR)

    async def ids(url, key, version="2.40"):
        found = await cloud.ok("GET", url, version=version)
        usages = found[key] if key == "tenant_usages" else [found[key]]
        (link,) = found.get(f"{key}_links", [{"href": None}])
        return [one["instance_id"] for usage in usages for one in usage.get("server_usages", [])], link["href"]

    first, more = await ids("/os-simple-tenant-usage?detailed=1&limit=2", "tenant_usages")
    second, none = await ids(more, "tenant_usages")
    assert (first, second, none) == (["id-a", "id-b"], ["id-c"], None)
    first, more = await ids("/os-simple-tenant-usage/p1?limit=1", "tenant_usage")
    second, none = await ids(more, "tenant_usage", version="2.96")
    assert (first, second, none) == (["id-a"], ["id-c"], None)
    assert await ids("/os-simple-tenant-usage/p1?marker=id-c", "tenant_usage") == ([], None)
    everything, none = await ids("/os-simple-tenant-usage/p1?limit=1&marker=x", "tenant_usage", version="2.39")
    assert (len(everything), none) == (2, None)
    for bad in ("limit=-1", "marker=x"):
        assert (await cloud.refused("GET", f"/os-simple-tenant-usage?{bad}", version="2.40"))[0] == 400


async def test_counting_takes_turns(cloud):
    """Whoever counts before adding sees what those before added, on databases where writers run side by side too."""
    async def add(name):
        async with cloud.db.write() as tx:
            await quotas.take_turn(tx, "p1")
            used = await quotas.usage(tx, "p1")
            await tx.execute(servers.insert().values(**server_row(name)))
        return used["instances"]

    async with cloud.db.write() as tx:
        await quotas.take_turn(tx, "p1")
    assert sorted(await asyncio.gather(*(add(name) for name in "abc"))) == [0, 1, 2]
    assert "(turn)" not in await quota_set(cloud)
