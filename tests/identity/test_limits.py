"""Registered limits, limits of projects and domains, and how they bear on each other."""

import functools

import pytest

from pileus.identity.client import IdentityClient
from pileus.identity.service_tokens import ServiceTokens, fixed_id
from pileus.kit.client import AsgiTransport

SERVICE, DEMO, ADMIN = fixed_id("service", "compute"), fixed_id("project", "demo"), fixed_id("project", "admin")


async def register(world, admin, **more):
    body = {"service_id": SERVICE, "resource_name": "cores", "default_limit": 10} | more
    return await world.ask(admin, "POST", "/v3/registered_limits", {"registered_limits": [body]})


async def limit(world, admin, amount, **more):
    body = {"service_id": SERVICE, "resource_name": "cores", "resource_limit": amount} | more
    return await world.ask(admin, "POST", "/v3/limits", {"limits": [body]})


async def test_registered_limits(world, admin, demo):
    made = await register(world, admin, description="d")
    assert made.status_code == 201
    row = made.json()["registered_limits"][0]
    assert (row["default_limit"], row["region_id"], row["description"]) == (10, None, "d")
    assert (await register(world, admin)).status_code == 409
    assert (await register(world, admin, region_id="RegionOne")).status_code == 201
    assert (await register(world, admin, region_id="nowhere")).status_code == 400
    assert (await register(world, admin, service_id="x" * 32)).status_code == 400
    assert (await register(world, demo)).status_code == 403
    found = (await world.ask(demo, "GET", "/v3/registered_limits?region_id=RegionOne")).json()["registered_limits"]
    assert len(found) == 1
    one = f"/v3/registered_limits/{row['id']}"
    changed = await world.ask(admin, "PATCH", one, {"registered_limit": {"default_limit": 20}})
    assert changed.json()["registered_limit"]["default_limit"] == 20
    assert (await limit(world, admin, 5, project_id=DEMO)).status_code == 201
    for refused in (await world.ask(admin, "PATCH", one, {"registered_limit": {"resource_name": "x"}}),
                    await world.ask(admin, "DELETE", one)):
        assert refused.status_code == 403
    of_demo = (await world.ask(admin, "GET", f"/v3/limits?project_id={DEMO}")).json()["limits"][0]
    assert (await world.ask(admin, "DELETE", f"/v3/limits/{of_demo['id']}")).status_code == 204
    assert (await world.ask(admin, "DELETE", one)).status_code == 204
    assert (await world.ask(admin, "GET", one)).status_code == 404


async def test_limits_of_projects_and_domains(world, admin, demo):
    await register(world, admin)
    assert (await limit(world, admin, 5)).status_code == 400
    assert (await limit(world, admin, 5, project_id=DEMO, domain_id="default")).status_code == 400
    assert (await limit(world, admin, 5, project_id="default")).status_code == 400
    assert (await limit(world, admin, 5, project_id=DEMO, resource_name="ram")).status_code == 400
    assert (await limit(world, admin, -2, project_id=DEMO)).status_code == 400
    mine = (await limit(world, admin, 5, project_id=DEMO)).json()["limits"][0]
    assert (mine["project_id"], mine["domain_id"], mine["resource_limit"]) == (DEMO, None, 5)
    assert (await limit(world, admin, 5, project_id=DEMO)).status_code == 409
    of_admin = (await limit(world, admin, 5000, project_id=ADMIN)).json()["limits"][0]
    of_domain = (await limit(world, admin, 7, domain_id="default")).json()["limits"][0]
    assert (of_domain["project_id"], of_domain["domain_id"]) == (None, "default")
    assert [row["id"] for row in (await world.ask(demo, "GET", "/v3/limits")).json()["limits"]] == [mine["id"]]
    assert len((await world.ask(admin, "GET", "/v3/limits")).json()["limits"]) == 3
    assert (await world.ask(demo, "GET", f"/v3/limits/{mine['id']}")).status_code == 200
    assert (await world.ask(demo, "GET", f"/v3/limits/{of_admin['id']}")).status_code == 403
    assert (await world.ask(demo, "DELETE", f"/v3/limits/{mine['id']}")).status_code == 403
    change = {"limit": {"resource_limit": 6, "description": "more"}}
    changed = await world.ask(admin, "PATCH", f"/v3/limits/{mine['id']}", change)
    assert changed.json()["limit"] == mine | {"resource_limit": 6, "description": "more"}
    assert (await world.ask(demo, "GET", "/v3/limits/model")).json()["model"]["name"] == "flat"


@pytest.mark.parametrize(("parent", "child", "status"), [(8, 8, 201), (8, 9, 403), (8, -1, 403), (-1, 900, 201),
                                                         (None, 10, 201), (None, 11, 403)])
async def test_the_strict_model(make_world, parent, child, status):
    world = await make_world(limit_model="strict_two_level")
    admin = await world.log_in("admin", scope="admin")
    await register(world, admin)
    if parent is not None:
        assert (await limit(world, admin, parent, domain_id="default")).status_code == 201
    made = await limit(world, admin, child, project_id=DEMO)
    assert made.status_code == status
    if status == 201 and parent == 8:
        of_domain = (await world.ask(admin, "GET", "/v3/limits?domain_id=default")).json()["limits"][0]
        less = await world.ask(admin, "PATCH", f"/v3/limits/{of_domain['id']}", {"limit": {"resource_limit": 7}})
        assert less.status_code == 403
    assert (await world.ask(admin, "GET", "/v3/limits/model")).json()["model"]["name"] == "strict_two_level"
    deep = await world.ask(admin, "POST", "/v3/projects", {"project": {"name": "deep", "parent_id": DEMO}})
    assert deep.status_code == 403


async def test_what_services_are_told(world, admin):
    client = IdentityClient(AsgiTransport(world.site), ServiceTokens(world.keys, "image", world.clock).token)
    told = functools.partial(client.limits, SERVICE, "RegionOne")
    assert await told(DEMO) == {}
    await register(world, admin)
    await register(world, admin, resource_name="ram", default_limit=-1)
    await register(world, admin, service_id=fixed_id("service", "image"), resource_name="other")
    assert await told(DEMO) == {"cores": 10, "ram": -1}
    await limit(world, admin, 5, project_id=DEMO)
    assert await told(DEMO) == {"cores": 5, "ram": -1} and await told("no/bo&dy") == {"cores": 10, "ram": -1}
    await register(world, admin, region_id="RegionOne", default_limit=7)
    assert await told(DEMO) == {"cores": 7, "ram": -1}
