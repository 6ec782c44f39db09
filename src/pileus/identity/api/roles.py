"""Roles and which others they imply."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity import feed, policies
from pileus.identity.api.fields import (
    RESERVED_ROLES,
    Id,
    Name255,
    Options,
    Unset,
    must_be_mutable,
    same_or_refused,
    with_options,
)
from pileus.identity.api.listing import given, links_of, merged, narrowed, page, parsed, views
from pileus.identity.api.views import role_view, self_link
from pileus.identity.faults import Duplicate, InvalidBody, Missing, Refused
from pileus.identity.model import projects, roles
from pileus.identity.model.roles import Role
from pileus.identity.model.tables import implied_roles
from pileus.identity.model.tables import roles as table
from pileus.kit import db
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

# Which roles there are is no secret: who asks for one that is not there is told so.
ROLE = Target(roles.get, missing=Missing, facts=policies.role_facts, hidden=lambda row, caller: False)
LIST = f"{policies.ANY_ADMIN} or {policies.SYSTEM_READER} or (role:manager and scope:domain)"
READ = f"{policies.ANY_ADMIN} or {policies.SYSTEM_READER}" \
       f" or (role:manager and scope:domain and rule:{policies.MANAGED.name})"
GET_DOMAIN_ROLE = Rule("identity:get_domain_role", policies.READER)
LIST_DOMAIN_ROLES = Rule("identity:list_domain_roles", policies.READER)
CREATE_DOMAIN_ROLE = Rule("identity:create_domain_role", policies.ADMIN)
UPDATE_DOMAIN_ROLE = Rule("identity:update_domain_role", policies.ADMIN)
DELETE_DOMAIN_ROLE = Rule("identity:delete_domain_role", policies.ADMIN)
routes = Routes()


class RoleCreate(msgspec.Struct, kw_only=True):
    name: Name255
    domain_id: Id | None = None
    description: str | None = None
    options: Options = {}


class RoleUpdate(msgspec.Struct, kw_only=True):
    name: Name255 | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET
    options: Options | Unset = msgspec.UNSET


def _must_allow(ctx: Ctx, role: Role, of_cloud: str, of_domain: Rule) -> None:
    """Roles of a domain have rules of their own."""
    ctx.must_allow(of_domain.name if role.domain_id else of_cloud, policies.role_facts(role))


@routes.get("/v3/roles", envelope="roles", policy=Rule("identity:list_roles", LIST), check=False)
async def list_roles(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    """Global roles, or those of the domain that `domain_id` names."""
    domain_id = query.get("domain_id", [""])[-1]
    ctx.must_allow(LIST_DOMAIN_ROLES.name if domain_id else "identity:list_roles", {})
    found = narrowed(sa.select(table).where(table.c.scope == domain_id), query, {"name": table.c.name})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, Role, query), role_view)


@routes.post("/v3/roles", envelope="role", status=201, policy=Rule("identity:create_role", policies.ADMIN), check=False)
async def create_role(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(RoleCreate, body)
    ctx.must_allow(CREATE_DOMAIN_ROLE.name if fields.domain_id else "identity:create_role", {})
    role = Role(id=new_hex(), name=fields.name, domain_id=fields.domain_id, scope=fields.domain_id or "", extra=extra,
                description=fields.description, options=with_options({}, fields.options))
    try:
        async with ctx.db.write() as tx:
            domain = await projects.find(tx, fields.domain_id) if fields.domain_id else None
            if fields.domain_id and (domain is None or not domain.is_domain):
                raise InvalidBody(reason=f"Could not find domain: {fields.domain_id}.")
            await db.add(tx, table, role)
            await ctx.app.announce(tx, feed.ROLES)
    except db.Taken as error:
        raise Duplicate(kind="role", why=f"Duplicate entry found with name {fields.name}.") from error
    return role_view(ctx, role)


@routes.head("/v3/roles/{role_id}", target=ROLE, policy=Rule("identity:get_role", READ), check=False)
async def check_role(ctx: Ctx, role: Role) -> None:
    _must_allow(ctx, role, "identity:get_role", GET_DOMAIN_ROLE)


@routes.get("/v3/roles/{role_id}", envelope="role", target=ROLE, policy=Rule("identity:get_role", READ), check=False)
async def show_role(ctx: Ctx, role: Role) -> dict[str, Any]:
    _must_allow(ctx, role, "identity:get_role", GET_DOMAIN_ROLE)
    return role_view(ctx, role)


@routes.patch("/v3/roles/{role_id}", envelope="role", target=ROLE,
              policy=Rule("identity:update_role", policies.ADMIN), check=False)
async def update_role(ctx: Ctx, role: Role, body: dict[str, Any]) -> dict[str, Any]:
    _must_allow(ctx, role, "identity:update_role", UPDATE_DOMAIN_ROLE)
    for name in ("id", "domain_id"):
        same_or_refused(body, name, getattr(role, name))
    must_be_mutable("role", role, body)
    fields, extra = parsed(RoleUpdate, {key: value for key, value in body.items() if key != "domain_id"})
    values = given(fields)
    if "options" in values:
        values["options"] = with_options(role.options, values["options"])
    if extra:
        values["extra"] = merged(role.extra, extra)
    try:
        async with ctx.db.write() as tx:
            await ctx.app.announce(tx, feed.ROLES)
            return role_view(ctx, await db.change(tx, table, role, **values))
    except db.Taken as error:
        raise Duplicate(kind="role", why=f"Duplicate entry found with name {values['name']}.") from error


@routes.delete("/v3/roles/{role_id}", target=ROLE, policy=Rule("identity:delete_role", policies.ADMIN), check=False)
async def delete_role(ctx: Ctx, role: Role) -> None:
    _must_allow(ctx, role, "identity:delete_role", DELETE_DOMAIN_ROLE)
    must_be_mutable("role", role)
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == role.id))
        await ctx.app.announce(tx, feed.ROLES)


# -- implied roles ------------------------------------------------------------------------------------------------


def _brief(ctx: Ctx, role: Role) -> dict[str, Any]:
    found: dict[str, Any] = {"id": role.id, "name": role.name, "links": self_link(ctx, "roles", role.id)}
    return found | ({"description": role.description} if role.description else {})


@routes.get("/v3/roles/{role_id}/implies", target=ROLE, policy=Rule("identity:list_implied_roles", policies.READER))
async def list_implied(ctx: Ctx, role: Role) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        graph = await ctx.app.contexts.role_graph(reader)
    implied = [_brief(ctx, graph.roles[id]) for id in sorted(graph.implied.get(role.id, ()))]
    return {"role_inference": {"prior_role": _brief(ctx, role), "implies": implied}, "links": links_of(ctx)}


@routes.head("/v3/roles/{role_id}/implies/{implied_id}", target=ROLE, status=204,
             policy=Rule("identity:check_implied_role", policies.READER))
async def check_implied(ctx: Ctx, role: Role, implied_id: str) -> None:
    await _inference(ctx, role, implied_id)


@routes.get("/v3/roles/{role_id}/implies/{implied_id}", target=ROLE,
            policy=Rule("identity:get_implied_role", policies.READER))
async def show_implied(ctx: Ctx, role: Role, implied_id: str) -> dict[str, Any]:
    return await _inference(ctx, role, implied_id)


async def _inference(ctx: Ctx, role: Role, implied_id: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        graph = await roles.graph(reader)
    if implied_id not in graph.implied.get(role.id, ()):
        raise Missing(kind="implied role", id=implied_id)
    return _rule(ctx, role, graph.roles[implied_id])


def _rule(ctx: Ctx, prior: Role, implied: Role) -> dict[str, Any]:
    return {"role_inference": {"prior_role": _brief(ctx, prior), "implies": _brief(ctx, implied)},
            "links": self_link(ctx, "roles", prior.id, "implies", implied.id)}


@routes.put("/v3/roles/{role_id}/implies/{implied_id}", target=ROLE, status=201,
            policy=Rule("identity:create_implied_role", policies.ADMIN))
async def add_implied(ctx: Ctx, role: Role, implied_id: str) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        implied = await roles.get(tx, implied_id)
        if implied.name in RESERVED_ROLES and implied.domain_id is None:
            raise Refused(reason=f"No role may imply {implied.name}.")
        if implied.domain_id is not None and role.domain_id is None:
            raise Refused(reason="A role of a domain can only be implied by a role of a domain.")
        graph = await roles.graph(tx)
        if implied_id not in graph.implied.get(role.id, ()):
            await tx.execute(implied_roles.insert().values(prior_id=role.id, implied_id=implied_id))
            await ctx.app.announce(tx, feed.ROLES)
    return _rule(ctx, role, implied)


@routes.delete("/v3/roles/{role_id}/implies/{implied_id}", target=ROLE,
               policy=Rule("identity:delete_implied_role", policies.ADMIN))
async def remove_implied(ctx: Ctx, role: Role, implied_id: str) -> None:
    gone = implied_roles.delete().where(implied_roles.c.prior_id == role.id, implied_roles.c.implied_id == implied_id)
    async with ctx.db.write() as tx:
        if not await db.update(tx, gone):
            raise Missing(kind="implied role", id=implied_id)
        await ctx.app.announce(tx, feed.ROLES)


@routes.get("/v3/role_inferences", policy=Rule("identity:list_role_inference_rules", policies.READER))
async def list_inferences(ctx: Ctx) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        graph = await ctx.app.contexts.role_graph(reader)
    rules = [{"prior_role": _brief(ctx, graph.roles[prior_id]),
              "implies": [_brief(ctx, graph.roles[id]) for id in sorted(implied)]}
             for prior_id, implied in sorted(graph.implied.items())]
    return {"role_inferences": rules, "links": links_of(ctx)}
