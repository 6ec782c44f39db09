"""Whether new security groups are stateful where nobody says so: of one project, or of all others."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import group_faults
from pileus.network.model.base import Row, metadata, standard_columns

defaults = sa.Table(
    "default_statefulness", metadata, *standard_columns("default_statefulness"),
    sa.Column("stateful", sa.Boolean, nullable=False),
    sa.UniqueConstraint("project_id"),
)


class DefaultStatefulness(Row, frozen=True, kw_only=True):
    """Of all projects, where `project_id` is empty."""

    stateful: bool


async def get(conn: Connection, statefulness_id: str) -> DefaultStatefulness:
    row = await db.one(conn, sa.select(defaults).where(defaults.c.id == statefulness_id), DefaultStatefulness)
    if row is None:
        raise group_faults.StatefulnessNotFound(statefulness_id=statefulness_id)
    return row


async def of_project(conn: Connection, project_id: str) -> bool:
    """What a new group of the project is."""
    query = sa.select(defaults).where(defaults.c.project_id.in_((project_id, "")))
    found = {row.project_id: row.stateful for row in await db.many(conn, query, DefaultStatefulness)}
    return found.get(project_id, found.get("", True))
