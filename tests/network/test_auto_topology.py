"""A network for a project that asks for any."""

import asyncio

from tests.network.test_routers import outside

PATH = "/v2.0/auto-allocated-topology/p1"


async def test_any_network(world):
    missing = await world.http.get(PATH)
    assert missing.status_code == 409 and "No default router:external network" in missing.text
    public = await outside(world)
    assert "No default pools" in (await world.http.get(PATH, params={"fields": "dry-run"})).text
    await world.admin.make("subnetpool", name="usual", prefixes=["10.64.0.0/16"], default_prefixlen=26,
                           is_default=True, shared=True)
    tried = (await world.http.get(PATH, params={"fields": "dry-run"})).json()["auto_allocated_topology"]
    assert tried["id"] == "dry-run=pass" and await world.http.all("network", shared=False, project_id="p1") == []
    answers = await asyncio.gather(*(world.http.get(PATH) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    network_id, = {answer.json()["auto_allocated_topology"]["id"] for answer in answers}
    subnet, = await world.http.all("subnet", network_id=network_id)
    assert subnet["cidr"].endswith("/26")
    router, = await world.http.all("router")
    assert router["external_gateway_info"]["network_id"] == public["id"]
    assert (await world.other.get(PATH)).status_code == 404
    unnamed = (await world.http.get(PATH.replace("p1", "None"))).json()["auto_allocated_topology"]
    assert (unnamed["id"], unnamed["project_id"]) == (network_id, "p1")
    port = await world.http.make("port", network_id=network_id)
    assert (await world.http.delete(PATH)).status_code == 409
    await world.http.drop("port", port)
    assert (await world.http.delete(PATH)).status_code == 204
    assert (await world.http.delete(PATH)).status_code == 204
    assert await world.http.all("router") == [] and await world.http.all("subnet", network_id=network_id) == []
    again = (await world.http.get(PATH)).json()["auto_allocated_topology"]["id"]
    assert again != network_id
