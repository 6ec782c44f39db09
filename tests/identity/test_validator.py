"""How services know tokens: forged, ended, revoked, rotated keys, and at what cost."""

import time

import pytest

from pileus.identity import tokens
from pileus.identity.client import IdentityClient
from pileus.identity.keys import KeyRepository
from pileus.identity.service_tokens import ServiceTokens, fixed_id
from pileus.identity.tokens import Token
from pileus.identity.validator import PolledFeed, TokenValidator
from pileus.kit.client import AsgiTransport
from pileus.kit.clock import TurnedClock
from pileus.kit.faults import Unauthorized, Unavailable


class Counting(AsgiTransport):
    def __init__(self, app):
        super().__init__(app)
        self.asked = 0
        self.broken = False

    async def request(self, method, path, headers, body):
        self.asked += 1
        if self.broken:
            return type("R", (), {"status": 503, "headers": {}, "body": b""})()
        return await super().request(method, path, headers, body)


def connect(world, clock=None, polled=False):
    clock = clock or world.clock
    keys = KeyRepository(world.config.keys, clock)
    transport = Counting(world.site)
    client = IdentityClient(transport, ServiceTokens(keys, "compute", clock).token, backoff=0.0)
    feed = PolledFeed(client, clock) if polled else world.feed
    return TokenValidator(keys, client, feed, clock), transport


async def test_remembered(world, demo):
    validate, transport = connect(world)
    caller = await validate(demo)
    assert caller.project_name == "demo" and set(caller.roles) == {"member", "reader"} and caller.token == demo
    assert caller == await world.authenticate(demo)
    asked = transport.asked
    started = time.process_time()
    for _ in range(2000):
        assert await validate(demo) is caller
    assert (time.process_time() - started) / 2000 < 60e-6          # twice the promise: the machine is shared
    assert transport.asked == asked


async def test_forged_and_ended(make_world):
    clock = TurnedClock(1_800_000_000.5)
    world = await make_world(clock)
    demo = await world.log_in("demo", scope="demo")
    validate, transport = connect(world)
    await validate(demo)
    asked = transport.asked
    for bad in ("", "x", demo[:-1], demo[:-3] + "AAA", demo + "A", "é", "gAAAA" * 20, "a" * 5000):
        with pytest.raises(Unauthorized):
            await validate(bad)
    assert transport.asked == asked
    clock.turn(3599)
    await validate(demo)
    clock.turn(2)
    with pytest.raises(Unauthorized):
        await validate(demo)
    assert transport.asked == asked
    service = await ServiceTokens(world.keys, "compute", clock).token()
    assert (await world.see(service, demo)).status_code == 404
    assert (await world.see(service, demo, allow_expired="1")).status_code == 200
    clock.turn(172_800)
    service = await ServiceTokens(world.keys, "compute", clock).token()
    assert (await world.see(service, demo, allow_expired="1")).status_code == 404


async def test_a_service_vouches_for_what_began_in_time(make_world):
    clock = TurnedClock()
    world = await make_world(clock, token_seconds=60, expired_token_seconds=600)
    demo = await world.log_in("demo", scope="demo")
    service = await ServiceTokens(world.keys, "compute", clock, seconds=900).token()
    validate, _ = connect(world)
    path = f"/v3/users/{fixed_id('user', 'demo')}"
    clock.turn(61)
    assert (await world.ask(demo, "GET", path)).status_code == 401
    assert (await world.ask(demo, "GET", path, x_service_token=service)).status_code == 200
    assert (await world.ask(demo, "GET", path, x_service_token="forged")).status_code == 401
    fresh = await world.log_in("demo", scope="demo")
    assert (await world.ask(demo, "GET", path, x_service_token=fresh)).status_code == 401       # no service's
    assert (await validate(demo, expired_ok=True)).project_name == "demo"
    with pytest.raises(Unauthorized):
        await validate(demo)
    clock.turn(600)
    with pytest.raises(Unauthorized):
        await validate(demo, expired_ok=True)


async def test_rotation_logs_nobody_out(make_world):
    clock = TurnedClock(1_800_000_000.0)
    world = await make_world(clock)
    validate, _ = connect(world)
    first = await world.log_in("demo", scope="demo")
    keep = world.config.token_seconds
    for _ in range(4):
        world.keys.rotate(keep)
        assert (await validate(first)).user_name == "demo"
    second = await world.log_in("demo", scope="demo")
    assert (await validate(second)).user_name == "demo"
    files = sorted(int(f.name) for f in world.config.keys.iterdir())
    assert files == [0, 1, 2, 3, 4, 5] and all(f.stat().st_mode & 0o777 == 0o600 for f in world.config.keys.iterdir())
    clock.turn(keep + 1)
    world.keys.rotate(keep)
    assert sorted(int(f.name) for f in world.config.keys.iterdir()) == [0, 5, 6]


async def test_revoked_at_once_in_the_same_process(world, admin, demo):
    validate, _ = connect(world)
    await validate(demo)
    assert (await world.ask(admin, "DELETE", "/v3/auth/tokens", x_subject_token=demo)).status_code == 204
    with pytest.raises(Unauthorized):
        await validate(demo)


async def test_polled_feed(make_world):
    clock = TurnedClock(1_800_000_000.0)
    world = await make_world(clock)
    validate, transport = connect(world, polled=True)
    demo, admin = await world.log_in("demo", scope="demo"), await world.log_in("admin", scope="admin")
    await validate.feed.poll()
    await validate(demo)
    await validate(admin)
    assert (await world.ask(admin, "DELETE", "/v3/auth/tokens", x_subject_token=demo)).status_code == 204
    await validate.feed.poll()
    with pytest.raises(Unauthorized):
        await validate(demo)
    asked = transport.asked
    await validate(admin)
    assert transport.asked == asked
    transport.broken = True
    clock.turn(10)                    # nothing heard for so long: memory is not believed
    with pytest.raises(Unavailable):
        await validate(admin)
    transport.broken = False
    assert (await validate(admin)).is_admin


async def test_size_of_tokens(world):
    widest = Token(user_id="f" * 32, methods=tokens.METHODS, issued_at=world.clock(), expires_at=world.clock() + 3600,
                   audit_ids=(tokens.new_audit_id(), tokens.new_audit_id()), scope=tokens.PROJECT,
                   scope_id=fixed_id("project", "x"), app_credential_id="a" * 32)
    text = tokens.encode(world.keys, widest)
    assert len(text) < 255 and tokens.decode(world.keys, text) == widest
