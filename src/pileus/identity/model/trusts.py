"""Trusts: a user lets another one act with some of their roles on a project."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import trusts
from pileus.kit import db
from pileus.kit.db import Connection


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    trustor_user_id: str
    trustee_user_id: str
    project_id: str | None
    impersonation: bool
    expires_at: float | None = None
    deleted_at: float | None = None
    remaining_uses: int | None = None
    role_ids: list[str] = []
    allow_redelegation: bool | None = None
    redelegation_count: int | None = None
    redelegated_trust_id: str | None = None
    generation: int = 1

    def ended(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def brief(self) -> dict[str, Any]:
        """What a token tells of it."""
        return {"id": self.id, "impersonation": self.impersonation, "trustor_user": {"id": self.trustor_user_id},
                "trustee_user": {"id": self.trustee_user_id}}


async def find(conn: Connection, id: str) -> Trust | None:
    return await db.one(conn, sa.select(trusts).where(trusts.c.id == id), Trust)


async def use_up(tx: Connection, id: str) -> bool:
    """Count one use; whether there was one left."""
    query = trusts.c.remaining_uses
    limited = await db.scalar(tx, sa.select(query).where(trusts.c.id == id))
    return limited is None or await db.update(tx, trusts.update().where(trusts.c.id == id, query > 0).values(
        remaining_uses=query - 1)) == 1


async def handed_on(conn: Connection, id: str) -> list[str]:
    """Ids of the trusts that were made with this one, and with those."""
    found, left = [], [id]
    while left:
        left = await db.scalars(conn, sa.select(trusts.c.id).where(trusts.c.redelegated_trust_id.in_(left)))
        found += left
    return found


async def get(conn: Connection, trust_id: str) -> Trust:
    row = await find(conn, trust_id)
    if row is None:
        raise Missing(kind="trust", id=trust_id)
    return row
