"""Tokens over HTTP: got, looked into, ended."""

import pytest

from pileus.identity.service_tokens import ServiceTokens, fixed_id

BAD = "The request you have made requires authentication."


async def test_password_to_project_scope(world):
    answer = await world.post_auth("demo", scope="demo")
    assert answer.status_code == 201
    token, body = answer.headers["x-subject-token"], answer.json()["token"]
    assert len(token) < 255
    assert body["methods"] == ["password"] and body["user"]["name"] == "demo"
    assert body["project"] == {"id": fixed_id("project", "demo"), "name": "demo",
                               "domain": {"id": "default", "name": "Default"}}
    assert {role["name"] for role in body["roles"]} == {"member", "reader"}
    kinds = {entry["type"]: entry for entry in body["catalog"]}
    assert set(kinds) == {"identity", "placement", "image", "network", "compute", "block-storage", "volumev3",
                          "load-balancer"}
    assert {e["url"] for e in kinds["compute"]["endpoints"]} == {"http://cloud:5000/compute/v2.1"}
    seen = await world.see(token, token)
    assert seen.json()["token"] == body and seen.headers["x-subject-token"] == token
    assert "catalog" not in (await world.see(token, token, nocatalog="")).json()["token"]
    assert (await world.ask(token, "HEAD", "/v3/auth/tokens", x_subject_token=token)).status_code == 200


async def test_scopes(world):
    domain = (await world.post_auth("admin", scope={"domain": {"id": "default"}})).json()["token"]
    assert domain["domain"] == {"id": "default", "name": "Default"} and "project" not in domain
    system = (await world.post_auth("admin", scope={"system": {"all": True}})).json()["token"]
    assert system["system"] == {"all": True}
    assert {role["name"] for role in system["roles"]} == {"admin", "manager", "member", "reader"}
    unscoped = (await world.post_auth("admin", scope="unscoped")).json()["token"]
    assert "roles" not in unscoped and "catalog" not in unscoped
    default = (await world.post_auth("demo")).json()["token"]
    assert default["project"]["name"] == "demo"


@pytest.mark.parametrize(("user", "password", "scope"), [
    ("demo", "wrong", None), ("nobody", "d-secret", None), ("demo", "", "demo"), ("demo", "d-secret", "admin"),
    ("demo", "d-secret", "nowhere"), ("demo", "d-secret", {"system": {"all": True}}),
    ("demo", "d-secret", {"domain": {"name": "Default"}}), ("network", "x", None)])
async def test_refused_logins(world, user, password, scope):
    answer = await world.post_auth(user, password, scope)
    assert answer.status_code == 401
    assert answer.json()["error"] == {"code": 401, "message": BAD, "title": "Unauthorized"}


@pytest.mark.parametrize("body", [
    {}, {"auth": {}}, {"auth": {"identity": {"methods": []}}}, {"auth": {"identity": {"methods": ["password"]}}},
    {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo", "password": "x"}}}}},
    {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": 5, "password": "x"}}}}},
    {"auth": {"identity": {"methods": ["token"]}, "scope": "everything"}}, {"auth": []}])
async def test_bad_logins(world, body):
    answer = await world.http.post("/v3/auth/tokens", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["title"] == "Bad Request"


async def test_token_to_token(world):
    first = await world.log_in("admin", scope="unscoped")
    seen = (await world.see(first, first)).json()["token"]
    auth = {"identity": {"methods": ["token"], "token": {"id": first}},
            "scope": {"project": {"id": fixed_id("project", "admin")}}}
    answer = await world.http.post("/v3/auth/tokens", json={"auth": auth})
    body = answer.json()["token"]
    assert body["expires_at"] == seen["expires_at"] and set(body["methods"]) == {"password", "token"}
    assert body["audit_ids"][1] == seen["audit_ids"][0] and len(answer.headers["x-subject-token"]) < 255


async def test_revoked(world, admin, demo):
    assert (await world.see(admin, demo)).status_code == 200
    assert (await world.see(demo, admin)).status_code == 403
    ended = await world.ask(demo, "DELETE", "/v3/auth/tokens", x_subject_token=demo)
    assert ended.status_code == 204
    assert (await world.see(admin, demo)).status_code == 404
    assert (await world.see(demo, demo)).status_code == 401
    again = await world.log_in("demo", scope="demo")
    assert (await world.see(admin, again)).status_code == 200


async def test_service_token(world, demo):
    source = ServiceTokens(world.keys, "compute", world.clock)
    token = await source.token()
    assert token == await source.token()
    caller = await world.authenticate(token)
    assert caller.user_name == "compute" and {"admin", "service", "reader"} <= set(caller.roles)
    assert (await world.see(token, demo)).json()["token"]["user"]["name"] == "demo"


async def test_bootstrap_again_changes_what_differs(world):
    await world.start("https://other:6000")
    body = (await world.post_auth("admin", scope="admin")).json()["token"]
    assert {e["url"] for entry in body["catalog"] for e in entry["endpoints"]} == {
        f"https://other:6000{path}"
        for path in ("/keystone", "/placement", "/image", "/network", "/compute/v2.1", "/volume/v3",
                     "/load-balancer")}


async def test_what_one_may_choose(world, admin, demo):
    found = (await world.ask(demo, "GET", "/v3/auth/projects")).json()
    assert [p["name"] for p in found["projects"]] == ["demo"] and found["links"]["next"] is None
    assert (await world.ask(demo, "GET", "/v3/auth/domains")).json()["domains"] == []
    assert [d["id"] for d in (await world.ask(admin, "GET", "/v3/auth/domains")).json()["domains"]] == ["default"]
    assert (await world.ask(admin, "GET", "/v3/auth/system")).json()["system"] == [{"all": True}]
    catalog = (await world.ask(demo, "GET", "/v3/auth/catalog")).json()
    assert {entry["name"] for entry in catalog["catalog"]} == {"keystone", "placement", "glance", "neutron", "nova",
                                                               "cinder", "cinderv3", "octavia"}


async def test_discovery(world):
    many = await world.http.get("/")
    assert many.status_code == 300
    one = (await world.http.get("/v3/")).json()["version"]
    assert many.json()["versions"]["values"] == [one] and one["id"] == "v3.14" and one["status"] == "stable"
    home = await world.http.get("/", headers={"accept": "application/json-home"})
    assert home.headers["content-type"] == "application/json-home" and len(home.json()["resources"]) > 20
