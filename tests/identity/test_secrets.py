"""Nothing that lets somebody in is logged, whatever goes wrong; and nobody learns who there is by trying names."""

import base64
import logging
import statistics
import time

import pytest

from pileus.identity.service_tokens import fixed_id
from pileus.kit.log import JsonFormatter

SEED = base64.b32encode(b"seed of one-time codes").decode()


async def test_secrets_are_not_logged(world, caplog):
    caplog.set_level(logging.DEBUG)
    admin = await world.log_in("admin", scope="admin")
    user = await world.make(admin, "users", name="ann", password="S3cret-of-ann")
    grant = f"/v3/projects/{fixed_id('project', 'demo')}/users/{user['id']}/roles/{fixed_id('role', 'member')}"
    assert (await world.ask(admin, "PUT", grant)).status_code == 204
    ann = (await world.post_auth(user["id"], "S3cret-of-ann", {"project": {"id": fixed_id("project", "demo")}}))
    token = ann.headers["x-subject-token"]
    key = (await world.ask(token, "POST", f"/v3/users/{user['id']}/credentials/OS-EC2", {
        "tenant_id": fixed_id("project", "demo")})).json()["credential"]
    made = (await world.ask(token, "POST", f"/v3/users/{user['id']}/application_credentials", {
        "application_credential": {"name": "robot"}})).json()["application_credential"]
    await world.make(admin, "credentials", type="totp", blob=SEED, user_id=user["id"])
    for wrong in ({"password": "Wrong-pass1"}, {"password": 5}, {"password": ["S3cret-of-ann"]}):
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": user["id"], **wrong}}}}}
        assert (await world.http.post("/v3/auth/tokens", json=body)).status_code in (400, 401)
    for path, body in ((f"/v3/users/{user['id']}", {"user": {"password": "New-S3cret", "options": 5}}),
                       (f"/v3/users/{user['id']}", {"user": {"password": "New-S3cret", "name": "admin"}})):
        assert (await world.ask(admin, "PATCH", path, body)).status_code in (400, 409)
    assert (await world.see(admin, token)).status_code == 200
    assert (await world.ask(f"{token}x", "GET", "/v3/users")).status_code == 401
    async with world.db.read() as reader:
        columns = (await reader.execute(world.service.metadata.tables["user_account"].select())).mappings().all()
    secrets = ["S3cret-of-ann", "Wrong-pass1", "New-S3cret", "a-secret", token, admin, key["secret"], made["secret"],
               SEED, *(row["password_hash"] for row in columns if row["password_hash"])]
    said = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert not [secret for secret in secrets if secret in said]


@pytest.mark.parametrize("who", [
    {"name": "demo"}, {"name": "nobody"}, {"id": "0" * 32}, {"id": fixed_id("user", "demo")},
    {"id": fixed_id("user", "compute")}])
async def test_a_wrong_password_and_nobody_are_told_the_same(world, admin, who):
    locked = await world.ask(admin, "PATCH", f"/v3/users/{fixed_id('user', 'compute')}", {"user": {"enabled": False}})
    assert locked.status_code == 200
    user = who | {"password": "wrong"} | ({"domain": {"id": "default"}} if "name" in who else {})
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    answer = await world.http.post("/v3/auth/tokens", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        401, "The request you have made requires authentication.")


async def test_nobody_takes_as_long_as_a_wrong_password(make_world):
    """The hash outweighs all else that differs: nobody has none, so another one is computed."""
    world = await make_world(compliance={"lockout_failure_attempts": 1000})
    times = {"demo": [], "nobody": []}
    for number in range(24):
        for name, taken in times.items():
            started = time.perf_counter()
            assert (await world.post_auth(name, f"wrong {number}")).status_code == 401
            taken.append(time.perf_counter() - started)
    known, unknown = (statistics.median(times[name]) for name in ("demo", "nobody"))
    assert 0.5 < unknown / known < 2.0
