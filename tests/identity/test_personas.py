"""Who may: every persona against the routes that tell them apart."""

import pytest

from pileus.identity.service_tokens import fixed_id

ROLE = {name: fixed_id("role", name) for name in ("admin", "manager", "member", "reader")}
PERSONAS = ("admin", "system_reader", "domain_admin", "domain_manager", "domain_reader", "member", "nobody")


@pytest.fixture
async def personas(world, admin):
    """Tokens by persona, and a domain with a project, a user and a group in it."""
    domain = await world.make(admin, "domains", name="own")
    things = {"domain": domain["id"],
              "project": (await world.make(admin, "projects", name="p", domain_id=domain["id"]))["id"],
              "user": (await world.make(admin, "users", name="victim", domain_id=domain["id"]))["id"],
              "group": (await world.make(admin, "groups", name="g", domain_id=domain["id"]))["id"]}
    tokens = {"admin": admin}

    async def persona(name, place, role, scope):
        user = await world.make(admin, "users", name=name, password="pw")
        if role:
            granted = await world.ask(admin, "PUT", f"/v3/{place}/users/{user['id']}/roles/{ROLE[role]}")
            assert granted.status_code == 204
        tokens[name] = await world.log_in(user["id"], "pw", scope)
    await persona("system_reader", "system", "reader", {"system": {"all": True}})
    for role in ("admin", "manager", "reader"):
        await persona(f"domain_{role}", f"domains/{domain['id']}", role, {"domain": {"id": domain["id"]}})
    await persona("member", f"projects/{things['project']}", "member", {"project": {"id": things["project"]}})
    await persona("nobody", "", None, "unscoped")
    return tokens, things


READ = {"admin": 200, "system_reader": 200, "domain_admin": 200, "domain_manager": 200, "domain_reader": 200,
        "member": 403, "nobody": 403}
WRITE = {"admin": 200, "system_reader": 403, "domain_admin": 200, "domain_manager": 200, "domain_reader": 403,
         "member": 403, "nobody": 403}
CLOUD = {name: 200 if name == "admin" else 403 for name in PERSONAS}
SYSTEM_READ = CLOUD | {"system_reader": 200}
ANY_DOMAIN = {"domain_admin": 200}           # administrators of a domain are not kept inside it; its managers are
ASKED = [
    ("GET", "/v3/projects/{project}", None, READ | {"member": 200}),
    ("GET", "/v3/users/{user}", None, READ), ("GET", "/v3/groups/{group}", None, READ),
    ("GET", "/v3/groups/{group}/users", None, READ), ("GET", "/v3/users/{user}/projects", None, READ),
    ("GET", "/v3/domains/{domain}", None, READ | {"member": 200}),
    ("GET", "/v3/users", None, READ), ("GET", "/v3/projects", None, READ), ("GET", "/v3/domains", None, READ),
    ("GET", "/v3/role_assignments", None, READ),
    ("GET", "/v3/projects/" + fixed_id("project", "demo"), None, SYSTEM_READ | ANY_DOMAIN),
    ("GET", "/v3/users/" + fixed_id("user", "demo"), None, SYSTEM_READ | ANY_DOMAIN),
    ("GET", "/v3/users/00000000000000000000000000000000", None, {
        name: 404 if name in ("admin", "system_reader", "domain_admin") else 403 for name in PERSONAS}),
    ("PATCH", "/v3/projects/{project}", {"project": {"description": "x"}}, WRITE),
    ("PATCH", "/v3/users/{user}", {"user": {"email": "x"}}, WRITE),
    ("PATCH", "/v3/groups/{group}", {"group": {"description": "x"}}, WRITE),
    ("PATCH", "/v3/domains/{domain}", {"domain": {"description": "x"}}, CLOUD),
    ("PATCH", "/v3/users/" + fixed_id("user", "demo"), {"user": {"email": "x"}}, CLOUD | ANY_DOMAIN),
    ("POST", "/v3/roles", {"role": {"name": "{persona}"}}, CLOUD),
    ("GET", "/v3/services", None, SYSTEM_READ), ("GET", "/v3/regions", None, dict.fromkeys(PERSONAS, 200)),
]


@pytest.mark.parametrize("persona", PERSONAS)
async def test_what_each_may(world, personas, persona):
    tokens, things = personas
    for method, path, body, expected in ASKED:
        answer = await world.ask(tokens[persona], method, path.format(**things), body)
        assert answer.status_code in (expected[persona], 201 if expected[persona] == 200 else 0), (method, path)
        if answer.status_code == 403:
            assert "You are not authorized to perform the requested action" in answer.json()["error"]["message"]
    assert (await world.ask("", "GET", "/v3/users")).status_code == 401


async def test_lists_of_a_domain_show_only_the_domain(world, personas):
    tokens, things = personas
    for path, kind in (("users", "user"), ("projects", "project"), ("groups", "group"), ("domains", "domain")):
        found = (await world.ask(tokens["domain_reader"], "GET", f"/v3/{path}")).json()[path]
        assert [row["id"] for row in found] == [things[kind]], path


async def test_a_domains_manager_cannot_make_administrators_of_the_cloud(world, personas):
    tokens, things = personas
    grant = "/v3/projects/{project}/users/{user}/roles/".format(**things)
    manager = tokens["domain_manager"]
    assert (await world.ask(manager, "PUT", grant + ROLE["admin"])).status_code == 403
    assert (await world.ask(manager, "PUT", grant + ROLE["member"])).status_code == 204
    assert (await world.ask(manager, "DELETE", grant + ROLE["member"])).status_code == 204
    outside = f"/v3/projects/{fixed_id('project', 'demo')}/users/{things['user']}/roles/{ROLE['member']}"
    assert (await world.ask(manager, "PUT", outside)).status_code == 403
    assert (await world.ask(tokens["domain_reader"], "HEAD", grant + ROLE["member"])).status_code == 404
