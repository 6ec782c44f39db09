"""Giving and taking roles: to users and groups, on projects, domains and the whole cloud."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pileus.identity import feed, policies
from pileus.identity.api.listing import links_of
from pileus.identity.api.views import role_view
from pileus.identity.faults import GrantNotFound, Missing, Refused
from pileus.identity.model import projects, roles, users
from pileus.identity.model.roles import Assignment, Role
from pileus.identity.model.tables import SYSTEM, assignments
from pileus.identity.model.tables import roles as role_table
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

ACTOR = "(domain_id:%(target.user.domain_id)s or domain_id:%(target.group.domain_id)s)"
PLACE = "(domain_id:%(target.project.domain_id)s or domain_id:%(target.domain.id)s)"
ROLE = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"
# An administrator of any project rules the cloud, so the managers of one domain may not make any.
LIST = f"{policies.ANY_ADMIN} or {policies.SYSTEM_READER} or (role:reader and {ACTOR} and {PLACE})"
READ = f"{policies.ANY_ADMIN} or {policies.SYSTEM_READER} or (role:reader and {ACTOR} and {PLACE} and {ROLE})"
WRITE = f"{policies.ANY_ADMIN} or (role:manager and {ACTOR} and {PLACE} and rule:{policies.MANAGED.name})"
routes = Routes()


async def _facts(conn: Connection, grant: Assignment, place: str) -> dict[str, Any]:
    """What is named must be there; and what policy may ask of it."""
    facts: dict[str, Any] = {}
    if grant.user_id is not None:
        facts |= policies.user_facts(await users.get(conn, grant.user_id))
    else:
        facts |= policies.group_facts(await users.get_group(conn, grant.group_id or ""))
    if place == "domains":
        facts |= policies.domain_facts(await projects.get_domain(conn, grant.target_id))
    elif place == "projects":
        facts |= policies.project_facts(await projects.get(conn, grant.target_id))
    if grant.role_id:
        role = await roles.get(conn, grant.role_id)
        facts |= policies.role_facts(role)
    return facts


class Grants:
    """The routes of one kind of grant, such as of a group's inherited roles on a domain."""

    def __init__(self, place: str, actor: str, *, inherited: bool = False):
        self.place, self.actor, self.inherited = place, actor, inherited
        where = "/v3/system" if place == SYSTEM else f"/v3/{'OS-INHERIT/' if inherited else ''}{place}/{{target_id}}"
        tail = "/inherited_to_projects" if inherited else ""
        many = f"{where}/{actor}/{{actor_id}}/roles{tail}"
        one = f"{where}/{actor}/{{actor_id}}/roles/{{role_id}}{tail}"
        routes.get(many, policy=self._rule("list", LIST), check=False)(self.list_roles)
        routes.put(one, status=204, policy=self._rule("create", WRITE), check=False)(self.give)
        routes.delete(one, policy=self._rule("revoke", WRITE), check=False)(self.take)
        for declare in (routes.head, routes.get):
            declare(one, status=204, policy=self._rule("check", READ), check=False)(self.check)

    def _rule(self, verb: str, check: str) -> Rule:
        plural = "s" if verb == "list" else ""
        if self.place == SYSTEM:
            everywhere = policies.ADMIN if check is WRITE else policies.READER
            return Rule(f"identity:{verb}_system_grant{plural}_for_{self.actor[:-1]}", everywhere)
        return Rule(f"identity:{verb}_grant{plural}", check)

    async def _grant(self, ctx: Ctx, rule: Rule, ids: dict[str, str]) -> tuple[Assignment, dict[str, Any]]:
        named = {"user_id": ids["actor_id"]} if self.actor == "users" else {"group_id": ids["actor_id"]}
        grant = roles.assignment(target_id=ids.get("target_id", SYSTEM), role_id=ids.get("role_id", ""),
                                 inherited=self.inherited, **named)
        try:
            async with ctx.db.read() as reader:
                facts = await _facts(reader, grant, self.place)
        except Missing:
            ctx.must_allow(rule.name, {})
            raise
        ctx.must_allow(rule.name, facts)
        return grant, facts

    async def list_roles(self, ctx: Ctx, **ids: str) -> dict[str, Any]:
        grant, _ = await self._grant(ctx, self._rule("list", LIST), ids)
        query = sa.select(role_table).join(assignments, assignments.c.role_id == role_table.c.id).where(
            assignments.c.actor_id == grant.actor_id, assignments.c.target_id == grant.target_id,
            assignments.c.inherited.is_(self.inherited))
        async with ctx.db.read() as reader:
            found = await db.many(reader, query.order_by(role_table.c.id), Role)
        return {"roles": [role_view(ctx, role) for role in found], "links": links_of(ctx)}

    async def check(self, ctx: Ctx, **ids: str) -> None:
        grant, _ = await self._grant(ctx, self._rule("check", READ), ids)
        async with ctx.db.read() as reader:
            if not await roles.is_assigned(reader, grant):
                raise _missing(grant)

    async def give(self, ctx: Ctx, **ids: str) -> None:
        grant, facts = await self._grant(ctx, self._rule("create", WRITE), ids)
        domain_id = facts["target.role.domain_id"]
        if self.place == "projects" and domain_id not in (None, facts["target.project.domain_id"]):
            raise Refused(reason=f"Project {grant.target_id} must be in the same domain as the role {grant.role_id} "
                                 "being assigned.")
        async with ctx.db.write() as tx:
            if await roles.assign(tx, grant):
                await self._announce(ctx, tx, grant)

    async def take(self, ctx: Ctx, **ids: str) -> None:
        grant, _ = await self._grant(ctx, self._rule("revoke", WRITE), ids)
        async with ctx.db.write() as tx:
            if not await roles.unassign(tx, grant):
                raise _missing(grant)
            await self._announce(ctx, tx, grant)

    async def _announce(self, ctx: Ctx, tx: Connection, grant: Assignment) -> None:
        """Validators work out the roles of whom it concerns again."""
        await ctx.app.announce(tx, f"user:{grant.user_id}" if grant.user_id else feed.EVERYTHING)


def _missing(grant: Assignment) -> GrantNotFound:
    return GrantNotFound(role_id=grant.role_id, actor_id=grant.actor_id, target=grant.target_id)


for _actor in ("users", "groups"):
    Grants(SYSTEM, _actor)
    for _place in ("projects", "domains"):
        Grants(_place, _actor)
        Grants(_place, _actor, inherited=True)
