"""This cloud as an identity provider for others: a user's token becomes what another cloud believes."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from pileus.identity.authentication import TokenPart
from pileus.identity.contexts import Context
from pileus.identity.faults import InvalidBody, Refused, TokenNotFound
from pileus.identity.federation import saml_idp
from pileus.identity.model import federation
from pileus.identity.model.tables import groups, memberships, projects
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()


class TokenProof(msgspec.Struct, kw_only=True):
    methods: list[str]
    token: TokenPart


class ProviderRef(msgspec.Struct, kw_only=True):
    id: str


class ProviderScope(msgspec.Struct, kw_only=True):
    service_provider: ProviderRef


class AssertionRequest(msgspec.Struct, kw_only=True):
    identity: TokenProof
    scope: ProviderScope


async def _groups(conn: Connection, user_id: str) -> list[str]:
    query = sa.select(groups.c.name, projects.c.name.label("domain")).join(
        memberships, memberships.c.group_id == groups.c.id).join(
        projects, projects.c.id == groups.c.domain_id).where(memberships.c.user_id == user_id).order_by(groups.c.id)
    return [saml_idp.group_attribute(row.name, row.domain) for row in await conn.execute(query)]


async def _asserted(ctx: Ctx, body: AssertionRequest, *, enveloped: bool) -> Response:
    if body.identity.methods != ["token"]:
        raise InvalidBody(reason="Expecting to find token in identity, and nothing else.")
    try:
        found: Context = await ctx.app.contexts.of(body.identity.token.id)
    except Unauthorized as error:
        raise TokenNotFound() from error
    token = found.token
    if token.project_id is None:
        raise Refused(reason="Use a project scoped token when attempting to create a SAML assertion")
    if token.trust_id or token.oauth_id or token.app_credential_id or token.thumbprint:
        raise Refused(reason="A token that stands for a part of somebody's rights makes no assertion.")
    async with ctx.db.read() as reader:
        provider = await federation.get_service_provider(reader, body.scope.service_provider.id)
        named = await _groups(reader, token.user_id)
    if not provider.enabled:
        raise Refused(reason=f"Service Provider {provider.id} is disabled.")
    text = await ctx.app.saml_idp.response(found, named, provider, enveloped=enveloped)
    headers = {"x-sp-url": provider.sp_url, "x-auth-url": provider.auth_url, "cache-control": "no-store"}
    return Response(text, 200, headers, "text/xml")


@routes.post("/v3/auth/OS-FEDERATION/saml2", policy=None, envelope="auth")
async def create_assertion(ctx: Ctx, body: AssertionRequest) -> Response:
    return await _asserted(ctx, body, enveloped=False)


@routes.post("/v3/auth/OS-FEDERATION/saml2/ecp", policy=None, envelope="auth")
async def create_envelope(ctx: Ctx, body: AssertionRequest) -> Response:
    return await _asserted(ctx, body, enveloped=True)


@routes.get("/v3/OS-FEDERATION/saml2/metadata", policy=None)
async def show_metadata(ctx: Ctx) -> Response:
    """What other clouds' operators are to be given."""
    return Response(await ctx.app.saml_idp.metadata(), 200, media_type="text/xml")
