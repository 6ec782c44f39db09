"""Local IPs: addresses that on each host mean the port there that stands for them."""

from pileus.network.engine.slices import render
from pileus.network.messages import HostSeen
from pileus.network.model import hosts
from pileus.network.rendering import read_records
from pileus.network.reports import host_seen
from tests.network.test_networks import MISSING, plain

URL = "/v2.0/local_ips"


async def post(speaker, path, kind, status=201, **body):
    answer = await speaker.post(path, json={kind: body})
    assert answer.status_code == status, answer.text
    return answer.json()[kind] if status < 300 else answer.json()["NeutronError"]["type"]


async def test_local_ips_of_ports_and_of_networks(world):
    network, _ = await plain(world)
    port = await world.http.make("port", network_id=network["id"])
    ip = port["fixed_ips"][0]["ip_address"]
    of_port = await post(world.http, URL, "local_ip", name="l", network_id=network["id"], local_port_id=port["id"])
    assert (of_port["local_ip_address"], of_port["network_id"], of_port["ip_mode"]) == (ip, network["id"], "translate")
    assert await post(world.http, URL, "local_ip", 400) == "LocalIPPortOrNetworkRequired"
    assert await post(world.http, URL, "local_ip", 404, network_id=MISSING) == "NetworkNotFound"
    assert await post(world.other, URL, "local_ip", 404, local_port_id=port["id"]) == "PortNotFound"
    assert await post(world.http, URL, "local_ip", 400, local_port_id=port["id"], local_ip_address="9.9.9.9") == (
        "LocalIPRequestedIPNotFound")
    of_network = await post(world.http, URL, "local_ip", network_id=network["id"], local_ip_address="10.1.0.77",
                            ip_mode="passthrough")
    holder = await world.http.show("port", {"id": of_network["local_port_id"]})
    assert holder["device_owner"] == "network:local_ip" and of_network["local_ip_address"] == "10.1.0.77"
    one = f"{URL}/{of_network['id']}"
    assert (await world.http.put(one, json={"local_ip": {"name": "n"}})).json()["local_ip"]["name"] == "n"
    assert (await world.other.get(one)).status_code == 404
    assert len((await world.http.get(URL)).json()["local_ips"]) == 2
    await world.http.change("port", port, 409, fixed_ips=[{"ip_address": "10.1.0.99"}])
    await world.http.drop("port", port, 409)
    assert (await world.http.delete(one)).status_code == 204
    await world.http.show("port", holder, 404)
    assert (await world.http.delete(f"{URL}/{of_port['id']}")).status_code == 204
    await world.http.drop("port", port)


async def test_ports_stand_for_local_ips_on_their_hosts(world):
    network, _ = await plain(world)
    for number, host in enumerate(("one", "two"), 1):
        await host_seen(world, HostSeen(host=host, underlay_ip=f"10.9.9.{number}", started_at=1.0))
    ports = [await world.admin.make("port", network_id=network["id"], project_id="p1", device_owner="compute:nova",
                                    **{"binding:host_id": host}) for host in ("one", "two", "one")]
    made = await post(world.http, URL, "local_ip", network_id=network["id"])
    path = f"{URL}/{made['id']}/port_associations"
    for port in ports:
        told = await post(world.http, path, "port_association", fixed_port_id=port["id"])
        assert told["fixed_ip"] == port["fixed_ips"][0]["ip_address"] and told["host"] in ("one", "two")
    assert await post(world.http, path, "port_association", 409, fixed_port_id=ports[0]["id"]) == (
        "Conflict")
    other, _ = await plain(world, "10.2.0.0/24")
    stranger = await world.http.make("port", network_id=other["id"])
    assert await post(world.http, path, "port_association", 400, fixed_port_id=stranger["id"]) == (
        "InvalidInput")
    assert (await world.http.delete(f"{URL}/{made['id']}")).status_code == 409
    async with world.db.read() as reader:
        slices = render(await read_records(reader, await hosts.every(reader)))
    for host, here in (("one", {ports[0]["id"], ports[2]["id"]}), ("two", {ports[1]["id"]})):
        found = [one for each in slices[host].networks for one in each.local_ips]
        assert len(found) == 1 and found[0].port_id in here and found[0].ip == made["local_ip_address"]
    await world.http.change("port", ports[1], fixed_ips=[{"ip_address": "10.1.0.99"}])
    await world.http.drop("port", ports[2])
    assert (await world.http.get(path, params={"host": "two"})).json()["port_associations"] == []
    left = (await world.http.get(path, params={"host": "one"})).json()["port_associations"]
    assert [each["fixed_port_id"] for each in left] == [ports[0]["id"]]
    assert (await world.http.delete(f"{path}/{ports[0]['id']}")).status_code == 204
    assert (await world.http.get(f"{path}/{ports[0]['id']}")).status_code == 404
