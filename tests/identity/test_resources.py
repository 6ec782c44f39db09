"""Domains, projects, users, groups, roles, catalog, credentials: made, seen, changed, gone."""

import asyncio

import pytest
import sqlalchemy as sa

from pileus.identity.model.tables import credentials
from pileus.identity.service_tokens import fixed_id
from pileus.kit import db
from tests.identity.test_validator import connect


async def test_project_life(world, admin):
    made = await world.make(admin, "projects", name="p", description="d", tags=["a", "b"], color="red", nothing=None)
    assert made["domain_id"] == "default" == made["parent_id"] and made["color"] == "red" and made["enabled"]
    url = f"/v3/projects/{made['id']}"
    assert (await world.ask(admin, "GET", url)).json()["project"] == made
    changed = await world.ask(admin, "PATCH", url, {"project": {"name": "q", "color": None, "size": 5}})
    assert changed.json()["project"] == {k: v for k, v in made.items() if k != "color"} | {"name": "q", "size": 5}
    for body in ({"domain_id": "x"}, {"parent_id": "x"}, {"is_domain": True}, {"name": ""}, {"enabled": "yes"},
                 {"name": "x" * 65}, {"tags": ["a", "a"]}, {"tags": ["a,b"]}, {"description": 7}):
        assert (await world.ask(admin, "PATCH", url, {"project": body})).status_code == 400, body
    assert (await world.ask(admin, "DELETE", url)).status_code == 204
    missing = await world.ask(admin, "GET", url)
    assert missing.json()["error"] == {"code": 404, "message": f"Could not find project: {made['id']}.",
                                       "title": "Not Found"}


async def test_project_tree(world, admin):
    top = await world.make(admin, "projects", name="top")
    mid = await world.make(admin, "projects", name="mid", parent_id=top["id"])
    low = await world.make(admin, "projects", name="low", parent_id=mid["id"])
    shown = (await world.ask(admin, "GET", f"/v3/projects/{low['id']}?parents_as_ids")).json()["project"]
    assert shown["parents"] == {mid["id"]: {top["id"]: None}}
    shown = (await world.ask(admin, "GET", f"/v3/projects/{top['id']}?subtree_as_ids")).json()["project"]
    assert shown["subtree"] == {mid["id"]: {low["id"]: None}}
    listed = (await world.ask(admin, "GET", f"/v3/projects/{top['id']}?subtree_as_list&parents_as_list")).json()
    assert [p["project"]["id"] for p in listed["project"]["subtree"]] == [mid["id"], low["id"]]
    assert listed["project"]["parents"] == []
    assert (await world.ask(admin, "DELETE", f"/v3/projects/{mid['id']}")).status_code == 403
    off = {"project": {"enabled": False}}
    assert (await world.ask(admin, "PATCH", f"/v3/projects/{top['id']}", off)).status_code == 403
    children = (await world.ask(admin, "GET", f"/v3/projects?parent_id={top['id']}")).json()["projects"]
    assert [p["id"] for p in children] == [mid["id"]]
    deep = low
    for name in ("four", "five"):
        deep = await world.make(admin, "projects", name=name, parent_id=deep["id"])
    body = {"project": {"name": "six", "parent_id": deep["id"]}}
    assert (await world.ask(admin, "POST", "/v3/projects", body)).status_code == 403


async def test_tags(world, admin):
    one = await world.make(admin, "projects", name="one", tags=["x", "y"])
    two = await world.make(admin, "projects", name="two")
    url = f"/v3/projects/{two['id']}/tags"
    assert (await world.ask(admin, "PUT", f"{url}/y")).status_code == 201
    assert (await world.ask(admin, "HEAD", f"{url}/y")).status_code == 204
    assert (await world.ask(admin, "GET", f"{url}/z")).status_code == 404

    async def named(query):
        found = (await world.ask(admin, "GET", f"/v3/projects?{query}")).json()["projects"]
        return sorted(p["name"] for p in found if p["name"] in ("one", "two"))
    assert await named("tags=x,y") == ["one"] and await named("tags-any=x,y") == ["one", "two"]
    assert await named("not-tags=x,y") == ["two"] and await named("not-tags-any=y") == []
    assert (await world.ask(admin, "PUT", url, {"tags": ["b", "a"]})).json()["tags"] == ["b", "a"]
    assert (await world.ask(admin, "GET", url)).json()["tags"] == ["b", "a"]
    assert (await world.ask(admin, "DELETE", f"{url}/b")).status_code == 204
    assert (await world.ask(admin, "DELETE", url)).status_code == 204
    assert (await world.ask(admin, "GET", f"/v3/projects/{one['id']}")).json()["project"]["tags"] == ["x", "y"]


async def test_domain_goes_with_what_is_in_it(world, admin):
    domain = await world.make(admin, "domains", name="d")
    project = await world.make(admin, "projects", name="p", domain_id=domain["id"])
    child = await world.make(admin, "projects", name="c", parent_id=project["id"])
    assert child["domain_id"] == domain["id"]
    user = await world.make(admin, "users", name="u", domain_id=domain["id"], password="pw")
    group = await world.make(admin, "groups", name="g", domain_id=domain["id"])
    role = fixed_id("role", "member")
    for actor in (f"users/{user['id']}", f"groups/{group['id']}"):
        granted = await world.ask(admin, "PUT", f"/v3/projects/{project['id']}/{actor}/roles/{role}")
        assert granted.status_code == 204
    url = f"/v3/domains/{domain['id']}"
    assert (await world.ask(admin, "DELETE", url)).status_code == 403
    assert (await world.ask(admin, "PATCH", url, {"domain": {"enabled": False}})).json()["domain"]["enabled"] is False
    assert (await world.ask(admin, "DELETE", url)).status_code == 204
    for path in (f"projects/{child['id']}", f"users/{user['id']}", f"groups/{group['id']}", f"domains/{domain['id']}"):
        assert (await world.ask(admin, "GET", f"/v3/{path}")).status_code == 404
    left = (await world.ask(admin, "GET", f"/v3/role_assignments?user.id={user['id']}")).json()
    assert left["role_assignments"] == []


async def test_users(world, admin):
    user = await world.make(admin, "users", name="u", password="first", email="u@x", options={"lock_password": False})
    assert "password" not in user and user["email"] == "u@x" and user["options"] == {"lock_password": False}
    token = await world.log_in("u", "first")
    assert (await world.ask(token, "GET", f"/v3/users/{user['id']}")).json()["user"]["name"] == "u"
    assert (await world.ask(token, "GET", f"/v3/users/{user['id']}/projects")).json()["projects"] == []
    url = f"/v3/users/{user['id']}/password"
    wrong = {"user": {"original_password": "nope", "password": "second"}}
    assert (await world.http.post(url, json=wrong)).status_code == 401
    right = {"user": {"original_password": "first", "password": "second"}}
    assert (await world.http.post(url, json=right)).status_code == 204
    assert (await world.post_auth("u", "first")).status_code == 401
    assert (await world.ask(token, "GET", f"/v3/users/{user['id']}")).status_code == 401
    await world.log_in("u", "second")
    listed = (await world.ask(admin, "GET", "/v3/users?name=u")).json()
    assert [u["id"] for u in listed["users"]] == [user["id"]]
    assert set(listed["links"]) == {"next", "previous", "self"}


async def test_pages(world, admin):
    for n in range(5):
        await world.make(admin, "groups", name=f"g{n}")
    everything = {g["id"] for g in (await world.ask(admin, "GET", "/v3/groups")).json()["groups"]}
    seen, url = [], "/v3/groups?limit=2"
    while url:
        page = (await world.ask(admin, "GET", url)).json()
        seen += [g["id"] for g in page["groups"]]
        url = page["links"]["next"]
    assert set(seen) == everything and len(seen) == 5
    assert (await world.ask(admin, "GET", "/v3/groups?limit=x")).status_code == 400
    found = (await world.ask(admin, "GET", "/v3/groups?name__contains=3")).json()["groups"]
    assert [g["name"] for g in found] == ["g3"]


async def test_names_are_unique_however_many_ask_at_once(world, admin):
    for path, kind in (("users", "user"), ("projects", "project"), ("groups", "group"), ("roles", "role"),
                       ("domains", "domain")):
        answers = await asyncio.gather(*(
            world.ask(admin, "POST", f"/v3/{path}", {kind: {"name": "same"}}) for _ in range(4)))
        assert sorted(a.status_code for a in answers) == [201, 409, 409, 409], path


async def test_roles(world, admin):
    a, b, c = [await world.make(admin, "roles", name=name) for name in "abc"]
    for prior, implied in ((a, b), (b, c)):
        answer = await world.ask(admin, "PUT", f"/v3/roles/{prior['id']}/implies/{implied['id']}")
        assert answer.status_code == 201 and answer.json()["role_inference"]["implies"]["id"] == implied["id"]
    demo = fixed_id("user", "demo")
    await world.ask(admin, "PUT", f"/v3/projects/{fixed_id('project', 'demo')}/users/{demo}/roles/{a['id']}")
    token = (await world.post_auth("demo", scope="demo")).json()["token"]
    assert {r["name"] for r in token["roles"]} == {"a", "b", "c", "member", "reader"}
    assert (await world.ask(admin, "DELETE", f"/v3/roles/{b['id']}")).status_code == 204
    token = (await world.post_auth("demo", scope="demo")).json()["token"]
    assert {r["name"] for r in token["roles"]} == {"a", "member", "reader"}
    immutable = fixed_id("role", "member")
    assert (await world.ask(admin, "DELETE", f"/v3/roles/{immutable}")).status_code == 403
    assert (await world.ask(admin, "PATCH", f"/v3/roles/{immutable}", {"role": {"name": "x"}})).status_code == 403
    forbidden = await world.ask(admin, "PUT", f"/v3/roles/{a['id']}/implies/{fixed_id('role', 'admin')}")
    assert forbidden.status_code == 403
    inferences = (await world.ask(admin, "GET", "/v3/role_inferences")).json()["role_inferences"]
    assert {(i["prior_role"]["name"], e["name"]) for i in inferences for e in i["implies"]} == {
        ("admin", "manager"), ("manager", "member"), ("member", "reader")}


async def test_catalog(world, admin):
    region = await world.make(admin, "regions", id="north", note="cold")
    assert region["note"] == "cold" and region["parent_region_id"] is None
    assert (await world.ask(admin, "POST", "/v3/regions", {"region": {"id": "north"}})).status_code == 409
    service = await world.make(admin, "services", type="dns", name="designate")
    endpoint = await world.make(admin, "endpoints", service_id=service["id"], interface="public", region_id="north",
                                url="http://dns/$(project_id)s")
    assert endpoint["region"] == endpoint["region_id"] == "north"
    catalog = (await world.post_auth("demo", scope="demo")).json()["token"]["catalog"]
    dns = next(entry for entry in catalog if entry["type"] == "dns")
    assert dns["endpoints"][0]["url"] == f"http://dns/{fixed_id('project', 'demo')}"
    for wrong in ({"service_id": "nope", "interface": "public", "url": "http://x"},
                  {"service_id": service["id"], "interface": "side", "url": "http://x"},
                  {"service_id": service["id"], "interface": "public", "url": "http://x/%(secret)s"},
                  {"service_id": service["id"], "interface": "public", "url": "x", "region_id": "nowhere"}):
        assert (await world.ask(admin, "POST", "/v3/endpoints", {"endpoint": wrong})).status_code == 400
    assert (await world.ask(admin, "DELETE", "/v3/regions/north")).status_code == 403
    assert (await world.ask(admin, "DELETE", f"/v3/services/{service['id']}")).status_code == 204
    assert (await world.ask(admin, "GET", f"/v3/endpoints/{endpoint['id']}")).status_code == 404
    catalog = (await world.post_auth("demo", scope="demo")).json()["token"]["catalog"]
    assert "dns" not in {entry["type"] for entry in catalog}


async def test_credentials_are_encrypted(world, admin, demo):
    made = await world.make(demo, "credentials", type="cert", blob="a secret blob")
    assert made["blob"] == "a secret blob" and made["user_id"] == fixed_id("user", "demo")
    url = f"/v3/credentials/{made['id']}"
    assert (await world.ask(admin, "GET", url)).json()["credential"] == made
    other = await world.make(admin, "users", name="o", password="pw")
    stranger = await world.log_in("o", "pw")
    assert (await world.ask(stranger, "GET", url)).status_code == 403
    assert (await world.ask(stranger, "GET", "/v3/credentials")).json()["credentials"] == []
    foreign = {"credential": {"type": "cert", "blob": "x", "user_id": other["id"]}}
    assert (await world.ask(demo, "POST", "/v3/credentials", foreign)).status_code == 403
    async with world.db.read() as reader:
        stored = await db.scalar(reader, sa.select(credentials.c.encrypted_blob))
    assert stored.startswith("gAAAA") and "secret" not in stored


async def test_application_credentials(world, admin, demo):
    url = f"/v3/users/{fixed_id('user', 'demo')}/application_credentials"
    made = (await world.ask(demo, "POST", url, {"application_credential": {
        "name": "robot", "roles": [{"name": "reader"}]}})).json()["application_credential"]
    assert made["secret"] and [r["name"] for r in made["roles"]] == ["reader"] and not made["unrestricted"]
    shown = (await world.ask(demo, "GET", f"{url}/{made['id']}")).json()["application_credential"]
    assert shown == {k: v for k, v in made.items() if k != "secret"}

    async def log_in(secret, **who):
        proof = {"methods": ["application_credential"], "application_credential": {"secret": secret, **who}}
        return await world.http.post("/v3/auth/tokens", json={"auth": {"identity": proof}})
    assert (await log_in("wrong", id=made["id"])).status_code == 401
    named = await log_in(made["secret"], name="robot", user={"name": "demo", "domain": {"id": "default"}})
    answer = await log_in(made["secret"], id=made["id"])
    assert named.status_code == answer.status_code == 201
    body = answer.json()["token"]
    assert [r["name"] for r in body["roles"]] == ["reader"] and body["application_credential"]["restricted"] is True
    robot = answer.headers["x-subject-token"]
    assert (await world.ask(robot, "POST", url, {"application_credential": {"name": "two"}})).status_code == 403
    assert (await world.ask(demo, "POST", url, {"application_credential": {"name": "robot"}})).status_code == 409
    more = {"application_credential": {"name": "x", "roles": [{"name": "admin"}]}}
    assert (await world.ask(demo, "POST", url, more)).status_code == 400
    assert (await world.ask(admin, "POST", url, {"application_credential": {"name": "y"}})).status_code == 403
    assert (await world.ask(demo, "DELETE", f"{url}/{made['id']}")).status_code == 204
    assert (await world.see(admin, robot)).status_code == 404
    assert (await log_in(made["secret"], id=made["id"])).status_code == 401
    assert (await world.ask(demo, "GET", f"{url}/{made['id']}")).status_code == 404


async def test_access_rules(world, admin, demo):
    url = f"/v3/users/{fixed_id('user', 'demo')}/application_credentials"
    rule = {"service": "identity", "method": "GET", "path": "/v3/users/*"}
    made = (await world.ask(demo, "POST", url, {"application_credential": {
        "name": "ruled", "access_rules": [rule]}})).json()["application_credential"]
    assert made["access_rules"][0] == rule | {"id": made["access_rules"][0]["id"]}
    proof = {"methods": ["application_credential"],
             "application_credential": {"id": made["id"], "secret": made["secret"]}}
    answer = await world.http.post("/v3/auth/tokens", json={"auth": {"identity": proof}})
    token = answer.headers["x-subject-token"]
    assert answer.status_code == 201
    assert (await world.see(admin, token)).status_code == 404              # one who does not know of access rules
    assert (await world.ask(token, "GET", f"/v3/users/{fixed_id('user', 'demo')}")).status_code == 200
    for method, path in (("GET", "/v3/auth/projects"), ("PATCH", f"/v3/users/{made['user_id']}"),
                         ("GET", f"/v3/users/{made['user_id']}/projects")):
        assert (await world.ask(token, method, path)).status_code == 401, path
    caller = await connect(world)[0](token)
    assert caller == await world.authenticate(token)
    assert caller.may_ask("identity", "GET", ("/v3/users/x",))
    assert not caller.may_ask("compute", "GET", ("/v3/users/x",))


@pytest.mark.parametrize(("path", "body"), [
    ("users", {"user": {}}), ("users", {"user": {"name": 5}}), ("users", {"user": {"name": " "}}),
    ("users", {"user": {"name": "u", "enabled": "no"}}), ("users", {"user": {"name": "u", "password": ""}}),
    ("users", {"user": {"name": "u", "notes": "x" * 70000}}), ("users", {"person": {"name": "u"}}), ("users", []),
    ("domains", {"domain": {"name": None}}), ("roles", {"role": {"name": "x" * 300}}),
    ("groups", {"group": {"name": "g", "description": []}}), ("credentials", {"credential": {"type": "ec2"}}),
    ("credentials", {"credential": {"type": "ec2", "blob": "[]"}}), ("policies", {"policy": {"type": "x"}})])
async def test_bad_bodies(world, admin, path, body):
    answer = await world.ask(admin, "POST", f"/v3/{path}", body)
    assert answer.status_code == 400 and answer.json()["error"]["title"] == "Bad Request", answer.text
