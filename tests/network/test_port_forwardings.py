"""Several guests behind the ports of one floating IP."""

import asyncio

from pileus.network.model import hosts
from pileus.network.rendering import read_records
from tests.network.test_networks import ips, plain
from tests.network.test_routers import interface, outside


async def behind_a_router(world):
    public = await outside(world)
    network, subnet = await plain(world)
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    await interface(world, router, subnet_id=subnet["id"])
    guests = [await world.http.make("port", network_id=network["id"]) for _ in range(2)]
    floating = await world.http.make("floatingip", floating_network_id=public["id"])
    return router, subnet, guests, floating


async def forward(world, floating, status=201, **body):
    answer = await world.http.post(f"/v2.0/floatingips/{floating['id']}/port_forwardings",
                                   json={"port_forwarding": body})
    assert answer.status_code == status, answer.text
    return answer.json()["port_forwarding"] if status < 300 else answer.json()["NeutronError"]


async def test_forwardings(world):
    router, subnet, (first, second), floating = await behind_a_router(world)
    made = await forward(world, floating, protocol="tcp", external_port=2201, internal_port=22,
                         internal_port_id=first["id"], internal_ip_address=ips(first)[0], description="ssh")
    assert (made["external_port"], made["internal_port"], made["description"]) == (2201, 22, "ssh")
    assert made["internal_port_range"] == "22:22"
    ranged = await forward(world, floating, protocol="tcp", external_port_range="8000:8009",
                           internal_port_range="9000:9009", internal_port_id=second["id"])
    assert ranged["external_port"] is None and ranged["external_port_range"] == "8000:8009"
    taken = await forward(world, floating, 400, protocol="tcp", external_port=8005, internal_port=80,
                          internal_port_id=first["id"])
    assert "duplicate port forwarding" in taken["message"] and ranged["id"] in taken["message"]
    await forward(world, floating, protocol="udp", external_port=8005, internal_port=80, internal_port_id=first["id"])
    await forward(world, floating, 400, protocol="tcp", external_port_range="1:3", internal_port=80,
                  internal_port_id=first["id"])
    await forward(world, floating, 400, protocol="tcp", external_port=1, internal_port_id=first["id"])
    shown = await world.http.show("floatingip", floating)
    assert shown["router_id"] == router["id"] and shown["port_id"] is None and len(shown["port_forwardings"]) == 3
    busy = await world.http.change("floatingip", floating, 409, port_id=first["id"])
    assert busy["type"] == "FipInUseByPortForwarding"
    path = f"/v2.0/floatingips/{floating['id']}/port_forwardings"
    moved = (await world.http.put(f"{path}/{made['id']}", json={"port_forwarding": {"external_port": 2202}})).json()
    assert moved["port_forwarding"]["external_port"] == 2202 and moved["port_forwarding"]["internal_port"] == 22
    listed = (await world.http.get(path, params={"protocol": "tcp"})).json()["port_forwardings"]
    assert {each["id"] for each in listed} == {made["id"], ranged["id"]}
    assert (await world.other.get(path)).status_code == 404
    async with world.db.read() as reader:
        told, = (await read_records(reader, await hosts.every(reader))).floating_ips
    assert sorted((f.protocol, f.port, f.last, f.ip, f.inside) for f in told.forwardings) == sorted([
        ("tcp", 2202, 2202, ips(first)[0], 22), ("tcp", 8000, 8009, ips(second)[0], 9000),
        ("udp", 8005, 8005, ips(first)[0], 80)])
    refused = await world.http.put(f"/v2.0/routers/{router['id']}/remove_router_interface",
                                   json={"subnet_id": subnet["id"]})
    assert refused.status_code == 409
    await world.http.drop("port", second)
    assert (await world.http.get(f"{path}/{ranged['id']}")).status_code == 404
    await world.http.drop("port", first)
    assert (await world.http.show("floatingip", floating))["router_id"] is None
    await world.http.change("router", router, external_gateway_info=None)


async def test_the_same_port_is_given_once(world):
    _, _, (first, second), floating = await behind_a_router(world)
    path = f"/v2.0/floatingips/{floating['id']}/port_forwardings"

    async def ask(port, inside):
        return await world.http.post(path, json={"port_forwarding": {
            "protocol": "tcp", "external_port": 80, "internal_port": inside, "internal_port_id": port["id"]}})
    answers = await asyncio.gather(*(ask(port, inside) for port in (first, second) for inside in (80, 81, 82)))
    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400, 400, 400]
    answer = next(answer for answer in answers if answer.status_code == 201)
    gone = await world.http.delete(f"{path}/{answer.json()['port_forwarding']['id']}")
    assert gone.status_code == 204
    shown = await world.http.show("floatingip", floating)
    assert shown["router_id"] is None and shown["status"] == "DOWN"
    await world.http.change("floatingip", floating, port_id=first["id"])
    assert (await forward(world, floating, 409, protocol="tcp", external_port=80, internal_port=80,
                          internal_port_id=first["id"]))["type"] == "FipInUseByPortForwarding"
