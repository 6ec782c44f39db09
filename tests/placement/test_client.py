"""What compute says to placement, each twice."""

import uuid

import pytest

from pileus.placement.client import Conflict, Group, Inventory, Stock

OWNER = {"project_id": "p", "user_id": "u"}


async def test_claim_and_release(world):
    client = world.client
    one = await world.provider("a", VCPU=4)
    found = await client.candidates({"VCPU": 2}, forbidden=["HW_CPU_X86_VMX"], limit=5)
    assert found.requests[0].resources == {one: {"VCPU": 2}}
    assert found.summaries[one].resources == {"VCPU": Stock(capacity=4, used=0)} and found.summaries[one].root == one
    server, other = str(uuid.uuid4()), str(uuid.uuid4())
    assert await client.claim(server, found.requests[0].resources, **OWNER)
    assert not await client.claim(server, found.requests[0].resources, **OWNER)
    with pytest.raises(Conflict, match="other allocations"):
        await client.claim(server, {one: {"VCPU": 1}}, **OWNER)
    with pytest.raises(Conflict, match="capacity"):
        await client.claim(other, {one: {"VCPU": 3}}, **OWNER)
    assert await client.consumers_of(one) == {server: {"VCPU": 2}}
    await client.change_claim(server, {one: {"VCPU": 4}}, **OWNER)
    await client.change_claim(server, {one: {"VCPU": 4}}, **OWNER)
    assert (await client.allocations(server)).resources == {one: {"VCPU": 4}}
    await client.release(server)
    await client.release(server)
    assert (await client.allocations(server)).resources == {} and await client.consumers_of(one) == {}
    assert await client.claim(other, {one: {"VCPU": 3}}, **OWNER)


async def test_groups(world):
    client = world.client
    root = await world.provider("a", VCPU=4)
    cards = [await world.provider(name, parent=root, SRIOV_NET_VF=2) for name in ("b", "c")]
    await world.provider("other", VCPU=9)
    await client.set_traits(cards[0], ["CUSTOM_RED"])
    card = Group(resources={"SRIOV_NET_VF": 1})
    red = Group(resources=card.resources, required=("CUSTOM_RED",))
    groups = {"": Group(resources={"VCPU": 1}), "1": card, "2": red}
    assert await client.tree_of(root) == {root, *cards}
    assert len((await client.candidates_of_groups(groups)).requests) == 2
    found = await client.candidates_of_groups(groups, policy="isolate", in_tree=root, limit=9)
    assert found.requests[0].resources == {root: {"VCPU": 1}} | {each: {"SRIOV_NET_VF": 1} for each in cards}
    server = str(uuid.uuid4())
    assert await client.claim(server, found.requests[0].resources, **OWNER)
    assert (await client.allocations(server)).total == {"VCPU": 1, "SRIOV_NET_VF": 2}
    groups["3"] = Group(resources={"SRIOV_NET_VF": 2}, forbidden=("CUSTOM_RED",))
    assert (await client.candidates_of_groups(groups)).requests == []
    for _ in range(2):
        await client.ensure_class("CUSTOM_GOLD")


async def test_claims_are_told_page_by_page(world):
    client = world.client
    root = await world.provider("a", VCPU=9)
    card, alone = await world.provider("b", parent=root, VGPU=9), await world.provider("c", VCPU=9)
    wanted = {}
    for number, resources in enumerate(({root: {"VCPU": 1}}, {root: {"VCPU": 1}, card: {"VGPU": 1}},
                                        {alone: {"VCPU": 1}, card: {"VGPU": 1}}, {alone: {"VCPU": 1}})):
        consumer = str(uuid.UUID(int=number + 1))
        await client.claim(consumer, resources, **OWNER)
        wanted[consumer] = {root if provider == card else provider for provider in resources}
    for page in (1, 2, 3, 4, 9):
        found = [each async for each in client.claims(page)]
        assert {consumer: set(roots) for each in found for consumer, roots in each.items()} == wanted
        assert [len(each) for each in found][:-1] == [page] * (len(found) - 1)
    for consumer in wanted:
        await client.release(consumer)
    assert [each async for each in client.claims()] == []
    assert (await world.http.get("/pileus/claims?limit=0")).status_code == 400


async def test_providers(world):
    client, one, aggregate = world.client, str(uuid.uuid4()), str(uuid.uuid4())
    for name in ("a", "a", "b"):
        await client.ensure_provider(one, name)
    with pytest.raises(Exception, match="already exists"):
        await client.ensure_provider(str(uuid.uuid4()), "b")
    for _ in range(2):
        await client.set_inventory(one, {"VCPU": Inventory(total=4), "DISK_GB": Inventory(total=9)})
        await client.set_traits(one, ["CUSTOM_RED", "HW_CPU_X86_VMX"])
        await client.set_aggregates(one, [aggregate])
    generation = (await world.http.get(f"/resource_providers/{one}")).json()["generation"]
    assert generation == 3
    assert len((await client.candidates({"VCPU": 1}, required=["CUSTOM_RED"], member_of=[[aggregate]],
                                        in_tree=one)).requests) == 1
    server = str(uuid.uuid4())
    await client.claim(server, {one: {"VCPU": 1}}, **OWNER)
    await client.set_inventory(one, {"MEMORY_MB": Inventory(total=5)})
    kept = (await world.http.get(f"/resource_providers/{one}/inventories")).json()["inventories"]
    assert set(kept) == {"MEMORY_MB", "VCPU"}
    with pytest.raises(Conflict):
        await client.remove_provider(one)
    await client.release(server)
    for _ in range(2):
        await client.remove_provider(one)
    assert await client.consumers_of(one) == {}
