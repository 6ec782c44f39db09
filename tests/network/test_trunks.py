"""Trunks: who is a parent, who a subport, where they are bound, and what may not be."""

from pileus.network.engine.records import State, Status
from pileus.network.messages import PortsReported
from pileus.network.model import hosts
from pileus.network.rendering import read_records
from pileus.network.reports import ports_reported
from tests.network.test_networks import plain


async def parent_and(world, count):
    network, _ = await plain(world)
    parent = await world.http.make("port", network_id=network["id"])
    below = []
    for i in range(count):
        other, _ = await plain(world, cidr=f"10.{i + 1}.0.0/24")
        below.append(await world.http.make("port", network_id=other["id"]))
    return parent, below


def vlan(port, number):
    return {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": number}


async def act(world, trunk, verb, *subports, status=200):
    answer = await world.http.put(f"/v2.0/trunks/{trunk['id']}/{verb}", json={"sub_ports": list(subports)})
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["NeutronError"]["type"]


async def test_subports_come_and_go(world):
    parent, (one, two) = await parent_and(world, 2)
    trunk = await world.http.make("trunk", port_id=parent["id"], name="t", sub_ports=[vlan(one, 7)])
    assert (trunk["status"], trunk["sub_ports"], trunk["port_id"]) == ("DOWN", [vlan(one, 7)], parent["id"])
    more = await act(world, trunk, "add_subports", vlan(two, 3))
    assert more["sub_ports"] == [vlan(two, 3), vlan(one, 7)] and more["revision_number"] > trunk["revision_number"]
    listed = await world.http.get(f"/v2.0/trunks/{trunk['id']}/get_subports")
    assert listed.json() == {"sub_ports": more["sub_ports"]}
    shown = await world.http.show("port", parent)
    assert shown["trunk_details"] == {"trunk_id": trunk["id"], "sub_ports": [
        vlan(two, 3) | {"mac_address": two["mac_address"]}, vlan(one, 7) | {"mac_address": one["mac_address"]}]}
    assert "trunk_details" not in await world.http.show("port", one)
    assert (await world.http.show("port", one))["device_owner"] == "trunk:subport"
    assert (await act(world, trunk, "remove_subports", vlan(one, 7)))["sub_ports"] == [vlan(two, 3)]
    assert (await world.http.show("port", one))["device_owner"] == ""
    assert [each["id"] for each in await world.http.all("trunk", port_id=parent["id"])] == [trunk["id"]]
    assert await world.other.all("trunk") == []
    await world.http.drop("trunk", trunk)
    for port in (parent, one, two):
        await world.http.drop("port", port)


async def test_what_may_not_be(world):
    parent, (one, two) = await parent_and(world, 2)
    trunk = await world.http.make("trunk", port_id=parent["id"], sub_ports=[vlan(one, 7)])
    assert await act(world, trunk, "add_subports", vlan(two, 7), status=409) == "DuplicateSubPort"
    assert await act(world, trunk, "add_subports", vlan(one, 8), status=409) == "PortInUseAsSubPort"
    assert await act(world, trunk, "add_subports", vlan(parent, 8), status=409) == "PortInUseAsTrunkParent"
    assert await act(world, trunk, "remove_subports", vlan(two, 8), status=404) == "SubPortNotFound"
    assert await act(world, trunk, "add_subports", vlan({"id": "nowhere"}, 8), status=404) == "PortNotFound"
    for wrong in ({"segmentation_id": None}, {"segmentation_type": None}, {"segmentation_id": 4095},
                  {"segmentation_id": 0}, {"segmentation_type": "inherit"}, {"segmentation_type": "gre"}):
        await act_refused(world, trunk, vlan(two, 8) | wrong)
    assert (await world.http.make("trunk", 409, port_id=parent["id"]))["type"] == "PortInUseAsTrunkParent"
    assert (await world.http.drop("port", parent, 409))["type"] == "PortInUseAsTrunkParent"
    assert (await world.http.drop("port", one, 409))["type"] == "PortInUseAsSubPort"
    await world.other.make("trunk", 404, port_id=two["id"])
    await world.other.show("trunk", trunk, 404)
    await world.http.change("trunk", trunk, admin_state_up=False)
    assert await act(world, trunk, "add_subports", vlan(two, 8), status=409) == "TrunkDisabled"
    assert (await world.http.drop("trunk", trunk, 409))["type"] == "TrunkDisabled"
    small, _ = await plain(world, cidr="10.9.0.0/24")
    await world.http.change("network", small, mtu=1300)
    narrow = await world.http.make("port", network_id=small["id"])
    refused = await world.http.make("trunk", 409, port_id=narrow["id"], sub_ports=[vlan(two, 8)])
    assert refused["type"] == "SubPortMtuGreaterThanTrunkPortMtu"


async def act_refused(world, trunk, subport):
    answer = await world.http.put(f"/v2.0/trunks/{trunk['id']}/add_subports", json={"sub_ports": [subport]})
    assert answer.status_code == 400, answer.text


async def test_subports_are_where_their_parent_is(world):
    parent, (one, two) = await parent_and(world, 2)
    trunk = await world.http.make("trunk", port_id=parent["id"], sub_ports=[vlan(one, 7)])
    await world.admin.change("port", parent, **{"binding:host_id": "h1"})
    await act(world, trunk, "add_subports", vlan(two, 8))
    for port in (one, two):
        assert (await world.admin.show("port", port))["binding:host_id"] == "h1"
    async with world.db.read() as reader:
        records = await read_records(reader, await hosts.every(reader))
    under = {port.id: (port.under.port_id, port.under.vlan, port.host) for port in records.ports if port.under}
    assert under == {one["id"]: (parent["id"], 7, "h1"), two["id"]: (parent["id"], 8, "h1")}
    assert (await world.http.show("trunk", trunk))["status"] == "DOWN"
    await report(world, parent, one)
    assert (await world.http.show("trunk", trunk))["status"] == "BUILD"
    await report(world, two)
    assert (await world.http.show("trunk", trunk))["status"] == "ACTIVE"
    await act(world, trunk, "remove_subports", vlan(one, 7))
    assert (await world.admin.show("port", one))["binding:host_id"] == ""
    await world.admin.change("port", parent, **{"binding:host_id": "h2"})
    assert (await world.admin.show("port", two))["binding:host_id"] == "h2"


async def report(world, *ports):
    """What the host says of them once it has them."""
    statuses = []
    for port in ports:
        revision = (await world.http.show("port", port))["revision_number"]
        statuses.append(Status(kind="port", id=port["id"], revision=revision, host="h1", state=State.UP))
    assert await ports_reported(world, PortsReported(host="h1", statuses=tuple(statuses)))
