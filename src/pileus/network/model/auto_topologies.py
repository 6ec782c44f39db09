"""The network and router that a project was given when it asked for any network at all."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network.model.base import metadata

auto_topologies = sa.Table(
    "auto_allocated_topology", metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("network_id", sa.String(36), sa.ForeignKey("network.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("router_id", sa.String(36), sa.ForeignKey("router.id", ondelete="CASCADE"), nullable=False, index=True),
)


class AutoTopology(msgspec.Struct, frozen=True, kw_only=True):
    project_id: str
    network_id: str
    router_id: str


async def find(conn: Connection, project_id: str) -> AutoTopology | None:
    return await db.one(conn, sa.select(auto_topologies).where(auto_topologies.c.project_id == project_id),
                        AutoTopology)
