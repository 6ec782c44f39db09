"""Types and numbers of networks, and the ranges that numbers are given from."""

import msgspec
import pytest

from pileus.network.config import NetworkConfig
from pileus.network.model import segment_ranges
from pileus.network.rendering import read_records
from tests.network.test_networks import MISSING

URL = "/v2.0/network_segment_ranges"


async def made(world, status=201, **body):
    answer = await world.admin.post(URL, json={"network_segment_range": {"network_type": "vxlan"} | body})
    assert answer.status_code == status, answer.text
    return answer.json()["network_segment_range"] if status < 300 else answer.json()["NeutronError"]["type"]


async def changed(world, row, status=200, **body):
    answer = await world.admin.put(f"{URL}/{row['id']}", json={"network_segment_range": body})
    assert answer.status_code == status, answer.text
    return answer.json()["network_segment_range"] if status < 300 else answer.json()["NeutronError"]["type"]


async def number(world, project_id, status=201, **body):
    network = await world.admin.make("network", status, project_id=project_id, **body)
    return network["provider:segmentation_id"] if status < 300 else network["type"]


async def test_ranges(world):
    row = await made(world, name="r", minimum=1100, maximum=1103, shared=False, project_id="p7")
    assert (row["default"], row["shared"], row["project_id"]) == (False, False, "p7")
    assert (row["used"], row["available"]) == ({}, [1100, 1101, 1102, 1103])
    assert (await world.http.get(f"{URL}/{row['id']}")).status_code == 404
    assert (await world.http.get(URL)).status_code == 403
    assert await made(world, 409, minimum=1103, maximum=1104) == "NetworkSegmentRangeOverlaps"
    assert await made(world, 400, minimum=1, maximum=2, network_type="flat") == "NetworkSegmentRangeNetTypeNotSupported"
    for wrong in ({"minimum": 5, "maximum": 4}, {"minimum": 1, "maximum": 2, "shared": False},
                  {"minimum": 1, "maximum": 2, "physical_network": "public"},
                  {"minimum": 1, "maximum": 2, "network_type": "vlan"},
                  {"minimum": 1, "maximum": 2, "network_type": "vlan", "physical_network": "none"},
                  {"minimum": 1, "maximum": 4095, "network_type": "vlan", "physical_network": "public"}):
        assert await made(world, 400, **wrong) == "InvalidInput", wrong
    first = await number(world, "p7")
    assert (await changed(world, row, name="s", minimum=1000, maximum=1200))["name"] == "s"
    assert await changed(world, row, 409, minimum=first + 1) == "NetworkSegmentRangeReferencedByProject"
    row = await changed(world, row, minimum=first, maximum=first)
    assert (row["used"], row["available"]) == ({str(first): "p7"}, [])
    assert (await world.admin.delete(f"{URL}/{row['id']}")).status_code == 409
    assert (await world.admin.get(f"{URL.replace('_', '-')}/{row['id']}")).status_code == 200
    listed = (await world.admin.get(URL, params={"shared": "false", "network_type": "vxlan"})).json()
    assert [each["id"] for each in listed["network_segment_ranges"]] == [row["id"]]
    for network in await world.admin.all("network", project_id="p7"):
        await world.admin.drop("network", network)
    assert (await world.admin.delete(f"{URL}/{row['id']}")).status_code == 204
    assert (await world.admin.get(f"{URL}/{MISSING}")).status_code == 404


async def test_numbers_come_from_ranges(make_world):
    world = await make_world(config=NetworkConfig(first_vni=10, last_vni=13))
    await made(world, minimum=10, maximum=11, shared=False, project_id="p7")
    assert sorted([await number(world, "p1"), await number(world, "p1")]) == [12, 13]
    assert await number(world, "p1", 503) == "NoNetworkAvailable"         # what is left is another project's
    await made(world, minimum=20, maximum=20)
    assert sorted([await number(world, "p7") for _ in range(3)]) == [10, 11, 20]
    assert await number(world, "p7", 503) == "NoNetworkAvailable"
    assert await number(world, "p7", **{"provider:network_type": "vxlan", "provider:segmentation_id": 4000}) == 4000
    both = await world.admin.post("/v2.0/networks", json={"networks": [{"name": "a"}, {"name": "b"}]})
    assert both.status_code == 503


async def test_the_default_range_is_that_of_the_settings(make_world):
    world = await make_world(config=NetworkConfig(first_vni=5, last_vni=100_000))
    for last in (100_000, 7):
        async with world.db.write() as tx:
            await segment_ranges.settle_defaults(tx, NetworkConfig(first_vni=5, last_vni=last), 1.0)
        (row,) = (await world.admin.get(URL, params={"default": "true"})).json()["network_segment_ranges"]
        assert (row["shared"], row["minimum"], row["maximum"]) == (True, 5, last)
        assert row["available"] == list(range(5, min(last, 10_004) + 1))
    assert await changed(world, row, 400, name="x") == "NetworkSegmentRangeDefaultReadOnly"
    assert (await world.admin.delete(f"{URL}/{row['id']}")).status_code == 400
    assert (await made(world, minimum=6, maximum=6))["available"] == [6]


async def test_vlans_of_the_settings(make_world):
    config = NetworkConfig(vlan_ranges={"public": (100, 101)})
    world = await make_world(config=config)
    for settings, spans in ((config, [(100, 101)]), (NetworkConfig(), []), (config, [(100, 101)])):
        async with world.db.write() as tx:
            await segment_ranges.settle_defaults(tx, settings, 1.0)
        listed = (await world.admin.get(URL, params={"network_type": "vlan"})).json()["network_segment_ranges"]
        assert [(row["minimum"], row["maximum"]) for row in listed] == spans
        assert all(row["default"] and row["physical_network"] == "public" for row in listed)
    vlan = {"provider:network_type": "vlan"}
    for more in ({}, {"provider:physical_network": "public"}):
        made = await world.admin.make("network", **vlan, **more)
        assert made["provider:physical_network"] == "public" and made["provider:segmentation_id"] in (100, 101)
    assert (await world.admin.make("network", 503, **vlan))["type"] == "NoNetworkAvailable"


def test_vlans_that_are_no_range():
    for wrong in ({"none": (1, 2)}, {"public": (2, 1)}, {"public": (1, 4095)}, {"public": (0, 1)}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"vlan_ranges": wrong}, NetworkConfig)


async def test_networks_of_vlans(world):
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "public"}
    network = await world.admin.make("network", **vlan, **{"provider:segmentation_id": "7"})
    assert (network["mtu"], network["provider:segmentation_id"]) == (1500, 7)
    assert (await world.admin.make("network", 409, **vlan, **{"provider:segmentation_id": 7}))["type"] == "VlanIdInUse"
    for wrong in ({"provider:segmentation_id": 4095}, {"provider:segmentation_id": 0},
                  {"provider:physical_network": "none"}, {"provider:physical_network": None,
                                                          "provider:segmentation_id": 5}):
        await world.admin.make("network", 400, **(vlan | wrong))
    await world.http.make("network", 403, **vlan)
    assert await number(world, "p1", 503, **vlan) == "NoNetworkAvailable"
    await made(world, network_type="vlan", physical_network="public", minimum=7, maximum=8)
    assert await number(world, "p1", **{"provider:network_type": "vlan"}) == 8
    async with world.db.read() as reader:
        records = (await read_records(reader, [])).networks
    assert [(each.physical, each.vlan, each.vni) for each in records if each.id == network["id"]] == [
        ("public", 7, None)]
