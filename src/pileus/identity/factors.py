"""More than one factor: one-time codes, the rules that say which factors a user needs, and receipts for those shown."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from pileus.identity import tokens
from pileus.identity.contexts import iso
from pileus.identity.faults import MoreFactorsNeeded
from pileus.identity.keys import BadSignature
from pileus.identity.model import projects, revocations, users
from pileus.identity.model.credentials import Credential
from pileus.identity.model.tables import credentials as credential_table
from pileus.identity.model.users import User
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity

STEP_SECONDS, DIGITS = 30, 6
FORMER_STEPS = 1                      # codes of the step before are good too: clocks differ, and people type slowly
_LAYOUT = 2                           # tokens have another one, so that neither passes for the other


def code(seed: bytes, step: int) -> str:
    """RFC 6238 with its defaults."""
    digest = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    return str(int.from_bytes(digest[at:at + 4], "big") & 0x7FFFFFFF)[-DIGITS:].zfill(DIGITS)


async def verify_code(app: Identity, user: User | None, passcode: str) -> None:
    """Raises Unauthorized; counts as a wrong password does."""
    locked = await app.compliance.locked(app.db, user)
    query = sa.select(credential_table).where(
        credential_table.c.user_id == (user.id if user else ""), credential_table.c.type == "totp")
    async with app.db.read() as reader:
        rows = await db.many(reader, query, Credential)
    seeds = [_seed(app.credential_keys.decrypt(row.encrypted_blob)) for row in rows] or [secrets.token_bytes(20)]
    now = int(app.clock()) // STEP_SECONDS
    matches = [hmac.compare_digest(code(seed, step).encode(), passcode.encode())
               for seed in seeds for step in range(now - FORMER_STEPS, now + 1)]
    if not any(matches) or not rows or locked or user is None:
        await app.compliance.failed(app.db, None if locked else user)
        raise Unauthorized()


def _seed(blob: bytes) -> bytes:
    """As apps take it: base32, with or without its padding. What is none is a seed that nobody can have."""
    try:
        return base64.b32decode(blob.strip() + b"=" * (-len(blob.strip()) % 8), casefold=True)
    except (binascii.Error, ValueError):
        return secrets.token_bytes(20)


# -- rules and receipts -----------------------------------------------------------------------------------------------


async def must_suffice(app: Identity, user: User, methods: list[str]) -> None:
    """Raises MoreFactorsNeeded, with a receipt for what was shown, unless the user's rules are met."""
    rules = [rule for rule in user.options.get("multi_factor_auth_rules", []) if set(rule) <= set(tokens.METHODS)]
    if not user.options.get("multi_factor_auth_enabled") or not rules:
        return
    if any(set(rule) <= set(methods) for rule in rules):
        return
    now = app.clock()
    ends = float(int(now) + app.config.receipt_seconds)
    async with app.db.read() as reader:
        domain = await projects.get_domain(reader, user.domain_id)
    body: dict[str, Any] = {
        "methods": methods, "expires_at": iso(ends), "issued_at": iso(now),
        "user": {"id": user.id, "name": user.name, "domain": {"id": domain.id, "name": domain.name}}}
    wanted = [rule for rule in rules if set(methods) <= set(rule)] or rules
    raise MoreFactorsNeeded(_receipt(app, user.id, methods, now, ends),
                            {"receipt": body, "required_auth_methods": wanted})


def _receipt(app: Identity, user_id: str, methods: list[str], issued_at: float, expires_at: float) -> str:
    mask = sum(1 << tokens.METHODS.index(name) for name in methods)
    return app.keys.encrypt(msgspec.msgpack.encode((_LAYOUT, user_id, mask, issued_at, expires_at)))


async def shown_before(app: Identity, receipt: str) -> tuple[User, list[str]]:
    """Whose receipt it is and what was shown for it. Raises Unauthorized for one that is forged, ended or revoked."""
    try:
        layout, user_id, mask, issued_at, expires_at = msgspec.msgpack.decode(
            app.keys.decrypt(receipt), type=tuple[int, str, int, float, float])
    except (BadSignature, msgspec.DecodeError, UnicodeError) as error:
        raise Unauthorized() from error
    async with app.db.read() as reader:
        user = await _still_good(reader, user_id, issued_at)
    if layout != _LAYOUT or expires_at <= app.clock() or user is None:
        raise Unauthorized()
    return user, [name for number, name in enumerate(tokens.METHODS) if mask >> number & 1]


async def _still_good(conn: Connection, user_id: str, issued_at: float) -> User | None:
    if await revocations.revoked(conn, [f"user:{user_id}"], issued_at):
        return None
    return await users.find(conn, user_id)
