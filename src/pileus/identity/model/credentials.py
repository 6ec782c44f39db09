"""Credentials of other systems (EC2 keys, certificates, TOTP seeds), encrypted at rest; and stored policies."""

from __future__ import annotations

from typing import Any, Protocol

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


class Recoder(Protocol):
    def encrypt(self, plain: bytes) -> str: ...

    def decrypt(self, token: str) -> bytes: ...


class StoredPolicy(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    blob: str
    extra: dict[str, Any] = {}
    generation: int = 1


async def find(conn: Connection, id: str) -> Credential | None:
    return await db.one(conn, sa.select(credentials).where(credentials.c.id == id), Credential)


async def made_anew(conn: Connection, keys: Recoder, after: str, limit: int) -> list[Credential]:
    """A page of credentials behind the id `after`, encrypted by the newest key."""
    query = sa.select(credentials).where(credentials.c.id > after).order_by(credentials.c.id).limit(limit)
    return [msgspec.structs.replace(row, encrypted_blob=keys.encrypt(keys.decrypt(row.encrypted_blob)))
            for row in await db.many(conn, query, Credential)]


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
