"""Address scopes: pools in them do not overlap, networks are of one scope, engines are told."""

from pileus.network.model import hosts
from pileus.network.rendering import read_records


async def pool_in(world, scope, *prefixes, status=201, speaker=None, **more):
    return await (speaker or world.http).make(
        "subnetpool", status, name="p", prefixes=list(prefixes), default_prefixlen=24,
        address_scope_id=scope and scope["id"], **more)


async def test_pools_of_a_scope_do_not_overlap(world):
    scope = await world.http.make("address_scope", name="s", ip_version=4)
    assert (scope["ip_version"], scope["shared"]) == (4, False)
    first = await pool_in(world, scope, "10.0.0.0/16")
    assert first["address_scope_id"] == scope["id"]
    refused = await pool_in(world, scope, "10.1.0.0/16", "10.0.8.0/24", status=409)
    assert refused["type"] == "AddressScopePrefixConflict"
    second = await pool_in(world, scope, "10.1.0.0/16")
    grown = await world.http.change("subnetpool", second, 409, prefixes=["10.0.0.0/15"])
    assert grown["type"] == "AddressScopePrefixConflict"
    free = await pool_in(world, None, "10.0.0.0/8")
    assert free["address_scope_id"] is None
    await world.http.change("subnetpool", free, 409, address_scope_id=scope["id"])
    six = await world.http.make("address_scope", name="s6", ip_version=6)
    wrong = await world.http.change("subnetpool", first, 400, address_scope_id=six["id"])
    assert wrong["type"] == "IllegalSubnetPoolIpVersionAssociationToAddressScope"
    assert (await world.http.drop("address_scope", scope, 409))["type"] == "AddressScopeInUse"
    for pool in (first, second):
        assert (await world.http.change("subnetpool", pool, address_scope_id=None))["address_scope_id"] is None
    await world.http.drop("address_scope", scope)
    await world.http.make("subnetpool", 400, name="p", prefixes=["10.0.0.0/16"], address_scope_id="no-uuid")


async def test_scopes_are_seen_and_used_by_those_they_are_shared_with(world):
    scope = await world.admin.make("address_scope", name="s", ip_version=4)
    await world.http.show("address_scope", scope, 404)
    assert await world.http.all("address_scope") == []
    await pool_in(world, scope, "10.0.0.0/16", status=404)
    await world.http.make("address_scope", 403, name="t", ip_version=4, shared=True)
    given = await world.admin.post("/v2.0/rbac-policies", json={"rbac_policy": {
        "object_type": "address_scope", "object_id": scope["id"], "action": "access_as_shared",
        "target_tenant": "p1"}})
    assert given.status_code == 201
    pool = await pool_in(world, scope, "10.0.0.0/16")
    policy = given.json()["rbac_policy"]["id"]
    assert (await world.admin.delete(f"/v2.0/rbac-policies/{policy}")).status_code == 409
    grown = await world.http.change("subnetpool", pool, 400, prefixes=["10.0.0.0/15"])
    assert grown["type"] == "IllegalSubnetPoolUpdate"
    await world.admin.change("subnetpool", pool, prefixes=["10.0.0.0/15"])
    further = {"object_type": "subnetpool", "object_id": pool["id"], "action": "access_as_shared",
               "target_tenant": "p2"}
    assert (await world.http.post("/v2.0/rbac-policies", json={"rbac_policy": further})).status_code == 400
    foreign = further | {"object_type": "address_scope", "object_id": scope["id"]}
    assert (await world.http.post("/v2.0/rbac-policies", json={"rbac_policy": foreign})).status_code == 400
    shared = await world.admin.change("address_scope", scope, shared=True)
    assert shared["shared"] and [each["id"] for each in await world.other.all("address_scope")] == [scope["id"]]
    assert (await world.admin.change("address_scope", scope, 400, shared=False))["type"] == "AddressScopeUpdateError"
    assert (await world.http.post("/v2.0/rbac-policies", json={"rbac_policy": further})).status_code == 201


async def test_a_network_is_of_one_scope_per_version(world):
    scope = await world.http.make("address_scope", name="s", ip_version=4)
    inside, also = await pool_in(world, scope, "10.0.0.0/16"), await pool_in(world, scope, "10.1.0.0/16")
    outside, other = await pool_in(world, None, "10.2.0.0/16"), await pool_in(world, None, "10.3.0.0/16")
    network = await world.http.make("network", name="n")
    for pool in (inside, also):
        await world.http.make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"])
    shown = await world.http.show("network", network)
    assert (shown["ipv4_address_scope"], shown["ipv6_address_scope"]) == (scope["id"], None)
    for wrong in ({"subnetpool_id": outside["id"]}, {"cidr": "10.9.0.0/24"}):
        refused = await world.http.make("subnet", 400, network_id=network["id"], ip_version=4, **wrong)
        assert refused["type"] == "NetworkAddressScopeAffinityError"
    six = await world.http.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64")
    assert (await world.http.change("subnetpool", inside, 400, address_scope_id=None))["type"] == (
        "NetworkAddressScopeAffinityError")
    plain = await world.http.make("network", name="n")
    await world.http.make("subnet", network_id=plain["id"], ip_version=4, subnetpool_id=outside["id"])
    refused = await world.http.make("subnet", 400, network_id=plain["id"], ip_version=4, subnetpool_id=other["id"])
    assert refused["type"] == "NetworkSubnetPoolAffinityError"
    async with world.db.read() as reader:
        records = await read_records(reader, await hosts.every(reader))
    scopes = {subnet.id: subnet.scope for subnet in records.subnets if subnet.network_id == network["id"]}
    assert len(scopes) == 3 and {scope for one, scope in scopes.items() if one != six["id"]} == {scope["id"]}
    assert scopes[six["id"]] is None
