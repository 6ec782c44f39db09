"""Trusts: letting somebody else act with one's roles."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.app_credentials import RoleRef
from pileus.identity.api.fields import time_ahead
from pileus.identity.api.listing import links_of, narrowed
from pileus.identity.api.views import role_view, self_link, time_view
from pileus.identity.faults import InvalidBody, Missing, Refused
from pileus.identity.model import roles, trusts, users
from pileus.identity.model.roles import Role
from pileus.identity.model.tables import trusts as table
from pileus.identity.model.trusts import Trust
from pileus.kit import db
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes, Target
from pileus.kit.web import Ctx

TRUSTOR, TRUSTEE = "user_id:%(target.trust.trustor_user_id)s", "user_id:%(target.trust.trustee_user_id)s"
READ = f"{policies.READER} or {TRUSTOR} or {TRUSTEE}"


def _facts(row: Trust) -> dict[str, Any]:
    return {"target.trust.trustor_user_id": row.trustor_user_id, "target.trust.trustee_user_id": row.trustee_user_id}


TRUST = Target(trusts.get, missing=Missing, facts=_facts, hidden=lambda row, caller: False)
MOST_REDELEGATIONS = 3
PATH = "/v3/OS-TRUST/trusts"
routes = Routes()


class TrustCreate(msgspec.Struct, kw_only=True):
    trustor_user_id: str
    trustee_user_id: str
    impersonation: bool
    project_id: str | None = None
    roles: list[RoleRef] = []
    expires_at: str | None = None
    remaining_uses: Annotated[int, msgspec.Meta(ge=1)] | None = None
    allow_redelegation: bool = False
    redelegation_count: Annotated[int, msgspec.Meta(ge=0)] | None = None


def _brief(ctx: Ctx, row: Trust) -> dict[str, Any]:
    return {"id": row.id, "trustor_user_id": row.trustor_user_id, "trustee_user_id": row.trustee_user_id,
            "project_id": row.project_id, "impersonation": row.impersonation, "remaining_uses": row.remaining_uses,
            "expires_at": time_view(row.expires_at), "deleted_at": time_view(row.deleted_at),
            "redelegation_count": row.redelegation_count or 0, "redelegated_trust_id": row.redelegated_trust_id,
            "links": self_link(ctx, "OS-TRUST", "trusts", row.id)}


def _roles(row: Trust, graph: roles.RoleGraph) -> list[Role]:
    return [graph.roles[id] for id in row.role_ids if id in graph.roles]


async def _full(ctx: Ctx, row: Trust) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = _roles(row, await ctx.app.contexts.role_graph(reader))
    return _brief(ctx, row) | {
        "roles": [role_view(ctx, role) for role in found],
        "roles_links": {"self": f"{ctx.base_url}{PATH}/{row.id}/roles", "next": None, "previous": None}}


@routes.get(PATH, policy=Rule("identity:list_trusts", policies.ANYONE))
async def list_trusts(ctx: Ctx, query: dict[str, list[str]]) -> dict[str, Any]:
    """All trusts for those who may see all; one's own otherwise, which one has to ask for by role in it."""
    found = narrowed(sa.select(table), query, {
        "trustor_user_id": table.c.trustor_user_id, "trustee_user_id": table.c.trustee_user_id})
    asked = {key: query[key][-1] for key in ("trustor_user_id", "trustee_user_id") if key in query}
    if ctx.caller.user_id not in asked.values() and not ctx.allows("identity:get_trust", {}):
        raise Refused(reason="You are not authorized to perform the requested action: identity:list_trusts.")
    async with ctx.db.read() as reader:
        rows = await db.many(reader, found.order_by(table.c.id), Trust)
    return {"trusts": [_brief(ctx, row) for row in rows], "links": links_of(ctx)}


@routes.post(PATH, envelope="trust", status=201, policy=Rule("identity:create_trust", TRUSTOR), check=False)
async def create_trust(ctx: Ctx, body: TrustCreate) -> dict[str, Any]:
    ctx.must_allow("identity:create_trust", {"target.trust.trustor_user_id": body.trustor_user_id})
    context = await ctx.app.contexts.of(ctx.caller.token)
    if context.restricted:
        raise Refused(reason="A token of a restricted application credential cannot make trusts.")
    if body.project_id is None or not body.roles:
        raise Refused(reason="At least one role on a project should be specified.")
    if body.project_id != ctx.caller.project_id:
        raise Refused(reason="A trust is for the project of the token it is made with.")
    held = {role.id: role for role in context.roles}
    chosen = [next((id for id, role in held.items() if ref.id == id or (not ref.id and ref.name == role.name)), None)
              for ref in body.roles]
    if None in chosen:
        raise Refused(reason="Some of the roles requested are not held by the trustor.")
    async with ctx.db.write() as tx:
        await users.get(tx, body.trustee_user_id)
        trust = Trust(id=new_hex(), trustor_user_id=body.trustor_user_id, trustee_user_id=body.trustee_user_id,
                      project_id=body.project_id, impersonation=body.impersonation, remaining_uses=body.remaining_uses,
                      expires_at=time_ahead(body.expires_at, ctx.clock()), role_ids=[id for id in chosen if id],
                      allow_redelegation=body.allow_redelegation, redelegation_count=_depth(body, MOST_REDELEGATIONS))
        if context.token.trust_id:
            trust = _handed_on(await trusts.get(tx, context.token.trust_id), trust, body)
        await db.add(tx, table, trust)
    return await _full(ctx, trust)


def _depth(body: TrustCreate, most: int) -> int:
    """How often a trust may be handed on."""
    if not body.allow_redelegation:
        return 0
    if body.remaining_uses is not None:
        raise InvalidBody(reason="remaining_uses must not be set if redelegation is allowed.")
    if body.redelegation_count is not None and body.redelegation_count > most:
        raise Refused(reason=f"Requested redelegation depth of {body.redelegation_count} is greater than allowed "
                             f"{most}.")
    return most if body.redelegation_count is None else body.redelegation_count


def _handed_on(parent: Trust, trust: Trust, body: TrustCreate) -> Trust:
    """What is made with a trust is no more than the trust: no longer, no deeper, on behalf of the same trustor."""
    left = parent.redelegation_count or 0
    if not parent.allow_redelegation or left < 1:
        raise Refused(reason=f"Remaining redelegation depth of {left} out of allowed range of "
                             f"[0..{MOST_REDELEGATIONS}].")
    if not parent.impersonation and body.impersonation:
        raise Refused(reason="Impersonation is not allowed because redelegated trust does not specify impersonation.")
    ends = trust.expires_at if trust.expires_at is not None else parent.expires_at
    if parent.expires_at is not None and (ends or 0.0) > parent.expires_at:
        raise Refused(reason="Requested expiration time is more than redelegated trust can provide.")
    if set(trust.role_ids) - set(parent.role_ids):
        raise Refused(reason="Some of requested roles are not in redelegated trust.")
    return msgspec.structs.replace(trust, redelegated_trust_id=parent.id, expires_at=ends,
                                   redelegation_count=_depth(body, left - 1))


@routes.get(f"{PATH}/{{trust_id}}", envelope="trust", target=TRUST, policy=Rule("identity:get_trust", READ))
async def show_trust(ctx: Ctx, trust: Trust) -> dict[str, Any]:
    return await _full(ctx, trust)


@routes.delete(f"{PATH}/{{trust_id}}", target=TRUST,
               policy=Rule("identity:delete_trust", f"{policies.ADMIN} or {TRUSTOR}"))
async def delete_trust(ctx: Ctx, trust: Trust) -> None:
    async with ctx.db.write() as tx:
        gone = [trust.id, *await trusts.handed_on(tx, trust.id)]
        await tx.execute(table.delete().where(table.c.id.in_(gone)))
        await ctx.app.announce(tx, *(f"trust:{id}" for id in gone), revoke=True)


@routes.get(f"{PATH}/{{trust_id}}/roles", target=TRUST, policy=Rule("identity:list_roles_for_trust", READ))
async def list_trust_roles(ctx: Ctx, trust: Trust) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = _roles(trust, await ctx.app.contexts.role_graph(reader))
    return {"roles": [role_view(ctx, role) for role in found], "links": links_of(ctx)}


@routes.head(f"{PATH}/{{trust_id}}/roles/{{role_id}}", target=TRUST,
             policy=Rule("identity:get_role_for_trust", READ))
@routes.get(f"{PATH}/{{trust_id}}/roles/{{role_id}}", envelope="role", target=TRUST,
            policy=Rule("identity:get_role_for_trust", READ))
async def show_trust_role(ctx: Ctx, trust: Trust, role_id: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = [role for role in _roles(trust, await ctx.app.contexts.role_graph(reader)) if role.id == role_id]
    if not found:
        raise Missing(kind="role", id=role_id)
    return role_view(ctx, found[0])
