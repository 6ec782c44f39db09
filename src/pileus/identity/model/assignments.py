"""Assignments as lists: as they were given, and what they come to."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.model import projects
from pileus.identity.model.projects import Project
from pileus.identity.model.roles import Assignment, RoleGraph
from pileus.identity.model.tables import SYSTEM, groups, memberships, users
from pileus.identity.model.tables import assignments as table
from pileus.identity.model.tables import projects as project_table
from pileus.kit import db
from pileus.kit.db import Connection

MOST_PARAMETERS = 5000


class Wanted(msgspec.Struct, kw_only=True):
    """Filters; None lets everything through. `subtree` are projects, instead of one target."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    target_id: str | None = None
    inherited: bool | None = None
    subtree: list[Project] | None = None


class Held(Assignment, frozen=True, kw_only=True):
    """An assignment with one of the people it reaches."""

    member_id: str


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What an assignment refers to; `kind` is user, group, project or domain."""

    kind: str
    id: str
    name: str
    domain_id: str | None
    domain_name: str | None


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
        query = query.where(table.c.target_id.in_([project.id for project in wanted.subtree]))
    return [_as_given(row) for row in await db.many(conn, query.order_by(
        table.c.target_id, table.c.actor_id, table.c.role_id, table.c.inherited), Assignment)]


async def effective(conn: Connection, wanted: Wanted, graph: RoleGraph) -> list[Effective]:
    """What users hold: groups replaced by their members, inheritance by projects, roles by all they imply. Two
    statements, whatever is asked."""
    targets, places = None if wanted.target_id is None else {wanted.target_id}, list[Project]()
    if wanted.subtree is not None:
        targets, places = {project.id for project in wanted.subtree}, wanted.subtree
    elif targets is not None and targets != {SYSTEM}:
        places = await projects.by_ids(conn, targets)
    rows = await _sources(conn, wanted, targets, places)
    if targets is None:
        places = await _below_any(conn, {row.target_id for row in rows if row.inherited})
    below = _below(rows, places)
    found: dict[tuple[str, str, str], Effective] = {}
    implied: dict[str, list[str]] = {}
    for row in rows:
        if row.role_id not in implied:
            implied[row.role_id] = [role.id for role in graph.effective({row.role_id})]
        for target in below[row.target_id] if row.inherited else [row.target_id]:
            if targets is not None and target not in targets:
                continue
            for role_id in implied[row.role_id]:
                if wanted.role_id in (None, role_id) and (row.member_id, target, role_id) not in found:
                    found[row.member_id, target, role_id] = Effective(
                        role_id=role_id, target_id=target, user_id=row.member_id, source_id=row.target_id,
                        source_role_id=row.role_id, source_group_id=row.group_id, source_inherited=row.inherited)
    return [found[key] for key in sorted(found)]


async def _below_any(conn: Connection, ids: set[str]) -> list[Project]:
    """Every project under any of these projects or domains."""
    if not ids:
        return []
    under = [project_table.c.path.contains(f"/{id}/", autoescape=True) for id in sorted(ids)]
    return await db.many(conn, sa.select(project_table).where(sa.or_(project_table.c.domain_id.in_(ids), *under)),
                         Project)


async def _sources(conn: Connection, wanted: Wanted, targets: set[str] | None, places: list[Project]) -> list[Held]:
    """Two searches in one statement, each by an index: what people hold themselves, and by their groups."""
    direct = sa.select(table, table.c.user_id.label("member_id")).where(table.c.user_id.is_not(None))
    by_group = sa.select(table, memberships.c.user_id.label("member_id")).join(
        memberships, memberships.c.group_id == table.c.group_id)
    if wanted.user_id is not None:
        direct = direct.where(table.c.user_id == wanted.user_id)
        by_group = by_group.where(memberships.c.user_id == wanted.user_id)
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.inherited is not None:
        conditions.append(table.c.inherited.is_(wanted.inherited))
    if targets is not None:
        above = {ancestor for place in places for ancestor in place.ancestors}
        conditions.append(sa.or_(
            sa.and_(table.c.target_id.in_(targets), table.c.inherited.is_(False)),
            sa.and_(table.c.target_id.in_(above), table.c.inherited.is_(True))))
    both: Any = sa.union_all(direct.where(*conditions), by_group.where(*conditions))
    rows = await db.many(conn, both, Held)
    return sorted(rows, key=lambda row: (row.inherited, row.target_id, row.actor_id, row.role_id, row.member_id))


def _below(rows: list[Held], places: list[Project]) -> dict[str, list[str]]:
    """For each place something is inherited from: the projects under it."""
    found: dict[str, list[str]] = {row.target_id: [] for row in rows if row.inherited}
    for place in places:
        for ancestor in place.ancestors:
            if ancestor in found:
                found[ancestor].append(place.id)
    return found


async def named(conn: Connection, found: list[Effective], *, people: bool) -> dict[str, Named]:
    """The projects and domains that assignments refer to, and `people`: users and groups too; in one statement."""
    places = {id for row in found for id in (row.target_id, row.source_id)} - {SYSTEM}
    parts = [_named(project_table, places, sa.case((project_table.c.is_domain, "domain"), else_="project"))]
    if people:
        parts.append(_named(users, {row.user_id for row in found if row.user_id}, sa.literal("user", sa.String())))
        parts.append(_named(groups, {row.group_id for row in found if row.group_id}, sa.literal("group", sa.String())))
    every: Any = sa.union_all(*parts)
    return {row.id: row for row in await db.many(conn, every, Named)}


def _named(of: sa.Table, ids: set[str], kind: sa.ColumnElement[str]) -> sa.Select[Any]:
    """Databases take some thousands of parameters only, and who asks for more wants nearly all of them anyway."""
    domain = project_table.alias()
    query: Any = sa.select(kind.label("kind"), of.c.id, of.c.name, of.c.domain_id, domain.c.name.label("domain_name"))
    query = query.outerjoin(domain, domain.c.id == of.c.domain_id)
    return query if len(ids) > MOST_PARAMETERS else query.where(of.c.id.in_(ids))
