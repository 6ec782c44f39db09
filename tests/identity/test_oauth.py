"""OAuth 1.0a with oauthlib's own client, and OAuth 2.0's client credentials."""

from urllib.parse import parse_qsl

import pytest
import sqlalchemy as sa
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, SIGNATURE_HMAC_SHA256, SIGNATURE_PLAINTEXT, Client

from pileus.identity import changes
from pileus.identity.model.used_once import used_once
from pileus.kit import db
from pileus.kit.clock import TurnedClock
from tests.identity.conftest import BASE

ROOT = "/v3/OS-OAUTH1"


async def signed(world, path, client, body=None, **headers):
    _, signature, _ = client.sign(f"{BASE}/identity{path}", "POST")
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await world.http.post(path, json=body, headers=signature | named)


def fields(answer):
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    return dict(parse_qsl(answer.text, strict_parsing=True))


class Dance:
    """What consumer and user do to let the consumer act for the user."""

    def __init__(self, world, token, method=SIGNATURE_HMAC_SHA1):
        self.world, self.token, self.method = world, token, method

    async def begin(self, roles=("member",)):
        self.consumer = await self.world.make(self.token, "OS-OAUTH1/consumers", description="a robot")
        body = (await self.world.see(self.token, self.token)).json()["token"]
        self.project_id, self.user_id = body["project"]["id"], body["user"]["id"]
        found = (await self.world.ask(self.token, "GET", "/v3/roles")).json()["roles"]
        self.role_ids = [role["id"] for role in found if role["name"] in roles]
        return self

    def client(self, token=None, **more):
        owner = {"resource_owner_key": token["oauth_token"], "resource_owner_secret": token["oauth_token_secret"]} \
            if token else {"callback_uri": "oob"}
        return Client(self.consumer["id"], self.consumer["secret"], signature_method=self.method, **owner | more)

    async def request(self):
        return await signed(self.world, f"{ROOT}/request_token", self.client(timestamp=str(int(self.world.clock()))),
                            requested_project_id=self.project_id)

    async def authorize(self, asked, roles=None):
        wanted = [{"id": id} for id in self.role_ids] if roles is None else roles
        return await self.world.ask(self.token, "PUT", f"{ROOT}/authorize/{asked['oauth_token']}", {"roles": wanted})

    async def access(self, asked, verifier):
        return await signed(self.world, f"{ROOT}/access_token", self.client(
            asked, verifier=verifier, timestamp=str(int(self.world.clock()))))

    async def finish(self):
        asked = fields(await self.request())
        verifier = (await self.authorize(asked)).json()["token"]["oauth_verifier"]
        return fields(await self.access(asked, verifier))

    async def log_in(self, access, scope=None, **more):
        auth = {"identity": {"methods": ["oauth1"], "oauth1": {}}} | ({"scope": scope} if scope else {})
        return await signed(self.world, "/v3/auth/tokens", self.client(
            access, **{"timestamp": str(int(self.world.clock()))} | more), {"auth": auth})


@pytest.mark.parametrize("method", [SIGNATURE_HMAC_SHA1, SIGNATURE_HMAC_SHA256])
async def test_a_consumer_acts_for_a_user(world, admin, method):
    dance = await Dance(world, admin, method).begin()
    access = await dance.finish()
    answer = await dance.log_in(access)
    assert answer.status_code == 201, answer.text
    body = answer.json()["token"]
    assert body["methods"] == ["oauth1"] and body["project"]["id"] == dance.project_id
    assert {role["name"] for role in body["roles"]} == {"member", "reader"}
    assert body["OS-OAUTH1"] == {"access_token_id": access["oauth_token"], "consumer_id": dance.consumer["id"]}
    token = answer.headers["x-subject-token"]
    again = await world.http.post("/v3/auth/tokens", json={"auth": {"identity": {
        "methods": ["token"], "token": {"id": token}}}})
    assert again.status_code == 403

    path = f"/v3/users/{dance.user_id}/OS-OAUTH1/access_tokens"
    listed = (await world.ask(admin, "GET", path)).json()["access_tokens"]
    assert [(entry["id"], entry["expires_at"]) for entry in listed] == [
        (access["oauth_token"], access["oauth_expires_at"])]
    one = f"{path}/{access['oauth_token']}"
    assert (await world.ask(admin, "GET", one)).json()["access_token"] == listed[0]
    roles = (await world.ask(admin, "GET", f"{one}/roles")).json()["roles"]
    assert [role["id"] for role in roles] == dance.role_ids
    assert (await world.ask(admin, "GET", f"{one}/roles/{dance.role_ids[0]}")).json()["role"]["name"] == "member"
    assert (await world.ask(admin, "GET", f"{one}/roles/none")).status_code == 404
    assert (await world.ask(admin, "DELETE", one)).status_code == 204
    assert (await world.ask(admin, "GET", one)).status_code == 404
    assert (await world.see(admin, token)).status_code == 404
    assert (await dance.log_in(access)).status_code == 401


async def remembered(world):
    async with world.db.read() as reader:
        return await db.scalar(reader, sa.select(sa.func.count()).select_from(used_once))


async def test_a_signed_request_counts_once(make_world):
    clock = TurnedClock()
    world = await make_world(clock)
    dance = await Dance(world, await world.log_in("admin", scope="admin")).begin()
    access = await dance.finish()
    client = dance.client(access, timestamp=str(int(clock())), nonce="the-same")
    _, signature, _ = client.sign(f"{BASE}/identity/v3/auth/tokens", "POST")
    body = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}
    sent = [(await world.http.post("/v3/auth/tokens", json=body, headers=signature)).status_code for _ in range(2)]
    assert sent == [201, 401]
    later = dance.client(access, timestamp=str(int(clock()) + 1), nonce="the-same")
    _, other, _ = later.sign(f"{BASE}/identity/v3/auth/tokens", "POST")
    assert (await world.http.post("/v3/auth/tokens", json=body, headers=other)).status_code == 201
    kept = [await remembered(world)]
    for seconds in (500, 700):
        clock.turn(seconds)
        await changes.forget_old_revocations.run(world)
        kept.append(await remembered(world))
    assert kept == [4, 4, 0]


async def test_the_other_address_of_identity_may_be_what_is_signed(world, admin):
    dance = await Dance(world, admin).begin()
    for place, status in (("keystone", 201), ("other", 401)):
        _, signature, _ = dance.client().sign(f"{BASE}/{place}{ROOT}/request_token", "POST")
        answer = await world.http.post(f"{ROOT}/request_token", headers=signature | {
            "requested-project-id": dance.project_id})
        assert answer.status_code == status, place


async def test_a_consumer_that_is_gone_acts_for_nobody(world, admin):
    dance = await Dance(world, admin).begin()
    token = (await dance.log_in(await dance.finish())).headers["x-subject-token"]
    assert (await world.see(admin, token)).status_code == 200
    assert (await world.ask(admin, "DELETE", f"{ROOT}/consumers/{dance.consumer['id']}")).status_code == 204
    assert (await world.see(admin, token)).status_code == 404


async def test_what_is_signed_wrongly_is_refused(world, admin):
    dance = await Dance(world, admin).begin()
    asked = fields(await dance.request())
    verifier = (await dance.authorize(asked)).json()["token"]["oauth_verifier"]
    for wrong in ("", "wrong", verifier + "x", "ä"):
        assert (await dance.access(asked, wrong)).status_code == 401
    assert (await dance.access(asked | {"oauth_token_secret": "wrong"}, verifier)).status_code == 401
    access = fields(await dance.access(asked, verifier))
    assert (await dance.access(asked, verifier)).status_code == 401                     # it counts once
    other = await Dance(world, admin).begin()
    assert (await other.log_in(access)).status_code == 401
    assert (await dance.log_in(access, timestamp="1")).status_code == 401
    assert (await dance.log_in(access, timestamp="²")).status_code == 401
    assert (await dance.log_in(access, {"system": {"all": True}})).status_code == 401
    plain = Client(dance.consumer["id"], dance.consumer["secret"], signature_method=SIGNATURE_PLAINTEXT)
    assert (await signed(world, f"{ROOT}/request_token", plain)).status_code == 401
    for header in ("", "OAuth", "OAuth x", 'OAuth oauth_consumer_key="x"', "Basic eDp5", "OAuth " + "a=b," * 4000,
                   f'OAuth oauth_consumer_key="{dance.consumer["id"]}", oauth_consumer_key="y"'):
        for path in (f"{ROOT}/request_token", f"{ROOT}/access_token"):
            assert (await world.http.post(path, headers={"authorization": header})).status_code == 401, header


async def test_only_roles_that_are_held_can_be_given(world, admin, demo):
    dance = await Dance(world, admin).begin()
    asked = fields(await dance.request())
    for roles in ([], [{"id": "none"}], [{"name": "nothing"}], [{}]):
        assert (await dance.authorize(asked, roles)).status_code == 401
    assert (await dance.authorize({"oauth_token": "none"})).status_code == 404
    assert (await dance.authorize(asked, [{"name": "reader"}])).status_code == 200
    assert (await world.ask(demo, "PUT", f"{ROOT}/authorize/{asked['oauth_token']}",
                            {"roles": [{"name": "member"}]})).status_code == 403


async def test_tokens_of_oauth_end(make_world):
    clock = TurnedClock()
    world = await make_world(clock)
    dance = await Dance(world, await world.log_in("admin", scope="admin")).begin()
    access = await dance.finish()
    asked = fields(await dance.request())
    verifier = (await dance.authorize(asked)).json()["token"]["oauth_verifier"]
    clock.turn(28_801)
    assert (await dance.access(asked, verifier)).status_code == 401
    clock.turn(86_400)
    assert (await dance.log_in(access)).status_code == 401


async def test_consumers(world, admin, demo):
    made = await world.make(admin, "OS-OAUTH1/consumers", description="d", colour="red")
    path = f"{ROOT}/consumers/{made['id']}"
    shown = (await world.ask(admin, "GET", path)).json()["consumer"]
    assert shown == {key: value for key, value in made.items() if key != "secret"} and shown["colour"] == "red"
    changed = await world.ask(admin, "PATCH", path, {"consumer": {"description": "e"}})
    assert changed.json()["consumer"]["description"] == "e"
    assert (await world.ask(admin, "PATCH", path, {"consumer": {"secret": "x"}})).status_code == 400
    assert "secret" not in (await world.ask(admin, "GET", f"{ROOT}/consumers")).json()["consumers"][0]
    for method in ("GET", "PATCH", "DELETE"):
        body = {"consumer": {"description": "x"}} if method == "PATCH" else None
        assert (await world.ask(demo, method, path, body)).status_code == 403


# -- OAuth 2.0 ----------------------------------------------------------------------------------------------------


async def credential(world, token):
    user_id = (await world.see(token, token)).json()["token"]["user"]["id"]
    return await world.make(token, f"users/{user_id}/application_credentials", name="robot")


async def ask_token(world, auth=None, **form):
    return await world.http.post("/v3/OS-OAUTH2/token", data=form, auth=auth)


async def test_client_credentials(world, admin, demo):
    made = await credential(world, demo)
    answer = await ask_token(world, (made["id"], made["secret"]), grant_type="client_credentials")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["token_type"] == "Bearer" and 0 < body["expires_in"] <= 3600
    seen = (await world.see(admin, body["access_token"])).json()["token"]
    assert seen["application_credential"]["id"] == made["id"] and seen["project"]["name"] == "demo"


async def test_who_is_no_client(world, demo):
    made = await credential(world, demo)
    good = (made["id"], made["secret"])
    for auth in (None, (made["id"], "wrong"), ("none", "x"), (made["id"], "")):
        answer = await ask_token(world, auth, grant_type="client_credentials")
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Keystone uri=")
    for form, error in (({}, "invalid_request"), ({"grant_type": "password"}, "unsupported_grant_type"),
                        ({"grant_type": ["client_credentials", "x"]}, "invalid_request")):
        answer = await ask_token(world, good, **form)
        assert (answer.status_code, answer.json()["error"]) == (400, error)
    large = await world.http.post("/v3/OS-OAUTH2/token", content=b"x" * 20_000, auth=good)
    assert large.status_code == 413
