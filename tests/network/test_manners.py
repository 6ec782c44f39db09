"""What clients are used to: values said as text, lists of named bodies, links of pages, refusals."""

from tests.network.test_networks import plain
from tests.network.test_routers import outside


async def test_numbers_may_be_said_as_text(world):
    pool = await world.http.make("subnetpool", prefixes=["10.8.0.0/16"], min_prefixlen="20", default_prefixlen=24)
    assert (pool["min_prefixlen"], pool["default_prefixlen"], pool["max_prefixlen"]) == ("20", "24", "32")
    network = await world.http.make("network")
    subnet = await world.http.make("subnet", network_id=network["id"], ip_version="4", subnetpool_id=pool["id"],
                                   prefixlen="25")
    assert subnet["ip_version"] == 4 and subnet["cidr"].endswith("/25")


async def test_bodies_of_a_list_may_be_named(world):
    for bodies in ([{"name": "a"}, {"name": "b"}], [{"network": {"name": "a"}}, {"network": {"name": "b"}}]):
        made = await world.http.post("/v2.0/networks", json={"networks": bodies})
        assert [each["name"] for each in made.json()["networks"]] == ["a", "b"]


async def test_pages_lead_back_from_behind_the_last(world):
    await world.http.post("/v2.0/networks", json={"networks": [{"name": "a"}, {"name": "b"}]})
    first = (await world.http.get("/v2.0/networks?limit=1&sort_key=name&sort_dir=asc")).json()
    links = {link["rel"]: link["href"] for link in first["networks_links"]}
    assert set(links) == {"next", "previous"}
    while "next" in links:
        page = (await world.http.get(links["next"])).json()
        links = {link["rel"]: link["href"] for link in page["networks_links"]}
    assert page["networks"] == []
    assert [each["name"] for each in (await world.http.get(links["previous"])).json()["networks"]] == ["b"]


async def test_mtu_and_subnets_fit(world):
    tiny = await world.http.make("network", mtu=67)
    refused = await world.http.make("subnet", 409, network_id=tiny["id"], ip_version=4, cidr="10.0.0.0/24")
    assert refused["type"] == "NetworkMTUSubnetConflict"
    network = await world.http.make("network", mtu=1280)
    await world.http.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64")
    await world.http.change("network", network, 409, mtu=1279)
    assert (await world.http.change("network", network, mtu=1300))["mtu"] == 1300


async def test_groups_of_a_port_are_of_one_kind_and_there_once(world):
    network, _ = await plain(world)
    full = await world.http.make("security_group", name="full")
    bare = await world.http.make("security_group", name="bare", stateful=False)
    twice = [full["id"], full["id"]]
    assert (await world.http.make("port", 400, network_id=network["id"], security_groups=twice))["type"] == (
        "InvalidInput")
    mixed = [full["id"], bare["id"]]
    assert (await world.http.make("port", 409, network_id=network["id"], security_groups=mixed))["type"] == (
        "SecurityGroupConflict")
    port = await world.http.make("port", network_id=network["id"], security_groups=[full["id"]])
    await world.http.change("port", port, 409, security_groups=mixed)
    assert (await world.http.change("security_group", full, 409, stateful=False))["type"] == "SecurityGroupInUse"
    await world.http.change("security_group", bare, stateful=True)


async def test_a_rule_tells_its_prefix_as_it_was_said(world):
    group = await world.http.make("security_group", name="g")
    said = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    rule = await world.http.make("security_group_rule", **said, remote_ip_prefix="10.0.0.34/24")
    assert (rule["remote_ip_prefix"], rule["normalized_cidr"]) == ("10.0.0.34/24", "10.0.0.0/24")
    alone = await world.http.make("security_group_rule", **said, remote_ip_prefix="10.0.0.34")
    assert alone["remote_ip_prefix"] == alone["normalized_cidr"] == "10.0.0.34/32"
    same = await world.http.make("security_group_rule", 409, **said, remote_ip_prefix="10.0.0.0/24")
    assert same["type"] == "SecurityGroupRuleExists"
    wrong = await world.http.make("security_group_rule", 400, **said | {"protocol": "41"})
    assert "Invalid ethertype IPv4 for protocol 41" in wrong["message"]


async def test_quotas_of_rules_and_policies(world):
    url = "/v2.0/quotas/p1"
    body = {"quota": {"security_group_rule": 0, "rbac_policy": 1}}
    assert (await world.admin.put(url, json=body)).status_code == 200
    assert (await world.http.make("security_group", 409, name="g"))["type"] == "OverQuota"
    network = await world.http.make("network")
    for status, target in ((201, "p2"), (409, "p3")):
        shared = await world.http.post("/v2.0/rbac-policies", json={"rbac_policy": {
            "object_type": "network", "object_id": network["id"], "action": "access_as_shared",
            "target_tenant": target}})
        assert shared.status_code == status
    checked = {"quota": {"network": 0, "check_limit": True}}
    assert (await world.admin.put(url, json=checked)).status_code == 400


async def test_floating_ips_let_go(world):
    public = await outside(world)
    network, subnet = await plain(world)
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    await world.http.put(f"/v2.0/routers/{router['id']}/add_router_interface", json={"subnet_id": subnet["id"]})
    port = await world.http.make("port", network_id=network["id"])
    floating = await world.http.make("floatingip", floating_network_id=public["id"], port_id=port["id"])
    assert (await world.http.change("floatingip", floating))["port_id"] is None
    strangers = await world.admin.make("port", network_id=network["id"], project_id="p2")
    refused = await world.http.change("floatingip", floating, 400, port_id=strangers["id"])
    assert "different project" in refused["message"]
    led = await world.http.post(f"/v2.0/floatingips/{floating['id']}/port_forwardings", json={"port_forwarding": {
        "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"],
        "internal_port": 22, "external_port": 2222, "protocol": "tcp"}})
    assert led.status_code == 201
    assert (await world.http.drop("floatingip", floating, 409))["type"] == "FipInUseByPortForwarding"
    await world.http.make("network", 400, project_id="p9")
