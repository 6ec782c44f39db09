"""Assignments as lists: as they were given, and what they come to."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.model import projects, users
from pileus.identity.model.projects import Project
from pileus.identity.model.roles import Assignment, RoleGraph
from pileus.identity.model.tables import SYSTEM, memberships
from pileus.identity.model.tables import assignments as table
from pileus.identity.model.tables import projects as project_table
from pileus.kit import db
from pileus.kit.db import Connection


class Wanted(msgspec.Struct, kw_only=True):
    """Filters; None lets everything through. `subtree` are the ids of projects, instead of one target."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    target_id: str | None = None
    inherited: bool | None = None
    subtree: set[str] | None = None


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """One assignment, and the given one it came from."""

    role_id: str
    target_id: str
    user_id: str | None = None
    group_id: str | None = None
    inherited: bool = False
    source_id: str
    source_role_id: str
    source_group_id: str | None = None
    source_inherited: bool = False


def _as_given(row: Assignment) -> Effective:
    return Effective(role_id=row.role_id, target_id=row.target_id, user_id=row.user_id, group_id=row.group_id,
                     inherited=row.inherited, source_id=row.target_id, source_role_id=row.role_id,
                     source_inherited=row.inherited)


async def given(conn: Connection, wanted: Wanted) -> list[Effective]:
    query = sa.select(table)
    equal: dict[sa.ColumnElement[Any], str | None] = {
        table.c.user_id: wanted.user_id, table.c.group_id: wanted.group_id, table.c.role_id: wanted.role_id,
        table.c.target_id: wanted.target_id}
    for column, value in equal.items():
        query = query if value is None else query.where(column == value)
    if wanted.inherited is not None:
        query = query.where(table.c.inherited.is_(wanted.inherited))
    if wanted.subtree is not None:
        query = query.where(table.c.target_id.in_(wanted.subtree))
    return [_as_given(row) for row in await db.many(conn, query.order_by(
        table.c.target_id, table.c.actor_id, table.c.role_id, table.c.inherited), Assignment)]


async def effective(conn: Connection, wanted: Wanted, graph: RoleGraph) -> list[Effective]:
    """What users hold: groups replaced by their members, inheritance by projects, roles by all they imply."""
    targets = None if wanted.target_id is None else {wanted.target_id}
    targets = wanted.subtree if wanted.subtree is not None else targets
    places = await _places(conn, targets) if targets != {SYSTEM} else []
    rows = await _sources(conn, wanted, targets, places)
    members = await users.members(conn, {row.group_id for row in rows if row.group_id})
    below = _below(rows, places)
    found: dict[tuple[str, str, str], Effective] = {}
    for row in rows:
        roles = [role.id for role in graph.effective({row.role_id})]
        people = [row.user_id] if row.user_id else members.get(row.group_id or "", [])
        for person in people:
            if wanted.user_id not in (None, person):
                continue
            for target in below[row.target_id] if row.inherited else [row.target_id]:
                if targets is not None and target not in targets:
                    continue
                for role_id in roles:
                    if wanted.role_id in (None, role_id) and (person, target, role_id) not in found:
                        found[person, target, role_id] = Effective(
                            role_id=role_id, target_id=target, user_id=person, source_id=row.target_id,
                            source_role_id=row.role_id, source_group_id=row.group_id, source_inherited=row.inherited)
    return [found[key] for key in sorted(found)]


async def _places(conn: Connection, targets: set[str] | None) -> list[Project]:
    """The targets, or, without any, every project: inheritance may reach each of them."""
    if targets is not None:
        return await projects.by_ids(conn, targets)
    return await db.many(conn, sa.select(project_table), Project)


async def _sources(conn: Connection, wanted: Wanted, targets: set[str] | None,
                   places: list[Project]) -> list[Assignment]:
    query = sa.select(table)
    if wanted.user_id is not None:
        of_groups = sa.select(memberships.c.group_id).where(memberships.c.user_id == wanted.user_id)
        query = query.where(sa.or_(table.c.user_id == wanted.user_id, table.c.group_id.in_(of_groups)))
    if wanted.inherited is not None:
        query = query.where(table.c.inherited.is_(wanted.inherited))
    if targets is not None:
        above = {ancestor for place in places for ancestor in place.ancestors}
        query = query.where(sa.or_(
            sa.and_(table.c.target_id.in_(targets), table.c.inherited.is_(False)),
            sa.and_(table.c.target_id.in_(above), table.c.inherited.is_(True))))
    return await db.many(conn, query.order_by(table.c.inherited, table.c.target_id, table.c.actor_id), Assignment)


def _below(rows: list[Assignment], places: list[Project]) -> dict[str, list[str]]:
    """For each place something is inherited from: the projects under it."""
    found: dict[str, list[str]] = {row.target_id: [] for row in rows if row.inherited}
    for place in places:
        for ancestor in place.ancestors:
            if ancestor in found:
                found[ancestor].append(place.id)
    return found
