"""Conntrack helpers: protocols that routers read along with."""

from pileus.network.model import hosts
from pileus.network.rendering import read_records
from tests.network.test_networks import MISSING


async def say(speaker, method, path, status=200, **body):
    answer = await speaker.request(method, f"/v2.0/routers/{path}", json={"conntrack_helper": body} if body else None)
    assert answer.status_code == status, answer.text
    found = answer.json() if answer.content else {}
    return found.get("conntrack_helper", found.get("NeutronError", {}).get("type"))


async def test_conntrack_helpers(world):
    router = await world.http.make("router", name="r")
    assert router["conntrack_helpers"] == []
    every = f"{router['id']}/conntrack_helpers"
    ftp = {"protocol": "tcp", "port": 21, "helper": "ftp"}
    made = await say(world.http, "POST", every, 201, **ftp)
    assert made == ftp | {"id": made["id"]}
    assert await say(world.http, "POST", every, 400, **ftp) == "BadRequest"
    assert await say(world.http, "POST", every, 400, **ftp | {"helper": "none"}) == "ConntrackHelperNotAllowed"
    assert await say(world.http, "POST", every, 400, **ftp | {"protocol": "udp"}) == "InvalidProtocolForHelper"
    await say(world.other, "POST", every, 404, **ftp)
    tftp = await say(world.http, "POST", every, 201, protocol="udp", port=69, helper="tftp")
    one = f"{every}/{made['id']}"
    assert (await say(world.http, "PUT", one, port=2121))["port"] == 2121
    assert await say(world.http, "GET", one) == made | {"port": 2121}
    assert await say(world.http, "GET", f"{every}/{MISSING}", 404) == "ConntrackHelperNotFound"
    listed = (await world.http.get(f"/v2.0/routers/{every}", params={"helper": "tftp"})).json()
    assert listed["conntrack_helpers"] == [tftp]
    shown = await world.http.show("router", router)
    assert shown["conntrack_helpers"] == [ftp | {"port": 2121}, {"protocol": "udp", "port": 69, "helper": "tftp"}]
    assert shown["revision_number"] > router["revision_number"]
    async with world.db.read() as reader:
        (record,) = (await read_records(reader, await hosts.every(reader))).routers
    assert [(each.name, each.protocol, each.port) for each in record.followed] == [
        ("ftp", "tcp", 2121), ("tftp", "udp", 69)]
    await say(world.other, "DELETE", one, 404)
    await say(world.http, "DELETE", one, 204)
    assert len((await world.http.show("router", router))["conntrack_helpers"]) == 1
    await world.http.drop("router", router)
