"""Which endpoints catalogs show, and which stored policy goes with an endpoint."""

import pytest

from pileus.identity.service_tokens import fixed_id

DEMO = fixed_id("project", "demo")
ROOT = "/v3/OS-EP-FILTER"


async def types_shown(world, user="demo"):
    token = (await world.post_auth(user, scope=user)).json()["token"]
    return {entry["type"] for entry in token["catalog"]}


async def test_a_project_is_shown_what_it_was_given(world, admin):
    every = await types_shown(world)
    volume = await world.make(admin, "services", type="volume", name="v")
    endpoints = [await world.make(admin, "endpoints", service_id=volume["id"], interface=interface, url="http://v")
                 for interface in ("public", "internal")]
    tie = f"{ROOT}/projects/{DEMO}/endpoints/{endpoints[0]['id']}"
    assert (await world.ask(admin, "HEAD", tie)).status_code == 404
    assert [(await world.ask(admin, "PUT", tie)).status_code for _ in range(2)] == [204, 204]
    assert [(await world.ask(admin, method, tie)).status_code for method in ("HEAD", "GET")] == [204, 204]
    assert await types_shown(world) == {"volume"}
    assert await types_shown(world, "admin") == every | {"volume"}
    found = (await world.ask(admin, "GET", f"{ROOT}/projects/{DEMO}/endpoints")).json()["endpoints"]
    assert [each["id"] for each in found] == [endpoints[0]["id"]]
    found = (await world.ask(admin, "GET", f"{ROOT}/endpoints/{endpoints[0]['id']}/projects")).json()["projects"]
    assert [each["id"] for each in found] == [DEMO]
    assert [(await world.ask(admin, "DELETE", tie)).status_code for _ in range(2)] == [204, 404]
    assert await types_shown(world) == every | {"volume"}


async def test_groups_of_endpoints(world, admin):
    every = await types_shown(world)
    body = {"endpoint_group": {"name": "g", "filters": {"service_id": fixed_id("service", "identity")}}}
    made = await world.ask(admin, "POST", f"{ROOT}/endpoint_groups", body)
    group = made.json()["endpoint_group"]
    assert (made.status_code, group["filters"]) == (201, body["endpoint_group"]["filters"])
    one = f"{ROOT}/endpoint_groups/{group['id']}"
    assert (await world.ask(admin, "PUT", f"{one}/projects/{DEMO}")).status_code == 204
    assert await types_shown(world) == {"identity"}
    assert len((await world.ask(admin, "GET", f"{one}/endpoints")).json()["endpoints"]) == 3
    assert [p["id"] for p in (await world.ask(admin, "GET", f"{one}/projects")).json()["projects"]] == [DEMO]
    of_project = (await world.ask(admin, "GET", f"{ROOT}/projects/{DEMO}/endpoint_groups")).json()["endpoint_groups"]
    assert of_project == (await world.ask(admin, "GET", f"{ROOT}/endpoint_groups")).json()["endpoint_groups"] == [group]
    change = {"endpoint_group": {"filters": {"interface": "public"}}}
    assert (await world.ask(admin, "PATCH", one, change)).status_code == 200
    assert await types_shown(world) == every
    assert (await world.ask(admin, "GET", f"{one}/projects/{DEMO}")).json()["endpoint_group"]["id"] == group["id"]
    assert (await world.ask(admin, "DELETE", one)).status_code == 204
    assert (await world.ask(admin, "HEAD", one)).status_code == 404
    refused = await world.ask(admin, "POST", f"{ROOT}/endpoint_groups", {
        "endpoint_group": {"name": "g", "filters": {"colour": "red"}}})
    assert refused.status_code == 400


async def test_strangers_do_not_tie(world, admin, demo):
    tie = f"{ROOT}/projects/{DEMO}/endpoints/{fixed_id('endpoint', 'identity public')}"
    for method in ("PUT", "GET", "DELETE"):
        assert (await world.ask(demo, method, tie)).status_code == 403


async def test_the_nearest_policy_counts(world, admin):
    near = await world.make(admin, "regions", id="near", parent_region_id="RegionOne")
    service = await world.make(admin, "services", type="volume", name="v")
    endpoint = await world.make(admin, "endpoints", service_id=service["id"], interface="public", url="http://v",
                                region_id=near["id"])
    ids = [(await world.make(admin, "policies", type="t", blob=str(n)))["id"] for n in range(3)]
    of_endpoint = f"/v3/endpoints/{endpoint['id']}/OS-ENDPOINT-POLICY/policy"
    assert (await world.ask(admin, "GET", of_endpoint)).status_code == 404
    steps = [f"services/{service['id']}", f"services/{service['id']}/regions/RegionOne", f"endpoints/{endpoint['id']}"]
    for policy_id, path in zip(ids, steps, strict=True):
        one = f"/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/{path}"
        assert (await world.ask(admin, "GET", one)).status_code == 404
        assert (await world.ask(admin, "PUT", one)).status_code == 204
        assert (await world.ask(admin, "HEAD", one)).status_code == 204
        assert (await world.ask(admin, "GET", of_endpoint)).json()["policy"]["id"] == policy_id
        found = (await world.ask(admin, "GET", f"/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints")).json()
        assert [each["id"] for each in found["endpoints"]] == [endpoint["id"]]
    assert (await world.ask(admin, "DELETE", one)).status_code == 204
    assert (await world.ask(admin, "DELETE", one)).status_code == 404
    assert (await world.ask(admin, "GET", of_endpoint)).json()["policy"]["id"] == ids[1]


@pytest.mark.parametrize("path", ["services/x", "endpoints/x", "services/x/regions/y"])
async def test_policies_of_nothing(world, admin, path):
    policy = await world.make(admin, "policies", type="t", blob="b")
    answer = await world.ask(admin, "PUT", f"/v3/policies/{policy['id']}/OS-ENDPOINT-POLICY/{path}")
    assert answer.status_code == 404
