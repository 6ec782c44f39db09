"""One-time codes, users who need several factors, and receipts."""

import base64

import pytest

from pileus.identity.factors import code
from pileus.kit.clock import TurnedClock

SEED = b"12345678901234567890"


@pytest.mark.parametrize(("seconds", "expected"), [
    (59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")])
def test_the_examples_of_the_standard(seconds, expected):
    assert code(SEED, seconds // 30) == expected


class Ann:
    """A user with a password and a seed for codes, and how she logs in."""

    def __init__(self, world, clock, row):
        self.world, self.clock, self.row = world, clock, row

    async def show(self, *methods, receipt="", password="pw", passcode=None, step=0):
        right = code(SEED, int(self.clock()) // 30 + step) if passcode is None else passcode
        proofs = {"password": {"user": {"id": self.row["id"], "password": password}},
                  "totp": {"user": {"id": self.row["id"], "passcode": right}}}
        identity = {"methods": list(methods)} | {name: proofs[name] for name in methods}
        headers = {"openstack-auth-receipt": receipt} if receipt else {}
        return await self.world.http.post("/v3/auth/tokens", json={"auth": {"identity": identity}}, headers=headers)


@pytest.fixture
async def ann(make_world):
    clock = TurnedClock(1_800_000_000.0)
    world = await make_world(clock, compliance={"lockout_failure_attempts": 3, "lockout_duration": 60})
    admin = await world.log_in("admin", scope="admin")
    row = await world.make(admin, "users", name="ann", password="pw", options={
        "multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"], ["password", "what"]]})
    await world.make(admin, "credentials", type="totp", blob=base64.b32encode(SEED).decode().rstrip("="),
                     user_id=row["id"])
    return Ann(world, clock, row)


async def test_both_factors_at_once(ann):
    answer = await ann.show("password", "totp")
    assert answer.status_code == 201
    assert answer.json()["token"]["methods"] == ["password", "totp"]
    assert (await ann.show("password", "totp", step=-1)).status_code == 201
    for wrong in ({"passcode": "000000"}, {"passcode": ""}, {"step": -2}):
        assert (await ann.show("password", "totp", **wrong)).status_code == 401
    assert (await ann.show("password", "totp")).status_code == 401          # three wrong codes lock out


async def test_one_after_the_other(ann):
    half = await ann.show("password")
    assert half.status_code == 401
    body, receipt = half.json(), half.headers["openstack-auth-receipt"]
    assert body["required_auth_methods"] == [["password", "totp"]]
    assert (body["receipt"]["methods"], body["receipt"]["user"]["id"]) == (["password"], ann.row["id"])
    whole = await ann.show("totp", receipt=receipt)
    assert whole.status_code == 201
    assert set(whole.json()["token"]["methods"]) == {"password", "totp"}
    assert "openstack-auth-receipt" not in (await ann.show("password", password="wrong")).headers
    assert (await ann.show("totp", receipt="x")).status_code == 401
    assert (await ann.world.ask(receipt, "GET", "/v3/auth/projects")).status_code == 401       # no token
    other = await ann.world.http.post("/v3/auth/tokens", headers={"openstack-auth-receipt": receipt}, json={
        "auth": {"identity": {"methods": ["password"], "password": {
            "user": {"name": "demo", "domain": {"id": "default"}, "password": "d-secret"}}}}})
    assert other.status_code == 401
    ann.clock.turn(301)
    assert (await ann.show("totp", receipt=receipt)).status_code == 401


async def test_a_changed_password_ends_receipts(ann):
    receipt = (await ann.show("password")).headers["openstack-auth-receipt"]
    ann.clock.turn(1)
    admin = await ann.world.log_in("admin", scope="admin")
    changed = await ann.world.ask(admin, "PATCH", f"/v3/users/{ann.row['id']}", {"user": {"password": "new"}})
    assert changed.status_code == 200
    assert (await ann.show("totp", receipt=receipt)).status_code == 401


async def test_tokens_are_no_receipts(ann):
    token = await ann.world.log_in("demo", scope="demo")
    assert (await ann.show("totp", receipt=token)).status_code == 401
