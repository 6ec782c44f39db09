"""Tokens for services themselves: made from the shared keys, so that no service has a password."""

from __future__ import annotations

import hashlib

from pileus.identity import tokens
from pileus.identity.keys import KeyRepository
from pileus.identity.tokens import Token
from pileus.kit.clock import Clock, SystemClock

SERVICE_PROJECT = "service"           # names that bootstrap gives
EARLY = 300.0                         # seconds before its end at which a token is replaced


def fixed_id(kind: str, name: str) -> str:
    """The id of what bootstrap makes: the same in every process, so that nobody has to look it up."""
    return hashlib.sha256(f"pileus {kind} {name}".encode()).hexdigest()[:32]


class ServiceTokens:
    """`await source.token()` is a kit.client.TokenSource for the service user `name` (compute, network, …)."""

    def __init__(self, keys: KeyRepository, name: str, clock: Clock | None = None, *, seconds: float = 3600.0):
        self.keys, self.name, self.seconds, self.clock = keys, name, seconds, clock or SystemClock()
        self._token, self._expires_at = "", 0.0

    async def token(self) -> str:
        now = self.clock()
        if self._expires_at - min(EARLY, self.seconds / 2) <= now:
            self._expires_at = float(int(now + self.seconds))
            self._token = tokens.encode(self.keys, Token(
                user_id=fixed_id("user", self.name), methods=("password",), issued_at=now, expires_at=self._expires_at,
                audit_ids=(tokens.new_audit_id(),), scope=tokens.PROJECT,
                scope_id=fixed_id("project", SERVICE_PROJECT)))
        return self._token
