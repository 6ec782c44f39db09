"""Networks, subnets and ports over HTTP."""

import ipaddress

import pytest

MISSING = "11111111-2222-3333-4444-555555555555"


async def plain(world, cidr="10.1.0.0/24", **more):
    network = await world.http.make("network", name="n")
    subnet = await world.http.make("subnet", network_id=network["id"], ip_version=4, cidr=cidr, **more)
    return network, subnet


def ips(port):
    return [fixed["ip_address"] for fixed in port["fixed_ips"]]


async def test_network_subnet_port(world):
    network, subnet = await plain(world)
    assert network["status"] == "ACTIVE" and network["mtu"] == 1450 and network["revision_number"] == 1
    assert "provider:network_type" not in network and network["tenant_id"] == network["project_id"] == "p1"
    assert subnet["gateway_ip"] == "10.1.0.1"
    assert subnet["allocation_pools"] == [{"start": "10.1.0.2", "end": "10.1.0.254"}]
    port = await world.http.make("port", network_id=network["id"])
    assert await world.http.show("port", port) == port
    assert port["status"] == "DOWN" and port["mac_address"].startswith("fa:16:3e:")
    assert ipaddress.ip_address(ips(port)[0]) in ipaddress.ip_network("10.1.0.0/24")
    assert (await world.http.show("network", network))["subnets"] == [subnet["id"]]
    assert (await world.http.drop("network", network, 409))["type"] == "NetworkInUse"
    assert (await world.http.drop("subnet", subnet, 409))["type"] == "SubnetInUse"
    await world.http.drop("port", port)
    await world.http.drop("subnet", subnet)
    await world.http.drop("network", network)
    assert (await world.http.show("network", network, 404))["type"] == "NetworkNotFound"


async def test_a_network_takes_its_subnets_and_dhcp_port_with_it(world):
    network, _ = await plain(world)
    assert [p["device_owner"] for p in await world.http.all("port", network_id=network["id"])] == ["network:dhcp"]
    await world.http.drop("network", network)
    assert await world.admin.all("port") == [] and await world.admin.all("subnet") == []


async def test_who_sees_what(world):
    network, subnet = await plain(world)
    port = await world.http.make("port", network_id=network["id"])
    for kind, thing in (("network", network), ("subnet", subnet), ("port", port)):
        assert await world.other.all(kind) == []
        await world.other.show(kind, thing, 404)
        await world.other.drop(kind, thing, 404)
        await world.admin.show(kind, thing)
    shown = await world.admin.show("network", network)
    assert shown["provider:network_type"] == "vxlan" and shown["provider:segmentation_id"]
    assert (await world.admin.show("port", port))["binding:vif_type"] == "unbound"
    assert "binding:host_id" not in port and port["binding:vnic_type"] == "normal"
    assert (await world.http.make("network", 403, shared=True))["type"] == "PolicyNotAuthorized"
    assert (await world.http.make("network", 403, **{"router:external": True}))["type"] == "PolicyNotAuthorized"
    shared = await world.admin.make("network", shared=True)
    await world.admin.make("subnet", network_id=shared["id"], ip_version=4, cidr="10.9.0.0/24")
    assert [n["id"] for n in await world.other.all("network")] == [shared["id"]]
    guest = await world.other.make("port", network_id=shared["id"])
    await world.other.make("port", 403, network_id=shared["id"], mac_address="02:00:00:00:00:01")
    await world.other.make("subnet", 403, network_id=shared["id"], ip_version=4, cidr="10.10.0.0/24")
    assert (await world.admin.change("network", shared, 409, shared=False))["type"] == "InvalidSharedSetting"
    await world.other.drop("port", guest)
    external = await world.admin.make("network", **{"router:external": True})
    await world.admin.make("subnet", network_id=external["id"], ip_version=4, cidr="10.11.0.0/24")
    assert external["id"] in [n["id"] for n in await world.other.all("network", **{"router:external": "True"})]
    assert len(await world.other.all("subnet", network_id=external["id"])) == 1
    await world.other.make("port", 403, network_id=external["id"])


@pytest.mark.parametrize(("body", "kind"), [
    ({"cidr": "10.0.0.0/24"}, None),
    ({"ip_version": 4}, "BadRequest"),
    ({"ip_version": 4, "cidr": "nonsense"}, "InvalidInput"),
    ({"ip_version": 6, "cidr": "10.0.0.0/24"}, "InvalidInput"),
    ({"ip_version": 4, "cidr": "10.0.0.0/0"}, "InvalidInput"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "x"}, "InvalidInput"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.0"}, "InvalidInput"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.3"}]},
     "InvalidAllocationPool"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.1.3"}]},
     "OutOfBoundsAllocationPool"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": [
        {"start": "10.0.0.9", "end": "10.0.0.20"}, {"start": "10.0.0.19", "end": "10.0.0.30"}]},
     "OverlappingAllocationPools"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.9",
      "allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.20"}]}, "GatewayConflictWithAllocationPools"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "ipv6_ra_mode": "slaac"}, "InvalidInput"),
    ({"ip_version": 6, "cidr": "fd00::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"},
     "InvalidInput"),
    ({"ip_version": 6, "cidr": "fd00::/65", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}, "InvalidInput"),
    ({"ip_version": 6, "cidr": "fd00::/64", "ipv6_ra_mode": "slaac", "enable_dhcp": False}, "InvalidInput"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "dns_nameservers": ["x"]}, "InvalidInput"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "host_routes": [{"destination": "x", "nexthop": "y"}]}, "InvalidInput"),
    ({"ip_version": 5, "cidr": "10.0.0.0/24"}, "HTTPBadRequest"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "nope": 1}, "HTTPBadRequest"),
])
async def test_bad_subnets(world, body, kind):
    network = await world.http.make("network")
    status = 409 if kind in ("OverlappingAllocationPools", "GatewayConflictWithAllocationPools") else 400
    found = await world.http.make("subnet", status, network_id=network["id"], **body)
    assert kind is None or found["type"] == kind, found
    assert (await world.http.show("network", network))["subnets"] == []


async def test_subnet_overlap_and_update(world):
    network, subnet = await plain(world)
    found = await world.http.make("subnet", 400, network_id=network["id"], ip_version=4, cidr="10.1.0.128/25")
    assert "overlaps with another subnet" in found["message"]
    await world.http.make("subnet", 404, network_id=MISSING, ip_version=4, cidr="10.1.0.0/24")
    changed = await world.http.change(
        "subnet", subnet, name="s", gateway_ip="10.1.0.254", dns_nameservers=["8.8.4.4"],
        allocation_pools=[{"start": "10.1.0.5", "end": "10.1.0.9"}],
        host_routes=[{"destination": "10.9.0.0/16", "nexthop": "10.1.0.7"}])
    assert changed["gateway_ip"] == "10.1.0.254" and changed["revision_number"] == 2
    assert (await world.http.change("subnet", subnet, 409, gateway_ip="10.1.0.6"))["type"] == (
        "GatewayConflictWithAllocationPools")
    none = await world.http.change("subnet", subnet, gateway_ip=None, enable_dhcp=False)
    assert none["gateway_ip"] is None
    assert await world.http.all("port") == []


async def test_addresses_asked_for(world):
    network, subnet = await plain(world)
    port = await world.http.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.1.0.77"}])
    assert ips(port) == ["10.1.0.77"]
    both = {"subnet_id": subnet["id"], "ip_address": "10.1.0.77"}
    assert (await world.http.make("port", 409, network_id=network["id"], fixed_ips=[both]))["type"] == (
        "IpAddressAlreadyAllocated")
    for wrong, kind in (({"ip_address": "10.2.0.1"}, "InvalidIpForNetwork"),
                        ({"ip_address": "10.1.0.255"}, "InvalidIpForNetwork"),
                        ({"subnet_id": subnet["id"], "ip_address": "10.2.0.1"}, "InvalidIpForSubnet"),
                        ({"subnet_id": MISSING}, "InvalidInput"), ({"ip_address": "x"}, "InvalidInput"),
                        ({}, "InvalidInput")):
        assert (await world.http.make("port", 400, network_id=network["id"], fixed_ips=[wrong]))["type"] == kind
    bare = await world.http.make("port", network_id=network["id"], fixed_ips=[])
    assert bare["fixed_ips"] == []
    two = await world.http.change("port", port, fixed_ips=[{"ip_address": "10.1.0.77"}, {"subnet_id": subnet["id"]}])
    assert ips(two)[0] == "10.1.0.77" and len(ips(two)) == 2
    one = await world.http.change("port", port, fixed_ips=[{"ip_address": ips(two)[1]}])
    assert ips(one) == ips(two)[1:]
    await world.http.make("port", network_id=network["id"], fixed_ips=[both])


async def test_a_small_pool_runs_out_and_fills_again(world):
    pool = [{"start": "10.1.0.10", "end": "10.1.0.12"}]
    network, _ = await plain(world, enable_dhcp=False, allocation_pools=pool)
    made = [await world.http.make("port", network_id=network["id"]) for _ in range(3)]
    assert sorted(ip for port in made for ip in ips(port)) == ["10.1.0.10", "10.1.0.11", "10.1.0.12"]
    assert (await world.http.make("port", 409, network_id=network["id"]))["type"] == "IpAddressGenerationFailure"
    await world.http.drop("port", made[1])
    assert ips(await world.http.make("port", network_id=network["id"])) == ips(made[1])


async def test_slaac(world):
    network, _ = await plain(world)
    before = await world.http.make("port", network_id=network["id"])
    six = await world.http.make(
        "subnet", network_id=network["id"], ip_version=6, cidr="fd00:5::/64", ipv6_ra_mode="slaac",
        ipv6_address_mode="slaac")
    port = await world.http.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.1.0.9"}])
    mac = bytearray.fromhex(port["mac_address"].replace(":", ""))
    suffix = bytes([mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE, *mac[3:]]).hex()
    expected = str(ipaddress.ip_address("fd00:5::") + int(suffix, 16))
    assert ips(port) == ["10.1.0.9", expected]
    assert len((await world.http.show("port", before))["fixed_ips"]) == 2
    wrong = {"subnet_id": six["id"], "ip_address": "fd00:5::5"}
    assert (await world.http.make("port", 400, network_id=network["id"], fixed_ips=[wrong]))["type"] == (
        "AllocationOnAutoAddressSubnet")
    await world.http.drop("subnet", six)
    assert ips(await world.http.show("port", port)) == ["10.1.0.9"]


async def test_stateful_addresses_of_both_versions(world):
    network, _ = await plain(world)
    await world.http.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00:6::/64",
                          ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful")
    assert [":" in ip for ip in ips(await world.http.make("port", network_id=network["id"]))] == [False, True]


async def test_macs_pairs_and_security(world):
    network, _ = await plain(world)
    mac = "02:aa:bb:cc:dd:ee"
    port = await world.http.make("port", network_id=network["id"], mac_address=mac.upper())
    assert port["mac_address"] == mac and len(port["security_groups"]) == 1
    assert (await world.http.make("port", 409, network_id=network["id"], mac_address=mac))["type"] == "MacAddressInUse"
    await world.http.make("port", 400, network_id=network["id"], mac_address="zz")
    pairs = await world.http.change("port", port, allowed_address_pairs=[{"ip_address": "10.1.0.200"}])
    assert pairs["allowed_address_pairs"] == [{"ip_address": "10.1.0.200", "mac_address": mac}]
    await world.http.change("port", port, 400, allowed_address_pairs=[{"ip_address": "x"}])
    assert (await world.http.change("port", port, 409, port_security_enabled=False))["type"] == (
        "PortSecurityPortHasSecurityGroup")
    bare = {"port_security_enabled": False, "security_groups": []}
    assert (await world.http.change("port", port, 409, **bare))["type"] == "AddressPairAndPortSecurityRequired"
    off = await world.http.change("port", port, allowed_address_pairs=[], **bare)
    assert not off["port_security_enabled"] and off["security_groups"] == []
    open_net = await world.http.make("network", port_security_enabled=False)
    loose = await world.http.make("port", network_id=open_net["id"])
    assert loose["security_groups"] == [] and not loose["port_security_enabled"]
    await world.http.make("port", 404, network_id=network["id"], security_groups=[MISSING])


async def test_lists(world):
    network, subnet = await plain(world)
    answer = await world.http.post("/v2.0/ports", json={"ports": [
        {"network_id": network["id"], "name": f"p{i % 3}"} for i in range(6)]})
    assert answer.status_code == 201
    made = answer.json()["ports"]
    ask = world.http.all
    assert len(await ask("port", name=["p0", "p1"])) == 4
    assert len(await ask("port", name="p0", device_owner="")) == 2
    assert [p["id"] for p in await ask("port", fixed_ips=f"ip_address={ips(made[2])[0]}")] == [made[2]["id"]]
    assert len(await ask("port", fixed_ips=f"subnet_id={subnet['id']}")) == 7
    assert len(await ask("port", security_groups=made[0]["security_groups"][0])) == 6
    assert await ask("port", fields=["id", "name"], name="p2", sort_key="id") == sorted(
        ({"id": p["id"], "name": "p2"} for p in made if p["name"] == "p2"), key=lambda p: p["id"])
    for bad in ({"nonsense": "1"}, {"sort_key": "nonsense"}, {"limit": "x"}, {"sort_key": "name", "sort_dir": "up"},
                {"marker": MISSING}, {"admin_state_up": "maybe"}, {"fixed_ips": "x=1"}, {"changed_since": "x"}):
        assert (await world.http.get("/v2.0/ports", params=bad)).status_code == 400, bad
    names = [p["name"] for p in await ask("port", sort_key=["name", "id"], sort_dir=["desc", "asc"], tenant_id="p1")]
    assert names == sorted(names, reverse=True)
    assert len(await ask("port", changed_since="2001-01-01T00:00:00")) == 7


async def test_pages(world):
    await world.http.post("/v2.0/networks", json={"networks": [{"name": f"n{i}"} for i in range(5)]})
    url, seen = "/v2.0/networks?limit=2&sort_key=name&sort_dir=asc", []
    for _ in range(3):
        found = (await world.http.get(url)).json()
        seen += [n["name"] for n in found["networks"]]
        url = next((link["href"] for link in found.get("networks_links", []) if link["rel"] == "next"), None)
        back = [link["href"] for link in found.get("networks_links", []) if link["rel"] == "previous"]
    assert seen == [f"n{i}" for i in range(5)] and url is None
    earlier = (await world.http.get(back[0])).json()["networks"]
    assert [n["name"] for n in earlier] == ["n2", "n3"]


async def test_revisions(world):
    network = await world.http.make("network", name="a")
    url, body = f"/v2.0/networks/{network['id']}", {"network": {"name": "b"}}
    assert (await world.http.put(url, json=body, headers={"if-match": "revision_number=9"})).status_code == 412
    good = await world.http.put(url, json=body, headers={"if-match": "revision_number=1"})
    assert good.json()["network"]["revision_number"] == 2
    stale = await world.http.delete(url, headers={"if-match": "revision_number=1"})
    assert stale.json()["NeutronError"]["type"] == "RevisionNumberConstraintFailed"


@pytest.mark.parametrize("kind", ["network", "subnet", "port", "router", "floatingip", "security_group",
                                  "security_group_rule", "subnetpool"])
async def test_missing_things(world, kind):
    thing = {"id": MISSING}
    for found in (await world.http.show(kind, thing, 404), await world.http.drop(kind, thing, 404)):
        assert set(found) == {"type", "message", "detail"} and found["type"].endswith("NotFound")
    assert (await world.http.get(f"/v2.0/{kind}s/%00x")).status_code == 404


async def test_versions_and_extensions(world):
    versions = (await world.http.get("/")).json()["versions"]
    assert versions[0]["id"] == "v2.0" and versions[0]["links"][0]["href"].endswith("/v2.0/")
    names = {r["name"] for r in (await world.http.get("/v2.0/")).json()["resources"]}
    assert {"network", "subnet", "port"} <= names
    listed = (await world.http.get("/v2.0/extensions")).json()["extensions"]
    for each in listed:
        shown = (await world.http.get(f"/v2.0/extensions/{each['alias']}")).json()["extension"]
        assert shown == each and {"updated", "name", "description", "links", "alias"} == set(each)
    assert (await world.http.get("/v2.0/extensions/nope")).status_code == 404
    assert (await world.http.get("/v2.0/networks", headers={"x-auth-token": "bad"})).status_code == 401


async def test_tags(world):
    network, other = await world.http.make("network", name="a"), await world.http.make("network", name="b")
    url = f"/v2.0/networks/{network['id']}/tags"
    assert (await world.http.put(url, json={"tags": ["red", "blue"]})).json() == {"tags": ["blue", "red"]}
    assert (await world.http.put(f"{url}/green")).status_code == 201
    assert (await world.http.get(f"{url}/green")).status_code == 204
    assert (await world.http.get(f"{url}/pink")).json()["NeutronError"]["type"] == "TagNotFound"
    assert (await world.http.delete(f"{url}/red")).status_code == 204
    assert (await world.http.show("network", network))["tags"] == ["blue", "green"]
    await world.http.put(f"/v2.0/networks/{other['id']}/tags", json={"tags": ["blue"]})
    for query, names in (({"tags": "blue,green"}, ["a"]), ({"tags-any": "blue,x"}, ["a", "b"]),
                         ({"not-tags": "blue,green"}, ["b"]), ({"not-tags-any": "blue"}, [])):
        assert [n["name"] for n in await world.http.all("network", sort_key="name", **query)] == names
    assert (await world.other.get(url)).status_code == 404
    assert (await world.http.delete(url)).status_code == 204
    assert (await world.http.get(url)).json() == {"tags": []}


async def test_subnet_pools(world):
    pool = await world.http.make("subnetpool", name="p", prefixes=["10.20.0.0/16", "10.21.0.0/16"],
                                 min_prefixlen=20, default_prefixlen=24)
    assert pool["prefixes"] == ["10.20.0.0/15"] and pool["max_prefixlen"] == "32"
    network = await world.http.make("network")
    made = [await world.http.make("subnet", network_id=network["id"], subnetpool_id=pool["id"], ip_version=4)
            for _ in range(2)]
    assert [s["cidr"] for s in made] == ["10.20.0.0/24", "10.20.1.0/24"]
    chosen = await world.http.make("subnet", network_id=network["id"], subnetpool_id=pool["id"], ip_version=4,
                                   cidr="10.21.8.0/24")
    assert chosen["subnetpool_id"] == pool["id"]
    bigger = await world.http.make("subnet", network_id=network["id"], subnetpool_id=pool["id"], ip_version=4,
                                   prefixlen=20)
    assert bigger["cidr"] == "10.20.16.0/20"
    for wrong, status in (({"cidr": "10.20.0.0/24"}, 409), ({"cidr": "10.99.0.0/24"}, 409), ({"prefixlen": 16}, 400)):
        await world.http.make("subnet", status, network_id=network["id"], subnetpool_id=pool["id"], ip_version=4,
                              **wrong)
    assert (await world.http.drop("subnetpool", pool, 409))["type"] == "SubnetPoolInUse"
    assert (await world.http.change("subnetpool", pool, name="q"))["name"] == "q"
    await world.http.drop("network", network)
    await world.http.drop("subnetpool", pool)
    await world.http.make("subnetpool", 400, prefixes=["10.0.0.0/8"], min_prefixlen=24, max_prefixlen=20)


async def test_quotas(world):
    url = "/v2.0/quotas/p1"
    assert (await world.admin.put(url, json={"quota": {"network": 2, "port": 1}})).json()["quota"]["network"] == 2
    assert (await world.http.put(url, json={"quota": {"network": 9}})).status_code == 403
    network = await world.http.make("network")
    bulk = await world.http.post("/v2.0/networks", json={"networks": [{}, {}]})
    assert bulk.status_code == 409 and bulk.json()["NeutronError"]["type"] == "OverQuota"
    await world.http.make("port", network_id=network["id"])
    await world.http.make("port", 409, network_id=network["id"])
    details = (await world.http.get(f"{url}/details.json")).json()["quota"]
    assert details["network"] == {"limit": 2, "used": 1, "reserved": 0} and details["port"]["used"] == 1
    assert (await world.http.get(f"{url}/default")).json()["quota"]["network"] == 1000
    assert (await world.admin.get("/v2.0/quotas")).json()["quotas"][0]["project_id"] == "p1"
    assert (await world.admin.delete(url)).status_code == 204
    assert (await world.http.get(url)).json()["quota"]["network"] == 1000


async def test_provider_networks(world):
    flat = {"provider:network_type": "flat", "provider:physical_network": "public"}
    network = await world.admin.make("network", **flat)
    assert network["mtu"] == 1500 and network["provider:segmentation_id"] is None
    assert (await world.admin.make("network", 409, **flat))["type"] == "VlanIdInUse"
    await world.admin.make("network", 400, **flat | {"provider:physical_network": "nowhere"})
    await world.admin.make("network", 400, **{"provider:network_type": "gre"})
    await world.http.make("network", 403, **flat)
    numbered = await world.admin.make("network", **{"provider:network_type": "vxlan", "provider:segmentation_id": 77})
    assert numbered["provider:segmentation_id"] == 77
    await world.http.make("network", 400, mtu=9000)
    assert (await world.http.make("network", mtu=1400))["mtu"] == 1400


async def test_extra_dhcp_options_are_merged_by_name(world):
    network, _ = await plain(world)
    first = [{"opt_name": "bootfile-name", "opt_value": "a"}, {"opt_name": "tftp-server", "opt_value": "10.1.0.9"}]
    port = await world.http.make("port", network_id=network["id"], extra_dhcp_opts=first)
    changed = await world.http.change("port", port, extra_dhcp_opts=[
        {"opt_name": "bootfile-name", "opt_value": "b"}, {"opt_name": "tftp-server", "opt_value": None}])
    assert changed["extra_dhcp_opts"] == [{"opt_name": "bootfile-name", "opt_value": "b", "ip_version": 4}]
