"""Bringing an administrator back in, and new keys without logging anybody out."""

import base64

import sqlalchemy as sa

from pileus.identity.bootstrap import repair
from pileus.identity.changes import rotate_keys
from pileus.identity.model.tables import implied_roles, roles
from pileus.identity.rotation import rotate_credential_keys, rotate_token_keys
from pileus.identity.service_tokens import fixed_id
from pileus.kit.clock import TurnedClock
from tests.identity.conftest import BASE, PASSWORDS

DAY = 86_400.0
ADMIN = fixed_id("user", "admin")


async def test_nothing_is_amiss(world):
    assert await repair(world, PASSWORDS, BASE) == []


async def test_an_administrator_gets_back_in(make_world):
    world = await make_world(compliance={"lockout_failure_attempts": 1})
    admin = await world.log_in("admin", scope="admin")
    project = f"/v3/projects/{fixed_id('project', 'admin')}"
    taken = fixed_id("endpoint", "identity public")
    for method, path, body in (
            ("DELETE", f"/v3/endpoints/{taken}", None),
            ("DELETE", f"/v3/roles/{fixed_id('role', 'member')}/implies/{fixed_id('role', 'reader')}", None),
            ("DELETE", f"{project}/users/{ADMIN}/roles/{fixed_id('role', 'admin')}", None),
            ("PATCH", project, {"project": {"enabled": False}}),
            ("PATCH", f"/v3/users/{ADMIN}", {"user": {"password": "lost", "enabled": False}})):
        service = await world.log_in("admin", scope={"system": {"all": True}}) if method == "PATCH" else admin
        answer = await world.ask(service, method, path, body)
        assert answer.status_code in (200, 204), (path, answer.text)
    assert (await world.post_auth("admin", scope="admin")).status_code == 401
    amiss = await repair(world, PASSWORDS, BASE)
    assert len(amiss) == 6, amiss
    admin = await world.log_in("admin", scope="admin")
    assert (await world.ask(admin, "GET", f"/v3/endpoints/{taken}")).status_code == 200
    implied = f"/v3/roles/{fixed_id('role', 'member')}/implies/{fixed_id('role', 'reader')}"
    assert (await world.ask(admin, "GET", implied)).status_code == 200
    assert await repair(world, PASSWORDS, BASE) == []


async def test_lost_rows_come_back(world):
    async with world.db.write() as tx:
        await tx.execute(sa.delete(implied_roles))
        await tx.execute(sa.delete(roles))
        await world.announce(tx, "everything")
    assert "5 missing: role" in await repair(world, PASSWORDS, BASE)
    assert (await world.post_auth("admin", scope="admin")).json()["token"]["roles"]


async def test_stored_credentials_survive_new_keys(world, admin):
    blobs = [base64.b32encode(f"seed {number}".encode()).decode() for number in range(3)]
    made = [await world.make(admin, "credentials", type="totp", blob=blob) for blob in blobs]
    for _ in range(4):
        assert await rotate_credential_keys(world) == 3
    assert len([file for file in world.config.credential_keys.iterdir() if file.name.isdigit()]) == 3
    found = [(await world.ask(admin, "GET", f"/v3/credentials/{each['id']}")).json()["credential"]["blob"]
             for each in made]
    assert found == blobs


async def test_token_keys_are_rotated_when_it_is_time(make_world):
    clock = TurnedClock(1_800_000_000.0)
    world = await make_world(clock, key_days=30)
    since = world.keys.signing_since()
    demo = await world.log_in("demo", scope="demo")
    await rotate_keys.run(world)
    assert world.keys.signing_since() == since
    rotate_token_keys(world)
    assert (await world.ask(demo, "GET", "/v3/auth/projects")).status_code == 200
    clock.turn(30 * DAY)
    await rotate_keys.run(world)
    await rotate_keys.run(world)
    assert world.keys.signing_since() == clock()
    assert len([file for file in world.config.keys.iterdir() if file.name.isdigit()]) == 3


async def test_no_schedule(make_world):
    clock = TurnedClock(1_800_000_000.0)
    world = await make_world(clock, key_days=0)
    since = world.keys.signing_since()
    clock.turn(400 * DAY)
    await rotate_keys.run(world)
    assert world.keys.signing_since() == since
