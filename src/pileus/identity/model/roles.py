"""Roles, what they imply, and who holds which where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import SYSTEM, assignments, implied_roles, memberships, projects, roles
from pileus.kit import db
from pileus.kit.db import Connection


class Role(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    domain_id: str | None = None
    scope: str = ""
    description: str | None = None
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    generation: int = 1


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    actor_id: str
    target_id: str
    role_id: str
    inherited: bool = False
    user_id: str | None = None
    group_id: str | None = None
    project_id: str | None = None


class RoleGraph:
    """All roles and what they imply; small, and kept in memory until it changes."""

    def __init__(self, found: list[Role], implied: dict[str, list[str]]):
        self.roles = {role.id: role for role in found}
        self.implied = implied

    def effective(self, role_ids: set[str]) -> list[Role]:
        """These roles and all they imply, less domain-specific ones, which only stand for what they imply."""
        seen: set[str] = set()
        left = [role_id for role_id in role_ids if role_id in self.roles]
        while left:
            role_id = left.pop()
            if role_id not in seen:
                seen.add(role_id)
                left += self.implied.get(role_id, ())
        return sorted((self.roles[i] for i in seen if self.roles[i].domain_id is None), key=lambda role: role.id)


async def graph(conn: Connection) -> RoleGraph:
    found = await db.many(conn, sa.select(roles), Role)
    implied: dict[str, list[str]] = {}
    for row in await conn.execute(sa.select(implied_roles.c.prior_id, implied_roles.c.implied_id)):
        implied.setdefault(row.prior_id, []).append(row.implied_id)
    return RoleGraph(found, implied)


async def get(conn: Connection, role_id: str) -> Role:
    row = await db.one(conn, sa.select(roles).where(roles.c.id == role_id), Role)
    if row is None:
        raise Missing(kind="role", id=role_id)
    return row


def _of_user(user_id: str, groups: Sequence[str]) -> sa.ColumnElement[bool]:
    of_groups = sa.select(memberships.c.group_id).where(memberships.c.user_id == user_id)
    return sa.or_(assignments.c.actor_id.in_([user_id, *groups]), assignments.c.actor_id.in_(of_groups))


_TARGET, _ABOVE = sa.bindparam("target"), sa.bindparam("above", expanding=True)
_GROUPS = sa.select(memberships.c.group_id).where(memberships.c.user_id == sa.bindparam("user"))
_ACTORS = sa.or_(assignments.c.actor_id.in_(sa.bindparam("actors", expanding=True)),
                 assignments.c.actor_id.in_(_GROUPS))
_GIVEN = sa.and_(assignments.c.target_id == _TARGET, assignments.c.inherited.is_(False))
_INHERITED = sa.and_(assignments.c.target_id.in_(_ABOVE), assignments.c.inherited.is_(True))
_HELD = sa.select(assignments.c.role_id).where(_GIVEN, _ACTORS)
_HELD_BELOW = sa.select(assignments.c.role_id).where(sa.or_(_GIVEN, _INHERITED), _ACTORS)


async def held(conn: Connection, user_id: str, target_id: str, ancestors: list[str], *,
               groups: Sequence[str] = ()) -> set[str]:
    """Ids of the roles a user holds on a project, a domain or SYSTEM: given there, or inherited from `ancestors`;
    to the user, to a group of theirs, or to one of `groups`. What the roles imply is not in it."""
    asked = {"target": target_id, "user": user_id, "actors": [user_id, *groups]}
    if ancestors:
        return set(await db.scalars(conn, _HELD_BELOW, above=ancestors, **asked))
    return set(await db.scalars(conn, _HELD, **asked))


async def of_user(conn: Connection, user_id: str, *, groups: Sequence[str] = ()) -> list[Assignment]:
    """Everything given to a user, a group of theirs, or one of `groups`."""
    return await db.many(conn, sa.select(assignments).where(_of_user(user_id, groups)), Assignment)


def reachable(given: list[Assignment]) -> sa.ColumnElement[bool]:
    """Projects (and domains) on which these assignments count."""
    direct = {a.target_id for a in given if not a.inherited}
    above = sorted({a.target_id for a in given if a.inherited})
    return sa.or_(projects.c.id.in_(direct), *(
        sa.and_(projects.c.path.contains(f"/{id}/", autoescape=True), projects.c.id != id) for id in above))


def assignment(*, user_id: str | None = None, group_id: str | None = None, target_id: str, role_id: str,
               inherited: bool = False) -> Assignment:
    return Assignment(actor_id=user_id or group_id or "", target_id=target_id, role_id=role_id, inherited=inherited,
                      user_id=user_id, group_id=group_id, project_id=None if target_id == SYSTEM else target_id)


def _same(wanted: Assignment) -> sa.ColumnElement[bool]:
    return sa.and_(assignments.c.actor_id == wanted.actor_id, assignments.c.target_id == wanted.target_id,
                   assignments.c.role_id == wanted.role_id, assignments.c.inherited.is_(wanted.inherited))


async def is_assigned(conn: Connection, wanted: Assignment) -> bool:
    return await db.scalar(conn, sa.select(assignments.c.role_id).where(_same(wanted))) is not None


async def assign(tx: Connection, wanted: Assignment) -> bool:
    """Whether it was not so before."""
    if await is_assigned(tx, wanted):
        return False
    await db.add(tx, assignments, wanted)
    return True


async def unassign(tx: Connection, wanted: Assignment) -> bool:
    return await db.update(tx, assignments.delete().where(_same(wanted))) == 1
