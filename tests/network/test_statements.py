"""How many statements a list costs, whoever asks and however many rows there are."""

import pytest
import sqlalchemy as sa

from tests.network.test_networks import plain
from tests.network.test_routers import outside

MOST = 3
LISTS = ("networks", "subnets", "ports", "routers", "floatingips", "security-groups", "security-group-rules",
         "subnetpools", "address-scopes", "address-groups", "trunks", "qos/policies", "rbac-policies",
         "metering/metering-labels")


async def furnished(world) -> None:
    """Something of everything, some of it shared."""
    public = await outside(world)
    network, subnet = await plain(world)
    shared = await world.other.make("network", name="s")
    await world.other.post("/v2.0/rbac-policies", json={"rbac_policy": {
        "object_type": "network", "object_id": shared["id"], "action": "access_as_shared", "target_tenant": "p1"}})
    policy = (await world.admin.post("/v2.0/qos/policies", json={"policy": {"name": "q", "shared": True}})).json()
    await world.admin.post(f"/v2.0/qos/policies/{policy['policy']['id']}/minimum_bandwidth_rules",
                           json={"minimum_bandwidth_rule": {"min_kbps": 1}})
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    await world.http.put(f"/v2.0/routers/{router['id']}/add_router_interface", json={"subnet_id": subnet["id"]})
    ports = [await world.http.make("port", network_id=network["id"], qos_policy_id=policy["policy"]["id"])
             for _ in range(3)]
    await world.http.make("floatingip", floating_network_id=public["id"], port_id=ports[0]["id"])
    await world.http.make("trunk", port_id=ports[1]["id"])
    scope = await world.http.make("address_scope", name="s", ip_version=4)
    await world.http.make("subnetpool", prefixes=["10.8.0.0/16"], address_scope_id=scope["id"])
    await world.http.make("address_group", addresses=["10.0.0.0/8"])
    await world.http.make("security_group", name="g")
    await world.admin.post("/v2.0/metering/metering-labels", json={"metering_label": {"name": "m"}})


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_lists_take_three_statements(world):
    await furnished(world)
    said: list[str] = []

    def note(connection, cursor, statement, *_) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            said.append(statement)
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", note)
    try:
        for speaker in (world.http, world.admin):
            for name in LISTS:
                await speaker.get(f"/v2.0/{name}")
                said.clear()
                answer = await speaker.get(f"/v2.0/{name}")
                rows = next(value for key, value in answer.json().items() if not key.endswith("_links"))
                assert rows or name in ("metering/metering-labels", "rbac-policies"), name
                assert len(said) <= MOST, (name, said)
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)
