"""How much of everything projects may have: counted from rows, in the transaction that adds more."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.load_balancer.config import Quotas
from pileus.load_balancer.faults import QuotaMet
from pileus.load_balancer.model.rows import Part, Provisioning
from pileus.load_balancer.model.tables import quotas

NAMES = Quotas.__struct_fields__
TITLES = {"load_balancer": "Load Balancer", "listener": "Listener", "member": "Member", "pool": "Pool",
          "health_monitor": "Health Monitor", "l7policy": "L7Policy", "l7rule": "L7Rule"}


async def own(conn: Connection, project_id: str) -> dict[str, int | None]:
    """What was set for the project alone."""
    row = (await conn.execute(sa.select(quotas).where(quotas.c.project_id == project_id))).mappings().one_or_none()
    return {name: row[name] if row else None for name in NAMES}


async def every(conn: Connection, project_id: str | None) -> list[dict[str, Any]]:
    """Of projects that have limits of their own."""
    query = sa.select(quotas).where(sa.or_(*(quotas.c[name].is_not(None) for name in NAMES))).order_by(
        quotas.c.project_id)
    if project_id is not None:
        query = query.where(quotas.c.project_id == project_id)
    return [dict(row) for row in (await conn.execute(query)).mappings()]


async def put(tx: Connection, project_id: str, limits: dict[str, int | None]) -> None:
    await _take_turn(tx, project_id)
    if limits:
        await tx.execute(quotas.update().where(quotas.c.project_id == project_id).values(**limits))


async def _take_turn(tx: Connection, project_id: str) -> None:
    """Let the transactions that count and then add, of one project, happen one after the other: its row is locked, or
    made."""
    found = await tx.execute(sa.select(quotas.c.project_id).where(
        quotas.c.project_id == project_id).with_for_update())
    if found.first() is None:
        try:
            await tx.execute(quotas.insert().values(project_id=project_id))
        except db.Taken as error:
            raise db.Collision(str(error)) from error


async def must_fit(tx: Connection, defaults: Quotas, kind: type[Part], project_id: str, more: int = 1) -> None:
    """Raises QuotaMet."""
    limit = (await own(tx, project_id))[kind.quota]
    limit = getattr(defaults, kind.quota) if limit is None else limit
    if limit < 0:
        return
    await _take_turn(tx, project_id)
    used = (await tx.execute(sa.select(sa.func.count()).select_from(kind.table).where(
        kind.table.c.project_id == project_id,
        kind.table.c.provisioning_status != Provisioning.DELETING))).scalar_one()
    if used + more > limit:
        raise QuotaMet(resource=TITLES[kind.quota])
