"""Hosts that have a network agent: when they were last heard of, and which slice they were given."""

from __future__ import annotations

from uuid import UUID, uuid5

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network.model.base import metadata

hosts = sa.Table(
    "host", metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("underlay_ip", sa.String(45), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("confirmed", sa.BigInteger, nullable=False),
    sa.Column("error", sa.String(255), nullable=False),
)

agents = sa.Table(
    "agent", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("admin_state_up", sa.Boolean, nullable=False),
    sa.Column("description", sa.String(255), nullable=False),
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the administrator said of an agent. One of which nothing was said has no row."""

    id: str
    admin_state_up: bool = True
    description: str = ""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """`seq` numbers the slice of `digest`; `confirmed` is the one the host said it has made so."""

    name: str
    id: str
    underlay_ip: str
    created_at: float
    started_at: float
    seen_at: float
    seq: int = 0
    digest: str = ""
    confirmed: int = -1
    error: str = ""


    def part(self, kind: str) -> str:
        """The id of what of the host's agent serves DHCP or routers, which are shown as agents of their own."""
        return str(uuid5(UUID(self.id), kind))


DHCP, ROUTERS = "dhcp", "routers"


async def find(conn: Connection, name: str) -> Host | None:
    return await db.one(conn, sa.select(hosts).where(hosts.c.name == name), Host)


async def every(conn: Connection) -> list[Host]:
    return await db.many(conn, sa.select(hosts).order_by(hosts.c.name), Host)


async def said(conn: Connection) -> dict[str, Said]:
    return {row.id: row for row in await db.many(conn, sa.select(agents), Said)}


async def switched_off(conn: Connection) -> set[str]:
    """Ids of the agents that are to do nothing."""
    return set(await db.scalars(conn, sa.select(agents.c.id).where(~agents.c.admin_state_up)))


async def say(tx: Connection, row: Said) -> None:
    await tx.execute(agents.delete().where(agents.c.id == row.id))
    await db.add(tx, agents, row)
