"""Tokens that are signed and not encrypted: as good as the others, and as hard to forge."""

import base64
import json

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from pileus.identity import tokens
from pileus.identity.jws import JwsKeys
from pileus.identity.keys import BadSignature
from pileus.identity.tokens import Token
from pileus.kit.clock import TurnedClock
from pileus.kit.faults import Unauthorized


@pytest.fixture
def clock():
    return TurnedClock()


@pytest.fixture
def keys(tmp_path, clock):
    made = JwsKeys(tmp_path / "keys", clock)
    made.prepare()
    return made


def token(**more):
    return Token(user_id="u" * 32, methods=("password", "token"), issued_at=1.25, expires_at=2.0e9,
                 audit_ids=(tokens.new_audit_id(), tokens.new_audit_id()), **more)


@pytest.mark.parametrize("more", [
    {}, {"scope": tokens.PROJECT, "scope_id": "p"}, {"scope": tokens.DOMAIN, "scope_id": "default"},
    {"scope": tokens.SYSTEM}, {"scope": tokens.PROJECT, "scope_id": "p", "app_credential_id": "a"},
    {"scope": tokens.PROJECT, "scope_id": "p", "trust_id": "t"}, {"federated": ("idp", "openid", "g1", "g2")},
    {"scope": tokens.PROJECT, "scope_id": "p", "oauth_id": "o"}])
def test_what_goes_in_comes_out(keys, more):
    made = token(**more)
    assert tokens.decode(keys, tokens.encode(keys, made)) == made


def test_everybody_can_read_it_with_the_public_key(keys):
    text = tokens.encode(keys, token(scope=tokens.PROJECT, scope_id="p"))
    public = ECKey.import_key((keys.folder / "1").read_bytes()).as_dict(private=False)
    claims = jwt.decode(text, ECKey.import_key(public), algorithms=["ES256"]).claims
    assert claims["sub"] == "u" * 32 and claims["openstack_project_id"] == "p"


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_nobody_else_can_make_one(keys):
    text = tokens.encode(keys, token())
    header, body, signature = text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = part(claims | {"sub": "somebody"})
    public = json.dumps(ECKey.import_key((keys.folder / "1").read_bytes()).as_dict(private=False))
    forged = [
        f"{header}.{other}.{signature}", f"{part({'alg': 'none'})}.{body}.", f"{header}.{body}.", f"{header}.{body}",
        jwt.encode({"alg": "ES256"}, claims, ECKey.generate_key("P-256")),
        jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(public)), "", "x", "x.y.z", "é.é.é", "." * 50]
    for wrong in forged:
        with pytest.raises(Unauthorized):
            tokens.decode(keys, wrong)
    for lacking in ({}, {"sub": "u"}, claims | {"exp": "soon"}, claims | {"openstack_methods": 5}):
        with pytest.raises(Unauthorized):
            tokens.decode(keys, keys.sign(lacking))


def test_rotation_logs_nobody_out(keys, clock):
    first = tokens.encode(keys, token())
    for _ in range(3):
        clock.turn(10)
        keys.rotate(keep_seconds=3600)
        assert tokens.decode(keys, first).user_id == "u" * 32
    reader = JwsKeys(keys.folder, clock)
    second = tokens.encode(keys, token())
    assert tokens.decode(reader, second).user_id == "u" * 32
    clock.turn(7200)
    keys.rotate(keep_seconds=3600)
    clock.turn(7200)
    keys.rotate(keep_seconds=3600)
    with pytest.raises(Unauthorized):
        tokens.decode(keys, first)


def test_other_things_are_signed_too_and_are_no_tokens(keys):
    sealed = keys.encrypt(b"a receipt")
    assert keys.decrypt(sealed) == b"a receipt"
    with pytest.raises(Unauthorized):
        tokens.decode(keys, sealed)
    for wrong in (tokens.encode(keys, token()), sealed[:-4], ""):
        with pytest.raises(BadSignature):
            keys.decrypt(wrong)


async def test_a_cloud_with_such_tokens(make_world):
    world = await make_world(token_provider="jws")
    admin = await world.log_in("admin", scope="admin")
    assert admin.count(".") == 2 and len(admin) < 1024
    demo = await world.log_in("demo", scope="demo")
    assert (await world.see(admin, demo)).json()["token"]["project"]["name"] == "demo"
    assert (await world.ask(demo, "GET", "/v3/users")).status_code == 403
    await world.http.delete("/v3/auth/tokens", headers={"x-auth-token": admin, "x-subject-token": demo})
    assert (await world.see(admin, demo)).status_code == 404
