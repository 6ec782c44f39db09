"""Hashes are shared, remembered and forgotten; nobody can tell unknown users by time."""

import asyncio

import pytest

from pileus.identity import passwords
from pileus.identity.passwords import Passwords
from pileus.kit.clock import TurnedClock


class Counted(Passwords):
    """Counts the hashes it computes."""

    def __init__(self, clock, **options):
        super().__init__(clock, **{"rounds": 4, "remembered": 60, **options})
        self.computed = 0

    async def _check(self, password, hashed):
        self.computed += 1
        return await super()._check(password, hashed)


async def test_a_login_storm_costs_one_hash():
    clock = TurnedClock()
    found = Counted(clock)
    hashed = await found.hash("right")
    assert await asyncio.gather(*(found.verify("right", hashed) for _ in range(32))) == [True] * 32
    assert found.computed == 1
    assert await found.verify("right", hashed) and found.computed == 1
    clock.turn(61)
    assert await found.verify("right", hashed) and found.computed == 2
    other = await found.hash("other")
    assert not await found.verify("right", other) and found.computed == 3
    assert not await found.verify("wrong", hashed) and not await found.verify("wrong", hashed)
    assert found.computed == 5


async def test_unknown_users_cost_a_hash_too():
    found = Counted(TurnedClock())
    assert not await found.verify("any", None)
    assert found.computed == 1


@pytest.mark.parametrize("password", ["", "ü" * 40, "x" * 72, "x" * 73, "a\0b", "x" * 4096])
async def test_every_password_counts_in_full(password):
    found = Counted(TurnedClock())
    hashed = await found.hash(password)
    assert await found.verify(password, hashed)
    assert not await found.verify(password + "x", hashed) and not await found.verify(password[:-1] + "y", hashed)


async def test_endless_passwords_are_not_hashed():
    found = Counted(TurnedClock())
    assert not await found.verify("x" * (passwords.LONGEST + 1), await found.hash("x"))
