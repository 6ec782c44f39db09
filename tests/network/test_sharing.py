"""RBAC policies: what is shared with single projects or with all."""

import asyncio

from tests.network.test_networks import MISSING, plain
from tests.network.test_routers import outside


async def share(speaker, kind, thing, target, status=201, action="access_as_shared"):
    answer = await speaker.post("/v2.0/rbac-policies", json={"rbac_policy": {
        "object_type": kind, "object_id": thing["id"], "action": action, "target_tenant": target}})
    assert answer.status_code == status, answer.text
    return answer.json()["rbac_policy"] if status == 201 else answer.json()["NeutronError"]


async def unshare(speaker, policy, status=204):
    answer = await speaker.delete(f"/v2.0/rbac-policies/{policy['id']}")
    assert answer.status_code == status, answer.text
    return answer.json()["NeutronError"] if status >= 300 else None


async def test_a_network_is_shared_with_one_project(world):
    network, subnet = await plain(world)
    stranger = world.speaker("member@p3")
    policy = await share(world.http, "network", network, "p2")
    assert policy["target_tenant"] == "p2" and policy["project_id"] == "p1"
    assert (await share(world.http, "network", network, "p2", 409))["type"] == "DuplicateRbacPolicy"
    assert (await share(world.http, "network", network, "*", 403))["type"] == "PolicyNotAuthorized"
    assert (await share(world.other, "network", network, "p2", 400))["type"] == "InvalidInput"
    await share(world.http, "network", {"id": MISSING}, "p2", 404)
    await share(world.admin, "security_group", network, "p2", 400, action="access_as_external")
    seen = await world.other.show("network", network)
    assert seen["shared"] and not (await world.http.show("network", network))["shared"]
    assert [n["shared"] for n in await world.other.all("network")] == [True]
    assert [s["id"] for s in await world.other.all("subnet")] == [subnet["id"]]
    await world.other.show("subnet", subnet)
    assert await stranger.all("network") == []
    await stranger.show("network", network, 404)
    await stranger.make("port", 404, network_id=network["id"])
    port = await world.other.make("port", network_id=network["id"])
    await world.other.change("network", network, 403, name="mine now")
    await world.other.make("subnet", 403, network_id=network["id"], ip_version=4, cidr="10.7.0.0/24")
    assert (await unshare(world.http, policy, 409))["type"] == "RbacPolicyInUse"
    moved = await world.http.put(f"/v2.0/rbac-policies/{policy['id']}", json={"rbac_policy": {"target_tenant": "p3"}})
    assert moved.status_code == 409
    await world.other.drop("port", port)
    moved = await world.http.put(f"/v2.0/rbac-policies/{policy['id']}", json={"rbac_policy": {"target_tenant": "p3"}})
    assert moved.json()["rbac_policy"]["target_tenant"] == "p3"
    await stranger.show("network", network)
    await world.other.show("network", network, 404)
    assert [p["id"] for p in (await world.http.get("/v2.0/rbac-policies")).json()["rbac_policies"]] == [policy["id"]]
    assert (await world.other.get(f"/v2.0/rbac-policies/{policy['id']}")).status_code == 404
    await world.http.drop("network", network)
    assert (await world.admin.get("/v2.0/rbac-policies")).json()["rbac_policies"] == []
    await stranger.aclose()


async def test_sharing_with_all_is_the_attribute(world):
    network = await world.admin.make("network", shared=True)
    policy, = (await world.admin.get("/v2.0/rbac-policies")).json()["rbac_policies"]
    assert (policy["object_id"], policy["target_tenant"]) == (network["id"], "*")
    assert [n["id"] for n in await world.other.all("network")] == [network["id"]]
    await unshare(world.admin, policy)
    assert not (await world.admin.show("network", network))["shared"] and await world.other.all("network") == []
    await share(world.admin, "network", network, "*")
    assert (await world.admin.show("network", network))["shared"]
    await world.admin.change("network", network, shared=False)
    assert (await world.admin.get("/v2.0/rbac-policies")).json()["rbac_policies"] == []


async def test_an_external_network_for_one_project(world):
    network = await world.admin.make("network")
    await world.admin.make("subnet", network_id=network["id"], ip_version=4, cidr="198.51.100.0/24", enable_dhcp=False)
    policy = await share(world.admin, "network", network, "p1", action="access_as_external")
    assert (await world.admin.show("network", network))["router:external"]
    router = await world.http.make("router", external_gateway_info={"network_id": network["id"]})
    await world.other.make("router", 404, external_gateway_info={"network_id": network["id"]})
    await world.other.make("floatingip", 404, floating_network_id=network["id"])
    assert (await unshare(world.admin, policy, 409))["type"] == "RbacPolicyInUse"
    await world.http.drop("router", router)
    await unshare(world.admin, policy)
    assert not (await world.admin.show("network", network))["router:external"]
    public = await outside(world)
    assert public["id"] in [n["id"] for n in await world.other.all("network")]
    mine = await world.http.make("network")
    await share(world.http, "network", mine, "*", 403, action="access_as_external")
    await share(world.http, "network", mine, "p2", action="access_as_external")


async def test_groups_and_pools_are_shared(world):
    group = await world.http.make("security_group", name="web")
    addresses = await world.http.make("address_group", name="office", addresses=["10.0.0.0/8"])
    pool = await world.http.make("subnetpool", name="pool", prefixes=["10.64.0.0/16"], default_prefixlen=26)
    network, _ = await plain(world)
    theirs = await world.other.make("network", name="theirs")
    await world.other.make("port", 404, network_id=theirs["id"], security_groups=[group["id"]])
    await world.other.make("subnet", 404, network_id=theirs["id"], ip_version=4, subnetpool_id=pool["id"])
    policies = {kind: await share(world.http, kind, thing, "p2") for kind, thing in (
        ("security_group", group), ("address_group", addresses), ("subnetpool", pool))}
    assert (await world.other.show("security_group", group))["shared"]
    assert {r["security_group_id"] for r in await world.other.all("security_group_rule")} >= {group["id"]}
    assert [a["id"] for a in await world.other.all("address_group")] == [addresses["id"]]
    assert [p["id"] for p in await world.other.all("subnetpool")] == [pool["id"]]
    assert group["id"] in [g["id"] for g in await world.other.all("security_group", shared=True)]
    port = await world.other.make("port", network_id=theirs["id"], security_groups=[group["id"]])
    subnet = await world.other.make("subnet", network_id=theirs["id"], ip_version=4, subnetpool_id=pool["id"])
    own = await world.other.make("security_group", name="own")
    rule = await world.other.make("security_group_rule", security_group_id=own["id"], direction="ingress",
                                  remote_address_group_id=addresses["id"])
    await world.other.change("security_group", group, 403, name="mine now")
    for policy in policies.values():
        assert (await unshare(world.http, policy, 409))["type"] == "RbacPolicyInUse"
    await world.other.drop("port", port)
    await world.other.drop("subnet", subnet)
    await world.other.drop("security_group_rule", rule)
    for policy in policies.values():
        await unshare(world.http, policy)
    assert network["id"] and await world.other.all("address_group") == []


async def test_the_same_policy_is_there_once(world):
    network, _ = await plain(world)
    answers = await asyncio.gather(*(world.http.post("/v2.0/rbac-policies", json={"rbac_policy": {
        "object_type": "network", "object_id": network["id"], "action": "access_as_shared", "target_tenant": "p2"}})
        for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
