"""Application credentials: secrets that stand for a user on one project, with the access rules they may name."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import access_rules, app_credentials
from pileus.kit import db
from pileus.kit.db import Connection


class AppCredential(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    user_id: str
    project_id: str
    name: str
    description: str | None = None
    secret_hash: str
    expires_at: float | None = None
    unrestricted: bool = False
    role_ids: list[str] = []
    access_rules: list[dict[str, str]] = []
    generation: int = 1

    def ended(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def brief(self) -> dict[str, Any]:
        """What a token tells of it."""
        found: dict[str, Any] = {"id": self.id, "name": self.name, "restricted": not self.unrestricted}
        return found | ({"access_rules": self.access_rules} if self.access_rules else {})


class AccessRule(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    user_id: str
    service: str
    method: str
    path: str


async def find(conn: Connection, id: str) -> AppCredential | None:
    return await db.one(conn, sa.select(app_credentials).where(app_credentials.c.id == id), AppCredential)


async def get(conn: Connection, user_id: str, application_credential_id: str) -> AppCredential:
    """Whoever the path says the owner is, it is the real one's that policy is asked about."""
    row = await find(conn, application_credential_id)
    if row is None:
        raise Missing(kind="application credential", id=application_credential_id)
    return row


async def find_by_name(conn: Connection, user_id: str, name: str) -> AppCredential | None:
    query = sa.select(app_credentials).where(app_credentials.c.user_id == user_id, app_credentials.c.name == name)
    return await db.one(conn, query, AppCredential)


async def of_user(conn: Connection, user_id: str) -> list[AppCredential]:
    query = sa.select(app_credentials).where(app_credentials.c.user_id == user_id).order_by(app_credentials.c.id)
    return await db.many(conn, query, AppCredential)


async def get_rule(conn: Connection, user_id: str, access_rule_id: str) -> AccessRule:
    row = await db.one(conn, sa.select(access_rules).where(
        access_rules.c.id == access_rule_id, access_rules.c.user_id == user_id), AccessRule)
    if row is None:
        raise Missing(kind="access rule", id=access_rule_id)
    return row


async def rules_of(conn: Connection, user_id: str) -> list[AccessRule]:
    query = sa.select(access_rules).where(access_rules.c.user_id == user_id).order_by(access_rules.c.id)
    return await db.many(conn, query, AccessRule)
