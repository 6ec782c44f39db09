"""Passwords: slow hashes, computed once however many ask, and remembered for seconds once verified."""

from __future__ import annotations

import asyncio
import base64
import collections
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence

import bcrypt

from pileus.kit.clock import Clock

BCRYPT_BYTES = 72                     # bcrypt reads no more
LONGEST = 4096
MOST_REMEMBERED = 20_000


class Passwords:
    """Verified passwords are remembered as digests under a key that never leaves this process's memory; the stored
    hash is part of what is digested, so a changed password forgets the old one."""

    def __init__(self, clock: Clock, *, rounds: int, remembered: float):
        self.clock, self.rounds, self.remembered = clock, rounds, remembered
        self._key = secrets.token_bytes(32)
        self._verified: collections.OrderedDict[bytes, float] = collections.OrderedDict()
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._nobody = ""
        # One hash keeps a core busy for a quarter of a second: leave at least one to everybody else.
        self._turns = asyncio.Semaphore(max(1, (os.cpu_count() or 2) - 1))

    async def hash(self, password: str) -> str:
        async with self._turns:
            return await self._hash(password)

    async def hash_all(self, passwords: Sequence[str]) -> list[str]:
        """On as many cores as there are: for a process that serves nobody yet."""
        return await asyncio.gather(*map(self._hash, passwords))

    async def _hash(self, password: str) -> str:
        return (await asyncio.to_thread(bcrypt.hashpw, _shortened(password), bcrypt.gensalt(self.rounds))).decode()

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether `password` made `hashed`; without a hash (no such user) it takes as long and is false."""
        known = hashed is not None
        if hashed is None:
            hashed = self._nobody = self._nobody or await self.hash(secrets.token_hex(16))
        digest = hmac.digest(self._key, hashed.encode() + b"\0" + password.encode(), hashlib.sha256)
        if self._verified.get(digest, 0.0) > self.clock():
            return known
        running = self._running.get(digest)
        if running is None:
            running = self._running[digest] = asyncio.ensure_future(self._check(password, hashed))
            running.add_done_callback(lambda _: self._running.pop(digest, None))
        matches = await asyncio.shield(running)
        if matches and known and self.remembered:
            self._remember(digest)
        return matches and known

    async def _check(self, password: str, hashed: str) -> bool:
        if len(password) > LONGEST:
            return False
        async with self._turns:
            return await asyncio.to_thread(bcrypt.checkpw, _shortened(password), hashed.encode())

    def _remember(self, digest: bytes) -> None:
        self._verified[digest] = self.clock() + self.remembered
        self._verified.move_to_end(digest)
        while len(self._verified) > MOST_REMEMBERED:
            self._verified.popitem(last=False)


def _shortened(password: str) -> bytes:
    raw = password.encode()
    if len(raw) <= BCRYPT_BYTES and b"\0" not in raw:
        return raw
    return base64.b64encode(hashlib.sha256(raw).digest())
