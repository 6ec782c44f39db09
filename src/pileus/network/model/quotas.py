"""Quotas: limits that differ from the defaults, and use, counted from the rows."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.config import Quotas
from pileus.network.model.base import metadata, rows
from pileus.network.model.networks import networks
from pileus.network.model.ports import ports
from pileus.network.model.rbac import policies
from pileus.network.model.routers import floating_ips, routers
from pileus.network.model.security_groups import rules, security_groups
from pileus.network.model.subnets import pools, subnets
from pileus.network.model.trunks import trunks

quotas = sa.Table(
    "quota", metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("resource", sa.String(32), primary_key=True),
    sa.Column("max_count", sa.Integer, nullable=False),
)
COUNTED: Mapping[str, sa.Table] = {
    "network": networks, "subnet": subnets, "subnetpool": pools, "port": ports, "router": routers,
    "floatingip": floating_ips, "security_group": security_groups, "security_group_rule": rules,
    "rbac_policy": policies, "trunk": trunks}


async def limits(conn: Connection, project_id: str, defaults: Quotas) -> dict[str, int]:
    query = sa.select(quotas.c.resource, quotas.c.max_count).where(quotas.c.project_id == project_id)
    return msgspec.structs.asdict(defaults) | dict(await rows(conn, query))  # type: ignore[arg-type]


async def used(conn: Connection, project_id: str, resource: str) -> int:
    table = COUNTED[resource]
    query = sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project_id)
    return await db.scalar(conn, query)


@functools.cache
def _room(resource: str) -> sa.Select[int, int]:
    """How many the `project` has, and its own limit."""
    table, project = COUNTED[resource], sa.bindparam("project")
    count = sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project)
    own = sa.select(quotas.c.max_count).where(quotas.c.project_id == project, quotas.c.resource == resource)
    return sa.select(count.scalar_subquery(), own.scalar_subquery())


async def must_have_room(tx: Connection, project_id: str, defaults: Quotas, resource: str, wanted: int = 1) -> None:
    """Raises OverQuota. The caller holds the project's row, so that nobody else counts at the same time."""
    have, limit = (await rows(tx, _room(resource), project=project_id))[0]
    if limit is None:
        limit = getattr(defaults, resource)
    if limit >= 0 and have + wanted > limit:
        raise faults.OverQuota(resources=[resource])


async def set_limit(tx: Connection, project_id: str, resource: str, limit: int) -> None:
    """The caller holds the project's row."""
    mine = sa.and_(quotas.c.project_id == project_id, quotas.c.resource == resource)
    if not await db.update(tx, quotas.update().where(mine).values(max_count=limit)):
        await tx.execute(quotas.delete().where(mine))
        await tx.execute(quotas.insert().values(project_id=project_id, resource=resource, max_count=limit))
