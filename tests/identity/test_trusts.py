"""Acting with somebody else's roles: used up, handed on, taken back."""

import pytest

from pileus.identity.service_tokens import fixed_id

DEMO, PROJECT = fixed_id("user", "demo"), fixed_id("project", "demo")
TRUSTS = "/v3/OS-TRUST/trusts"


@pytest.fixture
async def people(world, admin):
    """Ann, Bob and Cid, who hold no role anywhere."""
    return {name: (await world.make(admin, "users", name=name, password="pw"))["id"] for name in ("ann", "bob", "cid")}


async def trust(world, token, trustee, trustor=DEMO, status=201, **more):
    body = {"trustor_user_id": trustor, "trustee_user_id": trustee, "project_id": PROJECT, "impersonation": True,
            "roles": [{"name": "member"}]} | more
    answer = await world.ask(token, "POST", TRUSTS, {"trust": body})
    assert answer.status_code == status, answer.text
    return answer.json().get("trust")


async def use(world, user, given):
    return await world.post_auth(user, "pw", {"OS-TRUST:trust": {"id": given["id"]}})


async def test_a_trust_gives_roles_until_it_is_taken_back(world, demo, people):
    given = await trust(world, demo, people["ann"])
    answer = await use(world, people["ann"], given)
    token = answer.json()["token"]
    assert (token["user"]["id"], token["project"]["id"]) == (DEMO, PROJECT)
    assert token["OS-TRUST:trust"]["trustee_user"]["id"] == people["ann"]
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    text = answer.headers["x-subject-token"]
    assert (await world.ask(text, "GET", f"/v3/users/{DEMO}")).status_code == 200
    assert (await use(world, people["bob"], given)).status_code == 401
    bob = await world.log_in(people["bob"], "pw")
    assert (await world.ask(bob, "GET", f"{TRUSTS}/{given['id']}")).status_code == 403
    assert (await world.ask(bob, "DELETE", f"{TRUSTS}/{given['id']}")).status_code == 403
    assert (await world.ask(demo, "DELETE", f"{TRUSTS}/{given['id']}")).status_code == 204
    assert (await world.ask(text, "GET", f"/v3/users/{DEMO}")).status_code == 401
    assert (await use(world, people["ann"], given)).status_code == 401


async def test_uses_are_counted(world, demo, people):
    given = await trust(world, demo, people["ann"], remaining_uses=2)
    assert [(await use(world, people["ann"], given)).status_code for _ in range(3)] == [201, 201, 401]
    assert (await world.ask(demo, "GET", f"{TRUSTS}/{given['id']}")).json()["trust"]["remaining_uses"] == 0


async def test_a_trust_is_handed_on_no_further_than_allowed(world, demo, people):
    closed = await trust(world, demo, people["ann"])
    shut = (await use(world, people["ann"], closed)).headers["x-subject-token"]
    await trust(world, shut, people["bob"], status=403)
    await trust(world, demo, people["ann"], status=403, allow_redelegation=True, redelegation_count=4)
    await trust(world, demo, people["ann"], status=400, allow_redelegation=True, remaining_uses=1)
    first = await trust(world, demo, people["ann"], allow_redelegation=True, redelegation_count=1,
                        expires_at="2199-01-01T00:00:00.000000Z")
    by_ann = (await use(world, people["ann"], first)).headers["x-subject-token"]
    await trust(world, by_ann, people["bob"], status=403, expires_at="2199-01-02T00:00:00.000000Z")
    await trust(world, by_ann, people["bob"], status=403, roles=[{"name": "admin"}])
    await trust(world, by_ann, people["bob"], status=403, allow_redelegation=True, redelegation_count=1)
    second = await trust(world, by_ann, people["bob"], allow_redelegation=True)
    assert (second["redelegated_trust_id"], second["redelegation_count"]) == (first["id"], 0)
    assert second["expires_at"] == first["expires_at"]
    by_bob = (await use(world, people["bob"], second)).headers["x-subject-token"]
    await trust(world, by_bob, people["cid"], status=403)
    assert (await world.ask(demo, "DELETE", f"{TRUSTS}/{first['id']}")).status_code == 204
    assert (await world.ask(demo, "GET", f"{TRUSTS}/{second['id']}")).status_code == 404
    assert (await world.ask(by_bob, "GET", f"/v3/users/{DEMO}")).status_code == 401
