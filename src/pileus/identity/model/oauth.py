"""Consumers of OAuth 1.0a, what they ask for, and what users let them do."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import metadata
from pileus.kit import db
from pileus.kit.db import Connection, Json, LongText

# Secrets make signatures, so they are kept readable: encrypted with the credential keys.
consumers = sa.Table(
    "oauth_consumer", metadata, sa.Column("id", sa.String(64), primary_key=True), sa.Column("description", LongText),
    sa.Column("secret", LongText, nullable=False), sa.Column("extra", Json, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False))


def _owned(name: str, parent: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), sa.ForeignKey(f"{parent}.id", ondelete="CASCADE"), nullable=nullable)


# Without a verifier nobody has authorized it yet.
request_tokens = sa.Table(
    "oauth_request_token", metadata, sa.Column("id", sa.String(64), primary_key=True),
    _owned("consumer_id", "oauth_consumer"), sa.Column("secret", LongText, nullable=False),
    _owned("project_id", "project"), _owned("user_id", "user_account", nullable=True),
    sa.Column("verifier", sa.String(64)), sa.Column("role_ids", Json, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False), sa.Column("generation", sa.Integer, nullable=False),
    sa.Index("oauth_request_token_expires_at_ix", "expires_at"))

access_tokens = sa.Table(
    "oauth_access_token", metadata, sa.Column("id", sa.String(64), primary_key=True),
    _owned("consumer_id", "oauth_consumer"), sa.Column("secret", LongText, nullable=False),
    _owned("project_id", "project"), _owned("user_id", "user_account"), sa.Column("role_ids", Json, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False), sa.Index("oauth_access_token_user_id_ix", "user_id"),
    sa.Index("oauth_access_token_consumer_id_ix", "consumer_id"))


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    description: str | None = None
    secret: str
    extra: dict[str, Any] = {}
    generation: int = 1


class RequestToken(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    consumer_id: str
    secret: str
    project_id: str
    user_id: str | None = None
    verifier: str | None = None
    role_ids: list[str] = []
    expires_at: float
    generation: int = 1


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    consumer_id: str
    secret: str
    project_id: str
    user_id: str
    role_ids: list[str] = []
    expires_at: float

    def ended(self, now: float) -> bool:
        return self.expires_at <= now

    def brief(self) -> dict[str, str]:
        """What a token tells of it."""
        return {"access_token_id": self.id, "consumer_id": self.consumer_id}


async def find_consumer(conn: Connection, consumer_id: str) -> Consumer | None:
    return await db.one(conn, sa.select(consumers).where(consumers.c.id == consumer_id), Consumer)


async def get_consumer(conn: Connection, consumer_id: str) -> Consumer:
    row = await find_consumer(conn, consumer_id)
    if row is None:
        raise Missing(kind="OAuth consumer", id=consumer_id)
    return row


async def find_request_token(conn: Connection, id: str) -> RequestToken | None:
    return await db.one(conn, sa.select(request_tokens).where(request_tokens.c.id == id), RequestToken)


async def find_access_token(conn: Connection, id: str) -> AccessToken | None:
    return await db.one(conn, sa.select(access_tokens).where(access_tokens.c.id == id), AccessToken)


async def get_access_token(conn: Connection, user_id: str, access_token_id: str) -> AccessToken:
    row = await find_access_token(conn, access_token_id)
    if row is None or row.user_id != user_id:
        raise Missing(kind="OAuth access token", id=access_token_id)
    return row


async def of_consumer(conn: Connection, consumer_id: str) -> list[str]:
    """Ids of its access tokens."""
    return await db.scalars(conn, sa.select(access_tokens.c.id).where(access_tokens.c.consumer_id == consumer_id))


async def prune(tx: Connection, now: float) -> None:
    for table in (request_tokens, access_tokens):
        await tx.execute(table.delete().where(table.c.expires_at < now))
