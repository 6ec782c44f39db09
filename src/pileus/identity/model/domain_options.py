"""Options of single domains, as their configuration API keeps them, and who of a domain comes from a directory."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.model.tables import metadata
from pileus.kit import db
from pileus.kit.db import Connection, LongText

# `value` is JSON; that of a sensitive option is encrypted with the credential keys.
domain_options = sa.Table(
    "domain_option", metadata,
    sa.Column("domain_id", sa.String(64), sa.ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("section", sa.String(64), primary_key=True), sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", LongText, nullable=False), sa.Column("sensitive", sa.Boolean, nullable=False))

# Users and groups of directories are rows like all others, so that roles, tokens and lists need not ask a server. Here
# is what each of them is called there; public_id is made of the other columns.
directory_entries = sa.Table(
    "directory_entry", metadata, sa.Column("public_id", sa.String(64), primary_key=True),
    sa.Column("domain_id", sa.String(64), sa.ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False), sa.Column("local_id", sa.String(255), nullable=False),
    sa.UniqueConstraint("domain_id", "kind", "local_id"))


class Option(msgspec.Struct, frozen=True, kw_only=True):
    domain_id: str
    section: str
    name: str
    value: str
    sensitive: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    public_id: str
    domain_id: str
    kind: str
    local_id: str


async def of_domain(conn: Connection, domain_id: str) -> list[Option]:
    query = sa.select(domain_options).where(domain_options.c.domain_id == domain_id)
    return await db.many(conn, query.order_by(domain_options.c.section, domain_options.c.name), Option)


async def everywhere(conn: Connection) -> list[Option]:
    return await db.many(conn, sa.select(domain_options).order_by(domain_options.c.domain_id), Option)


async def put(tx: Connection, options: list[Option]) -> None:
    """Write options over those of the same names."""
    for option in options:
        await remove(tx, option.domain_id, option.section, option.name)
    await db.add(tx, domain_options, *options)


async def remove(tx: Connection, domain_id: str, section: str | None = None, name: str | None = None) -> int:
    """How many there were, of a whole domain, one section or one name."""
    statement = domain_options.delete().where(domain_options.c.domain_id == domain_id)
    if section is not None:
        statement = statement.where(domain_options.c.section == section)
    if name is not None:
        statement = statement.where(domain_options.c.name == name)
    return await db.update(tx, statement)


async def find_entry(conn: Connection, public_id: str) -> Entry | None:
    return await db.one(conn, sa.select(directory_entries).where(directory_entries.c.public_id == public_id), Entry)


async def entries(conn: Connection, public_ids: set[str]) -> dict[str, Entry]:
    """Those of `public_ids` that come from a directory."""
    if not public_ids:
        return {}
    query: Any = sa.select(directory_entries).where(directory_entries.c.public_id.in_(public_ids))
    return {entry.public_id: entry for entry in await db.many(conn, query, Entry)}
