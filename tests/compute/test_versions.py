"""What each microversion changed of flavors, key pairs, hosts, quotas: just below it and at it."""

from __future__ import annotations

import pytest

from pileus.compute import extra_specs, versions
from tests.compute.simple_cloud import simple_cloud
from tests.compute.test_hosts import add_server, seen
from tests.compute.test_keypairs import KEY
from tests.covers import covers


@pytest.fixture
async def cloud(make_db):
    async with simple_cloud(make_db) as made:
        yield made


async def flavor(cloud, name="one", **more):
    body = {"name": name, "id": name, "ram": 64, "vcpus": 1, "disk": 0} | more
    return (await cloud.ok("POST", "/flavors", {"flavor": body}))["flavor"]


async def keypair(cloud, version, name="k", **more):
    return await cloud.call("POST", "/os-keypairs", {"keypair": {"name": name, "public_key": KEY} | more},
                            version=version)


# -- headers ------------------------------------------------------------------------------------


@covers(versions.NEW_HEADER)
async def test_both_headers_name_a_version(cloud):
    for name, form in {"openstack-api-version": "compute {}", "x-openstack-nova-api-version": "{}"}.items():
        for version in ("2.26", "2.27"):
            asked = await cloud.http.get("/v2.1/flavors", headers={name: form.format(version)})
            assert asked.headers["openstack-api-version"] == f"compute {version}"
            assert asked.headers["x-openstack-nova-api-version"] == version
            assert asked.headers["vary"] == "OpenStack-API-Version, x-openstack-nova-api-version"
    too_new = await cloud.http.get("/v2.1/flavors", headers={"openstack-api-version": "compute 2.999"})
    assert too_new.status_code == 406


# -- flavors ------------------------------------------------------------------------------------


@covers(versions.PRIVATE_FLAVORS_ONLY)
async def test_access_to_a_public_flavor(cloud):
    await flavor(cloud)
    body = {"addTenantAccess": {"tenant": "p2"}}
    assert (await cloud.call("POST", "/flavors/one/action", body, version="2.6")).status_code == 200
    assert (await cloud.refused("POST", "/flavors/one/action", body, version="2.7"))[0] == 409


@covers(versions.FLAVOR_NAMES)
async def test_flavors_by_name(cloud):
    for name in ("m1.one", "m1.two", "c1.one"):
        await flavor(cloud, name)
    for version, query, found in (
            ("2.74", "name=two", ["c1.one", "m1.one", "m1.two"]), ("2.102", "name=two", ["m1.two"]),
            ("2.102", "name=^m1", ["m1.one", "m1.two"]), ("2.102", "name=one&limit=1", ["c1.one"]),
            ("2.102", "name=one&limit=1&marker=c1.one", ["m1.one"]), ("2.102", "name=none", [])):
        listed = (await cloud.ok("GET", f"/flavors/detail?{query}", version=version))["flavors"]
        assert [each["name"] for each in listed] == found, query
    for version, query in (("2.101", "name=two"), ("2.102", "name=("), ("2.102", "sort_key=rxtx_factor")):
        assert (await cloud.refused("GET", f"/flavors?{query}", version=version))[0] == 400
    assert await cloud.ok("GET", "/flavors?sort_key=rxtx_factor", version="2.101")


@covers(versions.FLAVOR_NAMES)
async def test_flavors_without_factors(cloud):
    await flavor(cloud)
    below, at = [set((await cloud.ok("GET", "/flavors/one", version=version))["flavor"])
                 for version in ("2.101", "2.102")]
    assert (below - at, at - below) == ({"rxtx_factor", "OS-FLV-DISABLED:disabled"}, set())
    body = {"flavor": {"name": "two", "ram": 64, "vcpus": 1, "disk": 0, "rxtx_factor": 2}}
    assert (await cloud.refused("POST", "/flavors", body, version="2.102"))[0] == 400
    assert (await cloud.ok("POST", "/flavors", body, version="2.101"))["flavor"]["rxtx_factor"] == 2


@covers(versions.FLAVOR_DESCRIPTION)
async def test_description_of_flavors(cloud):
    await flavor(cloud)
    body = {"flavor": {"description": "small"}}
    assert (await cloud.call("PUT", "/flavors/one", body, version="2.54")).status_code == 405
    early = {"flavor": {"name": "n", "ram": 64, "vcpus": 1, "disk": 0, "description": "x"}}
    assert (await cloud.refused("POST", "/flavors", early, version="2.54"))[0] == 400
    assert (await cloud.ok("PUT", "/flavors/one", body, version="2.55"))["flavor"]["description"] == "small"
    for path in ("/flavors", "/flavors/detail"):
        assert "description" not in (await cloud.ok("GET", path, version="2.54"))["flavors"][0]
        assert (await cloud.ok("GET", path, version="2.55"))["flavors"][0]["description"] == "small"


@covers(versions.FLAVOR_EXTRA_SPECS)
async def test_extra_specs_of_flavors(cloud):
    await flavor(cloud)
    await cloud.ok("POST", "/flavors/one/os-extra_specs", {"extra_specs": {"a": "1"}})
    for path in ("/flavors/one", "/flavors/detail"):
        below, at = [await cloud.ok("GET", path, version=version) for version in ("2.60", "2.61")]
        below, at = [found.get("flavor") or found["flavors"][0] for found in (below, at)]
        assert "extra_specs" not in below and at["extra_specs"] == {"a": "1"}
    assert "extra_specs" not in (await cloud.ok("GET", "/flavors", version="2.61"))["flavors"][0]


@covers(versions.KNOWN_EXTRA_SPECS)
async def test_extra_specs_are_checked(cloud):
    await flavor(cloud)
    for name, value in {"hw:numa_nodes": "0", "hw:no_such": "1"}.items():
        for method, url in (("POST", ""), ("PUT", f"/{name}")):
            body = {"extra_specs": {name: value}} if method == "POST" else {name: value}
            path = f"/flavors/one/os-extra_specs{url}"
            assert (await cloud.call(method, path, body, version="2.85")).status_code == 200
            status, text = await cloud.refused(method, path, body, version="2.86")
            assert status == 400 and text.startswith("Validation failed; ")
    ours = {"extra_specs": {"hw:numa_nodes": "1", "mine:anything": "x", "plain": "x"}}
    assert (await cloud.call("POST", "/flavors/one/os-extra_specs", ours, version="2.86")).status_code == 200


@pytest.mark.parametrize(("name", "good", "bad"), [
    ("hw:cpu_policy", "mixed", "odd"), ("hw:cpu_realtime_mask", "^0-1", "a"), ("hw:mem_page_size", "2MB", "huge"),
    ("hw:numa_cpus.0", "0-3,^2", "x"), ("hw:numa_mem.1", "512", "0"), ("hw:boot_menu", "yes", "perhaps"),
    ("hw:max_cpu_cores", "1", "-1"), ("hw_rng:rate_bytes", "0", "-1"), ("os:secure_boot", "required", "maybe"),
    ("quota:disk_read_iops_sec", "10", "-1"), ("quota:cpu_limit", "-1", "x"), ("resources:VCPU", "1", "one"),
    ("resources1:CUSTOM_GOLD", "1", "x"), ("trait:HW_CPU_X86_VMX", "required", "yes"),
    ("trait_A:CUSTOM_X", "forbidden", ""), ("group_policy", "none", "any"), ("pci_passthrough:alias", "a:1,b:2", "a")])
def test_known_extra_specs(name, good, bad):
    assert extra_specs.wrong_with(name, good) is None
    assert extra_specs.wrong_with(name, bad)


@pytest.mark.parametrize("name", ["hw:odd", "quota:odd", "resources:NO_SUCH", "trait:NO_SUCH", "os:odd",
                                  "hw:numa_cpus.x", "capabilities:odd"])
def test_unknown_names_in_known_namespaces(name):
    assert "valid extra spec" in (extra_specs.wrong_with(name, "1") or "")


# -- key pairs ----------------------------------------------------------------------------------


@covers(versions.KEYPAIR_TYPES)
async def test_types_of_keypairs(cloud):
    assert (await cloud.refused("POST", "/os-keypairs", {"keypair": {"name": "k", "type": "ssh"}}))[0] == 400
    old = await keypair(cloud, "2.1")
    assert old.status_code == 200 and "type" not in old.json()["keypair"]
    assert (await cloud.call("DELETE", "/os-keypairs/k", version="2.1")).status_code == 202
    new = await keypair(cloud, "2.2", type="ssh")
    assert new.status_code == 201 and new.json()["keypair"]["type"] == "ssh"
    assert (await cloud.call("DELETE", "/os-keypairs/k", version="2.2")).status_code == 204


@covers(versions.KEYPAIR_USER)
async def test_keypairs_of_others(cloud):
    assert (await keypair(cloud, "2.9", user_id="bob")).status_code == 400
    assert (await keypair(cloud, "2.10", user_id="bob")).status_code == 201
    assert (await cloud.ok("GET", "/os-keypairs?user_id=bob", version="2.9"))["keypairs"] == []
    assert len((await cloud.ok("GET", "/os-keypairs?user_id=bob", version="2.10"))["keypairs"]) == 1


@covers(versions.KEYPAIR_PAGES)
async def test_pages_of_keypairs(cloud):
    for name in ("b", "a", "c"):
        await keypair(cloud, "2.2", name)
    below, at = [await cloud.ok("GET", "/os-keypairs?limit=2", version=version) for version in ("2.34", "2.35")]
    assert len(below["keypairs"]) == 3 and "keypairs_links" not in below
    assert [each["keypair"]["name"] for each in at["keypairs"]] == ["a", "b"]
    assert "marker=b" in at["keypairs_links"][0]["href"]


@covers(versions.IMPORTED_KEYPAIRS)
async def test_keypairs_are_only_imported(cloud):
    generated = {"keypair": {"name": "made"}}
    assert (await cloud.call("POST", "/os-keypairs", generated, version="2.91")).status_code == 201
    assert (await cloud.refused("POST", "/os-keypairs", generated, version="2.92"))[0] == 400
    assert (await keypair(cloud, "2.91", "me@home.org")).status_code == 400
    assert (await keypair(cloud, "2.92", "me@home.org")).status_code == 201


# -- hosts --------------------------------------------------------------------------------------


@covers(versions.FORCED_DOWN)
async def test_services_are_forced_down(cloud):
    await seen(cloud, "n1")
    body = {"host": "n1", "binary": "nova-compute", "forced_down": True}
    assert (await cloud.call("PUT", "/os-services/force-down", body, version="2.10")).status_code in (404, 405)
    assert (await cloud.ok("PUT", "/os-services/force-down", body, version="2.11"))["service"]["forced_down"] is True
    below, at = [(await cloud.ok("GET", "/os-services?host=n1", version=version))["services"][0]
                 for version in ("2.10", "2.11")]
    assert "forced_down" not in below and at["forced_down"] is True and below["state"] == "down"


@covers(versions.CPU_INFO_OBJECT)
async def test_cpu_info(cloud):
    await seen(cloud, "n1")
    below, at = [(await cloud.ok("GET", "/os-hypervisors/detail", version=version))["hypervisors"][0]["cpu_info"]
                 for version in ("2.27", "2.28")]
    assert isinstance(below, str) and isinstance(at, dict)


@covers(versions.HYPERVISOR_PAGES)
async def test_pages_of_hypervisors(cloud):
    for name in ("n1", "n2"):
        await seen(cloud, name)
    below, at = [await cloud.ok("GET", "/os-hypervisors?limit=1", version=version) for version in ("2.32", "2.33")]
    assert len(below["hypervisors"]) == 2 and len(at["hypervisors"]) == 1 and "hypervisors_links" in at


@covers(versions.NO_HOSTS)
async def test_hosts_are_gone(cloud):
    await seen(cloud, "n1")
    named = {"status": "disable"}
    for method, path, body in (("GET", "/os-hosts", None), ("GET", "/os-hosts/n1", None),
                               ("PUT", "/os-hosts/n1", named)):
        assert (await cloud.call(method, path, body, version="2.42")).status_code == 200
        assert (await cloud.refused(method, path, body, version="2.43"))[0] == 404


@covers(versions.UUID_IDS)
async def test_ids_of_services_and_hypervisors(cloud):
    host = await seen(cloud, "n1")
    for path, key in (("/os-services?host=n1", "services"), ("/os-hypervisors", "hypervisors"),
                      ("/os-hypervisors/detail", "hypervisors")):
        below, at = [(await cloud.ok("GET", path, version=version))[key][0] for version in ("2.52", "2.53")]
        assert (below["id"], at["id"]) == (host.number, host.id)
    enable = {"host": "n1", "binary": "nova-compute"}
    assert (await cloud.call("PUT", "/os-services/enable", enable, version="2.52")).status_code == 200
    assert (await cloud.refused("PUT", "/os-services/enable", enable, version="2.53"))[0] in (400, 404)
    url, body = f"/os-services/{host.id}", {"status": "enabled"}
    assert (await cloud.call("PUT", url, body, version="2.52")).status_code in (404, 405)
    assert (await cloud.ok("PUT", url, body, version="2.53"))["service"]["id"] == host.id
    assert (await cloud.call("GET", "/os-hypervisors/n/search", version="2.52")).status_code == 200
    assert (await cloud.refused("GET", "/os-hypervisors/n/search", version="2.53"))[0] == 404


@covers(versions.HYPERVISORS_SLIM)
async def test_slim_hypervisors(cloud):
    host = await seen(cloud, "n1", booted_at=cloud.clock() - 60)
    below, at = [(await cloud.ok("GET", f"/os-hypervisors/{host.id}", version=version))["hypervisor"]
                 for version in ("2.87", "2.88")]
    assert "vcpus_used" in below and "uptime" not in below and "vcpus_used" not in at and at["uptime"]
    for path in ("/os-hypervisors/statistics", f"/os-hypervisors/{host.id}/uptime"):
        assert (await cloud.call("GET", path, version="2.87")).status_code == 200
        assert (await cloud.call("GET", path, version="2.88")).status_code in (400, 404)


# -- limits, quotas, usage ----------------------------------------------------------------------


@pytest.mark.parametrize(("gone", "below", "at"), [
    pytest.param(("maxSecurityGroups", "maxTotalFloatingIps", "totalFloatingIpsUsed"), "2.35", "2.36",
                 marks=covers(versions.NO_PROXIES)),
    pytest.param(("maxImageMeta",), "2.38", "2.39", marks=covers(versions.NO_IMAGE_LIMITS)),
    pytest.param(("maxPersonality", "maxPersonalitySize"), "2.56", "2.57", marks=covers(versions.NO_PERSONALITY))])
async def test_limits(cloud, gone, below, at):
    found = [(await cloud.ok("GET", "/limits", version=version))["limits"]["absolute"] for version in (below, at)]
    assert set(found[0]) - set(found[1]) == set(gone) | (
        {"maxSecurityGroupRules", "totalSecurityGroupsUsed"} if at == "2.36" else set())


@pytest.mark.parametrize(("gone", "below", "at"), [
    pytest.param({"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}, "2.35", "2.36",
                 marks=covers(versions.NO_PROXIES)),
    pytest.param({"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}, "2.56", "2.57",
                 marks=covers(versions.NO_PERSONALITY))])
async def test_quota_sets(cloud, gone, below, at):
    for path in ("/os-quota-sets/p1", "/os-quota-sets/p1/defaults", "/os-quota-sets/p1/detail"):
        found = [(await cloud.ok("GET", path, version=version))["quota_set"] for version in (below, at)]
        assert set(found[0]) - set(found[1]) == gone
    body = {"quota_set": {sorted(gone)[0]: 1}}
    assert (await cloud.call("PUT", "/os-quota-sets/p1", body, version=below)).status_code == 200
    assert (await cloud.refused("PUT", "/os-quota-sets/p1", body, version=at))[0] == 400


@covers(versions.QUOTA_CLASSES)
async def test_quota_classes(cloud):
    below, at = [set((await cloud.ok("GET", "/os-quota-class-sets/default", version=version))["quota_class_set"])
                 for version in ("2.49", "2.50")]
    assert at - below == {"server_groups", "server_group_members"}
    assert below - at == {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}


@covers(versions.USAGE_PAGES)
async def test_pages_of_usage(cloud):
    for name in ("a", "b"):
        await add_server(cloud, name)
    url = "/os-simple-tenant-usage/p1?limit=1&start=1970-01-01T00:00:00&end=1970-01-01T01:00:00"
    below, at = [await cloud.ok("GET", url, version=version) for version in ("2.39", "2.40")]
    assert len(below["tenant_usage"]["server_usages"]) == 2 and "tenant_usage_links" not in below
    assert len(at["tenant_usage"]["server_usages"]) == 1 and "tenant_usage_links" in at


@covers(versions.FLAVOR_NAMES)
async def test_no_get_takes_unknown_parameters(cloud):
    await flavor(cloud)
    await seen(cloud, "n1")
    await add_server(cloud, "a")
    for path in ("/flavors/one", "/flavors/one/os-extra_specs", "/servers/id-a", "/servers/id-a/metadata",
                 "/os-availability-zone"):
        assert await cloud.ok("GET", f"{path}?odd=1", version="2.101")
        assert (await cloud.refused("GET", f"{path}?odd=1", version="2.102"))[0] == 400, path


@covers(versions.NO_VOLUMES_BOOT)
async def test_a_second_name_of_servers(cloud):
    """It was in no document: it is not here at any version."""
    for version in ("2.102", "2.103"):
        assert (await cloud.refused("GET", "/os-volumes_boot", version=version))[0] == 404


@covers(versions.STRICT_QUERIES)
async def test_strict_queries(cloud):
    await flavor(cloud)
    await seen(cloud, "n1")
    for path in ("/servers", "/servers/detail", "/flavors", "/flavors/detail", "/os-keypairs", "/os-hypervisors",
                 "/os-services", "/limits", "/os-quota-sets/p1", "/os-simple-tenant-usage/p1"):
        assert (await cloud.call("GET", f"{path}?odd=1", version="2.74")).status_code == 200
        assert (await cloud.refused("GET", f"{path}?odd=1", version="2.75"))[0] == 400
    below, at = [(await cloud.ok("GET", "/flavors/one", version=version))["flavor"]["swap"]
                 for version in ("2.74", "2.75")]
    assert (below, at) == ("", 0)
    below, at = [(await cloud.ok("GET", "/os-hypervisors?with_servers=true", version=version))["hypervisors"][0]
                 for version in ("2.74", "2.75")]
    assert "servers" not in below and at["servers"] == []
