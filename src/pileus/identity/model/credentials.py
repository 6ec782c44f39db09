"""Credentials of other systems (EC2 keys, certificates, TOTP seeds), encrypted at rest; and stored policies."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import credentials, policies
from pileus.kit import db
from pileus.kit.db import Connection


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    user_id: str
    project_id: str | None
    type: str
    encrypted_blob: str
    extra: dict[str, Any] = {}
    generation: int = 1


class StoredPolicy(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    blob: str
    extra: dict[str, Any] = {}
    generation: int = 1


async def find(conn: Connection, id: str) -> Credential | None:
    return await db.one(conn, sa.select(credentials).where(credentials.c.id == id), Credential)


async def get(conn: Connection, credential_id: str) -> Credential:
    row = await find(conn, credential_id)
    if row is None:
        raise Missing(kind="credential", id=credential_id)
    return row


async def get_policy(conn: Connection, policy_id: str) -> StoredPolicy:
    row = await db.one(conn, sa.select(policies).where(policies.c.id == policy_id), StoredPolicy)
    if row is None:
        raise Missing(kind="policy", id=policy_id)
    return row
