"""The service as a whole: schema, manifest, bootstrap, and the client other services use."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pileus.kit.client import Refused
from pileus.kit.openapi import openapi
from pileus.network.bootstrap import bootstrap
from pileus.network.client import NewPort
from pileus.network.service import SERVICE
from tests.network.test_networks import plain

IDS = [f"{i:08d}-0000-4000-8000-000000000000" for i in range(3)]


async def test_migrations_make_the_tables(world):
    names = set(SERVICE.metadata.tables)

    def differences(raw: sa.Connection):
        context = MigrationContext.configure(raw, opts={
            "compare_type": False, "include_name": lambda name, kind, _: kind != "table" or name in names})
        return compare_metadata(context, SERVICE.metadata)
    async with world.db.read() as reader:
        assert await reader.run_sync(differences) == []


def test_openapi_knows_every_route():
    document = openapi(SERVICE, SERVICE.ledger.newest)
    assert document["paths"]["/v2.0/ports"]["post"]["x-policy"] == "create_port"
    assert len(document["paths"]) > 30


async def test_paths_may_end_in_json(world):
    network, _ = await plain(world)
    for path in ("extensions", "networks", f"networks/{network['id']}"):
        plainly, with_suffix = [await world.http.get(f"/v2.0/{path}{suffix}") for suffix in ("", ".json")]
        assert with_suffix.status_code == 200 and with_suffix.json() == plainly.json()


async def test_bootstrap_twice_is_bootstrap_once(world):
    for _ in range(2):
        await bootstrap(world, admin_project="p0", demo_project="p1")
    assert sorted(n["name"] for n in await world.http.all("network")) == ["private", "public"]
    assert [(pool["shared"], pool["is_default"]) for pool in await world.http.all("subnetpool")] == [(True, True)]
    router, = await world.http.all("router")
    assert router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"].startswith("203.0.113.")
    legs = await world.http.all("port", device_id=router["id"], device_owner="network:router_interface")
    assert legs[0]["fixed_ips"][0]["ip_address"] == "10.0.0.1"
    assert [g["name"] for g in await world.http.all("security_group")] == ["default"]
    floating = await world.http.make("floatingip", floating_network_id=router["external_gateway_info"]["network_id"])
    assert floating["floating_ip_address"].startswith("203.0.113.")


async def test_client(world):
    network, _ = await plain(world)
    client = world.client
    new = [NewPort(id=i, network_id=network["id"], device_id="s1", host="h1", project_id="p1") for i in IDS]
    made = await client.ensure_ports(new)
    assert [p.id for p in made] == IDS and {p.project_id for p in made} == {"p1"} and made[0].vif_type == "fake"
    assert {p.id for p in await client.ports_of("s1")} == set(IDS)
    assert len(made[0].security_groups) == 1
    details = await client.port_details(["s1", "s2"])
    assert [d.id for d in details["s1"]] == IDS and details["s2"] == []
    first = details["s1"][0]
    assert (first.network_name, first.mtu, first.subnets[0].cidr) == ("n", 1450, "10.1.0.0/24")
    assert first.security_group_names == ["default"]
    moved = await client.ensure_port(NewPort(id=IDS[0], network_id=network["id"], device_id="s1", host="h2"))
    assert moved.host == "h2" and moved.fixed_ips == made[0].fixed_ips
    with pytest.raises(Refused) as refused:
        await client.ensure_port(NewPort(id=IDS[0], network_id=network["id"], device_id="s9", host="h2"))
    assert refused.value.status == 409
    assert (await client.network(network["id"])).name == "n" and await client.network(IDS[0]) is None
    assert [n.id for n in await client.networks_for("p1")] == [network["id"]]
    groups = await client.security_groups("p9", ["default"])
    assert groups["default"].project_id == "p9"
    assert await client.floating_ips_of(IDS) == []
    assert [n.id for n in await client.as_caller("member@p1").networks()] == [network["id"]]
    with pytest.raises(Refused):
        await client.as_caller("member@p1").ensure_ports(new)
    assert await client.show_port("nope") is None
    for port_id in IDS:
        await client.ensure_no_port(port_id)
        await client.unbind_port(port_id)
