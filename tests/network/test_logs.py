"""Logs of packets: what is asked for, and which ports it makes hosts look at."""

from pileus.network.model import hosts
from pileus.network.rendering import read_records
from tests.network.test_networks import MISSING, plain

URL = "/v2.0/log/logs"


async def post(world, status=201, **body):
    answer = await world.admin.post(URL, json={"log": {"resource_type": "security_group", **body}})
    assert answer.status_code == status, answer.text
    return answer.json()["log"] if status < 300 else answer.json()["NeutronError"]["type"]


async def logged(world):
    async with world.db.read() as reader:
        found = await read_records(reader, await hosts.every(reader))
    return {port.id: (port.accepts, port.drops) for port in found.ports if port.accepts or port.drops}


async def test_logs_say_which_ports_are_looked_at(world):
    network, _ = await plain(world)
    group = await world.http.make("security_group", name="g")
    member = await world.http.make("port", network_id=network["id"], security_groups=[group["id"]])
    other = await world.http.make("port", network_id=network["id"])
    of_group = await post(world, name="l", description="d", resource_id=group["id"], event="DROP")
    assert (of_group["name"], of_group["description"], of_group["event"]) == ("l", "d", "DROP") and of_group["enabled"]
    assert await logged(world) == {member["id"]: ((), (of_group["id"],))}
    of_port = await post(world, target_id=other["id"], event="ACCEPT")
    of_project = await post(world, project_id="p1", enabled=False)
    assert await logged(world) == {member["id"]: ((), (of_group["id"],)), other["id"]: ((of_port["id"],), ())}
    one = f"{URL}/{of_project['id']}"
    assert (await world.admin.put(one, json={"log": {"enabled": True}})).json()["log"]["enabled"] is True
    assert (await logged(world))[other["id"]] == (
        tuple(sorted((of_port["id"], of_project["id"]))), (of_project["id"],))
    assert (await world.admin.delete(one)).status_code == 204
    assert (await world.admin.get(one)).status_code == 404
    listed = (await world.admin.get(URL, params={"event": "DROP"})).json()["logs"]
    assert [each["id"] for each in listed] == [of_group["id"]]
    await world.http.drop("port", other)
    await world.http.drop("port", member)
    await world.http.drop("security_group", group)
    assert (await world.admin.get(URL)).json()["logs"] == []


async def test_what_cannot_be_logged(world):
    network, _ = await plain(world)
    port = await world.http.make("port", network_id=network["id"])
    group = await world.http.make("security_group", name="g")
    assert await post(world, 400, resource_type="firewall_group") == "InvalidLogResourceType"
    assert await post(world, 404, resource_id=MISSING) == "ResourceNotFound"
    assert await post(world, 404, target_id=MISSING) == "TargetResourceNotFound"
    assert await post(world, 409, resource_id=group["id"], target_id=port["id"]) == "InvalidResourceConstraint"
    assert (await world.http.get(URL)).status_code == 403
    kinds = (await world.admin.get("/v2.0/log/loggable-resources")).json()["loggable_resources"]
    assert kinds == [{"type": "security_group"}]
