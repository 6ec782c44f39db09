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


async def get(conn: Connection, trust_id: str) -> Trust:
    row = await find(conn, trust_id)
    if row is None:
        raise Missing(kind="trust", id=trust_id)
    return row
