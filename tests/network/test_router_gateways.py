"""Several gateways of a router, over HTTP."""

import asyncio

from pileus.network.rendering import read_records
from tests.network.test_networks import ips, plain
from tests.network.test_routers import interface, outside


async def gateways(speaker, router, verb, *asked, status=200):
    answer = await speaker.put(f"/v2.0/routers/{router['id']}/{verb}_external_gateways", json={
        "router": {"external_gateways": list(asked)}})
    assert answer.status_code == status, answer.text
    return answer.json()["router"] if status == 200 else answer.json()["NeutronError"]


def addresses(router):
    return [[each["ip_address"] for each in way["external_fixed_ips"]] for way in router["external_gateways"]]


async def ports_of(world, router):
    return {tuple(ips(port)) for port in await world.admin.all("port", device_id=router["id"])}


async def test_the_first_is_the_one_that_was_always_told(world):
    public = await outside(world)
    router = await world.http.make("router")
    assert router["external_gateways"] == [] and router["external_gateway_info"] is None
    way = {"network_id": public["id"]}
    made = await gateways(world.admin, router, "add", way | {"enable_snat": False}, way, way)
    assert len(made["external_gateways"]) == 3 and len(await ports_of(world, router)) == 3
    first = made["external_gateways"][0]
    assert first == {"network_id": public["id"], "external_fixed_ips": first["external_fixed_ips"]}
    assert made["external_gateway_info"] == first | {"enable_snat": False, "qos_policy_id": None}
    assert made == await world.http.show("router", router)
    assert [row for row in await world.http.all("router") if row["id"] == router["id"]] == [made]
    one, two, three = made["external_gateways"]
    gone = await gateways(world.http, router, "remove", one)
    assert gone["external_gateways"] == [two, three], "the one after it is the first now"
    assert gone["external_gateway_info"]["external_fixed_ips"] == two["external_fixed_ips"]
    assert gone["external_gateway_info"]["enable_snat"] is False
    cleared = await world.http.change("router", router, external_gateway_info=None)
    assert cleared["external_gateways"] == [three]
    cleared = await world.http.change("router", router, external_gateway_info={})
    assert cleared["external_gateways"] == [] and await ports_of(world, router) == set()
    again = await gateways(world.http, router, "add", way, way)
    await world.http.drop("network", public, 403)
    assert (await world.admin.drop("network", public, 409))["type"] == "NetworkInUse"
    await world.http.drop("router", again)
    assert await ports_of(world, router) == set()
    await world.admin.drop("network", public)


async def test_which_one_goes(world):
    public, other = await outside(world), await outside(world, "198.51.100.0/24")
    router = await world.http.make("router")
    way = {"network_id": public["id"]}
    assert (await gateways(world.http, router, "remove", way, status=400))["type"] == "UnableToRemoveGateways"
    made = await gateways(world.http, router, "add", way, {"network_id": other["id"]}, way)
    ambiguous = await gateways(world.http, router, "remove", way, status=400)
    assert ambiguous["type"] == "UnableToMatchGateways" and "external_fixed_ips" in ambiguous["message"]
    strange = way | {"external_fixed_ips": [{"ip_address": "203.0.113.250"}]}
    assert (await gateways(world.http, router, "remove", strange, status=400))["type"] == "UnableToMatchGateways"
    named = way | {"external_fixed_ips": [{"ip_address": addresses(made)[2][0]}]}
    left = await gateways(world.http, router, "remove", named, {"network_id": other["id"]})
    assert addresses(left) == addresses(made)[:1]
    await gateways(world.http, router, "remove", {"network_id": other["id"]}, status=400)
    assert (await gateways(world.http, router, "remove"))["external_gateways"] == left["external_gateways"]
    await gateways(world.http, router, "add", {}, status=400)
    await gateways(world.http, router, "add", {"network_id": router["id"]}, status=404)
    inner, _ = await plain(world)
    await gateways(world.http, router, "add", {"network_id": inner["id"]}, status=400)
    for verb, count in (("add", 16), ("update", 17)):
        many = await gateways(world.http, router, verb, *[way] * count, status=409)
        assert many["type"] == "UnableToAddExtraGateways" and "16 at most" in many["message"]
    await gateways(world.other, router, "add", way, status=404)
    for name, value in (("enable_snat", False), ("external_fixed_ips", [{"ip_address": "203.0.113.99"}])):
        for verb in ("add", "update"):
            refused = await gateways(world.http, router, verb, way | {name: value}, status=403)
            assert f"{verb}_external_gateways:external_gateways:{name}" in refused["message"]
    answer = await world.http.put(f"/v2.0/routers/{router['id']}/add_external_gateways", json={"router": {}})
    assert answer.json()["router"]["external_gateways"] == left["external_gateways"]
    stale = await world.http.put(f"/v2.0/routers/{router['id']}/add_external_gateways", json={
        "router": {"external_gateways": [way]}}, headers={"if-match": "revision_number=1"})
    assert stale.status_code == 412


async def test_the_list_as_a_whole(world):
    public, other = await outside(world), await outside(world, "198.51.100.0/24")
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    far = {"network_id": other["id"]}
    both = await gateways(world.http, router, "update", far, {"network_id": public["id"]})
    assert [way["network_id"] for way in both["external_gateways"]] == [other["id"], public["id"]]
    assert addresses(both)[1] == addresses(router)[0], "what was there stays"
    fixed = [{"ip_address": "203.0.113.77"}]
    moved = await gateways(world.admin, router, "update",
                           {"network_id": public["id"], "external_fixed_ips": fixed, "enable_snat": False})
    assert addresses(moved) == [["203.0.113.77"]] and moved["enable_snat"] is False
    assert await ports_of(world, router) == {("203.0.113.77",)}
    kept = [{"ip_address": "203.0.113.77"}, {"ip_address": "203.0.113.78"}]
    grown = await gateways(world.admin, router, "update", {"network_id": public["id"], "external_fixed_ips": kept})
    assert addresses(grown) == [["203.0.113.77", "203.0.113.78"]]
    assert (await gateways(world.http, router, "update"))["external_gateways"] == []
    overlap = await world.admin.make("network", name="twin", **{"router:external": True})
    await world.admin.make("subnet", network_id=overlap["id"], ip_version=4, cidr="203.0.113.128/25", enable_dhcp=False)
    refused = await gateways(world.http, router, "add", {"network_id": public["id"]}, {"network_id": overlap["id"]},
                             status=400)
    assert "overlaps" in refused["message"]
    assert await ports_of(world, router) == set(), "all or none"


async def test_floating_ips_hold_the_gateway_that_they_are_at(world):
    public, other = await outside(world), await outside(world, "198.51.100.0/24")
    network, subnet = await plain(world)
    router = await world.http.make("router")
    await interface(world, router, subnet_id=subnet["id"])
    port = await world.http.make("port", network_id=network["id"])
    await gateways(world.http, router, "add", {"network_id": public["id"]}, {"network_id": other["id"]})
    there = await world.http.make("floatingip", floating_network_id=other["id"], port_id=port["id"])
    here = await world.http.make("floatingip", floating_network_id=public["id"], port_id=port["id"])
    assert there["router_id"] == here["router_id"] == router["id"]
    named = await world.http.make("floatingip", floating_network_id=other["id"])
    await world.http.drop("floatingip", named)
    for verb, asked in (("remove", [{"network_id": other["id"]}]), ("update", [{"network_id": public["id"]}])):
        refused = await gateways(world.http, router, verb, *asked, status=409)
        assert refused["type"] == "RouterExternalGatewayInUseByFloatingIp" and other["id"] in refused["message"]
    two = await gateways(world.http, router, "add", {"network_id": other["id"]})
    second = two["external_gateways"][2]
    await gateways(world.http, router, "remove", second)
    await world.http.drop("floatingip", there)
    await gateways(world.http, router, "remove", {"network_id": other["id"]})


async def test_ways_of_routing(world):
    router = await world.admin.make("router", enable_default_route_ecmp=True)
    assert (router["enable_default_route_ecmp"], router["enable_default_route_bfd"]) == (True, False)
    changed = await world.admin.change("router", router, enable_default_route_ecmp=False, enable_default_route_bfd=True)
    assert (changed["enable_default_route_ecmp"], changed["enable_default_route_bfd"]) == (False, True)
    same = await world.admin.change("router", router, enable_default_route_bfd=None, name="n")
    assert same["enable_default_route_bfd"] is True
    plain_one = await world.http.make("router")
    for name in ("enable_default_route_ecmp", "enable_default_route_bfd"):
        assert (await world.http.make("router", 403, **{name: True}))["type"] == "PolicyNotAuthorized"
        assert (await world.http.change("router", plain_one, 403, **{name: True}))["type"] == "PolicyNotAuthorized"
    assert [row["id"] for row in await world.admin.all("router", enable_default_route_bfd=True)] == [router["id"]]


async def test_clients_add_at_once(world):
    public = await outside(world)
    router = await world.http.make("router")
    await asyncio.gather(*(gateways(world.http, router, "add", {"network_id": public["id"]}) for _ in range(6)))
    shown = await world.http.show("router", router)
    found = addresses(shown)
    assert len(found) == 6 == len({tuple(own) for own in found}) == len(await ports_of(world, router))


async def test_what_hosts_are_told(world):
    public, other = await outside(world), await outside(world, "198.51.100.0/24")
    router = await world.admin.make("router", enable_default_route_ecmp=True, enable_default_route_bfd=True)
    await gateways(world.admin, router, "add", {"network_id": public["id"]}, {"network_id": other["id"]})
    async with world.db.read() as reader:
        (record,) = (await read_records(reader, [])).routers
    assert [way.network_id for way in record.gateways] == [public["id"], other["id"]]
    assert record.ecmp and record.watched
