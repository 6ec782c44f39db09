"""What each microversion changed of servers that are there: just below it and at it."""

from __future__ import annotations

import pytest

from pileus.compute import versions
from pileus.compute.model import hosts, servers
from pileus.compute.model.servers import Server, ServerAction
from tests.compute.simple_cloud import simple_cloud
from tests.compute.test_hosts import add_server, seen
from tests.covers import covers

ID, URL = "id-one", "/servers/id-one"
MEMBER = {"token": "member@p1"}


@pytest.fixture
async def cloud(make_db):
    async with simple_cloud(make_db) as made:
        await seen(made, "n1")
        await add_server(made, "one", updated_at=100.0, user_data="YQ==", zone="east", hints={"same_host": ["a"]})
        yield made


async def show(cloud, version, url=URL, **more):
    return (await cloud.ok("GET", url, version=version, **more))["server"]


async def names(cloud, query, version, **more):
    return [each["name"] for each in (await cloud.ok("GET", f"/servers?{query}", version=version, **more))["servers"]]


async def new_fields(cloud, below, at, **more):
    """What a server tells at a version and not below it, alone and in a list."""
    found = []
    for path in (URL, "/servers/detail"):
        old, new = [await cloud.ok("GET", path, version=version, **more) for version in (below, at)]
        old, new = [each.get("server") or each["servers"][0] for each in (old, new)]
        assert set(old) <= set(new)
        found.append({name: new[name] for name in set(new) - set(old)})
    return found


# -- what servers tell --------------------------------------------------------------------------


@covers(versions.EXTENDED_ATTRIBUTES)
async def test_more_attributes_for_administrators(cloud):
    prefix = "OS-EXT-SRV-ATTR:"
    alone, listed = await new_fields(cloud, "2.2", "2.3")
    assert alone == listed == {
        f"{prefix}reservation_id": "r-1", f"{prefix}launch_index": 0, f"{prefix}hostname": "one",
        f"{prefix}kernel_id": "", f"{prefix}ramdisk_id": "", f"{prefix}root_device_name": "/dev/vda",
        f"{prefix}user_data": "YQ=="}
    assert await new_fields(cloud, "2.2", "2.3", **MEMBER) == [{}, {}]


@pytest.mark.parametrize(("below", "at", "field", "value"), [
    pytest.param("2.8", "2.9", "locked", False, marks=covers(versions.LOCKED)),
    pytest.param("2.18", "2.19", "description", None, marks=covers(versions.DESCRIPTION)),
    pytest.param("2.25", "2.26", "tags", [], marks=covers(versions.TAGS)),
    pytest.param("2.62", "2.63", "trusted_image_certificates", None, marks=covers(versions.TRUSTED_CERTIFICATES)),
    pytest.param("2.72", "2.73", "locked_reason", None, marks=covers(versions.LOCKED_REASON)),
    pytest.param("2.89", "2.90", "OS-EXT-SRV-ATTR:hostname", "one", marks=covers(versions.HOSTNAME)),
    pytest.param("2.95", "2.96", "pinned_availability_zone", "east", marks=covers(versions.PINNED_ZONE)),
    pytest.param("2.99", "2.100", "scheduler_hints", {"same_host": ["a"]}, marks=covers(versions.TOLD_HINTS))])
async def test_new_fields(cloud, below, at, field, value):
    assert await new_fields(cloud, below, at, **MEMBER) == [{field: value}, {field: value}]


@covers(versions.SERVER_GROUPS)
async def test_server_groups(cloud):
    assert await new_fields(cloud, "2.70", "2.71", **MEMBER) == [{"server_groups": []}, {}]


@covers(versions.IMAGE_PROPERTIES, versions.TOLD_HINTS)
async def test_image_properties(cloud):
    image = {"id": "i", "disk_format": "raw", "size_bytes": 1, "sha512": "", "properties": {"os_distro": "debian"}}
    await add_server(cloud, "two", image_id="i", image=image)
    links = {"links": (await show(cloud, "2.97", "/servers/id-two"))["image"]["links"]}
    for path in ("/servers/id-two", "/servers/detail"):
        for version, more in (("2.97", {}), ("2.98", {"properties": {"os_distro": "debian"}})):
            found = await cloud.ok("GET", path, version=version)
            shown = found.get("server") or next(each for each in found["servers"] if each["id"] == "id-two")
            assert shown["image"] == {"id": "i"} | links | more
    changed = [(await cloud.ok("PUT", "/servers/id-two", {"server": {"name": "two"}}, version=version))["server"]
               for version in ("2.97", "2.98", "2.100")]
    assert ["properties" in each["image"] for each in changed] == [False, True, True]
    assert [each.get("scheduler_hints") for each in changed] == [None, None, {}]


@covers(versions.SHARES)
async def test_shares(cloud):
    share = "00000000-0000-4000-8000-000000000000"
    body = {"share": {"share_id": share, "tag": "home"}}
    assert (await cloud.refused("GET", f"{URL}/shares", version="2.96"))[0] == 404
    assert await cloud.ok("GET", f"{URL}/shares", version="2.97") == {"shares": []}
    assert (await cloud.refused("GET", f"{URL}/shares/{share}", version="2.97"))[0] == 404
    assert (await cloud.refused("DELETE", f"{URL}/shares/{share}", version="2.97"))[0] == 404
    assert (await cloud.refused("POST", f"{URL}/shares", body, version="2.97"))[0] == 409
    await add_server(cloud, "off", state="stopped")
    for wrong in ({"share_id": "1"}, {"share_id": share, "tag": "a b"}, {}):
        assert (await cloud.refused("POST", "/servers/id-off/shares", {"share": wrong}, version="2.97"))[0] == 400
    assert (await cloud.refused("POST", "/servers/id-off/shares", body, version="2.97"))[0] == 403


@covers(versions.HOST_STATUS)
async def test_host_status(cloud):
    assert await new_fields(cloud, "2.15", "2.16") == [{"host_status": "UP"}] * 2
    assert await new_fields(cloud, "2.15", "2.16", **MEMBER) == [{}, {}]
    cloud.clock.turn(61)
    assert (await show(cloud, "2.16"))["host_status"] == "UNKNOWN"
    for change, status in (({"disabled": True}, "MAINTENANCE"), ({"forced_down": True}, "DOWN")):
        async with cloud.db.write() as tx:
            await hosts.change(tx, await hosts.get(tx, "n1"), **change)
        assert (await show(cloud, "2.16"))["host_status"] == status
    await add_server(cloud, "two", host=None)
    assert (await show(cloud, "2.16", "/servers/id-two"))["host_status"] == ""


@covers(versions.EMBEDDED_FLAVOR)
async def test_embedded_flavor(cloud):
    async with cloud.db.write() as tx:
        server = await servers.get(tx, ID)
        flavor = servers.FlavorCopy(id="1", name="small", vcpus=2, memory_mb=512, disk_gb=10, extra_specs={"a": "1"})
        await servers.change(tx, server, 100.0, flavor=flavor)
    assert set((await show(cloud, "2.46"))["flavor"]) == {"id", "links"}
    assert (await show(cloud, "2.47"))["flavor"] == {
        "original_name": "small", "vcpus": 2, "ram": 512, "disk": 10, "ephemeral": 0, "swap": 0,
        "extra_specs": {"a": "1"}}


@covers(versions.TOPOLOGY)
async def test_topology(cloud):
    assert (await cloud.refused("GET", f"{URL}/topology", version="2.77"))[0] == 404
    assert await cloud.ok("GET", f"{URL}/topology", version="2.78") == {"nodes": [], "pagesize_kb": None}


@pytest.mark.parametrize(("specs", "nodes", "page_kb"), [
    ({"hw:numa_nodes": "2"}, [[[0, 1], [], 256], [[2, 3], [], 256]], None),
    ({"hw:numa_nodes": "2", "hw:numa_cpus.0": "0", "hw:numa_mem.0": "128", "hw:numa_cpus.1": "1-3",
      "hw:numa_mem.1": "384"}, [[[0], [], 128], [[1, 2, 3], [], 384]], None),
    ({"hw:mem_page_size": "2MB"}, [[[0, 1, 2, 3], [], 512]], 2048),
    ({"hw:mem_page_size": "large"}, [[[0, 1, 2, 3], [], 512]], None),
    ({"hw:cpu_policy": "dedicated", "hw:cpu_threads": "2"}, [[[0, 1, 2, 3], [[0, 1], [2, 3]], 512]], None)])
async def test_topology_of_nodes(cloud, specs, nodes, page_kb):
    flavor = servers.FlavorCopy(id="1", name="numa", vcpus=4, memory_mb=512, disk_gb=1, extra_specs=specs)
    await add_server(cloud, "two", flavor=flavor)
    assert await cloud.ok("GET", "/servers/id-two/topology", version="2.78") == {"pagesize_kb": page_kb, "nodes": [
        {"vcpu_set": cpus, "siblings": siblings, "memory_mb": memory} for cpus, siblings, memory in nodes]}


# -- changing them ------------------------------------------------------------------------------


@covers(versions.NEW_PIN)
async def test_another_pin(cloud):
    async def pin(zone, version="2.104"):
        body = {"server": {"pinned_availability_zone": zone}}
        answer = await cloud.call("PUT", URL, body, version=version, **MEMBER)
        return answer.status_code if answer.is_error else answer.json()["server"]["pinned_availability_zone"]

    assert await pin(None, "2.103") == 400
    assert await pin("east") == "east"
    assert await pin("nova") == 409                       # only by way of none
    assert await pin(None) is None and await pin(None) is None
    assert (await show(cloud, "2.104"))["OS-EXT-AZ:availability_zone"] == "nova"
    assert await pin("east") == 409 and await pin("") == 400
    assert await pin("nova") == "nova"


@covers(versions.STRICT_QUERIES)
async def test_the_answer_to_a_change(cloud):
    body = {"server": {"name": "new"}}
    whole = set(await show(cloud, "2.74"))
    below, at = [(await cloud.ok("PUT", URL, body, version=version))["server"] for version in ("2.74", "2.75")]
    assert set(at) == set(await show(cloud, "2.75"))
    assert whole - set(below) == {
        "OS-EXT-AZ:availability_zone", "config_drive", "key_name", "OS-SRV-USG:launched_at",
        "OS-SRV-USG:terminated_at", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state",
        "os-extended-volumes:volumes_attached", "host_status",
        *(f"OS-EXT-SRV-ATTR:{name}" for name in (
            "host", "instance_name", "hypervisor_hostname", "reservation_id", "launch_index", "hostname", "kernel_id",
            "ramdisk_id", "root_device_name", "user_data"))}
    first = (await cloud.ok("PUT", URL, body))["server"]
    assert set(first) == {
        "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
        "addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "progress"}


@covers(versions.DESCRIPTION)
async def test_changing_the_description(cloud):
    body = {"server": {"description": "mine"}}
    assert (await cloud.refused("PUT", URL, body, version="2.18"))[0] == 400
    assert (await cloud.ok("PUT", URL, body, version="2.19"))["server"]["description"] == "mine"


@covers(versions.HOSTNAME)
async def test_changing_the_host_name(cloud):
    body = {"server": {"hostname": "web"}}
    assert (await cloud.refused("PUT", URL, body, version="2.89"))[0] == 400
    changed = (await cloud.ok("PUT", URL, body, version="2.90", **MEMBER))["server"]
    assert changed["OS-EXT-SRV-ATTR:hostname"] == "web"


@covers(versions.FQDN_HOSTNAME)
async def test_a_host_name_with_a_domain(cloud):
    body = {"server": {"hostname": "web.example.org"}}
    assert (await cloud.refused("PUT", URL, body, version="2.93"))[0] == 400
    changed = (await cloud.ok("PUT", URL, body, version="2.94"))["server"]
    assert changed["OS-EXT-SRV-ATTR:hostname"] == "web.example.org"


@covers(versions.TAGS)
async def test_tags(cloud):
    assert (await cloud.refused("PUT", f"{URL}/tags", {"tags": ["a"]}, version="2.25"))[0] == 404
    assert await cloud.ok("PUT", f"{URL}/tags", {"tags": ["a"]}, version="2.26") == {"tags": ["a"]}
    await add_server(cloud, "two")
    assert sorted(await names(cloud, "tags=a", "2.25")) == ["one", "two"]
    assert await names(cloud, "tags=a", "2.26") == ["one"]
    assert await names(cloud, "not-tags=a", "2.26") == ["two"]


@covers(versions.LOCKED_REASON)
async def test_locking_for_a_reason(cloud):
    body = {"lock": {"locked_reason": "mine"}}
    assert (await cloud.refused("POST", f"{URL}/action", body, version="2.72"))[0] == 400
    assert (await cloud.call("POST", f"{URL}/action", body, version="2.73")).status_code == 202
    assert (await show(cloud, "2.73"))["locked_reason"] == "mine"
    await add_server(cloud, "two")
    assert len(await names(cloud, "locked=true", "2.72", **MEMBER)) == 2
    assert await names(cloud, "locked=true", "2.73", **MEMBER) == ["one"]
    assert (await cloud.refused("GET", "/servers?sort_key=locked", version="2.72"))[0] == 400
    assert len(await names(cloud, "sort_key=locked", "2.73")) == 2


# -- finding them -------------------------------------------------------------------------------


async def test_names_are_patterns(cloud):
    await add_server(cloud, "other")
    for pattern, found in (("n", ["one"]), ("^o", ["one", "other"]), ("(o|oo)%2Bx", []), ("", ["one", "other"])):
        assert sorted(await names(cloud, f"name={pattern}", "2.1")) == found, pattern
    for query in ("name=(", "ip=*", "ip6=(", f"power_state={1 << 31}", f"power_state={1 << 70}"):
        assert (await cloud.refused("GET", f"/servers?{query}", version="2.5"))[0] == 400


@covers(versions.FILTER_IP6)
async def test_finding_by_ip6(cloud):
    assert await names(cloud, "ip6=fd00", "2.4", **MEMBER) == ["one"]
    assert await names(cloud, "ip6=fd00", "2.5", **MEMBER) == []
    assert await names(cloud, "ip6=fd00", "2.4") == []


@covers(versions.STRICT_STATUS)
async def test_finding_by_a_status_that_is_none(cloud):
    assert await names(cloud, "status=odd", "2.37") == []
    assert (await cloud.refused("GET", "/servers?status=odd", version="2.38"))[0] == 400


@covers(versions.CHANGES_BEFORE)
async def test_finding_what_changed_before(cloud):
    query = "changes-before=1970-01-01T00:01:00Z"
    assert await names(cloud, query, "2.65") == ["one"]
    assert await names(cloud, query, "2.66") == []
    assert await names(cloud, "changes-before=1970-01-01T00:02:00Z", "2.66") == ["one"]


@covers(versions.MORE_FILTERS)
@pytest.mark.parametrize(("fits", "differs"), [
    ("availability_zone=east", "availability_zone=west"), ("config_drive=false", "config_drive=true"),
    ("key_name=k", "key_name=j"), ("created_at=1970-01-01T00:00:01Z", "created_at=1970-01-01T00:00:02Z"),
    ("launched_at=1970-01-01T00:00:01Z", "launched_at=1970-01-01T00:00:02Z"), ("power_state=1", "power_state=4"),
    ("vm_state=active", "vm_state=stopped"), ("progress=100", "progress=50"), ("user_id=u", "user_id=v"),
    ("", "task_state=spawning"), ("", "terminated_at=1970-01-01T00:00:02Z")])
async def test_more_filters(cloud, fits, differs):
    async with cloud.db.write() as tx:
        await servers.change(tx, await servers.get(tx, ID), 100.0, key_name="k")
    assert await names(cloud, differs, "2.82", **MEMBER) == ["one"]
    assert await names(cloud, differs, "2.83", **MEMBER) == []
    assert await names(cloud, fits, "2.83", **MEMBER) == ["one"]


@covers(versions.HOSTNAME)
async def test_finding_by_host_name(cloud):
    assert await names(cloud, "hostname=other", "2.89", **MEMBER) == ["one"]
    assert await names(cloud, "hostname=other", "2.90", **MEMBER) == []


# -- what was done to them ----------------------------------------------------------------------


async def record(cloud, name, started_at):
    async with cloud.db.write() as tx:
        await servers.record_action(tx, ServerAction(
            server_id=ID, request_id=f"req-{name}", action=name, project_id="p1", user_id="u", started_at=started_at))


@pytest.fixture
async def acted(cloud):
    await record(cloud, "create", 10.0)
    await record(cloud, "stop", 20.0)
    return cloud


@covers(versions.ACTIONS_OF_DELETED)
async def test_actions_of_deleted_servers(acted):
    async with acted.db.write() as tx:
        server: Server = await servers.get(tx, ID)
        await servers.mark_deleted(tx, server, 200.0)
    for path in ("os-instance-actions", "os-instance-actions/req-stop"):
        assert (await acted.refused("GET", f"{URL}/{path}", version="2.20"))[0] == 404
        assert (await acted.call("GET", f"{URL}/{path}", version="2.21")).status_code == 200


@covers(versions.ACTION_PAGES)
async def test_pages_of_actions(acted):
    below, at = [await acted.ok("GET", f"{URL}/os-instance-actions?limit=1", version=version)
                 for version in ("2.57", "2.58")]
    assert len(below["instanceActions"]) == 2 and "updated_at" not in below["instanceActions"][0]
    (only,) = at["instanceActions"]
    assert only["action"] == "stop" and only["updated_at"] and "marker=req-stop" in at["links"][0]["href"]
    since = f"{URL}/os-instance-actions?changes-since=1970-01-01T00:00:15Z"
    assert [len((await acted.ok("GET", since, version=version))["instanceActions"]) for version in ("2.57", "2.58")] \
        == [2, 1]


@covers(versions.CHANGES_BEFORE)
async def test_actions_before(acted):
    before = f"{URL}/os-instance-actions?changes-before=1970-01-01T00:00:15Z"
    assert (await acted.refused("GET", before, version="2.65"))[0] == 400
    assert len((await acted.ok("GET", before, version="2.66"))["instanceActions"]) == 1
