"""Allocation candidates: flat hosts, trees, sharing providers, granular groups, and how each version tells them."""

import uuid

import pytest

from pileus.placement.client import Inventory


async def ask(world, query, version=None):
    headers = {"openstack-api-version": f"placement {version}"} if version else None
    answer = await world.http.get("/allocation_candidates?" + query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def served_by(world, query, version=None):
    """Each candidate as {provider: resources}, in order."""
    found = await ask(world, query, version)
    return [{each: part["resources"] for each, part in request["allocations"].items()}
            for request in found["allocation_requests"]]


async def test_flat_hosts(world):
    big = await world.provider("big", VCPU=Inventory(total=8, allocation_ratio=2.0), MEMORY_MB=100)
    small = await world.provider("small", VCPU=2, MEMORY_MB=100)
    await world.provider("no memory", VCPU=8)
    assert await served_by(world, "resources=VCPU:1,MEMORY_MB:10") == [
        {big: {"VCPU": 1, "MEMORY_MB": 10}}, {small: {"VCPU": 1, "MEMORY_MB": 10}}]
    assert await served_by(world, "resources=VCPU:17,MEMORY_MB:10") == []
    assert await served_by(world, "resources=VCPU:8,MEMORY_MB:10") == [{big: {"VCPU": 8, "MEMORY_MB": 10}}]
    assert len(await served_by(world, "resources=VCPU:1,MEMORY_MB:10&limit=1")) == 1
    await world.client.claim(str(uuid.uuid4()), {small: {"VCPU": 2}}, project_id="p", user_id="u")
    found = await ask(world, "resources=VCPU:1,MEMORY_MB:10")
    assert found == {
        "allocation_requests": [{"allocations": {big: {"resources": {"VCPU": 1, "MEMORY_MB": 10}}},
                                 "mappings": {"": [big]}}],
        "provider_summaries": {big: {
            "resources": {"MEMORY_MB": {"capacity": 100, "used": 0}, "VCPU": {"capacity": 16, "used": 0}},
            "traits": [], "parent_provider_uuid": None, "root_provider_uuid": big}}}


async def test_units_and_steps(world):
    await world.provider("a", VCPU=Inventory(total=100, min_unit=4, max_unit=12, step_size=4))
    asked = (3, 4, 6, 8, 12, 16)
    found = [len(await served_by(world, f"resources=VCPU:{n}")) for n in asked]
    assert found == [0, 1, 0, 1, 1, 0]


async def test_what_older_versions_see(world):
    one = await world.provider("a", VCPU=4, MEMORY_MB=10, traits=["HW_CPU_X86_VMX"])
    listed = await ask(world, "resources=VCPU:1", "1.10")
    assert listed == {
        "allocation_requests": [{"allocations": [{"resource_provider": {"uuid": one}, "resources": {"VCPU": 1}}]}],
        "provider_summaries": {one: {"resources": {"VCPU": {"capacity": 4, "used": 0}}}}}
    traits = await ask(world, "resources=VCPU:1", "1.17")
    assert traits["allocation_requests"] == [{"allocations": {one: {"resources": {"VCPU": 1}}}}]
    assert traits["provider_summaries"][one] == {
        "resources": {"VCPU": {"capacity": 4, "used": 0}}, "traits": ["HW_CPU_X86_VMX"]}
    assert set((await ask(world, "resources=VCPU:1", "1.27"))["provider_summaries"][one]["resources"]) == {
        "VCPU", "MEMORY_MB"}
    nested = await ask(world, "resources=VCPU:1", "1.29")
    assert nested["allocation_requests"] == [{"allocations": {one: {"resources": {"VCPU": 1}}}}]
    assert nested["provider_summaries"][one]["root_provider_uuid"] == one


@pytest.mark.parametrize(("query", "version"), [
    ("", None), ("resources=VCPU", None), ("resources=VCPU:0", None), ("resources=NOPE:1", None),
    ("resources=VCPU:1&required=NOPE", None), ("resources=VCPU:1&limit=0", None), ("resources=VCPU:1&limit=x", None),
    ("resources=VCPU:1&color=red", None), ("required=HW_CPU_X86_VMX", None), ("resources=VCPU:1&limit=1", "1.15"),
    ("resources=VCPU:1&required=HW_CPU_X86_VMX", "1.16"), ("resources=VCPU:1&required=!HW_CPU_X86_VMX", "1.21"),
    ("resources=VCPU:1&required=HW_CPU_X86_VMX&required=STORAGE_DISK_SSD", "1.38"),
    ("resources=VCPU:1&required=in:HW_CPU_X86_VMX", "1.38"), ("resources=VCPU:1&resources=VCPU:2", None),
    ("resources1=VCPU:1&resources2=VCPU:1", None), ("resources1=VCPU:1", "1.24"), ("resources_A=VCPU:1", "1.32"),
    ("resources=VCPU:1&required1=HW_CPU_X86_VMX", None), ("resources=VCPU:1&same_subtree=_A", None),
    ("resources=VCPU:1&group_policy=maybe", None), ("resources=VCPU:1&member_of=x", None),
    ("resources=VCPU:1&required=HW_CPU_X86_VMX,!HW_CPU_X86_VMX", None), ("resources=VCPU:1&in_tree=x", None)])
async def test_bad_questions(world, query, version):
    headers = {"openstack-api-version": f"placement {version}"} if version else None
    answer = await world.http.get("/allocation_candidates?" + query, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["detail"]


async def test_traits_aggregates_and_trees(world):
    blue, red = str(uuid.uuid4()), str(uuid.uuid4())
    one = await world.provider("a", VCPU=4, traits=["HW_CPU_X86_VMX"], aggregates=[blue])
    two = await world.provider("b", VCPU=4, traits=["STORAGE_DISK_SSD"], aggregates=[red, blue])

    async def found(query):
        return [next(iter(each)) for each in await served_by(world, "resources=VCPU:1&" + query)]

    assert await found("required=HW_CPU_X86_VMX") == [one] and await found("required=!HW_CPU_X86_VMX") == [two]
    assert await found("required=in:HW_CPU_X86_VMX,STORAGE_DISK_SSD") == [one, two]
    assert await found("required=HW_CPU_X86_VMX,STORAGE_DISK_SSD") == []
    assert await found(f"member_of={red}") == [two] and await found(f"member_of=!{red}") == [one]
    assert await found(f"member_of=in:{red},{blue}") == [one, two]
    assert await found(f"member_of={red}&member_of={blue}") == [two]
    assert await found(f"in_tree={one}") == [one] and await found(f"in_tree={uuid.uuid4()}") == []
    assert await found("root_required=HW_CPU_X86_VMX") == [one]
    assert await found("root_required=!HW_CPU_X86_VMX") == [two]


@pytest.fixture
async def numa(world):
    """A host of two NUMA nodes with a card each, and one with everything at the root."""
    root = await world.provider("numa", DISK_GB=100, traits=["COMPUTE_NODE"])
    nodes = [await world.provider(f"node{n}", parent=root, VCPU=4, MEMORY_MB=100) for n in (0, 1)]
    cards = [await world.provider(f"card{n}", parent=nodes[n], VGPU=1, traits=[f"CUSTOM_CARD{n}"]) for n in (0, 1)]
    flat = await world.provider("flat", VCPU=4, MEMORY_MB=100, DISK_GB=100, VGPU=1)
    return root, nodes, cards, flat


async def test_trees(world, numa):
    root, nodes, cards, flat = numa
    query = "resources=VCPU:1,MEMORY_MB:10,DISK_GB:5"
    found = await served_by(world, query)
    assert found[0] == {flat: {"VCPU": 1, "MEMORY_MB": 10, "DISK_GB": 5}} and len(found) == 5
    assert {root: {"DISK_GB": 5}, nodes[1]: {"VCPU": 1, "MEMORY_MB": 10}} in found
    assert {root: {"DISK_GB": 5}, nodes[0]: {"VCPU": 1}, nodes[1]: {"MEMORY_MB": 10}} in found
    summaries = (await ask(world, query))["provider_summaries"]
    assert set(summaries) == {root, flat, *nodes, *cards}
    assert summaries[cards[0]]["parent_provider_uuid"] == nodes[0]
    assert await served_by(world, query, "1.28") == [{flat: {"VCPU": 1, "MEMORY_MB": 10, "DISK_GB": 5}}]
    with_trait = await served_by(world, query + "&required=COMPUTE_NODE")
    assert len(with_trait) == 4 and all(root in each for each in with_trait)
    assert len(await served_by(world, query + "&limit=2")) == 2


async def test_granular_groups(world, numa):
    root, nodes, cards, flat = numa
    query = "resources1=VCPU:1&resources2=VCPU:1&group_policy="
    isolated = await served_by(world, query + "isolate")
    assert isolated == [{nodes[0]: {"VCPU": 1}, nodes[1]: {"VCPU": 1}}]
    free = await served_by(world, query + "none")
    assert {flat: {"VCPU": 2}} in free and {nodes[0]: {"VCPU": 2}} in free and len(free) == 4
    assert len(await served_by(world, "resources1=VCPU:3&resources2=VCPU:3&group_policy=none")) == 1
    mixed = await ask(world, "resources=DISK_GB:1&resources_CPU=VCPU:1&resources_GPU=VGPU:1&required_GPU=CUSTOM_CARD1"
                             "&group_policy=none")
    assert len(mixed["allocation_requests"]) == 2
    assert all(each["mappings"] == {"": [root], "_CPU": each["mappings"]["_CPU"], "_GPU": [cards[1]]}
               for each in mixed["allocation_requests"])
    near = "resources_CPU=VCPU:1&resources_GPU=VGPU:1&group_policy=none&same_subtree=_CPU,_GPU"
    found = await served_by(world, near)
    assert {nodes[0]: {"VCPU": 1}, cards[0]: {"VGPU": 1}} in found and len(found) == 3
    by_trait = await served_by(
        world, "resources_GPU=VGPU:1&required_HOST=COMPUTE_NODE&same_subtree=_GPU,_HOST&group_policy=none")
    assert by_trait == [{cards[0]: {"VGPU": 1}}, {cards[1]: {"VGPU": 1}}]


async def test_sharing_providers(world):
    shelf, other = str(uuid.uuid4()), str(uuid.uuid4())
    one = await world.provider("one", VCPU=4, aggregates=[shelf])
    two = await world.provider("two", VCPU=4, DISK_GB=10, aggregates=[shelf])
    three = await world.provider("three", VCPU=4, aggregates=[other])
    disks = await world.provider("disks", DISK_GB=1000, aggregates=[shelf], traits=["MISC_SHARES_VIA_AGGREGATE"])
    found = await served_by(world, "resources=VCPU:1,DISK_GB:5")
    assert {one: {"VCPU": 1}, disks: {"DISK_GB": 5}} in found and {two: {"VCPU": 1, "DISK_GB": 5}} in found
    assert {two: {"VCPU": 1}, disks: {"DISK_GB": 5}} in found and len(found) == 3
    assert not any(three in each for each in found)
    assert await served_by(world, "resources=VCPU:1,DISK_GB:50") == [
        {one: {"VCPU": 1}, disks: {"DISK_GB": 50}}, {two: {"VCPU": 1}, disks: {"DISK_GB": 50}}]
    granular = await served_by(world, "resources1=VCPU:1&resources2=DISK_GB:50&group_policy=none")
    assert len(granular) == 2 and all(disks in each for each in granular)


async def test_two_processes_see_each_other(make_world):
    first = await make_world()
    second = await make_world(first.db)
    one = await first.provider("a", VCPU=4)
    assert await served_by(second, "resources=VCPU:1") == [{one: {"VCPU": 1}}]
    await first.client.claim(str(uuid.uuid4()), {one: {"VCPU": 4}}, project_id="p", user_id="u")
    assert await served_by(second, "resources=VCPU:1") == []
    two = await second.provider("b", VCPU=4)
    assert await served_by(first, "resources=VCPU:1") == [{two: {"VCPU": 1}}]
    await second.client.remove_provider(two)
    assert await served_by(first, "resources=VCPU:1") == []
    for _ in range(70):
        await first.provider(VCPU=1)
    assert len(await served_by(second, "resources=VCPU:1")) == 70


async def test_some_at_random(make_world):
    """A limited request gets some of the candidates, in the order of the providers; without chance the first."""
    for chance in (True, False):
        world = await make_world(randomize_candidates=chance)
        every = [await world.provider(VCPU=8) for _ in range(8)]
        parent = await world.provider()
        await world.provider(parent=parent, VCPU=8)
        seen = [tuple(provider for each in await served_by(world, "resources=VCPU:1&limit=3") for provider in each)
                for _ in range(30)]
        assert {len(found) for found in seen} == {3}
        if chance:
            assert len(set(seen)) > 1
        else:
            assert set(seen) == {tuple(every[:3])}
