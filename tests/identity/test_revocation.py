"""What ends tokens, and changes what they mean, at once: in validators of the same process and through the feed."""

import time

import pytest
import sqlalchemy as sa

from pileus.identity import changes
from pileus.identity.model.tables import revocations
from pileus.identity.service_tokens import fixed_id
from pileus.kit import db
from pileus.kit.faults import Unauthorized
from tests.identity.test_validator import connect

DEMO_USER, DEMO_PROJECT = fixed_id("user", "demo"), fixed_id("project", "demo")
MEMBER, MANAGER = fixed_id("role", "member"), fixed_id("role", "manager")
GRANT = f"/v3/projects/{DEMO_PROJECT}/users/{DEMO_USER}/roles"

ENDS = {
    "user disabled": ("PATCH", f"/v3/users/{DEMO_USER}", {"user": {"enabled": False}}),
    "password set": ("PATCH", f"/v3/users/{DEMO_USER}", {"user": {"password": "other"}}),
    "user deleted": ("DELETE", f"/v3/users/{DEMO_USER}", None),
    "project disabled": ("PATCH", f"/v3/projects/{DEMO_PROJECT}", {"project": {"enabled": False}}),
    "project deleted": ("DELETE", f"/v3/projects/{DEMO_PROJECT}", None),
    "only role taken": ("DELETE", f"{GRANT}/{MEMBER}", None),
}


@pytest.mark.parametrize("how", ENDS)
async def test_ends(world, admin, demo, how):
    near, _ = connect(world)
    far, _ = connect(world, polled=True)
    await far.feed.poll()
    for validate in (near, far):
        assert (await validate(demo)).user_id == DEMO_USER
    answer = await world.ask(admin, *ENDS[how])
    assert answer.status_code in (200, 204), answer.text
    with pytest.raises(Unauthorized):
        await near(demo)
    assert (await far(demo)).user_id == DEMO_USER         # remembered until the next poll, which is due within a second
    await far.feed.poll()
    with pytest.raises(Unauthorized):
        await far(demo)
    await near(admin)
    await far(admin)


async def test_reenabled_users_need_a_new_token(world, admin, demo):
    for enabled in (False, True):
        await world.ask(admin, "PATCH", f"/v3/users/{DEMO_USER}", {"user": {"enabled": enabled}})
    assert (await world.see(admin, demo)).status_code == 404
    await world.log_in("demo", scope="demo")


async def test_roles_change_what_a_token_may(world, admin, demo):
    validate, _ = connect(world)
    assert set((await validate(demo)).roles) == {"member", "reader"}
    assert (await world.ask(admin, "PUT", f"{GRANT}/{MANAGER}")).status_code == 204
    assert set((await validate(demo)).roles) == {"manager", "member", "reader"}
    assert (await world.ask(admin, "DELETE", f"{GRANT}/{MANAGER}")).status_code == 204
    assert set((await validate(demo)).roles) == {"member", "reader"}
    group = await world.make(admin, "groups", name="g")
    grant = f"/v3/projects/{DEMO_PROJECT}/groups/{group['id']}/roles/{MANAGER}"
    assert (await world.ask(admin, "PUT", grant)).status_code == 204
    member = f"/v3/groups/{group['id']}/users/{DEMO_USER}"
    assert (await world.ask(admin, "PUT", member)).status_code == 204
    assert "manager" in (await validate(demo)).roles
    assert (await world.ask(admin, "DELETE", member)).status_code == 204
    assert "manager" not in (await validate(demo)).roles


async def test_other_processes_of_identity_hear_within_a_poll(make_world):
    here = await make_world()
    there = await make_world(db=here.db)
    await changes.hear_of_changes.run(there)
    admin, demo = await here.log_in("admin", scope="admin"), await here.log_in("demo", scope="demo")
    assert (await there.authenticate(demo)).user_id == DEMO_USER
    await here.ask(admin, "DELETE", "/v3/auth/tokens", x_subject_token=demo)
    await changes.hear_of_changes.run(there)
    with pytest.raises(Unauthorized):
        await there.authenticate(demo)


async def test_ten_thousand_revocations_cost_nothing(world, admin, demo):
    """A first validation looks revocations up by key; a remembered one does not look at all."""
    rows = [{"subject": f"token:{n}", "before": world.clock(), "expires_at": world.clock() - 1, "seq": -n}
            for n in range(10_000)]

    async def cost():
        await world.authenticate(demo)
        started = time.process_time()
        for _ in range(50):
            world.feed.publish([f"user:{DEMO_USER}"])
            await world.authenticate(demo)
        return time.process_time() - started
    before = await cost()
    async with world.db.write() as tx:
        await tx.execute(revocations.insert(), rows)
    assert await cost() < 3 * before + 0.05
    await changes.forget_old_revocations.run(world)
    async with world.db.read() as reader:
        assert await db.scalar(reader, sa.select(sa.func.count()).select_from(revocations)) < 10


async def test_events(world, admin, demo):
    user = await world.make(admin, "users", name="ann", password="pw")
    token = await world.log_in(user["id"], "pw")
    gone = {"x-auth-token": admin, "x-subject-token": token}
    assert (await world.http.delete("/v3/auth/tokens", headers=gone)).status_code == 204
    assert (await world.ask(admin, "DELETE", f"/v3/users/{user['id']}")).status_code == 204
    events = (await world.ask(admin, "GET", "/v3/OS-REVOKE/events")).json()["events"]
    assert [next(iter(event)) for event in events] == ["audit_id", "user_id"]
    assert events[1]["user_id"] == user["id"]
    later = await world.ask(admin, "GET", "/v3/OS-REVOKE/events?since=2199-01-01T00:00:00Z")
    assert later.json()["events"] == []
    assert (await world.ask(admin, "GET", "/v3/OS-REVOKE/events?since=soon")).status_code == 400
    assert (await world.ask(demo, "GET", "/v3/OS-REVOKE/events")).status_code == 403
