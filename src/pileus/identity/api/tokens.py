"""Tokens: got, looked into and ended; and what the holder of one may choose from."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from pileus.identity import authentication, policies
from pileus.identity.api.listing import links_of
from pileus.identity.api.views import domain_view, project_view
from pileus.identity.authentication import AuthRequest
from pileus.identity.contexts import Context
from pileus.identity.faults import TokenNotFound
from pileus.identity.model import roles
from pileus.identity.model.projects import Project
from pileus.identity.model.tables import SYSTEM, projects
from pileus.identity.oauth1 import Signed
from pileus.kit import db
from pileus.kit.faults import Forbidden, Unauthorized
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

VALIDATE = Rule("identity:validate_token", policies.VALIDATOR)
CHECK = Rule("identity:check_token", policies.VALIDATOR)
REVOKE = Rule("identity:revoke_token", f"{policies.ANY_ADMIN} or user_id:%(target.token.user_id)s")
routes = Routes()


class ValidateQuery(msgspec.Struct, kw_only=True):
    nocatalog: str | None = None
    allow_expired: str | None = None


class Nocatalog(msgspec.Struct, kw_only=True):
    nocatalog: str | None = None


def answer(found: Context, token: str, nocatalog: str | None, status: int = 200) -> Response:
    body = found.body if nocatalog is None else found.bare
    return Response(body, status, {"x-subject-token": token, "vary": "X-Auth-Token"}, "application/json")


@routes.post("/v3/auth/tokens", policy=None, envelope="auth", status=201)
async def get_token(ctx: Ctx, body: AuthRequest, query: Nocatalog) -> Response:
    receipt = ctx.request.headers.get("openstack-auth-receipt", "")
    token, found = await authentication.log_in(ctx.app, body, receipt, Signed.of(ctx))
    return answer(found, token, query.nocatalog, 201)


async def _subject(ctx: Ctx, rule: Rule, *, expired_ok: bool = False) -> tuple[str, Context]:
    """The token asked about. One that is not valid is not found, unlike the one that asks."""
    token = ctx.request.headers.get("x-subject-token", "")
    try:
        found = await ctx.app.contexts.of(token, expired_ok=expired_ok)
    except Unauthorized as error:
        raise TokenNotFound() from error
    if found.caller.access_rules and "openstack-identity-access-rules" not in ctx.request.headers:
        raise TokenNotFound()                    # whoever asks would let the token do everything
    ctx.must_allow(rule.name, {"target.token.user_id": found.token.user_id, "user_id": found.token.user_id})
    return token, found


@routes.get("/v3/auth/tokens", policy=VALIDATE, check=False)
async def validate_token(ctx: Ctx, query: ValidateQuery) -> Response:
    late = (query.allow_expired or "").lower() in ("1", "true", "yes", "on", "t", "y")
    expired_ok = late and (ctx.caller.is_admin or ctx.caller.has("service"))
    token, found = await _subject(ctx, VALIDATE, expired_ok=expired_ok)
    return answer(found, token, query.nocatalog)


@routes.head("/v3/auth/tokens", policy=CHECK, check=False)
async def check_token(ctx: Ctx) -> None:
    await _subject(ctx, CHECK)


@routes.delete("/v3/auth/tokens", policy=REVOKE, check=False)
async def revoke_token(ctx: Ctx) -> None:
    _, found = await _subject(ctx, REVOKE)
    async with ctx.db.write() as tx:
        await ctx.app.announce(tx, f"token:{found.token.audit_ids[0]}", revoke=True)


@routes.get("/v3/auth/catalog", policy=Rule("identity:get_auth_catalog", policies.ANYONE))
async def show_catalog(ctx: Ctx) -> dict[str, Any]:
    if ctx.caller.project_id is None and ctx.caller.domain_id is None and not ctx.caller.system:
        raise Forbidden(reason="A catalog needs a token with a scope.")
    async with ctx.db.read() as reader:
        found = await ctx.app.contexts.catalog(reader)
    entries = found.entries(user_id=ctx.caller.user_id, project_id=ctx.caller.project_id)
    return {"catalog": entries, "links": links_of(ctx)}


async def _reachable(ctx: Ctx, *, domains: bool) -> list[Project]:
    """Enabled projects, or domains, on which the caller holds a role."""
    groups = (await ctx.app.contexts.of(ctx.caller.token)).token.federated[2:]
    async with ctx.db.read() as reader:
        given = await roles.of_user(reader, ctx.caller.user_id, groups=groups)
        query = sa.select(projects).where(
            roles.reachable(given), projects.c.is_domain.is_(domains), projects.c.enabled.is_(True))
        return await db.many(reader, query.order_by(projects.c.id), Project)


@routes.head("/v3/auth/projects", policy=Rule("identity:get_auth_projects", policies.ANYONE))
@routes.get("/v3/OS-FEDERATION/projects", policy=Rule("identity:get_auth_projects", policies.ANYONE))
@routes.get("/v3/auth/projects", policy=Rule("identity:get_auth_projects", policies.ANYONE))
async def list_reachable_projects(ctx: Ctx) -> dict[str, Any]:
    found = await _reachable(ctx, domains=False)
    return {"projects": [project_view(ctx, project) for project in found], "links": links_of(ctx)}


@routes.head("/v3/auth/domains", policy=Rule("identity:get_auth_domains", policies.ANYONE))
@routes.get("/v3/OS-FEDERATION/domains", policy=Rule("identity:get_auth_domains", policies.ANYONE))
@routes.get("/v3/auth/domains", policy=Rule("identity:get_auth_domains", policies.ANYONE))
async def list_reachable_domains(ctx: Ctx) -> dict[str, Any]:
    found = await _reachable(ctx, domains=True)
    return {"domains": [domain_view(ctx, domain) for domain in found], "links": links_of(ctx)}


@routes.head("/v3/auth/system", policy=Rule("identity:get_auth_system", policies.ANYONE))
@routes.get("/v3/auth/system", policy=Rule("identity:get_auth_system", policies.ANYONE))
async def list_reachable_system(ctx: Ctx) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        held = await roles.held(reader, ctx.caller.user_id, SYSTEM, [])
    return {"system": [{"all": True}] if held else [], "links": links_of(ctx)}
