"""What may be asked of passwords and of those who log in."""

import pytest

from pileus.kit.clock import TurnedClock

DAY = 86_400.0


@pytest.fixture
def clock():
    return TurnedClock(1_800_000_000.0)


async def made(world, **fields):
    admin = await world.log_in("admin", scope="admin")
    return admin, await world.make(admin, "users", name="ann", password="first-1", **fields)


async def change(world, user, old, new):
    return await world.http.post(f"/v3/users/{user['id']}/password",
                                 json={"user": {"original_password": old, "password": new}})


async def test_wrong_passwords_lock_out_for_a_while(make_world, clock):
    world = await make_world(clock, compliance={"lockout_failure_attempts": 3, "lockout_duration": 60})
    admin, user = await made(world)
    right, wrong = ("ann", "first-1"), ("ann", "no")
    assert [(await world.post_auth(*wrong)).status_code for _ in range(2)] == [401, 401]
    assert (await world.post_auth(*right)).status_code == 201                # which forgives
    assert [(await world.post_auth(*wrong)).status_code for _ in range(3)] == [401] * 3
    refused, nobody = await world.post_auth(*right), await world.post_auth("nobody", "x")
    assert refused.status_code == nobody.status_code == 401
    assert refused.json() == nobody.json()
    clock.turn(61)
    assert (await world.post_auth(*right)).status_code == 201
    body = {"user": {"options": {"ignore_lockout_failure_attempts": True}}}
    admin = await world.log_in("admin", scope="admin")
    assert (await world.ask(admin, "PATCH", f"/v3/users/{user['id']}", body)).status_code == 200
    assert [(await world.post_auth(*wrong)).status_code for _ in range(4)] == [401] * 4
    assert (await world.post_auth(*right)).status_code == 201


async def test_passwords_end(make_world, clock):
    world = await make_world(clock, compliance={"password_expires_days": 10})
    admin, user = await made(world)
    assert user["password_expires_at"] == "2027-01-25T08:00:00.000000"
    told = (await world.post_auth("ann", "first-1")).json()["token"]["user"]
    assert told["password_expires_at"] == user["password_expires_at"]
    later = "/v3/users?password_expires_at="
    found = [(await world.ask(admin, "GET", f"{later}{how}:2027-01-25T08:00:00Z")).json()["users"]
             for how in ("lte", "gt", "neq")]
    assert [[each["name"] for each in users] for users in found] == [["ann"], [], []]
    clock.turn(10 * DAY)
    refused = await world.post_auth("ann", "first-1")
    assert refused.status_code == 401
    assert "expired" in refused.json()["error"]["message"]
    assert "expired" not in (await world.post_auth("ann", "wrong")).json()["error"]["message"]
    assert (await change(world, user, "first-1", "second-2")).status_code == 204
    clock.turn(1)
    assert (await world.post_auth("ann", "second-2")).status_code == 201


async def test_a_given_password_is_changed_first(make_world, clock):
    world = await make_world(clock, compliance={"change_password_upon_first_use": True, "minimum_password_age": 1})
    admin, user = await made(world)
    assert (await world.post_auth("ann", "first-1")).status_code == 401
    assert (await change(world, user, "first-1", "second-2")).status_code == 204      # whatever its age
    clock.turn(1)
    assert (await world.post_auth("ann", "second-2")).status_code == 201
    early = await change(world, user, "second-2", "third-3")
    assert early.status_code == 400
    assert "minimum age" in early.json()["error"]["message"]
    clock.turn(DAY)
    assert (await change(world, user, "second-2", "third-3")).status_code == 204
    spared = await world.make(await world.log_in("admin", scope="admin"), "users", name="bob", password="pw",
                              options={"ignore_change_password_upon_first_use": True})
    assert (await world.post_auth(spared["id"], "pw")).status_code == 201


async def test_former_passwords_may_not_come_back(make_world, clock):
    world = await make_world(clock, compliance={"unique_last_password_count": 3})
    admin, user = await made(world)
    for old, new in (("first-1", "second-2"), ("second-2", "third-3")):
        clock.turn(1)
        assert (await change(world, user, old, new)).status_code == 204
    for former in ("first-1", "second-2"):
        assert (await change(world, user, "third-3", former)).status_code == 400
    assert (await change(world, user, "third-3", "fourth-4")).status_code == 204
    assert (await change(world, user, "fourth-4", "first-1")).status_code == 204      # three others were between
    reset = {"user": {"password": "fourth-4"}}
    assert (await world.ask(admin, "PATCH", f"/v3/users/{user['id']}", reset)).status_code == 200


async def test_passwords_must_match(make_world):
    world = await make_world(compliance={"password_regex": r"^(?=.*\d).{6,}$", "password_regex_description": "a digit"})
    admin, user = await made(world)
    weak = await world.ask(admin, "POST", "/v3/users", {"user": {"name": "bob", "password": "weak"}})
    assert weak.status_code == 400
    assert "a digit" in weak.json()["error"]["message"]
    assert (await change(world, user, "first-1", "weak")).status_code == 400


async def test_who_stays_away_too_long_is_out(make_world, clock):
    world = await make_world(clock, compliance={"disable_user_account_days_inactive": 5})
    admin, user = await made(world)
    group = await world.make(admin, "groups", name="clerks")
    await world.ask(admin, "PUT", f"/v3/groups/{group['id']}/users/{user['id']}")
    clock.turn(4 * DAY)
    assert (await world.post_auth("admin")).status_code == 201
    assert (await world.post_auth("ann", "first-1")).status_code == 201
    clock.turn(4 * DAY)
    assert (await world.post_auth("ann", "first-1")).status_code == 201
    admin = await world.log_in("admin", scope="admin")
    assert await enabled(world, admin, user, group) == [True] * 3
    clock.turn(5 * DAY - 60)
    assert (await world.post_auth("admin")).status_code == 201
    clock.turn(120)
    assert (await world.post_auth("ann", "first-1")).status_code == 401
    admin = await world.log_in("admin", scope="admin")
    assert await enabled(world, admin, user, group) == [False] * 3
    services = (await world.ask(admin, "GET", "/v3/users?name=compute")).json()["users"]
    assert [service["enabled"] for service in services] == [True]                        # they have no passwords
    back = await world.ask(admin, "PATCH", f"/v3/users/{user['id']}", {"user": {"enabled": True}})
    assert back.json()["user"]["enabled"] is True
    assert await enabled(world, admin, user, group) == [True] * 3
    assert (await world.post_auth("ann", "first-1")).status_code == 201


async def enabled(world, admin, user, group):
    """As a user is told of alone, in a list, and among the members of a group."""
    shown = (await world.ask(admin, "GET", f"/v3/users/{user['id']}")).json()["user"]
    lists = [(await world.ask(admin, "GET", path)).json()["users"]
             for path in (f"/v3/users?name={user['name']}", f"/v3/groups/{group['id']}/users")]
    return [shown["enabled"], *(found[0]["enabled"] for found in lists)]


@pytest.mark.parametrize("options", [{"what": True}, {"lock_password": 1}, {"multi_factor_auth_rules": "x"},
                                     {"multi_factor_auth_rules": [[]]}, {"multi_factor_auth_rules": [["a", "a"]]}])
async def test_options_are_checked(world, admin, options):
    answer = await world.ask(admin, "POST", "/v3/users", {"user": {"name": "bob", "options": options}})
    assert answer.status_code == 400


async def test_options_can_be_taken_away(world, admin):
    user = await world.make(admin, "users", name="bob", options={"lock_password": True})
    gone = await world.ask(admin, "PATCH", f"/v3/users/{user['id']}", {"user": {"options": {"lock_password": None}}})
    assert (user["options"], gone.json()["user"]["options"]) == ({"lock_password": True}, {})
