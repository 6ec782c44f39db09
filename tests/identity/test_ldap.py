"""Users and groups of a domain from a real LDAP server: who they are, what they may, and what happens without it."""

import asyncio
import os
import socket
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import ldap3
import pytest

from pileus.identity.directory.mirror import public_id

SERVER = os.environ.get("PILEUS_TEST_SLAPD")


class Tree:
    """A tree of one test on the server, with the options by which identity reads it."""

    def __init__(self, url):
        place = urlsplit(url)
        query = parse_qs(place.query)
        self.host, self.port = place.hostname, place.port
        self.password, self.tls_port = query["password"][0], int(query["tls_port"][0])
        self.certificate = f"{query['folder'][0]}/certificate.pem"
        self.admin = ldap3.Connection(ldap3.Server(self.host, self.port, get_info=ldap3.NONE), "cn=admin,dc=cloud",
                                      self.password, auto_bind=True, raise_exceptions=True)
        try:
            self.admin.add("dc=cloud", ["dcObject", "organization"], {"dc": "cloud", "o": "cloud"})
        except ldap3.core.exceptions.LDAPEntryAlreadyExistsResult:
            assert self.admin.result["result"] == 68
        self.root = f"ou=t{uuid.uuid4().hex[:12]},dc=cloud"
        for dn in (self.root, f"ou=people,{self.root}", f"ou=teams,{self.root}"):
            self.admin.add(dn, "organizationalUnit")

    def add_person(self, uid, password="secret", **more):
        dn = f"uid={uid},ou=people,{self.root}"
        attributes = {"sn": uid.title(), "cn": uid.title(), "mail": f"{uid}@cloud.test", "userPassword": password,
                      "employeeType": "TRUE"} | more
        self.admin.add(dn, "inetOrgPerson", {name: value for name, value in attributes.items() if value is not None})
        return dn

    def add_team(self, name, *members):
        self.admin.add(f"cn={name},ou=teams,{self.root}", "groupOfNames",
                       {"member": list(members) or [self.root], "description": f"The {name}"})

    def options(self, **more):
        return {
            "url": f"ldap://{self.host}:{self.port}", "user": "cn=admin,dc=cloud", "password": self.password,
            "suffix": "dc=cloud", "user_tree_dn": f"ou=people,{self.root}", "group_tree_dn": f"ou=teams,{self.root}",
            "user_id_attribute": "uid", "user_name_attribute": "uid", "group_name_attribute": "cn",
            "user_enabled_attribute": "employeeType", "connection_timeout": 2} | more


@pytest.fixture(params=["slapd"] if SERVER else [])
def tree(request):
    made = Tree(SERVER)
    yield made
    made.admin.unbind()


@pytest.fixture
def make_domain(world, admin):
    async def make(options, name="people"):
        domain = await world.make(admin, "domains", name=name)
        answer = await world.ask(admin, "PUT", f"/v3/domains/{domain['id']}/config",
                                 {"config": {"identity": {"driver": "ldap"}, "ldap": options}})
        assert answer.status_code == 201, answer.text
        return domain["id"]
    return make


async def users_of(world, admin, domain_id, **query):
    answer = await world.http.get("/v3/users", params={"domain_id": domain_id} | query,
                                  headers={"x-auth-token": admin})
    assert answer.status_code == 200, answer.text
    return {user["name"]: user for user in answer.json()["users"]}


async def test_users_are_listed_shown_and_log_in(world, admin, tree, make_domain):
    tree.add_person("alice", description="An engineer")
    tree.add_person("bob", employeeType="FALSE")
    domain_id = await make_domain(tree.options())
    found = await users_of(world, admin, domain_id)
    assert set(found) == {"alice", "bob"}
    alice = found["alice"]
    assert (alice["email"], alice["description"], alice["enabled"]) == ("alice@cloud.test", "An engineer", True)
    assert alice["id"] == public_id(domain_id, "user", "alice") and len(alice["id"]) == 64
    assert found["bob"]["enabled"] is False

    shown = await world.ask(admin, "GET", f"/v3/users/{alice['id']}")
    assert shown.json()["user"]["name"] == "alice"
    assert (await world.post_auth("alice", "secret", domain="people")).status_code == 201
    for user, password in (("alice", "wrong"), ("alice", ""), ("alice", "a\u0007b"), ("bob", "secret"),
                           ("nobody", "secret"), ("nobody", "")):
        assert (await world.post_auth(user, password, domain="people")).status_code == 401, (user, password)


async def test_a_user_logs_in_who_was_never_looked_at(world, admin, tree, make_domain):
    tree.add_person("carol")
    domain_id = await make_domain(tree.options())
    answer = await world.post_auth("carol", "secret", domain="people")
    assert answer.status_code == 201
    assert answer.json()["token"]["user"] == {
        "id": public_id(domain_id, "user", "carol"), "name": "carol", "password_expires_at": None,
        "domain": {"id": domain_id, "name": "people"}}


async def test_many_first_logins_at_once(world, admin, tree, make_domain):
    tree.add_team("engineers", tree.add_person("alice"))
    await make_domain(tree.options())
    answers = await asyncio.gather(*(world.post_auth("alice", "secret", domain="people") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}


async def test_filters_cannot_be_broken_out_of(world, admin, tree, make_domain):
    tree.add_person("alice")
    domain_id = await make_domain(tree.options())
    for name in ("*", "al*", "alice)(uid=*", "*)(|(uid=*", "alice\0", "\\2a", "a" * 5000):
        assert (await world.post_auth(name, "secret", domain="people")).status_code == 401, name
        if "\0" not in name:                             # which PostgreSQL takes in no text
            assert await users_of(world, admin, domain_id, name=name) == {}, name
    assert set(await users_of(world, admin, domain_id, name="alice")) == {"alice"}


async def test_roles_of_users_and_of_their_groups(world, admin, tree, make_domain):
    alice, bob = tree.add_person("alice"), tree.add_person("bob")
    tree.add_team("engineers", alice)
    tree.add_team("everybody", alice, bob)
    domain_id = await make_domain(tree.options())
    answer = await world.http.get("/v3/groups", params={"domain_id": domain_id}, headers={"x-auth-token": admin})
    groups = {group["name"]: group for group in answer.json()["groups"]}
    assert set(groups) == {"engineers", "everybody"} and groups["engineers"]["description"] == "The engineers"
    members = await world.ask(admin, "GET", f"/v3/groups/{groups['everybody']['id']}/users")
    assert {user["name"] for user in members.json()["users"]} == {"alice", "bob"}

    project = await world.make(admin, "projects", name="rockets", domain_id=domain_id)
    roles = (await world.ask(admin, "GET", "/v3/roles")).json()["roles"]
    member, reader = ({r["name"]: r["id"] for r in roles}[name] for name in ("member", "reader"))
    place = f"/v3/projects/{project['id']}"
    bob_id = (await users_of(world, admin, domain_id))["bob"]["id"]
    for path in (f"groups/{groups['engineers']['id']}/roles/{member}", f"users/{bob_id}/roles/{reader}"):
        assert (await world.ask(admin, "PUT", f"{place}/{path}")).status_code == 204
    scope = {"project": {"id": project["id"]}}
    held = {}
    for user in ("alice", "bob"):
        answer = await world.post_auth(user, "secret", scope, domain="people")
        assert answer.status_code == 201, answer.text
        held[user] = {role["name"] for role in answer.json()["token"]["roles"]}
    assert held == {"alice": {"member", "reader"}, "bob": {"reader"}}
    of_alice = await world.ask(admin, "GET", f"/v3/users/{public_id(domain_id, 'user', 'alice')}/groups")
    assert {group["name"] for group in of_alice.json()["groups"]} == {"engineers", "everybody"}

    tree.admin.modify(f"cn=engineers,ou=teams,{tree.root}", {"member": [(ldap3.MODIFY_REPLACE, [bob])]})
    assert (await world.post_auth("alice", "secret", scope, domain="people")).status_code == 401
    assert (await world.post_auth("bob", "secret", scope, domain="people")).status_code == 201


async def test_who_is_disabled_or_removed_loses_their_tokens(world, admin, tree, make_domain):
    alice, bob = tree.add_person("alice"), tree.add_person("bob")
    domain_id = await make_domain(tree.options())
    tokens = [(await world.post_auth(user, "secret", domain="people")).headers["x-subject-token"]
              for user in ("alice", "bob")]
    tree.admin.modify(alice, {"employeeType": [(ldap3.MODIFY_REPLACE, ["FALSE"])]})
    tree.admin.delete(bob)
    found = await users_of(world, admin, domain_id)
    assert {name: user["enabled"] for name, user in found.items()} == {"alice": False, "bob": False}
    assert [(await world.see(admin, token)).status_code for token in tokens] == [404, 404]
    assert (await world.ask(admin, "GET", f"/v3/users/{found['bob']['id']}")).status_code == 404


async def test_a_name_goes_to_somebody_else(world, admin, tree, make_domain):
    old = tree.add_person("e1", displayName="alice")
    domain_id = await make_domain(tree.options(user_name_attribute="displayName"))
    first = (await users_of(world, admin, domain_id))["alice"]
    tree.admin.delete(old)
    tree.add_person("e2", displayName="alice")
    second = (await users_of(world, admin, domain_id))["alice"]
    assert first["id"] != second["id"] and second["enabled"]
    assert (await world.post_auth("alice", "secret", domain="people")).json()["token"]["user"]["id"] == second["id"]


@pytest.mark.parametrize(("options", "enabled"), [
    ({"user_enabled_mask": 2, "user_enabled_default": "512"}, {"512": True, "514": False, None: True}),
    ({"user_enabled_invert": True, "user_enabled_default": "FALSE"}, {"TRUE": False, "FALSE": True, None: True}),
    ({"user_enabled_attribute": "pwdAccountLockedTime"}, {"x": True, None: True}),
])
async def test_ways_to_be_enabled(world, tree, make_domain, options, enabled):
    for number, value in enumerate(enabled):
        tree.add_person(f"u{number}", employeeType=value)
    domain_id = await make_domain(tree.options(**options))
    found = await users_of(world, await world.log_in("admin", scope="admin"), domain_id)
    assert [found[f"u{number}"]["enabled"] for number in range(len(enabled))] == list(enabled.values())


async def test_enabled_by_being_in_a_group(world, admin, tree, make_domain):
    alice = tree.add_person("alice")
    tree.add_person("bob")
    tree.add_team("enabled", alice.upper())
    domain_id = await make_domain(tree.options(
        user_enabled_emulation=True, user_enabled_emulation_dn=f"cn=enabled,ou=teams,{tree.root}"))
    found = await users_of(world, admin, domain_id)
    assert {name: user["enabled"] for name, user in found.items()} == {"alice": True, "bob": False}


async def test_nothing_is_written_to_a_directory(world, admin, tree, make_domain):
    alice = tree.add_person("alice")
    tree.add_team("engineers", alice)
    domain_id = await make_domain(tree.options())
    user_id = (await users_of(world, admin, domain_id))["alice"]["id"]
    await world.http.get("/v3/groups", params={"domain_id": domain_id}, headers={"x-auth-token": admin})
    group_id = public_id(domain_id, "group", "engineers")
    for method, path, body in (
            ("POST", "/v3/users", {"user": {"name": "dave", "domain_id": domain_id}}),
            ("PATCH", f"/v3/users/{user_id}", {"user": {"name": "dave"}}), ("DELETE", f"/v3/users/{user_id}", None),
            ("POST", "/v3/groups", {"group": {"name": "x", "domain_id": domain_id}}),
            ("PATCH", f"/v3/groups/{group_id}", {"group": {"name": "x"}}),
            ("DELETE", f"/v3/groups/{group_id}", None), ("PUT", f"/v3/groups/{group_id}/users/{user_id}", None),
            ("DELETE", f"/v3/groups/{group_id}/users/{user_id}", None)):
        answer = await world.ask(admin, method, path, body)
        assert answer.status_code == 403, (method, path, answer.text)
        assert "LDAP does not support write operations" in answer.json()["error"]["message"]


WRITABLE = {f"{kind}_allow_{what}": True for kind in ("user", "group") for what in ("create", "update", "delete")}


async def test_users_are_written_to_a_directory(world, admin, tree, make_domain):
    domain_id = await make_domain(tree.options(**WRITABLE))
    body = {"name": "dave", "domain_id": domain_id, "password": "first", "email": "dave@cloud.test"}
    dave = await world.make(admin, "users", **body)
    assert dave["id"] == public_id(domain_id, "user", "dave") and dave["email"] == "dave@cloud.test"
    assert (await world.ask(admin, "POST", "/v3/users", {"user": body})).status_code == 409
    token = (await world.post_auth("dave", "first", domain="people")).headers["x-subject-token"]
    place = f"uid=dave,ou=people,{tree.root}"
    tree.admin.search(place, "(objectClass=*)", attributes=["userPassword", "mail"])
    (entry,) = tree.admin.response
    assert entry["attributes"]["userPassword"][0].startswith("{SSHA}"), "kept as the server hashes"

    path = f"/v3/users/{dave['id']}"
    changed = await world.ask(admin, "PATCH", path, {"user": {"password": "second", "email": "d@cloud.test"}})
    assert changed.status_code == 200 and changed.json()["user"]["email"] == "d@cloud.test"
    assert (await world.see(admin, token)).status_code == 404
    assert [(await world.post_auth("dave", each, domain="people")).status_code for each in ("first", "second")] \
        == [401, 201]
    own = [await world.ask("", "POST", f"{path}/password", {"user": {"original_password": old, "password": new}})
           for old, new in (("first", "third"), ("second", "second"), ("second", "third"))]
    assert [answer.status_code for answer in own] == [401, 400, 204]
    for enabled, status in ((False, 401), (True, 201)):
        assert (await world.ask(admin, "PATCH", path, {"user": {"enabled": enabled}})).status_code == 200
        assert (await world.post_auth("dave", "third", domain="people")).status_code == status
    for wrong, why in (({"name": "david"}, "by their names"), ({"shoes": "red"}, "no place for shoes"),
                       ({"password": "a\u0007b"}, "no password with")):
        answer = await world.ask(admin, "PATCH", path, {"user": wrong})
        assert answer.status_code == 400 and why in answer.json()["error"]["message"], answer.text

    assert (await world.ask(admin, "DELETE", path)).status_code == 204
    assert (await world.ask(admin, "GET", path)).status_code == 404
    assert await users_of(world, admin, domain_id) == {}
    assert not tree.admin.search(f"ou=people,{tree.root}", "(uid=dave)") or not tree.admin.response


async def test_groups_are_written_to_a_directory(world, admin, tree, make_domain):
    domain_id = await make_domain(tree.options(**WRITABLE, use_dumb_member=True))
    alice = await world.make(admin, "users", name="alice", domain_id=domain_id, password="secret")
    team = await world.make(admin, "groups", name="pilots", domain_id=domain_id, description="They fly")
    assert team["id"] == public_id(domain_id, "group", "pilots") and team["description"] == "They fly"
    again = await world.ask(admin, "POST", "/v3/groups", {"group": {"name": "pilots", "domain_id": domain_id}})
    assert again.status_code == 409
    place = f"/v3/groups/{team['id']}"
    members = f"{place}/users/{alice['id']}"
    assert [(await world.ask(admin, method, members)).status_code
            for method in ("HEAD", "DELETE", "PUT", "PUT", "HEAD")] == [404, 404, 204, 204, 204]
    tree.admin.search(f"cn=pilots,ou=teams,{tree.root}", "(objectClass=*)", attributes=["member"])
    assert f"uid=alice,ou=people,{tree.root}" in tree.admin.response[0]["attributes"]["member"]
    answer = await world.ask(admin, "PATCH", place, {"group": {"description": "They land"}})
    assert answer.json()["group"]["description"] == "They land"
    assert (await world.ask(admin, "DELETE", members)).status_code == 204
    assert (await world.ask(admin, "PUT", members)).status_code == 204
    assert (await world.ask(admin, "DELETE", f"/v3/users/{alice['id']}")).status_code == 204
    assert (await world.ask(admin, "GET", f"{place}/users")).json()["users"] == []
    assert (await world.ask(admin, "DELETE", place)).status_code == 204
    assert not tree.admin.search(f"ou=teams,{tree.root}", "(cn=pilots)") or not tree.admin.response

    bare = await make_domain(tree.options(**WRITABLE), "bare")
    answer = await world.ask(admin, "POST", "/v3/groups", {"group": {"name": "nobody", "domain_id": bare}})
    assert answer.status_code == 400 and "does not take it" in answer.json()["error"]["message"]


@pytest.mark.parametrize("options", [
    {"user_enabled_mask": 2, "user_enabled_default": "512"}, {"user_enabled_invert": True},
    {"user_enabled_emulation": True}, {"user_id_attribute": "uid", "user_name_attribute": "displayName"}])
async def test_ways_to_enable(world, admin, tree, make_domain, options):
    domain_id = await make_domain(tree.options(**WRITABLE, **options))
    erin = await world.make(admin, "users", name="erin", domain_id=domain_id, password="secret")
    assert erin["enabled"]
    assert (erin["id"] == public_id(domain_id, "user", "erin")) == ("user_name_attribute" not in options)
    seen = []
    for enabled in (False, False, True):
        answer = await world.ask(admin, "PATCH", f"/v3/users/{erin['id']}", {"user": {"enabled": enabled}})
        assert answer.status_code == 200, answer.text
        seen.append((await users_of(world, admin, domain_id))["erin"]["enabled"])
    assert seen == [False, False, True]


async def test_pages_of_a_large_directory(world, admin, tree, make_domain):
    for number in range(60):
        tree.add_person(f"user{number:02}")
    domain_id = await make_domain(tree.options(page_size=7, query_scope="sub"))
    assert len(await users_of(world, admin, domain_id)) == 60
    first = await world.http.get("/v3/users", params={"domain_id": domain_id, "limit": 25},
                                 headers={"x-auth-token": admin})
    assert len(first.json()["users"]) == 25 and first.json()["links"]["next"]


@pytest.mark.parametrize("how", ["ldaps", "starttls"])
async def test_certificates_are_checked(world, admin, tree, make_domain, how):
    tree.add_person("alice")
    tls = {"use_tls": True} if how == "starttls" else {"url": f"ldaps://{tree.host}:{tree.tls_port}"}
    good = await make_domain(tree.options(**tls, tls_cacertfile=tree.certificate), "good")
    bad = await make_domain(tree.options(**tls), "bad")
    blind = await make_domain(tree.options(**tls, tls_req_cert="never"), "blind")
    assert set(await users_of(world, admin, good)) == set(await users_of(world, admin, blind)) == {"alice"}
    answer = await world.http.get("/v3/users", params={"domain_id": bad}, headers={"x-auth-token": admin})
    assert answer.status_code == 503
    assert (await world.post_auth("alice", "secret", domain="good")).status_code == 201
    assert (await world.post_auth("alice", "secret", domain="bad")).status_code == 503


async def test_a_directory_that_hangs_hinders_nobody_else(world, admin, make_domain):
    """It takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        options = {"url": f"ldap://127.0.0.1:{silent.getsockname()[1]}", "connection_timeout": 1}
        await make_domain(options)
        began = time.monotonic()
        waiting = [asyncio.ensure_future(world.post_auth("alice", "secret", domain="people")) for _ in range(40)]
        for _ in range(5):
            assert (await world.post_auth("demo")).status_code == 201
        assert not all(answer.done() for answer in waiting)
        answers = await asyncio.gather(*waiting)
    assert {answer.status_code for answer in answers} == {503}
    assert time.monotonic() - began < 30.0
    assert "cannot be read" in answers[0].json()["error"]["message"]


@pytest.mark.parametrize("options", [
    {"url": "ldap://127.0.0.1:1"}, {"url": "nonsense://x:y"}, {"url": ""}, {"page_size": "many"},
    {"url": "ldap://127.0.0.1:1,ldaps://127.0.0.1:1", "randomize_urls": True}, {"query_scope": "all"}])
async def test_options_that_lead_nowhere(world, admin, demo, make_domain, options):
    domain_id = await make_domain(options)
    assert (await world.post_auth("alice", "secret", domain="people")).status_code == 503
    answer = await world.http.get("/v3/users", params={"domain_id": domain_id}, headers={"x-auth-token": admin})
    assert answer.status_code == 503
    assert (await world.post_auth("demo")).status_code == 201
    assert (await world.ask(admin, "DELETE", f"/v3/domains/{domain_id}/config")).status_code == 204
    assert (await world.post_auth("alice", "secret", domain="people")).status_code == 401


async def test_options_that_make_no_sense_to_the_server(world, admin, tree, make_domain):
    tree.add_person("alice")
    for number, wrong in enumerate(({"user_filter": "(broken"}, {"password": "wrong"}, {"user_tree_dn": "no dn"})):
        domain_id = await make_domain(tree.options(**wrong), f"people{number}")
        answer = await world.http.get("/v3/users", params={"domain_id": domain_id}, headers={"x-auth-token": admin})
        assert answer.status_code == 503, wrong
        assert (await world.post_auth("alice", "secret", domain=f"people{number}")).status_code == 503, wrong


async def test_the_first_server_that_answers_is_asked(world, admin, tree, make_domain):
    tree.add_person("alice")
    domain_id = await make_domain(tree.options(url=f"ldap://127.0.0.1:1,ldap://{tree.host}:{tree.port}"))
    assert set(await users_of(world, admin, domain_id)) == {"alice"}
