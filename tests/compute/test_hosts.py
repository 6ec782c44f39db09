"""Hosts over HTTP: hypervisors, services, zones, by version; what signs of life change."""

import pytest

from pileus.compute.model import hosts
from pileus.compute.model.tables import servers
from tests.compute.simple_cloud import simple_cloud

FACTS = {"hostname": "n1.example", "hypervisor_type": "QEMU", "hypervisor_version": "8.2.1", "vcpus": 8,
         "memory_mb": 16384, "disk_gb": 100, "disk_free_gb": 60, "accel": "kvm",
         "cpu": {"vendor": "Intel", "model": "Host", "arch": "x86_64", "features": ["avx"]}}
V53, V88 = {"version": "2.53"}, {"version": "2.88"}
STRANGER = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
async def cloud(make_db):
    async with simple_cloud(make_db) as made:
        yield made


async def seen(cloud, name, **more):
    facts = FACTS | {"hostname": f"{name}.example"} | more
    async with cloud.db.write() as tx:
        return await hosts.record_seen(tx, name, facts, ["suspend"], "192.0.2.1", "boot-1", cloud.clock())


def server_row(name, host="n1", **more):
    return {"id": f"id-{name}", "project_id": "p1", "user_id": "u", "name": name, "hostname": name, "state": "active",
           "power": 1, "flavor_id": "1", "vcpus": 2, "memory_mb": 512, "host": host, "config_drive": False,
           "flavor": {"id": "1", "name": "small", "vcpus": 2, "memory_mb": 512, "disk_gb": 10, "ephemeral_gb": 1},
           "metadata": {}, "security_groups": [],
           "nics": [], "locked": False, "disk_config": "AUTO", "reservation_id": "r-1", "launch_index": 0,
           "created_at": 1.0, "updated_at": 1.0, "launched_at": 1.0, "alive": True, "generation": 1} | more


async def add_server(cloud, name, **more):
    async with cloud.db.write() as tx:
        await tx.execute(servers.insert().values(**server_row(name, **more)))


async def test_signs_of_life(cloud):
    first = await seen(cloud, "n1")
    assert first.id == hosts.stable_id("n1") and first.generation == 1
    cloud.clock.turn(30)
    async with cloud.db.write() as tx:
        disabled = await hosts.change(tx, first, disabled=True, disabled_reason="broken fan")
        again = await hosts.record_seen(tx, "n1", FACTS | {"vcpus": 16}, [], "192.0.2.9", "boot-2", cloud.clock())
        other = await hosts.record_seen(tx, "n2", FACTS, [], "192.0.2.2", "b", cloud.clock())
        assert again == await hosts.get(tx, "n1")
        assert [host.name for host in await hosts.every(tx)] == ["n1", "n2"]
    assert (again.facts.vcpus, again.can, again.address, again.boot_id) == (16, [], "192.0.2.9", "boot-2")
    assert (again.id, again.number, again.created_at) == (first.id, first.number, first.created_at)
    assert (again.disabled, again.disabled_reason, again.generation) == (True, "broken fan", disabled.generation)
    assert other.number == first.number + 1
    cloud.clock.turn(45)
    await seen(cloud, "n2")
    cloud.clock.turn(20)
    async with cloud.db.write() as tx:
        assert [host.name for host in await hosts.alive(tx, cloud.clock(), 60.0)] == ["n2"]
        await hosts.change(tx, await hosts.get(tx, "n2"), forced_down=True, zone="far")
        assert await hosts.alive(tx, cloud.clock(), 60.0) == []
        assert await hosts.zones(tx, "nova") == {"n1": "nova", "n2": "far"}


async def test_usage(cloud):
    for name in ("n1", "n2"):
        await seen(cloud, name)
    for name, more in {"a": {}, "b": {"memory_mb": 1024}, "c": {"alive": None, "deleted_at": 2.0},
                       "d": {"host": None}}.items():
        await add_server(cloud, name, **more)
    async with cloud.db.read() as reader:
        assert await hosts.used(reader) == {"n1": hosts.Used(servers=2, vcpus=4, memory_mb=1536)}
        assert await hosts.loads(reader) == {"n1": 2}
        assert await hosts.used(reader, ["n2"]) == {}
    statistics = await cloud.ok("GET", "/os-hypervisors/statistics")
    assert statistics == {"hypervisor_statistics": {
        "count": 2, "vcpus": 16, "vcpus_used": 4, "memory_mb": 32768, "memory_mb_used": 2560, "free_ram_mb": 30208,
        "local_gb": 200, "local_gb_used": 80, "free_disk_gb": 120, "disk_available_least": 120, "running_vms": 2,
        "current_workload": 0}}
    assert (await cloud.refused("GET", "/os-hypervisors/statistics", **V88))[0] == 404


async def test_hypervisor_views(cloud):
    host = await seen(cloud, "n1", booted_at=cloud.clock() - 90_061)
    await add_server(cloud, "a")
    short = {"id": host.number, "hypervisor_hostname": "n1.example", "state": "up", "status": "enabled"}
    whole = short | {
        "hypervisor_type": "QEMU", "hypervisor_version": 8002001, "host_ip": "192.0.2.1", "vcpus": 8, "vcpus_used": 2,
        "memory_mb": 16384, "memory_mb_used": 1024, "free_ram_mb": 15360, "local_gb": 100, "local_gb_used": 40,
        "free_disk_gb": 60, "disk_available_least": 60, "running_vms": 1, "current_workload": 0,
        "service": {"id": host.number, "host": "n1", "disabled_reason": None},
        "cpu_info": '{"vendor":"Intel","model":"Host","arch":"x86_64","features":["avx"]}'}
    assert await cloud.ok("GET", "/os-hypervisors") == {"hypervisors": [short]}
    assert await cloud.ok("GET", "/os-hypervisors/detail") == {"hypervisors": [whole]}
    assert await cloud.ok("GET", f"/os-hypervisors/{host.number}") == {"hypervisor": whole}
    whole["cpu_info"] = FACTS["cpu"]
    assert await cloud.ok("GET", f"/os-hypervisors/{host.number}", version="2.28") == {"hypervisor": whole}
    whole |= {"id": host.id, "service": {"id": host.id, "host": "n1", "disabled_reason": None}}
    assert await cloud.ok("GET", f"/os-hypervisors/{host.id}", **V53) == {"hypervisor": whole}
    slim = {key: whole[key] for key in ("id", "hypervisor_hostname", "state", "status", "hypervisor_type",
                                        "hypervisor_version", "host_ip", "service")}
    slim["uptime"] = " 22:13:20 up 1 days,  1:01"
    assert await cloud.ok("GET", f"/os-hypervisors/{host.id}", **V88) == {"hypervisor": slim}
    on_it = {"servers": [{"uuid": "id-a", "name": "a"}]}
    for version, expected in {"2.53": whole, "2.88": slim}.items():
        shown = await cloud.ok("GET", "/os-hypervisors/detail?with_servers=true", version=version)
        assert shown == {"hypervisors": [expected | on_it]}
    shown = await cloud.ok("GET", f"/os-hypervisors/{host.number}/uptime")
    assert shown == {"hypervisor": short | {"uptime": " 22:13:20 up 1 days,  1:01"}}
    cloud.clock.turn(61)
    assert (await cloud.refused("GET", f"/os-hypervisors/{host.number}/uptime"))[0] == 400
    shown = (await cloud.ok("GET", f"/os-hypervisors/{host.id}", **V88))["hypervisor"]
    assert (shown["state"], shown["uptime"]) == ("down", None)


async def test_hosts_of_old_clients(cloud):
    await seen(cloud, "n1")
    await add_server(cloud, "a")
    listed = (await cloud.ok("GET", "/os-hosts"))["hosts"]
    assert {"host_name": "n1", "service": "compute", "zone": "nova"} in listed
    assert {one["service"] for one in listed} == {"compute", "conductor", "scheduler"}
    assert (await cloud.ok("GET", "/os-hosts?zone=internal"))["hosts"] == [
        one for one in listed if one["zone"] == "internal"]
    assert (await cloud.ok("GET", "/os-hosts?zone="))["hosts"] == listed
    shown = [line["resource"] for line in (await cloud.ok("GET", "/os-hosts/n1"))["host"]]
    assert [(one["project"], one["cpu"], one["memory_mb"], one["disk_gb"]) for one in shown] == [
        ("(total)", 8, 16384, 100), ("(used_now)", 2, 1024, 40), ("(used_max)", 2, 512, 11), ("p1", 2, 512, 11)]
    assert await cloud.refused("GET", "/os-hosts/nobody") == (404, "Compute host nobody could not be found.")
    assert (await cloud.refused("GET", "/os-hosts", version="2.43"))[0] == 404
    assert (await cloud.refused("GET", "/os-hosts", token="member@p1"))[0] == 403


async def test_hosts_changed_by_old_clients(cloud):
    await seen(cloud, "n1")
    for status, told in (("disable", "disabled"), ("enable", "enabled")):
        assert await cloud.ok("PUT", "/os-hosts/n1", {"status": status}) == {"host": "n1", "status": told}
        (service,) = (await cloud.ok("GET", "/os-services?host=n1"))["services"]
        assert service["status"] == told
    both = {"status": "enable", "maintenance_mode": "enable"}
    for body, code in (({}, 400), ({"status": "odd"}, 400), ({"maintenance_mode": "odd"}, 400)):
        assert (await cloud.refused("PUT", "/os-hosts/n1", body))[0] == code
    assert (await cloud.refused("PUT", "/os-hosts/nobody", both))[0] == 404
    untold = await cloud.call("PUT", "/os-hosts/n1", both)
    assert (untold.status_code, list(untold.json())) == (501, ["notImplemented"])
    for action in ("startup", "shutdown", "reboot"):
        assert (await cloud.call("GET", f"/os-hosts/n1/{action}")).status_code == 501
        assert (await cloud.refused("GET", f"/os-hosts/nobody/{action}"))[0] == 404
        assert (await cloud.refused("GET", f"/os-hosts/n1/{action}", token="member@p1"))[0] == 403


async def test_an_empty_id_is_nothing(cloud):
    assert (await cloud.refused("DELETE", "/flavors/"))[0] == 404
    assert (await cloud.call("DELETE", "/flavors")).status_code == 405


async def test_finding_hypervisors(cloud):
    for name in ("n1", "n2", "m1"):
        host = await seen(cloud, name)
    await add_server(cloud, "a")

    async def names(path, **more):
        return [one["hypervisor_hostname"][:2] for one in (await cloud.ok("GET", path, **more))["hypervisors"]]

    assert await names("/os-hypervisors/n/search") == ["n1", "n2"]
    found = (await cloud.ok("GET", "/os-hypervisors/1/servers"))["hypervisors"]
    assert [one.get("servers") for one in found] == [[{"uuid": "id-a", "name": "a"}], None]
    assert await names("/os-hypervisors?hypervisor_hostname_pattern=n", **V53) == ["n1", "n2"]
    for version, empty in {"2.53": None, "2.75": []}.items():
        url = "/os-hypervisors?hypervisor_hostname_pattern=m1&with_servers=true"
        (only,) = (await cloud.ok("GET", url, version=version))["hypervisors"]
        assert only.get("servers") == empty
    pages = await cloud.ok("GET", "/os-hypervisors?limit=2", **V53)
    assert [one["hypervisor_hostname"][:2] for one in pages["hypervisors"]] == ["n1", "n2"]
    assert await names(pages["hypervisors_links"][0]["href"], **V53) == ["m1"]
    old = await cloud.ok("GET", "/os-hypervisors/detail?limit=1", version="2.33")
    rest = old["hypervisors_links"][0]["href"].replace("limit=1", "limit=9")
    assert await names(rest, version="2.33") == ["n2", "m1"]
    assert len(await names("/os-hypervisors?limit=1")) == 3
    for path, version, status in [
            ("/9", "2.1", 404), ("/x", "2.1", 404), (f"/{host.id}", "2.1", 404), (f"/{STRANGER}", "2.53", 404),
            (f"/{host.number}", "2.53", 400), ("/zz/search", "2.1", 404), ("/zz/servers", "2.1", 404),
            ("/n1/search", "2.53", 404), ("?hypervisor_hostname_pattern=zz", "2.53", 404), ("?limit=-1", "2.53", 400),
            (f"?marker={STRANGER}", "2.53", 400), ("?with_servers=perhaps", "2.53", 400), ("?more=1", "2.75", 400),
            ("?hypervisor_hostname_pattern=n&limit=1", "2.53", 400), (f"/{host.id}/uptime", "2.88", 404)]:
        assert (await cloud.refused("GET", f"/os-hypervisors{path}", version=version))[0] == status, path
    untold = await cloud.call("GET", f"/os-hypervisors/{host.number}/uptime")
    assert (untold.status_code, list(untold.json())) == (501, ["notImplemented"])


async def test_services(cloud):
    host = await seen(cloud, "n1")
    old = {"id": host.number, "binary": "nova-compute", "host": "n1", "zone": "nova", "status": "enabled",
           "state": "up", "updated_at": "2023-11-14T22:13:20.000000", "disabled_reason": None}
    control = {"host": "controller", "zone": "internal", "status": "enabled", "state": "up", "disabled_reason": None,
               "updated_at": "2023-11-14T22:13:20.000000"}
    assert await cloud.ok("GET", "/os-services") == {"services": [
        {"id": 1, "binary": "nova-conductor"} | control, {"id": 2, "binary": "nova-scheduler"} | control, old]}
    found = await cloud.ok("GET", "/os-services?binary=nova-compute", version="2.11")
    assert found == {"services": [old | {"forced_down": False}]}
    found = await cloud.ok("GET", "/os-services?host=n1", **V53)
    assert found == {"services": [old | {"forced_down": False, "id": host.id}]}
    assert len((await cloud.ok("GET", "/os-services?host=controller"))["services"]) == 2
    for nothing in ("host=n9", "host=n1&binary=nova-scheduler", "binary=xxx"):
        assert await cloud.ok("GET", f"/os-services?{nothing}") == {"services": []}
    assert (await cloud.refused("GET", "/os-services?more=1", version="2.75"))[0] == 400
    cloud.clock.turn(61)
    assert (await cloud.ok("GET", "/os-services?host=n1"))["services"][0]["state"] == "down"


async def test_services_out_of_service(cloud):
    await seen(cloud, "n1")
    named = {"host": "n1", "binary": "nova-compute"}

    async def put(what, body, **more):
        return (await cloud.ok("PUT", f"/os-services/{what}", body, **more))["service"]

    assert await put("disable", named) == named | {"status": "disabled"}
    reason = {"disabled_reason": "fan"}
    assert await put("disable-log-reason", named | reason) == named | {"status": "disabled"} | reason
    (shown,) = (await cloud.ok("GET", "/os-hypervisors/detail"))["hypervisors"]
    assert (shown["status"], shown["service"]["disabled_reason"]) == ("disabled", "fan")
    assert await put("enable", named) == named | {"status": "enabled"}
    down = {"forced_down": True}
    assert await put("force-down", named | down, version="2.11") == named | down
    (service,) = (await cloud.ok("GET", "/os-services?host=n1", version="2.11"))["services"]
    assert (service["status"], service["state"], service["forced_down"]) == ("enabled", "down", True)
    for what, body, version, status in [
            ("disable", {"host": "n9", "binary": "nova-compute"}, "2.1", 404), ("disable", {"host": "n1"}, "2.1", 400),
            ("enable", {"host": "n1", "binary": "nova-scheduler"}, "2.1", 404),
            ("force-down", named | down, "2.10", 404), ("disable-log-reason", named, "2.1", 400),
            ("enable", named, "2.53", 404),
            ("disable-log-reason", named | {"disabled_reason": " "}, "2.1", 400), ("nonsense", named, "2.1", 404)]:
        found = await cloud.call("PUT", f"/os-services/{what}", body, version=version)
        assert found.status_code in {status, 405 if status == 404 else status}, what


async def test_services_by_uuid(cloud):
    host = await seen(cloud, "n1")
    url = f"/os-services/{host.id}"
    changed = (await cloud.ok("PUT", url, {"status": "disabled", "disabled_reason": "fan"}, **V53))["service"]
    assert (changed["id"], changed["status"], changed["disabled_reason"]) == (host.id, "disabled", "fan")
    changed = (await cloud.ok("PUT", url, {"forced_down": True}, **V53))["service"]
    assert (changed["status"], changed["state"], changed["forced_down"]) == ("disabled", "down", True)
    changed = (await cloud.ok("PUT", url, {"status": "enabled", "forced_down": False}, **V53))["service"]
    assert (changed["status"], changed["state"], changed["disabled_reason"]) == ("enabled", "up", None)
    for body in ({}, {"status": "odd"}, {"disabled_reason": "x"}, {"status": "enabled", "disabled_reason": "x"},
                 {"status": "disabled", "more": 1}, {"forced_down": "yes"}):
        assert (await cloud.refused("PUT", url, body, **V53))[0] == 400
    enable = {"status": "enabled"}
    scheduler = (await cloud.ok("GET", "/os-services?binary=nova-scheduler", **V53))["services"][0]["id"]
    assert (await cloud.refused("PUT", f"/os-services/{scheduler}", enable, **V53))[0] == 400
    assert (await cloud.refused("PUT", f"/os-services/{STRANGER}", enable, **V53))[0] == 404
    assert (await cloud.refused("PUT", "/os-services/7", enable, **V53))[0] == 400


async def test_forgetting_services(cloud):
    host = await seen(cloud, "n1")
    await add_server(cloud, "a")
    assert (await cloud.refused("DELETE", f"/os-services/{host.id}", **V53))[0] == 409
    async with cloud.db.write() as tx:
        await tx.execute(servers.update().values(alive=None, deleted_at=2.0))
    assert (await cloud.call("DELETE", f"/os-services/{host.id}", **V53)).status_code == 204
    assert (await cloud.refused("DELETE", f"/os-services/{host.id}", **V53))[0] == 404
    assert await cloud.ok("GET", "/os-hypervisors") == {"hypervisors": []}
    host = await seen(cloud, "n1")
    assert (await cloud.call("DELETE", f"/os-services/{host.number}")).status_code == 204


async def test_zones(cloud):
    assert await cloud.ok("GET", "/os-availability-zone") == {"availabilityZoneInfo": []}
    for name, zone in {"n1": None, "n2": "east", "n3": "east"}.items():
        host = await seen(cloud, name)
        async with cloud.db.write() as tx:
            await hosts.change(tx, host, zone=zone, disabled=name != "n3")
    names = await cloud.ok("GET", "/os-availability-zone", token="reader@p2")
    assert names == {"availabilityZoneInfo": [
        {"zoneName": "east", "zoneState": {"available": True}, "hosts": None},
        {"zoneName": "nova", "zoneState": {"available": False}, "hosts": None}]}
    zones = (await cloud.ok("GET", "/os-availability-zone/detail"))["availabilityZoneInfo"]
    assert [zone["zoneName"] for zone in zones] == ["internal", "east", "nova"]
    assert set(zones[0]["hosts"]["controller"]) == {"nova-conductor", "nova-scheduler"}
    at = "2023-11-14T22:13:20.000000"
    assert zones[1]["hosts"] == {
        "n2": {"nova-compute": {"active": False, "available": True, "updated_at": at}},
        "n3": {"nova-compute": {"active": True, "available": True, "updated_at": at}}}


async def test_only_administrators(cloud):
    host = await seen(cloud, "n1")
    named = {"host": "n1", "binary": "nova-compute"}
    for method, path, body, version in [
            ("GET", "/os-hypervisors", None, "2.1"), ("GET", "/os-hypervisors/detail", None, "2.1"),
            ("GET", "/os-hypervisors/statistics", None, "2.1"), ("GET", f"/os-hypervisors/{host.number}", None, "2.1"),
            ("GET", f"/os-hypervisors/{host.number}/uptime", None, "2.1"),
            ("GET", "/os-hypervisors/n/search", None, "2.1"),
            ("GET", "/os-hypervisors/n/servers", None, "2.1"), ("GET", "/os-services", None, "2.1"),
            ("PUT", "/os-services/enable", named, "2.1"), ("PUT", "/os-services/disable", named, "2.1"),
            ("PUT", f"/os-services/{host.id}", {"status": "enabled"}, "2.53"),
            ("DELETE", f"/os-services/{host.id}", None, "2.53"), ("GET", "/os-availability-zone/detail", None, "2.1")]:
        assert (await cloud.refused(method, path, body, version=version, token="member@p1"))[0] == 403, path
