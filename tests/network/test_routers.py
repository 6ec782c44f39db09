"""Routers, floating IPs and security groups over HTTP."""

import asyncio

import pytest

from tests.network.test_networks import ips, plain


async def outside(world, cidr="203.0.113.0/24"):
    network = await world.admin.make("network", name="public", **{"router:external": True})
    await world.admin.make("subnet", network_id=network["id"], ip_version=4, cidr=cidr, enable_dhcp=False)
    return network


async def interface(world, router, status=200, verb="add", **body):
    answer = await world.http.put(f"/v2.0/routers/{router['id']}/{verb}_router_interface", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["NeutronError"]


async def test_no_gateway_may_be_said_in_three_ways(world):
    for body in ({}, {"external_gateway_info": None}, {"external_gateway_info": {}}):
        router = await world.http.make("router", name="r", **body)
        assert router["external_gateway_info"] is None
        answer = await world.http.put(f"/v2.0/routers/{router['id']}", json={"router": body})
        assert answer.status_code == 200, answer.text


async def test_interfaces(world):
    network, subnet = await plain(world)
    router = await world.http.make("router", name="r")
    made = await interface(world, router, subnet_id=subnet["id"])
    assert (made["id"], made["subnet_id"]) == (router["id"], subnet["id"])
    port = await world.http.show("port", {"id": made["port_id"]})
    assert (port["device_owner"], port["device_id"]) == ("network:router_interface", router["id"])
    assert ips(port) == [subnet["gateway_ip"]]
    assert "already has a port" in (await interface(world, router, 400, subnet_id=subnet["id"]))["message"]
    assert (await world.http.drop("port", port, 409))["type"] == "ServicePortInUse"
    assert (await world.http.drop("router", router, 409))["type"] == "RouterInUse"
    assert (await world.http.drop("subnet", subnet, 409))["type"] == "SubnetInUse"
    _, other = await plain(world, "10.1.0.0/25")
    assert "overlaps" in (await interface(world, router, 400, subnet_id=other["id"]))["message"]
    second, _ = await plain(world, "10.2.0.0/24")
    free = await world.http.make("port", network_id=second["id"])
    by_port = await interface(world, router, port_id=free["id"])
    assert by_port["subnet_ids"] == [free["fixed_ips"][0]["subnet_id"]]
    assert (await world.http.show("port", free))["device_id"] == router["id"]
    await interface(world, router, 409, port_id=free["id"])
    await interface(world, router, 400)
    hop = {"destination": "10.50.0.0/16", "nexthop": "10.2.0.99"}
    assert (await world.http.change("router", router, routes=[hop]))["routes"] == [hop]
    far = {"destination": "10.50.0.0/16", "nexthop": "10.3.0.99"}
    assert (await world.http.change("router", router, 400, routes=[far]))["type"] == "InvalidRoutes"
    found = await interface(world, router, 409, "remove", port_id=free["id"])
    assert found["type"] == "RouterInterfaceInUseByRoute"
    await world.http.change("router", router, routes=None)
    await interface(world, router, 200, "remove", port_id=free["id"])
    await interface(world, router, 404, "remove", port_id=free["id"])
    await interface(world, router, 200, "remove", subnet_id=subnet["id"])
    await interface(world, router, 404, "remove", subnet_id=subnet["id"])
    await world.http.drop("router", router)
    await world.http.drop("network", network)


async def test_two_ipv6_subnets_share_an_interface(world):
    network = await world.http.make("network")
    six = [await world.http.make("subnet", network_id=network["id"], ip_version=6, cidr=f"fd00:{i}::/64",
                                 ipv6_ra_mode="slaac", ipv6_address_mode="slaac") for i in (1, 2)]
    router = await world.http.make("router")
    one = await interface(world, router, subnet_id=six[0]["id"])
    two = await interface(world, router, subnet_id=six[1]["id"])
    assert one["port_id"] == two["port_id"]
    await interface(world, router, 200, "remove", subnet_id=six[0]["id"])
    assert ips(await world.http.show("port", {"id": one["port_id"]})) == [six[1]["gateway_ip"]]


async def test_gateway(world):
    public = await outside(world)
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    info = router["external_gateway_info"]
    assert info["enable_snat"] and info["external_fixed_ips"][0]["ip_address"].startswith("203.0.113.")
    ports = await world.admin.all("port", device_id=router["id"])
    assert [p["device_owner"] for p in ports] == ["network:router_gateway"]
    assert (await world.admin.drop("network", public, 409))["type"] == "NetworkInUse"
    off = {"network_id": public["id"], "enable_snat": False}
    assert (await world.http.change("router", router, 403, external_gateway_info=off))["type"] == "PolicyNotAuthorized"
    changed = await world.admin.change("router", router, external_gateway_info=off)
    assert changed["external_gateway_info"]["enable_snat"] is False
    assert changed["external_gateway_info"]["external_fixed_ips"] == info["external_fixed_ips"]
    cleared = await world.http.change("router", router, external_gateway_info={})
    assert cleared["external_gateway_info"] is None
    assert await world.admin.all("port", device_id=router["id"]) == []
    bare = await world.http.make("router", external_gateway_info={}, admin_state_up=False)
    assert bare["external_gateway_info"] is None and bare["admin_state_up"] is False
    inner, _ = await plain(world)
    await world.http.change("router", router, 400, external_gateway_info={"network_id": inner["id"]})
    await world.http.change("router", router, 404, external_gateway_info={"network_id": router["id"]})
    fixed = [{"ip_address": "203.0.113.99"}]
    chosen = await world.admin.make("router", external_gateway_info={
        "network_id": public["id"], "external_fixed_ips": fixed})
    assert chosen["external_gateway_info"]["external_fixed_ips"][0]["ip_address"] == "203.0.113.99"
    await world.admin.drop("router", chosen)
    await world.http.drop("router", router)


async def test_floating_ips(world):
    public = await outside(world)
    network, subnet = await plain(world)
    port = await world.http.make("port", network_id=network["id"])
    floating = await world.http.make("floatingip", floating_network_id=public["id"])
    assert floating["status"] == "DOWN" and floating["port_id"] is None and floating["router_id"] is None
    found = await world.http.change("floatingip", floating, 404, port_id=port["id"])
    assert found["type"] == "ExternalGatewayForFloatingIPNotFound"
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    await interface(world, router, subnet_id=subnet["id"])
    tied = await world.http.change("floatingip", floating, port_id=port["id"])
    assert tied["fixed_ip_address"] == ips(port)[0] and tied["router_id"] == router["id"]
    assert tied["port_details"]["mac_address"] == port["mac_address"]
    found = await world.http.make("floatingip", 409, floating_network_id=public["id"], port_id=port["id"])
    assert found["type"] == "FloatingIPPortAlreadyAssociated"
    found = await interface(world, router, 409, "remove", subnet_id=subnet["id"])
    assert found["type"] == "RouterInterfaceInUseByFloatingIP"
    found = await world.http.change("router", router, 409, external_gateway_info={})
    assert found["type"] == "RouterExternalGatewayInUseByFloatingIp"
    details = (await world.client.port_details([""]))[""]
    mine = next(detail for detail in details if detail.id == port["id"])
    assert mine.addresses[0].floating_ips == [floating["floating_ip_address"]] and mine.network_name == "n"
    again = await world.http.change("floatingip", floating, description="d")
    assert again["port_id"] == port["id"]
    loose = await world.http.change("floatingip", floating, port_id=None)
    assert (loose["port_id"], loose["fixed_ip_address"], loose["router_id"]) == (None, None, None)
    await world.http.change("floatingip", floating, port_id=port["id"], fixed_ip_address=ips(port)[0])
    await world.http.drop("port", port)
    after = await world.http.show("floatingip", floating)
    assert (after["port_id"], after["fixed_ip_address"], after["status"]) == (None, None, "DOWN")
    assert await world.other.all("floatingip") == []
    await world.http.make("floatingip", 403, floating_network_id=public["id"], floating_ip_address="203.0.113.77")
    await world.admin.make("floatingip", floating_network_id=public["id"], floating_ip_address="203.0.113.77")
    await world.http.make("floatingip", 400, floating_network_id=network["id"])
    await world.http.drop("floatingip", floating)
    assert len(await world.admin.all("port", device_owner="network:floatingip")) == 1


async def test_default_group(world):
    groups = await world.http.all("security_group")
    assert [g["name"] for g in groups] == ["default"]
    rules = groups[0]["security_group_rules"]
    assert sorted((r["direction"], r["ethertype"], bool(r["remote_group_id"])) for r in rules) == [
        ("egress", "IPv4", False), ("egress", "IPv6", False), ("ingress", "IPv4", True), ("ingress", "IPv6", True)]
    assert (await world.http.make("security_group", 409, name="default"))["type"] == "SecurityGroupDefaultAlreadyExists"
    assert (await world.http.drop("security_group", groups[0], 409))["type"] == "SecurityGroupCannotRemoveDefault"
    assert (await world.http.change("security_group", groups[0], 409, name="x"))["type"] == (
        "SecurityGroupCannotUpdateDefault")


async def test_groups(world):
    group = await world.http.make("security_group", name="web", description="d")
    assert len(group["security_group_rules"]) == 2 and group["stateful"]
    same = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    rule = await world.http.make("security_group_rule", **same, port_range_min=80, port_range_max=80,
                                 remote_ip_prefix="10.0.0.5/8")
    assert rule["remote_ip_prefix"] == "10.0.0.5/8" and rule["normalized_cidr"] == "10.0.0.0/8"
    assert rule["ethertype"] == "IPv4"
    found = await world.http.make("security_group_rule", 409, **same, port_range_min=80, port_range_max=80,
                                  remote_ip_prefix="10.0.0.0/8")
    assert found["type"] == "SecurityGroupRuleExists" and rule["id"] in found["message"]
    shown = await world.http.show("security_group", group)
    assert rule["id"] in [r["id"] for r in shown["security_group_rules"]] and shown["revision_number"] == 2
    network, _ = await plain(world)
    port = await world.http.make("port", network_id=network["id"], security_groups=[group["id"]])
    assert (await world.http.drop("security_group", group, 409))["type"] == "SecurityGroupInUse"
    await world.http.drop("security_group_rule", rule)
    await world.http.show("security_group_rule", rule, 404)
    await world.http.drop("port", port)
    await world.http.drop("security_group", group)
    assert await world.other.all("security_group_rule", direction="ingress", remote_ip_prefix="10.0.0.0/8") == []


@pytest.mark.parametrize(("rule", "text"), [
    ({"protocol": "bad"}, "not supported"), ({"ethertype": "IPv5"}, "not supported"),
    ({"port_range_min": 1, "port_range_max": 2}, "specify protocol"),
    ({"protocol": "tcp", "port_range_min": -16, "port_range_max": 80}, "Invalid value for port -16"),
    ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 79}, "port_range_min must be <= port_range_max"),
    ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 65536}, "Invalid value for port 65536"),
    ({"protocol": "tcp", "port_range_max": 6}, "port_range_min must be <= port_range_max"),
    ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 256}, "Invalid value for ICMP code"),
    ({"protocol": "icmp", "port_range_max": 6}, "ICMP type (port-range-min) is missing"),
    ({"remote_ip_prefix": "fd00::/8"}, "Conflicting value ethertype"), ({"remote_ip_prefix": "x"}, "not a valid IP"),
    ({"direction": "sideways"}, "sideways"), ({"protocol": 300}, "not supported"),
])
async def test_bad_rules(world, rule, text):
    group = await world.http.make("security_group", name="g")
    body = {"security_group_id": group["id"], "direction": "ingress"} | rule
    assert text in (await world.http.make("security_group_rule", 400, **body))["message"]


async def test_routes_are_added_and_removed_on_their_own(world):
    _, subnet = await plain(world)
    router = await world.http.make("router")
    await interface(world, router, subnet_id=subnet["id"])

    async def change(verb, *routes, status=200):
        answer = await world.http.put(f"/v2.0/routers/{router['id']}/{verb}_extraroutes", json={"router": {
            "routes": [{"destination": destination, "nexthop": hop} for destination, hop in routes]}})
        assert answer.status_code == status, answer.text
        return [route["destination"] for route in answer.json()["router"]["routes"]] if status == 200 else None
    assert await change("add", ("10.8.0.0/16", "10.1.0.8")) == ["10.8.0.0/16"]
    both = await change("add", ("10.8.0.0/16", "10.1.0.8"), ("10.9.0.0/16", "10.1.0.9"))
    assert both == ["10.8.0.0/16", "10.9.0.0/16"]
    await change("add", ("10.9.0.0/16", "192.0.2.1"), status=400)
    assert await change("remove", ("10.8.0.0/16", "10.1.0.8"), ("10.7.0.0/16", "10.1.0.7")) == ["10.9.0.0/16"]
    several = await asyncio.gather(*(change("add", (f"10.{n}.0.0/16", "10.1.0.8")) for n in range(20, 25)))
    assert len(several) == 5 and len((await world.http.show("router", router))["routes"]) == 6
