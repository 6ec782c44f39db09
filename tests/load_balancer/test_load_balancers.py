"""Load balancers themselves: made, shown, listed, changed, moved, deleted."""

from __future__ import annotations

import asyncio

from tests.load_balancer.conftest import BACK, FRONT


async def test_a_load_balancer_from_request_to_host(world):
    made = (await world.ok("POST", "/loadbalancers", {"loadbalancer": {
        "name": "web", "vip_subnet_id": "front", "tags": ["b", "a"]}}))["loadbalancer"]
    assert (made["provisioning_status"], made["operating_status"]) == ("PENDING_CREATE", "OFFLINE")
    assert (made["vip_network_id"], made["provider"], made["tags"]) == (FRONT, "haproxy", ["a", "b"])
    port = world.network.known[made["vip_port_id"]]
    assert (port.device_owner, port.device_id, port.host) == ("Octavia", f"lb-{made['id']}", "")

    await world.sagas.drain()
    shown = await world.show(f"/loadbalancers/{made['id']}")
    assert (shown["provisioning_status"], shown["operating_status"]) == ("ACTIVE", "ONLINE")
    ((host, spec),) = world.carried(made["id"])
    assert world.network.known[made["vip_port_id"]].host == host
    assert spec.addresses == (made["vip_address"],)
    assert spec.legs[0].addresses == (f"{made['vip_address']}/24",) and spec.legs[0].gateways == ("10.1.0.1",)

    await world.remove(f"/loadbalancers/{made['id']}")
    assert world.carried(made["id"]) == [] and world.network.known == {}
    assert await world.refused("GET", f"/loadbalancers/{made['id']}") == (404, f"Load Balancer {made['id']} not found.")


async def test_where_the_address_may_come_from(world, user_port):
    world.network.known[user_port.id] = user_port
    on_network = await world.made("/loadbalancers", "loadbalancer", vip_network_id=FRONT)
    assert on_network["vip_subnet_id"] == "front"                   # IPv4 before IPv6
    chosen = await world.made("/loadbalancers", "loadbalancer", vip_network_id=FRONT, vip_address="fd01::5")
    assert (chosen["vip_subnet_id"], chosen["vip_address"]) == ("front6", "fd01::5")
    double = await world.made("/loadbalancers", "loadbalancer", vip_subnet_id="front", vip_address="10.1.0.77",
                              additional_vips=[{"subnet_id": "front6", "ip_address": "fd01::77"}])
    assert double["additional_vips"] == [{"subnet_id": "front6", "ip_address": "fd01::77"}]
    assert world.spec(double["id"]).addresses == ("10.1.0.77", "fd01::77")
    mine = await world.made("/loadbalancers", "loadbalancer", vip_port_id=user_port.id)
    assert (mine["vip_address"], mine["vip_network_id"]) == ("10.1.0.200", FRONT)
    await world.remove(f"/loadbalancers/{mine['id']}")
    assert world.network.known[user_port.id].device_id == ""        # let go, and still there


async def test_addresses_that_are_refused(world):
    ask = {"vip_subnet_id": "front", "vip_address": "10.1.0.50"}
    await world.balancer(**ask)
    before = set(world.network.known)
    for body, expected in (
            ({}, (400, "VIP must contain one of")), ({"vip_subnet_id": "nowhere"}, (400, "Subnet nowhere not found")),
            ({"vip_network_id": "nowhere"}, (400, "Network nowhere not found")), (ask, (409, "already allocated")),
            ({"vip_subnet_id": "front", "vip_address": "10.9.0.1"}, (400, "not a valid IP")),
            ({"vip_subnet_id": "front", "vip_address": "ten"}, (400, "IPv4 or IPv6")),
            ({"vip_port_id": "nowhere"}, (400, "Port nowhere not found")),
            ({"vip_subnet_id": "front", "vip_network_id": BACK}, (400, "does not match")),
            ({"vip_subnet_id": "front", "additional_vips": [{"subnet_id": "back"}]}, (400, "same network")),
            ({"vip_subnet_id": "front", "provider": "magic"}, (501, "not enabled")),
            ({"vip_subnet_id": "front", "flavor_id": "none"}, (400, "Flavor none not found")),
            ({"vip_subnet_id": "front", "project_id": "p2"}, (403, "Policy does not allow")),
            ({"vip_subnet_id": "front", "color": "red"}, (400, "unknown field"))):
        status, text = await world.refused("POST", "/loadbalancers", {"loadbalancer": body})
        assert status == expected[0] and expected[1] in text, (body, status, text)
    assert set(world.network.known) == before                       # nothing half made


async def test_what_one_may_see_and_do(world):
    mine = await world.balancer(name="mine")
    await world.balancer(name="theirs", token="member@p2")
    assert [row["name"] for row in await world.list("/loadbalancers")] == ["mine"]
    assert len(await world.list("/loadbalancers", token="admin@ops")) == 2
    assert (await world.refused("GET", f"/loadbalancers/{mine}", token="member@p2"))[0] == 403
    assert (await world.refused("PUT", f"/loadbalancers/{mine}", {"loadbalancer": {}}, token="reader@p1"))[0] == 403
    assert (await world.refused("PUT", f"/loadbalancers/{mine}/failover"))[0] == 403
    assert (await world.refused("GET", "/loadbalancers?project_id=p2"))[0] == 403


async def test_lists(world):
    for number in range(5):
        await world.balancer(name=f"n{number}", tags=["even" if number % 2 == 0 else "odd", 'a"b'],
                             admin_state_up=number != 3)

    async def names(query):
        return [row["name"] for row in await world.list(f"/loadbalancers?{query}")]

    assert await names("sort=name:desc") == ["n4", "n3", "n2", "n1", "n0"]
    assert await names("name=n2") == ["n2"] and await names("admin_state_up=false") == ["n3"]
    assert await names("tags=even&sort=name") == ["n0", "n2", "n4"] and await names("not-tags=even&sort=name") == [
        "n1", "n3"]
    assert len(await names("tags-any=even,odd")) == 5 and await names("not-tags-any=even,odd") == []
    assert len(await names('tags=a"b')) == 5 and await names("tags=even,odd") == []
    pages, path = [], "/loadbalancers?limit=2&sort=name"
    while path:
        page = await world.ok("GET", path)
        pages.append([row["name"] for row in page["loadbalancers"]])
        links = page.get("loadbalancers_links", [])
        path = links[0]["href"].partition("/lbaas")[2] if links else ""
    assert pages == [["n0", "n1"], ["n2", "n3"], ["n4"]]
    assert set((await world.list("/loadbalancers?fields=id&fields=name"))[0]) == {"id", "name"}
    for bad in ("limit=many", "sort=tags", "sort=name:up", "admin_state_up=maybe"):
        assert (await world.refused("GET", f"/loadbalancers?{bad}"))[0] == 400
    assert (await world.refused("GET", "/loadbalancers?marker=none"))[0] == 404


async def test_one_change_at_a_time(world):
    balancer = await world.balancer()
    await world.ok("PUT", f"/loadbalancers/{balancer}", {"loadbalancer": {"name": "new"}})
    for method, path, body in (
            ("PUT", f"/loadbalancers/{balancer}", {"loadbalancer": {"name": "newer"}}),
            ("DELETE", f"/loadbalancers/{balancer}", None),
            ("POST", "/listeners", {"listener": {"loadbalancer_id": balancer, "protocol": "TCP", "protocol_port": 1}})):
        assert await world.refused(method, path, body) == (
            409, f"Load Balancer {balancer} is immutable and cannot be updated.")
    await world.sagas.drain()
    assert (await world.show(f"/loadbalancers/{balancer}"))["name"] == "new"
    await world.change(f"/loadbalancers/{balancer}", "loadbalancer", name="newer", admin_state_up=False)
    assert (await world.show(f"/loadbalancers/{balancer}"))["operating_status"] == "OFFLINE"


async def test_with_everything_at_once(world):
    member = {"address": "10.2.0.5", "protocol_port": 80, "subnet_id": "back"}
    made = await world.made("/loadbalancers", "loadbalancer", vip_subnet_id="front", pools=[
        {"name": "shared", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [member],
         "healthmonitor": {"type": "HTTP", "delay": 2, "timeout": 1, "max_retries": 2}}], listeners=[
        {"protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "shared"}, "l7policies": [
            {"action": "REDIRECT_TO_POOL", "redirect_pool": {"protocol": "HTTP", "lb_algorithm": "SOURCE_IP"},
             "rules": [{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/api"}]}]}])
    assert [len(made[name]) for name in ("pools", "listeners")] == [2, 1]
    assert made["listeners"][0]["default_pool"]["members"][0]["address"] == "10.2.0.5"
    spec = world.spec(made["id"])
    assert len(spec.legs) == 2                                       # one of them in the member's network
    assert spec.legs[1].gateways == () and spec.listeners[0].policies[0].rules[0].value == "/api"
    assert (await world.refused("DELETE", f"/loadbalancers/{made['id']}"))[0] == 400
    await world.remove(f"/loadbalancers/{made['id']}?cascade=true")
    assert world.network.known == {} and await world.list("/pools") == []


async def test_a_part_that_is_refused_refuses_it_all(world):
    for listener in ({"protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "unknown"}},
                     {"protocol": "HTTP", "protocol_port": 80,
                      "default_pool": {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}}):
        status, _ = await world.refused("POST", "/loadbalancers", {"loadbalancer": {
            "vip_subnet_id": "front", "listeners": [listener]}})
        assert status == 400
    assert world.network.known == {} and await world.list("/loadbalancers") == []


async def test_status_and_statistics(world):
    balancer = await world.balancer()
    pool = await world.made("/pools", "pool", loadbalancer_id=balancer, protocol="TCP", lb_algorithm="ROUND_ROBIN")
    await world.made("/listeners", "listener", loadbalancer_id=balancer, protocol="TCP", protocol_port=22,
                     default_pool_id=pool["id"])
    tree = (await world.show(f"/loadbalancers/{balancer}/status"))["loadbalancer"]
    assert tree["listeners"][0]["pools"][0]["id"] == pool["id"] and tree["operating_status"] == "ONLINE"
    assert await world.show(f"/loadbalancers/{balancer}/stats") == {
        "bytes_in": 0, "bytes_out": 0, "active_connections": 0, "total_connections": 0, "request_errors": 0}


async def test_no_more_than_the_quota_however_many_ask(world):
    await world.ok("PUT", "/quotas/p1", {"quota": {"load_balancer": 3}}, token="admin@ops")
    body = {"loadbalancer": {"vip_subnet_id": "front"}}
    answers = await asyncio.gather(*(world.call("POST", "/loadbalancers", body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 5
    assert len(await world.list("/loadbalancers")) == len(world.network.known) == 3


async def test_quotas(make_world):
    world = await make_world()
    await world.ok("PUT", "/quotas/p1", {"quota": {"loadbalancer": 1, "pool": 0}}, token="admin@ops")
    balancer = await world.balancer()
    assert await world.refused("POST", "/loadbalancers", {"loadbalancer": {"vip_subnet_id": "front"}}) == (
        403, "Quota has been met for resources: Load Balancer")
    assert len(world.network.known) == 1
    assert (await world.refused("POST", "/pools", {"pool": {
        "loadbalancer_id": balancer, "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}}))[0] == 403
    assert (await world.show("/quotas/p1"))["load_balancer"] == 1
    assert [row["project_id"] for row in await world.list("/quotas", token="admin@ops")] == ["p1"]
    assert (await world.refused("PUT", "/quotas/p1", {"quota": {"pool": 5}}))[0] == 403
    await world.ok("DELETE", "/quotas/p1", token="admin@ops")
    assert await world.list("/quotas", token="admin@ops") == []
    assert (await world.show("/quotas/p1", base="/v2"))["pool"] == -1
    assert (await world.show("/quotas/defaults"))["loadbalancer"] == -1
