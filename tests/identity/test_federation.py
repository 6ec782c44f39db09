"""Identity providers, protocols, mappings, service providers; and people who come by OpenID Connect."""

import asyncio
import base64
import json
import os
import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from pileus.identity.federation import people
from pileus.identity.federation.settings import FederationConfig, OidcConfig
from pileus.kit.clock import TurnedClock
from tests.identity.conftest import BASE

SERVER = os.environ.get("PILEUS_TEST_OIDC")
ROOT = "/v3/OS-FEDERATION"
AUTH = f"{ROOT}/identity_providers/example/protocols/openid/auth"
SSO = "/v3/auth/OS-FEDERATION"
TOKEN = "/protocol/openid-connect/token"          # below the issuer's address
DASHBOARD = "https://dashboard.example.org/auth/websso/"
RULES = [
    {"local": [{"user": {"name": "{0}", "email": "{1}"}}, {"groups": "{2}", "domain": {"name": "Default"}}],
     "remote": [{"type": "OIDC-sub"}, {"type": "HTTP_OIDC_EMAIL"}, {"type": "OIDC-groups"}]},
    {"local": [{"user": {"name": "program {0}"}},
               {"projects": [{"name": "programs", "roles": [{"name": "reader"}]}]}],
     "remote": [{"type": "OIDC-client_id"}, {"type": "OIDC-client_id", "any_one_of": ["cloud"]}]},
]


async def put(world, token, path, **fields):
    kind = {"identity_providers": "identity_provider", "mappings": "mapping", "protocols": "protocol",
            "service_providers": "service_provider"}[path.split("/")[-2]]
    return await world.ask(token, "PUT", f"{ROOT}/{path}", {kind: fields})


# -- what administrators keep -------------------------------------------------------------------------------------


async def test_life_of_an_identity_provider(world, admin):
    made = await put(world, admin, "identity_providers/example", description="d", remote_ids=["a", "b"])
    assert made.status_code == 201
    idp = made.json()["identity_provider"]
    assert (idp["id"], idp["enabled"], idp["remote_ids"]) == ("example", False, ["a", "b"])
    assert idp["links"]["protocols"] == f"{BASE}/identity/v3/OS-FEDERATION/identity_providers/example/protocols"
    domain = (await world.ask(admin, "GET", f"/v3/domains/{idp['domain_id']}")).json()["domain"]
    assert "example" in domain["description"]
    assert (await put(world, admin, "identity_providers/example")).status_code == 409
    assert (await put(world, admin, "identity_providers/second", remote_ids=["b"])).status_code == 409
    assert (await put(world, admin, "identity_providers/second", domain_id="nowhere")).status_code == 400
    assert (await put(world, admin, "identity_providers/second", remote_ids=["c", "c"])).status_code == 400
    assert (await put(world, admin, "identity_providers/second", other=1)).status_code == 400
    assert (await put(world, admin, "identity_providers/second", domain_id="default")).status_code == 201
    listed = (await world.ask(admin, "GET", f"{ROOT}/identity_providers")).json()["identity_providers"]
    assert [idp["id"] for idp in listed] == ["example", "second"] and listed[0]["remote_ids"] == ["a", "b"]
    path = f"{ROOT}/identity_providers/example"
    changed = await world.ask(admin, "PATCH", path, {"identity_provider": {
        "enabled": True, "remote_ids": ["z"], "authorization_ttl": 5}})
    assert changed.json()["identity_provider"] == idp | {"enabled": True, "remote_ids": ["z"], "authorization_ttl": 5}
    only = await world.ask(admin, "GET", f"{ROOT}/identity_providers?enabled=true")
    assert [idp["id"] for idp in only.json()["identity_providers"]] == ["example"]
    assert (await world.ask(admin, "DELETE", path)).status_code == 204
    assert (await world.ask(admin, "GET", path)).status_code == 404


async def test_life_of_mappings_and_protocols(world, admin):
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "X"}]}]
    made = await put(world, admin, "mappings/m", id="m", rules=rules, schema_version=None)  # as SDKs do
    assert (await put(world, admin, "mappings/m", id="other", rules=rules)).status_code == 400
    assert made.status_code == 201 and made.json()["mapping"]["rules"] == rules
    assert (await put(world, admin, "mappings/m", rules=rules)).status_code == 409
    for bad in ({}, {"rules": []}, {"rules": [{"local": [], "remote": []}]}, {"rules": rules, "schema_version": "9"},
                {"rules": rules, "other": 1}):
        assert (await put(world, admin, "mappings/bad", **bad)).status_code == 400, bad
    await put(world, admin, "identity_providers/example")
    path = "identity_providers/example/protocols/openid"
    assert (await put(world, admin, path, mapping_id="nothing")).status_code == 400
    made = await put(world, admin, path, mapping_id="m", remote_id_attribute="ISS")
    assert made.status_code == 201
    assert made.json()["protocol"]["links"]["identity_provider"].endswith("/identity_providers/example")
    assert (await put(world, admin, path, mapping_id="m")).status_code == 409
    assert (await put(world, admin, "identity_providers/none/protocols/p", mapping_id="m")).status_code == 404
    assert (await world.ask(admin, "DELETE", f"{ROOT}/mappings/m")).status_code == 409
    await put(world, admin, "mappings/m2", rules=rules, schema_version="2.0")
    changed = await world.ask(admin, "PATCH", f"{ROOT}/{path}", {"protocol": {"mapping_id": "m2"}})
    assert changed.json()["protocol"]["mapping_id"] == "m2"
    assert (await world.ask(admin, "PATCH", f"{ROOT}/{path}", {"protocol": {"mapping_id": "x"}})).status_code == 400
    listed = await world.ask(admin, "GET", f"{ROOT}/identity_providers/example/protocols")
    assert [protocol["id"] for protocol in listed.json()["protocols"]] == ["openid"]
    assert (await world.ask(admin, "DELETE", f"{ROOT}/{path}")).status_code == 204
    assert (await world.ask(admin, "GET", f"{ROOT}/{path}")).status_code == 404
    assert (await world.ask(admin, "DELETE", f"{ROOT}/mappings/m2")).status_code == 204


async def test_service_providers_are_told_in_tokens(world, admin):
    url = {"auth_url": "https://there/v3", "sp_url": "https://there/saml2"}
    made = await put(world, admin, "service_providers/there", enabled=True, **url)
    assert made.status_code == 201 and made.json()["service_provider"]["relay_state_prefix"] == "ss:mem:"
    await put(world, admin, "service_providers/off", **url)
    for bad in ({}, {"auth_url": "x", "sp_url": "https://there"}, url | {"other": 1}):
        assert (await put(world, admin, "service_providers/bad", **bad)).status_code == 400
    answer = await world.post_auth("demo")
    assert answer.json()["token"]["service_providers"] == [{"id": "there", **url}]
    path = f"{ROOT}/service_providers/there"
    changed = await world.ask(admin, "PATCH", path, {"service_provider": {"enabled": False}})
    assert changed.json()["service_provider"]["enabled"] is False
    assert "service_providers" not in (await world.post_auth("demo")).json()["token"]
    assert (await world.ask(admin, "DELETE", path)).status_code == 204


async def test_it_is_for_administrators(world, admin, demo):
    for kind in ("identity_providers", "mappings", "service_providers"):
        assert (await put(world, demo, f"{kind}/x")).status_code in (400, 403)
        assert (await world.ask(demo, "GET", f"{ROOT}/{kind}")).status_code == 403
        assert (await world.ask(demo, "DELETE", f"{ROOT}/{kind}/x")).status_code == 403


# -- people, whatever proved who they are -------------------------------------------------------------------------


@pytest.fixture
def clock():
    return TurnedClock()


@pytest.fixture(params=["oidc"] if SERVER else [])
def issuer(request):
    place = urlsplit(SERVER)
    return f"{place.scheme}://{place.hostname}:{place.port}{place.path}", place.password


def settings_of(issuer):
    url, secret = issuer
    return FederationConfig(trusted_dashboards=[DASHBOARD], providers={"example/openid": OidcConfig(
        issuer=url, client_id="cloud", client_secret=secret, audiences=["urn:pileus:cloud"])})


async def make_example(world, rules=RULES, **more):
    admin = await world.log_in("admin", scope="admin")
    await put(world, admin, "identity_providers/example", enabled=True, **more)
    await put(world, admin, "mappings/example", rules=rules)
    await put(world, admin, "identity_providers/example/protocols/openid", mapping_id="example")
    return admin


SAID = {"OIDC-sub": "alice", "HTTP_OIDC_EMAIL": "a@b", "OIDC-groups": "engineers;others"}


async def grant(world, admin, group="engineers", role="member"):
    group_id = (await world.make(admin, "groups", name=group))["id"]
    project_id = (await world.make(admin, "projects", name=f"of {group}"))["id"]
    found = (await world.ask(admin, "GET", "/v3/roles")).json()["roles"]
    role_id = {entry["name"]: entry["id"] for entry in found}[role]
    await world.ask(admin, "PUT", f"/v3/projects/{project_id}/groups/{group_id}/roles/{role_id}")
    return group_id, project_id


async def rescope(world, token, project_id):
    return await world.http.post("/v3/auth/tokens", json={"auth": {
        "identity": {"methods": ["token"], "token": {"id": token}}, "scope": {"project": {"id": project_id}}}})


async def test_groups_of_a_federated_user_hold_for_the_token(world):
    admin = await make_example(world)
    group_id, project_id = await grant(world, admin)
    token, context = await people.log_in(world, "example", "openid", SAID)
    seen = (await world.see(admin, token)).json()["token"]
    assert seen["methods"] == ["mapped"] and seen["user"]["name"] == "alice"
    assert seen["user"]["OS-FEDERATION"] == {"identity_provider": {"id": "example"}, "protocol": {"id": "openid"},
                                             "groups": [{"id": group_id}]}
    for path in ("/v3/auth/projects", f"{ROOT}/projects"):
        found = (await world.ask(token, "GET", path)).json()["projects"]
        assert [project["id"] for project in found] == [project_id]
    assert (await world.ask(token, "GET", f"{ROOT}/domains")).json()["domains"] == []
    scoped = await rescope(world, token, project_id)
    assert scoped.status_code == 201
    body = scoped.json()["token"]
    assert {role["name"] for role in body["roles"]} == {"member", "reader"}
    assert body["user"] == seen["user"] and sorted(body["methods"]) == ["mapped", "token"]
    user = (await world.ask(admin, "GET", f"/v3/users/{context.token.user_id}")).json()["user"]
    assert user["email"] == "a@b" and len(user["id"]) == 64
    assert (await people.log_in(world, "example", "openid", SAID))[1].token.user_id == user["id"]

    member = scoped.headers["x-subject-token"]
    path = f"{ROOT}/identity_providers/example"
    await world.ask(admin, "PATCH", path, {"identity_provider": {"enabled": False}})
    assert [(await world.see(admin, text)).status_code for text in (token, member)] == [404, 404]


async def test_memberships_may_outlast_the_token(make_world, clock):
    world = await make_world(clock)
    admin = await make_example(world, authorization_ttl=10)
    group_id, project_id = await grant(world, admin)
    token, context = await people.log_in(world, "example", "openid", SAID)
    member = f"/v3/groups/{group_id}/users/{context.token.user_id}"
    assert (await world.ask(admin, "GET", member)).status_code == 204
    clock.turn(590)
    await people.log_in(world, "example", "openid", SAID)
    clock.turn(590)
    await end_memberships(world)
    assert (await world.ask(admin, "GET", member)).status_code == 204
    clock.turn(20)
    await end_memberships(world)
    assert (await world.ask(admin, "GET", member)).status_code == 404
    await people.log_in(world, "example", "openid", SAID)
    await people.log_in(world, "example", "openid", SAID | {"OIDC-groups": "others"})
    assert (await world.ask(admin, "GET", member)).status_code == 404


async def end_memberships(world):
    async with world.db.write() as tx:
        await people.end_memberships(tx, world)


async def test_projects_are_made_for_those_who_come(world):
    admin = await make_example(world)
    token, context = await people.log_in(world, "example", "openid", {"OIDC-client_id": "cloud"})
    found = (await world.ask(token, "GET", "/v3/auth/projects")).json()["projects"]
    assert [project["name"] for project in found] == ["programs"]
    scoped = await rescope(world, token, found[0]["id"])
    assert {role["name"] for role in scoped.json()["token"]["roles"]} == {"reader"}
    assert context.caller.user_name == "program cloud"
    assert (await world.ask(admin, "GET", f"/v3/projects/{found[0]['id']}")).status_code == 200


async def test_many_first_logins_at_once(world):
    await make_example(world)
    came = await asyncio.gather(*(people.log_in(world, "example", "openid", SAID) for _ in range(8)))
    assert len({context.token.user_id for _, context in came}) == 1


async def test_two_of_one_name_are_two(world):
    rules = [{"local": [{"user": {"name": "{0}", "id": "{1}"}}], "remote": [{"type": "N"}, {"type": "I"}]}]
    await make_example(world, rules)
    first, second = [(await people.log_in(world, "example", "openid", {"N": "same", "I": id}))[1].caller
                     for id in ("1", "2")]
    assert first.user_id != second.user_id and first.user_name == "same" and second.user_name == second.user_id


async def test_local_users(world):
    rules = [{"local": [{"user": {"name": "{0}", "type": "local", "domain": {"name": "Default"}}}],
              "remote": [{"type": "N"}]}]
    await make_example(world, rules)
    token, context = await people.log_in(world, "example", "openid", {"N": "demo"})
    assert context.caller.user_name == "demo" and context.token.federated == ()
    with pytest.raises(people.Unauthorized):
        await people.log_in(world, "example", "openid", {"N": "nobody"})


async def test_who_is_refused(world):
    admin = await make_example(world, remote_ids=["https://issuer"])
    for said, remote_id in ((SAID, "https://other"), ({}, "https://issuer"), ({"OIDC-sub": "x"}, "https://issuer")):
        with pytest.raises(people.Refused):
            await people.log_in(world, "example", "openid", said, remote_id=remote_id)
    assert (await people.log_in(world, "example", "openid", SAID, remote_id="https://issuer"))[0]
    rules = [{"local": [{"user": {"name": "x"}}, {"group": {"id": "nowhere"}}], "remote": [{"type": "OIDC-sub"}]}]
    await world.ask(admin, "PATCH", f"{ROOT}/mappings/example", {"mapping": {"rules": rules}})
    with pytest.raises(people.Refused, match="nowhere"):
        await people.log_in(world, "example", "openid", SAID, remote_id="https://issuer")
    for path in (f"{ROOT}/identity_providers/none/protocols/openid/auth", AUTH):
        assert (await world.http.get(path)).status_code == 404


# -- OpenID Connect, with a real provider -------------------------------------------------------------------------


async def access_token(issuer, client="cloud", **more):
    url, secret = issuer
    async with httpx.AsyncClient(timeout=60) as http:
        form = {"grant_type": "client_credentials"} | more
        answer = await http.post(f"{url}{TOKEN}", auth=(client, secret), data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


async def bearer(world, token, method="POST"):
    return await world.http.request(method, AUTH, headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("form", [{}, {"resource": "urn:pileus:cloud", "scope": "use"}], ids=["opaque", "jwt"])
async def test_programs_come_with_an_access_token(make_world, issuer, form):
    world = await make_world(federation=settings_of(issuer))
    admin = await make_example(world, remote_ids=[issuer[0]])
    token = await access_token(issuer, **form)
    assert (token.count(".") == 2) is bool(form)
    answer = await bearer(world, token)
    assert answer.status_code == 201, answer.text
    assert answer.json()["token"]["user"]["name"] == "program cloud"
    assert (await world.see(admin, answer.headers["x-subject-token"])).status_code == 200
    assert (await bearer(world, token, "GET")).status_code == 201
    spoilt = token[:-3] + ("AAA" if not token.endswith("AAA") else "BBB")
    for wrong in (spoilt, "x.y.z", "x", "", "e30.e30.", token + "." + token):
        assert (await bearer(world, wrong)).status_code == 401, wrong
    assert (await world.http.post(AUTH)).status_code == 401


async def test_a_token_for_somebody_else_does_not_count(make_world, issuer):
    world = await make_world(federation=settings_of(issuer))
    await make_example(world)
    assert (await bearer(world, await access_token(issuer, "other"))).status_code == 401


def no_algorithm(issuer):
    parts = [{"alg": "none"}, {"iss": issuer[0], "aud": "cloud", "sub": "alice", "exp": 9_999_999_999}]
    return ".".join([base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts] + [""])


async def test_unsigned_tokens_and_those_of_other_keys(make_world, issuer):
    world = await make_world(federation=settings_of(issuer))
    await make_example(world)
    claims = {"iss": issuer[0], "aud": "cloud", "sub": "alice", "exp": 9_999_999_999}
    forged = [jwt.encode({"alg": "ES256", "kid": "one"}, claims, ECKey.generate_key("P-256")),
              jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.generate_key(256)), no_algorithm(issuer)]
    for token in forged:
        assert (await bearer(world, token)).status_code == 401


async def browse(http, url):
    """Follow a browser's way through the provider's forms, until it leaves the provider or there is nothing more to
    do."""
    answer = await http.get(url)
    for _ in range(16):
        if answer.is_redirect:
            place = httpx.URL(answer.request.url).join(answer.headers["location"])
            if place.host == "cloud":
                return str(place)
            answer = await http.get(place)
        elif action := re.search(r'action="([^"]+)"', answer.text):
            form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text))
            form |= {"login": "alice", "password": "x"} if form.get("prompt") == "login" else {}
            answer = await http.post(httpx.URL(answer.request.url).join(action[1]), data=form)
        else:
            return answer.text
    raise AssertionError(answer.text)


async def sign_on(world, path=f"{SSO}/websso/openid", origin=DASHBOARD):
    begun = await world.http.get(path, params={"origin": origin})
    assert begun.status_code == 302, begun.text
    async with httpx.AsyncClient(timeout=60) as http:
        return urlsplit(await browse(http, begun.headers["location"]))


@pytest.mark.parametrize("path", ["/websso/openid", "/identity_providers/example/protocols/openid/websso"])
async def test_browsers_sign_on(make_world, issuer, path):
    world = await make_world(federation=settings_of(issuer))
    admin = await make_example(world, remote_ids=[issuer[0]])
    _, project_id = await grant(world, admin)
    back = await sign_on(world, SSO + path)
    assert back.path == f"/identity{SSO}/callback"
    answer = await world.http.get(f"{SSO}/callback", params=parse_qs(back.query))
    assert answer.status_code == 200, answer.text
    assert f'action="{DASHBOARD}"' in answer.text and answer.headers["cache-control"] == "no-store"
    token = re.search(r'name="token" value="([^"]+)"', answer.text)[1]
    user = (await world.see(admin, token)).json()["token"]["user"]
    assert user["name"] == "alice"
    assert (await rescope(world, token, project_id)).status_code == 201
    again = await world.http.get(f"{SSO}/callback", params=parse_qs(back.query))
    assert again.status_code == 401                     # its cookie is gone, and the code was used


async def test_sign_on_is_for_the_browser_that_began_and_for_trusted_dashboards(make_world, issuer):
    world = await make_world(federation=settings_of(issuer))
    await make_example(world)
    for origin in ("", "https://evil.example.org/", DASHBOARD + "x"):
        assert (await world.http.get(f"{SSO}/websso/openid", params={"origin": origin})).status_code == 401
    back = parse_qs((await sign_on(world)).query)
    world.http.cookies.clear()
    assert (await world.http.get(f"{SSO}/callback", params=back)).status_code == 401
    assert (await world.http.get(f"{SSO}/callback", params={"code": "x", "state": "y"})).status_code == 401
    assert (await world.http.get(f"{SSO}/websso/saml2", params={"origin": DASHBOARD})).status_code == 404


async def test_a_provider_that_is_away(make_world, issuer):
    away = FederationConfig(trusted_dashboards=[DASHBOARD], providers={
        "example/openid": OidcConfig(issuer="http://127.0.0.1:1", client_id="cloud")})
    world = await make_world(federation=away)
    await make_example(world)
    assert (await bearer(world, "x.y.z")).status_code in (401, 503)
    assert (await bearer(world, "opaque")).status_code == 503
    assert (await world.http.get(f"{SSO}/websso/openid", params={"origin": DASHBOARD})).status_code == 503
