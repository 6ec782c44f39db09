"""What each microversion of the Placement API changed: just below it and at it."""

from __future__ import annotations

import uuid

import pytest

from pileus.placement import versions
from tests.covers import covers

X86, SSD = "HW_CPU_X86_VMX", "STORAGE_DISK_SSD"
RED, BLUE = "0000000e-0000-4000-8000-000000000001", "0000000e-0000-4000-8000-000000000002"
CANDIDATES = "/allocation_candidates?resources=VCPU:1"


def new() -> str:
    return str(uuid.uuid4())


async def call(world, version, method, path, body=None):
    headers = {"openstack-api-version": f"placement {version}"}
    return await world.http.request(method, path, json=body, headers=headers)


async def status(world, version, method, path, body=None) -> int:
    return (await call(world, version, method, path, body)).status_code


async def get(world, version, path):
    answer = await call(world, version, "GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- routes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("below", "at", "method", "path", "body"), [
    pytest.param("1.0", "1.1", "GET", "/resource_providers/{one}/aggregates", None, marks=covers(versions.AGGREGATES)),
    pytest.param("1.0", "1.1", "PUT", "/resource_providers/{one}/aggregates", [], marks=covers(versions.AGGREGATES)),
    pytest.param("1.1", "1.2", "GET", "/resource_classes", None, marks=covers(versions.CUSTOM_CLASSES)),
    pytest.param("1.1", "1.2", "POST", "/resource_classes", {"name": "CUSTOM_A"},
                 marks=covers(versions.CUSTOM_CLASSES)),
    pytest.param("1.4", "1.5", "DELETE", "/resource_providers/{one}/inventories", None,
                 marks=covers(versions.DELETE_INVENTORIES)),
    pytest.param("1.5", "1.6", "GET", "/traits", None, marks=covers(versions.TRAITS)),
    pytest.param("1.5", "1.6", "PUT", "/traits/CUSTOM_A", None, marks=covers(versions.TRAITS)),
    pytest.param("1.5", "1.6", "GET", "/resource_providers/{one}/traits", None, marks=covers(versions.TRAITS)),
    pytest.param("1.8", "1.9", "GET", "/usages?project_id=p", None, marks=covers(versions.PROJECT_USAGES)),
    pytest.param("1.9", "1.10", "GET", CANDIDATES, None, marks=covers(versions.CANDIDATES)),
    pytest.param("1.12", "1.13", "POST", "/allocations", {}, marks=covers(versions.POST_ALLOCATIONS)),
    pytest.param("1.29", "1.30", "POST", "/reshaper", {}, marks=covers(versions.RESHAPER))])
async def test_new_routes(world, below, at, method, path, body):
    path = path.format(one=await world.provider("a", VCPU=1))
    assert await status(world, below, method, path, body) in (404, 405)
    found = await status(world, at, method, path, body)
    assert found == 400 if body == {} else found < 300             # an empty body is refused for what it lacks


# -- query strings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("below", "at", "path"), [
    pytest.param("1.2", "1.3", f"/resource_providers?member_of={RED}", marks=covers(versions.LIST_MEMBER_OF)),
    pytest.param("1.3", "1.4", "/resource_providers?resources=VCPU:1", marks=covers(versions.LIST_RESOURCES)),
    pytest.param("1.13", "1.14", f"/resource_providers?in_tree={RED}", marks=covers(versions.NESTED)),
    pytest.param("1.15", "1.16", f"{CANDIDATES}&limit=1", marks=covers(versions.CANDIDATE_LIMIT)),
    pytest.param("1.16", "1.17", f"{CANDIDATES}&required={X86}", marks=covers(versions.CANDIDATE_TRAITS)),
    pytest.param("1.17", "1.18", f"/resource_providers?required={X86}", marks=covers(versions.LIST_REQUIRED)),
    pytest.param("1.20", "1.21", f"{CANDIDATES}&member_of={RED}", marks=covers(versions.CANDIDATE_MEMBER_OF)),
    pytest.param("1.21", "1.22", f"{CANDIDATES}&required=!{X86}", marks=covers(versions.FORBIDDEN_TRAITS)),
    pytest.param("1.21", "1.22", f"/resource_providers?required=!{X86}", marks=covers(versions.FORBIDDEN_TRAITS)),
    pytest.param("1.23", "1.24", f"{CANDIDATES}&member_of={RED}&member_of={BLUE}",
                 marks=covers(versions.REPEATED_MEMBER_OF)),
    pytest.param("1.23", "1.24", f"/resource_providers?member_of={RED}&member_of={BLUE}",
                 marks=covers(versions.REPEATED_MEMBER_OF)),
    pytest.param("1.24", "1.25", "/allocation_candidates?resources1=VCPU:1", marks=covers(versions.GRANULAR)),
    pytest.param("1.30", "1.31", f"{CANDIDATES}&in_tree={RED}", marks=covers(versions.CANDIDATE_IN_TREE)),
    pytest.param("1.31", "1.32", f"{CANDIDATES}&member_of=!{RED}", marks=covers(versions.FORBIDDEN_AGGREGATES)),
    pytest.param("1.31", "1.32", f"/resource_providers?member_of=!{RED}",
                 marks=covers(versions.FORBIDDEN_AGGREGATES)),
    pytest.param("1.32", "1.33", "/allocation_candidates?resources_A=VCPU:1", marks=covers(versions.NAMED_GROUPS)),
    pytest.param("1.34", "1.35", f"{CANDIDATES}&root_required={X86}", marks=covers(versions.ROOT_REQUIRED)),
    pytest.param("1.35", "1.36", "/allocation_candidates?resources_A=VCPU:1&resources_B=VCPU:1&group_policy=none"
                                 "&same_subtree=_A,_B", marks=covers(versions.SAME_SUBTREE)),
    pytest.param("1.37", "1.38", "/usages?project_id=p&consumer_type=all", marks=covers(versions.CONSUMER_TYPES)),
    pytest.param("1.38", "1.39", f"{CANDIDATES}&required=in:{X86},{SSD}", marks=covers(versions.ANY_TRAITS)),
    pytest.param("1.38", "1.39", f"/resource_providers?required={X86}&required={SSD}",
                 marks=covers(versions.ANY_TRAITS))])
async def test_new_parameters(world, below, at, path):
    await world.provider("a", VCPU=1)
    assert await status(world, below, "GET", path) == 400
    assert await status(world, at, "GET", path) == 200


# -- providers -----------------------------------------------------------------------------------


@covers(versions.ENSURE_CLASS)
async def test_putting_a_resource_class(world):
    await call(world, "1.2", "POST", "/resource_classes", {"name": "CUSTOM_A"})
    renamed = await call(world, "1.6", "PUT", "/resource_classes/CUSTOM_A", {"name": "CUSTOM_B"})
    assert renamed.status_code == 200 and renamed.json()["name"] == "CUSTOM_B"
    assert await status(world, "1.6", "PUT", "/resource_classes/CUSTOM_C", {"name": "CUSTOM_D"}) == 404
    assert [await status(world, "1.7", "PUT", "/resource_classes/CUSTOM_C") for _ in (1, 2)] == [201, 204]


@covers(versions.AGGREGATES, versions.TRAITS, versions.ALLOCATION_LINK)
async def test_links_of_providers(world):
    one = await world.provider("a")

    async def links(version):
        shown = await get(world, version, f"/resource_providers/{one}")
        return {link["rel"] for link in shown["links"]}

    for below, at, added in (("1.0", "1.1", "aggregates"), ("1.5", "1.6", "traits"), ("1.10", "1.11", "allocations")):
        assert await links(at) - await links(below) == {added}


@covers(versions.NESTED)
async def test_parents_of_providers(world):
    one = await world.provider("a")
    body = {"name": "b", "parent_provider_uuid": one}
    assert await status(world, "1.13", "POST", "/resource_providers", body) == 400
    assert await status(world, "1.14", "POST", "/resource_providers", body) == 201
    below, at = [await get(world, version, f"/resource_providers/{one}") for version in ("1.13", "1.14")]
    assert set(at) - set(below) == {"parent_provider_uuid", "root_provider_uuid"}


@covers(versions.CACHE_HEADERS)
async def test_cache_headers(world):
    one = await world.provider("a")
    below, at = [await call(world, version, "GET", f"/resource_providers/{one}") for version in ("1.14", "1.15")]
    assert {"last-modified", "cache-control"} & set(below.headers) == set()
    assert at.headers["cache-control"] == "no-cache" and at.headers["last-modified"]


@covers(versions.AGGREGATE_GENERATION)
async def test_generation_of_aggregates(world):
    one = await world.provider("a")
    url = f"/resource_providers/{one}/aggregates"
    assert set(await get(world, "1.18", url)) == {"aggregates"}
    generation = (await get(world, "1.19", url))["resource_provider_generation"]
    body = {"aggregates": [], "resource_provider_generation": generation}
    assert await status(world, "1.18", "PUT", url, body) == 400 and await status(world, "1.19", "PUT", url, []) == 400
    assert await status(world, "1.19", "PUT", url, body) == 200
    assert await status(world, "1.19", "PUT", url, body | {"resource_provider_generation": generation + 9}) == 409


@covers(versions.CREATED_BODY)
async def test_answer_to_a_new_provider(world):
    below, at = [await call(world, version, "POST", "/resource_providers", {"name": version})
                 for version in ("1.19", "1.20")]
    assert (below.status_code, below.content) == (201, b"") and below.headers["location"]
    assert at.status_code == 200 and at.json()["name"] == "1.20" and at.headers["location"]


@covers(versions.ERROR_CODES)
async def test_codes_of_errors(world):
    below, at = [(await call(world, version, "GET", f"/resource_providers/{new()}")).json()["errors"][0]
                 for version in ("1.22", "1.23")]
    assert "code" not in below and at["code"] == "placement.resource_provider.not_found"


@covers(versions.ALL_RESERVED)
async def test_reserving_all(world):
    one = await world.provider("a")
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 5, "reserved": 5}}}
    assert await status(world, "1.25", "PUT", f"/resource_providers/{one}/inventories", body) == 400
    assert await status(world, "1.26", "PUT", f"/resource_providers/{one}/inventories", body) == 200


@covers(versions.REPARENT)
async def test_another_parent(world):
    one, two = await world.provider("a"), await world.provider("b")
    child = await world.provider("c", parent=one)
    for parent in (two, None):
        body = {"name": "c", "parent_provider_uuid": parent}
        assert await status(world, "1.36", "PUT", f"/resource_providers/{child}", body) == 400
        assert await status(world, "1.37", "PUT", f"/resource_providers/{child}", body) == 200


# -- allocations ---------------------------------------------------------------------------------


@covers(versions.CLAIM_OWNER, versions.ALLOCATION_OBJECTS, versions.CONSUMER_GENERATION, versions.CONSUMER_TYPES,
        versions.MAPPINGS)
async def test_writing_allocations(world):
    one = await world.provider("a", VCPU=9)
    listed = {"allocations": [{"resource_provider": {"uuid": one}, "resources": {"VCPU": 1}}]}
    owner = {"project_id": "p", "user_id": "u"}
    keyed = {"allocations": {one: {"resources": {"VCPU": 1}}}} | owner
    generation, kind = {"consumer_generation": None}, {"consumer_type": "INSTANCE"}
    mapped = {"mappings": {"": [one]}}
    for below, at, body in [
            ("1.8", "1.7", listed), ("1.7", "1.8", listed | owner), ("1.12", "1.11", listed | owner),
            ("1.11", "1.12", keyed), ("1.28", "1.27", keyed), ("1.27", "1.28", keyed | generation),
            ("1.33", "1.34", keyed | generation | mapped), ("1.38", "1.37", keyed | generation),
            ("1.37", "1.38", keyed | generation | kind)]:
        assert await status(world, below, "PUT", f"/allocations/{new()}", body) == 400, (below, body)
        assert await status(world, at, "PUT", f"/allocations/{new()}", body) == 204, (at, body)


@covers(versions.ALLOCATION_OBJECTS, versions.CONSUMER_GENERATION, versions.CONSUMER_TYPES)
async def test_reading_allocations(world):
    one, consumer = await world.provider("a", VCPU=9), new()
    await world.client.claim(consumer, {one: {"VCPU": 1}}, project_id="p", user_id="u")
    for below, at, added in (("1.11", "1.12", {"project_id", "user_id"}), ("1.27", "1.28", {"consumer_generation"}),
                             ("1.37", "1.38", {"consumer_type"})):
        found = [set(await get(world, version, f"/allocations/{consumer}")) for version in (below, at)]
        assert found[1] - found[0] == added
    below, at = [(await get(world, version, f"/resource_providers/{one}/allocations"))["allocations"][consumer]
                 for version in ("1.27", "1.28")]
    assert set(at) - set(below) == {"consumer_generation"}
    below, at = [(await get(world, version, "/usages?project_id=p"))["usages"] for version in ("1.37", "1.38")]
    assert below == {"VCPU": 1} and [set(each) for each in at.values()] == [{"consumer_count", "VCPU"}]


# -- candidates ------------------------------------------------------------------------------------


@covers(versions.ALLOCATION_OBJECTS, versions.MAPPINGS)
async def test_allocations_of_candidates(world):
    one = await world.provider("a", VCPU=1)

    async def first(version):
        return (await get(world, version, CANDIDATES))["allocation_requests"][0]

    assert isinstance((await first("1.11"))["allocations"], list)
    assert await first("1.12") == await first("1.33") == {"allocations": {one: {"resources": {"VCPU": 1}}}}
    assert (await first("1.34"))["mappings"] == {"": [one]}


@covers(versions.CANDIDATE_TRAITS, versions.WHOLE_SUMMARIES, versions.NESTED_CANDIDATES)
async def test_summaries(world):
    one = await world.provider("a", VCPU=1, MEMORY_MB=9)

    async def summary(version):
        return (await get(world, version, CANDIDATES))["provider_summaries"][one]

    assert set(await summary("1.17")) - set(await summary("1.16")) == {"traits"}
    below, at = [set((await summary(version))["resources"]) for version in ("1.26", "1.27")]
    assert (below, at) == ({"VCPU"}, {"VCPU", "MEMORY_MB"})
    assert set(await summary("1.29")) - set(await summary("1.28")) == {"parent_provider_uuid", "root_provider_uuid"}


@covers(versions.NESTED_CANDIDATES)
async def test_candidates_from_trees(world):
    one = await world.provider("a", DISK_GB=9)
    await world.provider("b", parent=one, VCPU=1)
    below, at = [(await get(world, version, f"{CANDIDATES},DISK_GB:1"))["allocation_requests"]
                 for version in ("1.28", "1.29")]
    assert (len(below), len(at)) == (0, 1)
