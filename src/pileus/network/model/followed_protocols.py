"""Protocols whose connections open others, which routers read along with."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import followed_faults
from pileus.network.model.base import Row, metadata, standard_columns

helpers = sa.Table(
    "conntrack_helper", metadata, *standard_columns("conntrack_helper"),
    sa.Column("router_id", sa.String(36), sa.ForeignKey("router.id", ondelete="CASCADE"), nullable=False),
    sa.Column("protocol", sa.String(8), nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("helper", sa.String(16), nullable=False),
    sa.UniqueConstraint("router_id", "protocol", "port"),
)


class FollowedProtocol(Row, frozen=True, kw_only=True):
    router_id: str
    protocol: str
    port: int
    helper: str


async def get(conn: Connection, router_id: str, helper_id: str) -> FollowedProtocol:
    query = sa.select(helpers).where(helpers.c.id == helper_id, helpers.c.router_id == router_id)
    row = await db.one(conn, query, FollowedProtocol)
    if row is None:
        raise followed_faults.FollowedNotFound(helper_id=helper_id)
    return row


async def by_router(conn: Connection) -> dict[str, list[FollowedProtocol]]:
    found: dict[str, list[FollowedProtocol]] = defaultdict(list)
    query = sa.select(helpers).order_by(helpers.c.protocol, helpers.c.port)
    for row in await db.many(conn, query, FollowedProtocol):
        found[row.router_id].append(row)
    return found
