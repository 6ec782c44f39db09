"""NDP proxies: routers that answer for guests on their external networks."""

import pytest

from pileus.network.model import hosts
from pileus.network.rendering import read_records

URL = "/v2.0/ndp_proxies"


async def make(speaker, status=201, **body):
    answer = await speaker.post(URL, json={"ndp_proxy": body})
    assert answer.status_code == status, answer.text
    return answer.json()["ndp_proxy"] if status < 300 else answer.json()["NeutronError"]["type"]


@pytest.fixture
async def places(world):
    """An external network and a pool of one scope, a network out of that pool, and one that is not."""
    scope = (await world.admin.post("/v2.0/address-scopes", json={"address_scope": {
        "name": "s", "ip_version": 6, "shared": True}})).json()["address_scope"]
    pool = await world.http.make("subnetpool", name="p", prefixes=["2001:db8::/96"], default_prefixlen=112,
                                 address_scope_id=scope["id"])             # which administrators may use, too
    public = await world.admin.make("network", **{"router:external": True})
    bare = await world.admin.make("network", **{"router:external": True})
    await world.admin.make("subnet", network_id=public["id"], ip_version=6, subnetpool_id=pool["id"],
                           cidr="2001:db8::1:0/112")
    await world.admin.make("subnet", network_id=bare["id"], ip_version=6, cidr="2001:db9::/112")
    found = {"public": public, "bare": bare}
    for name, body in (("inner", {"subnetpool_id": pool["id"], "cidr": "2001:db8::2:0/112"}),
                       ("other", {"cidr": "fd00::/112"})):
        network = await world.http.make("network")
        subnet = await world.http.make("subnet", network_id=network["id"], ip_version=6, **body)
        found |= {name: network, f"{name} subnet": subnet,
                  f"{name} port": await world.http.make("port", network_id=network["id"])}
    return found


async def leg(world, router, subnet, verb="add", status=200):
    answer = await world.http.put(f"/v2.0/routers/{router['id']}/{verb}_router_interface",
                                  json={"subnet_id": subnet["id"]})
    assert answer.status_code == status, answer.text
    return None if status == 200 else answer.json()["NeutronError"]["type"]


async def test_routers_that_may_answer(world, places):
    for network in (None, places["bare"]):
        gateway = {"external_gateway_info": {"network_id": network["id"]}} if network else {}
        assert (await world.http.make("router", 409, enable_ndp_proxy=True, **gateway))["type"] == (
            "RouterGatewayNotValid")
    router = await world.http.make("router", external_gateway_info={"network_id": places["public"]["id"]})
    assert router["enable_ndp_proxy"] is False
    assert (await world.http.change("router", router, enable_ndp_proxy=True))["enable_ndp_proxy"] is True
    refused = await world.http.change("router", router, 409, enable_ndp_proxy=True, external_gateway_info={})
    assert refused["type"] == "RouterGatewayNotValid"
    assert (await world.http.change("router", router, external_gateway_info={}))["enable_ndp_proxy"] is False
    made = await world.http.make("router", enable_ndp_proxy=True,
                                 external_gateway_info={"network_id": places["public"]["id"]})
    assert made["enable_ndp_proxy"] is True


async def test_proxies(world, places):
    router = await world.http.make("router", external_gateway_info={"network_id": places["public"]["id"]})
    port, ip = places["inner port"], places["inner port"]["fixed_ips"][0]["ip_address"]
    asked = {"router_id": router["id"], "port_id": port["id"]}
    assert await make(world.http, 409, **asked) == "RouterNDPProxyNotEnable"
    await world.http.change("router", router, enable_ndp_proxy=True)
    assert await make(world.http, 409, **asked) == "PortUnreachableRouter"
    for name in ("inner", "other"):
        await leg(world, router, places[f"{name} subnet"])
    assert await make(world.http, 409, router_id=router["id"], port_id=places["other port"]["id"]) == (
        "AddressScopeConflict")
    assert await make(world.http, 400, ip_address="2001:db8::2:99", **asked) == "InvalidAddress"
    assert await make(world.other, 404, **asked) == "RouterNotFound"
    made = await make(world.http, name="a", **asked)
    assert made["ip_address"] == ip
    assert await make(world.http, 409, **asked) == "NDPProxyAlreadyExists"
    one = f"{URL}/{made['id']}"
    assert (await world.http.put(one, json={"ndp_proxy": {"name": "b"}})).json()["ndp_proxy"]["name"] == "b"
    assert (await world.other.get(one)).status_code == 404
    assert [each["id"] for each in (await world.http.get(URL)).json()["ndp_proxies"]] == [made["id"]]

    async def told():
        async with world.db.read() as reader:
            records = await read_records(reader, await hosts.every(reader))
        return next(each.proxied for each in records.routers if each.id == router["id"])
    assert await told() == (ip,)
    assert (await world.http.change("router", router, 409, external_gateway_info={}))["type"] == (
        "RouterGatewayInUseByNDPProxy")
    assert await leg(world, router, places["inner subnet"], "remove", 409) == "RouterInterfaceInUseByNDPProxy"
    await world.http.change("router", router, enable_ndp_proxy=False)
    assert await told() is None
    await world.http.change("router", router, enable_ndp_proxy=True)
    assert (await world.http.delete(one)).status_code == 204 and await told() == ()
    again = await make(world.http, ip_address=ip, **asked)
    await world.http.drop("port", port)
    assert (await world.http.get(f"{URL}/{again['id']}")).status_code == 404
    await leg(world, router, places["inner subnet"], "remove")
