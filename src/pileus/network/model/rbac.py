"""What is shared with which projects, and how they may use it. Sharing with all is a row like any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.network import policy_faults
from pileus.network.model.base import Row, metadata, standard_columns

EVERYBODY = "*"
SHARED, EXTERNAL = "access_as_shared", "access_as_external"
policies = sa.Table(
    "rbac_policy", metadata, *standard_columns("rbac_policy"),
    sa.Column("object_type", sa.String(32), nullable=False),
    sa.Column("object_id", sa.String(36), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("target_project", sa.String(64), nullable=False),
    sa.UniqueConstraint("object_id", "action", "target_project"),
    sa.Index("rbac_policy_by_target", "target_project", "object_type"),
)


class RbacPolicy(Row, frozen=True, kw_only=True):
    object_type: str
    object_id: str
    action: str
    target_project: str


async def get(conn: Connection, rbac_policy_id: str) -> RbacPolicy:
    row = await db.one(conn, sa.select(policies).where(policies.c.id == rbac_policy_id), RbacPolicy)
    if row is None:
        raise policy_faults.RbacPolicyNotFound(rbac_policy_id=rbac_policy_id)
    return row


def granted(kind: str, project_id: str | None, *actions: str) -> sa.Select[Any]:
    """The ids of what a project was given to use, by all or by itself; as part of other queries."""
    c = policies.c
    found = sa.select(c.object_id).where(
        c.object_type == kind, c.target_project.in_((EVERYBODY, project_id or EVERYBODY)))
    return found.where(c.action.in_(actions)) if actions else found


async def given(conn: Connection, kind: str, ids: Iterable[str], project_id: str | None, *actions: str) -> set[str]:
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    return set(await db.scalars(conn, granted(kind, project_id, *actions).where(policies.c.object_id.in_(wanted))))


async def is_given(conn: Connection, kind: str, thing_id: str, project_id: str | None, *actions: str) -> bool:
    return thing_id in await given(conn, kind, [thing_id], project_id, *actions)


async def share_with_all(tx: Connection, kind: str, thing: Row, action: str, now: float) -> None:
    """Already so: do nothing."""
    if await _of(tx, thing.id, action, EVERYBODY) is None:
        await db.add(tx, policies, RbacPolicy(
            id=new_uuid(), project_id=thing.project_id, created_at=now, updated_at=now, object_type=kind,
            object_id=thing.id, action=action, target_project=EVERYBODY))


async def share_no_more(tx: Connection, thing_id: str, action: str) -> None:
    """With all; what single projects were given stays."""
    c = policies.c
    await tx.execute(policies.delete().where(
        c.object_id == thing_id, c.action == action, c.target_project == EVERYBODY))


async def forget(tx: Connection, thing_id: str) -> None:
    await tx.execute(policies.delete().where(policies.c.object_id == thing_id))


async def _of(conn: Connection, thing_id: str, action: str, target: str) -> str | None:
    c = policies.c
    return await db.scalar(conn, sa.select(c.id).where(
        c.object_id == thing_id, c.action == action, c.target_project == target))
