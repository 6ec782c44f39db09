"""Who vouches for people from elsewhere, by which protocol, and what their words mean here."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import metadata
from pileus.kit import db
from pileus.kit.db import Connection, Json, LongText


def _generation() -> sa.Column[int]:
    return sa.Column("generation", sa.Integer, nullable=False)


def _owned(name: str, parent: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), sa.ForeignKey(f"{parent}.id", ondelete="CASCADE"), nullable=False,
                     primary_key=key)


# authorization_ttl is in minutes; null or 0: what was said counts as long as the token.
identity_providers = sa.Table(
    "identity_provider", metadata, sa.Column("id", sa.String(64), primary_key=True), _owned("domain_id", "project"),
    sa.Column("enabled", sa.Boolean, nullable=False), sa.Column("description", LongText),
    sa.Column("authorization_ttl", sa.Integer), _generation(), sa.Index("identity_provider_domain_id_ix", "domain_id"))

remote_ids = sa.Table(
    "idp_remote_id", metadata, sa.Column("remote_id", sa.String(255), primary_key=True),
    _owned("idp_id", "identity_provider"), sa.Index("idp_remote_id_idp_id_ix", "idp_id"))

mappings = sa.Table(
    "mapping", metadata, sa.Column("id", sa.String(64), primary_key=True), sa.Column("rules", Json, nullable=False),
    sa.Column("schema_version", sa.String(8), nullable=False), _generation())

protocols = sa.Table(
    "federation_protocol", metadata, _owned("idp_id", "identity_provider", key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("mapping_id", sa.String(64), sa.ForeignKey("mapping.id"), nullable=False),
    sa.Column("remote_id_attribute", sa.String(64)), _generation(),
    sa.Index("federation_protocol_mapping_id_ix", "mapping_id"))

service_providers = sa.Table(
    "service_provider", metadata, sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("auth_url", sa.String(256), nullable=False), sa.Column("sp_url", sa.String(256), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False), sa.Column("description", LongText),
    sa.Column("relay_state_prefix", sa.String(256), nullable=False), _generation())

# Who came from where, and what they are called there.
federated_users = sa.Table(
    "federated_user", metadata, _owned("user_id", "user_account", key=True),
    _owned("idp_id", "identity_provider", key=True), sa.Column("protocol_id", sa.String(64), primary_key=True),
    sa.Column("unique_id", LongText, nullable=False), sa.Index("federated_user_idp_id_ix", "idp_id"))

# A membership that holds until then; the row of the membership itself is among all others.
expiring_memberships = sa.Table(
    "expiring_membership", metadata, _owned("user_id", "user_account", key=True),
    _owned("group_id", "user_group", key=True), _owned("idp_id", "identity_provider"),
    sa.Column("expires_at", sa.Double, nullable=False), sa.Index("expiring_membership_expires_at_ix", "expires_at"),
    sa.Index("expiring_membership_group_id_ix", "group_id"), sa.Index("expiring_membership_idp_id_ix", "idp_id"))


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    domain_id: str
    enabled: bool = False
    description: str | None = None
    authorization_ttl: int | None = None
    generation: int = 1


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    rules: list[Any]
    schema_version: str = "1.0"
    generation: int = 1


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    idp_id: str
    id: str
    mapping_id: str
    remote_id_attribute: str | None = None
    generation: int = 1


class ServiceProvider(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    auth_url: str
    sp_url: str
    enabled: bool = False
    description: str | None = None
    relay_state_prefix: str = "ss:mem:"
    generation: int = 1


async def get_idp(conn: Connection, idp_id: str) -> IdentityProvider:
    row = await db.one(conn, sa.select(identity_providers).where(identity_providers.c.id == idp_id), IdentityProvider)
    if row is None:
        raise Missing(kind="identity provider", id=idp_id)
    return row


async def remote_ids_of(conn: Connection, idp_ids: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {idp_id: [] for idp_id in idp_ids}
    if idp_ids:
        query = sa.select(remote_ids).where(remote_ids.c.idp_id.in_(idp_ids)).order_by(remote_ids.c.remote_id)
        for row in await conn.execute(query):
            found[row.idp_id].append(row.remote_id)
    return found


async def write_remote_ids(tx: Connection, idp_id: str, values: list[str]) -> None:
    await tx.execute(remote_ids.delete().where(remote_ids.c.idp_id == idp_id))
    if values:
        await tx.execute(remote_ids.insert(), [{"remote_id": value, "idp_id": idp_id} for value in values])


async def get_mapping(conn: Connection, mapping_id: str) -> Mapping:
    row = await db.one(conn, sa.select(mappings).where(mappings.c.id == mapping_id), Mapping)
    if row is None:
        raise Missing(kind="mapping", id=mapping_id)
    return row


async def get_protocol(conn: Connection, idp_id: str, protocol_id: str) -> Protocol:
    row = await db.one(conn, sa.select(protocols).where(
        protocols.c.idp_id == idp_id, protocols.c.id == protocol_id), Protocol)
    if row is None:
        raise Missing(kind="federated protocol", id=protocol_id)
    return row


async def get_service_provider(conn: Connection, sp_id: str) -> ServiceProvider:
    row = await db.one(conn, sa.select(service_providers).where(service_providers.c.id == sp_id), ServiceProvider)
    if row is None:
        raise Missing(kind="service provider", id=sp_id)
    return row


async def enabled_service_providers(conn: Connection) -> list[dict[str, str]]:
    """As tokens tell of them."""
    query = sa.select(service_providers).where(service_providers.c.enabled.is_(True)).order_by(service_providers.c.id)
    return [{"id": row.id, "auth_url": row.auth_url, "sp_url": row.sp_url}
            for row in await db.many(conn, query, ServiceProvider)]
