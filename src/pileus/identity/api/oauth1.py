"""OAuth 1.0a: consumers, the tokens they ask for, and what users make of that."""

from __future__ import annotations

import hmac
import secrets
from typing import Any
from urllib.parse import urlencode

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from pileus.identity import oauth1, policies
from pileus.identity.api.app_credentials import RoleRef
from pileus.identity.api.fields import Unset
from pileus.identity.api.listing import given, links_of, merged, page, parsed, views
from pileus.identity.api.views import role_view, self_link
from pileus.identity.contexts import iso
from pileus.identity.faults import InvalidBody, Missing, Refused
from pileus.identity.model import oauth, projects, users
from pileus.identity.model.oauth import AccessToken, Consumer, RequestToken, access_tokens, consumers, request_tokens
from pileus.identity.oauth1 import Signed
from pileus.kit import db
from pileus.kit.faults import Unauthorized
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

PATH = "/v3/OS-OAUTH1"
TOKENS = "/v3/users/{user_id}/OS-OAUTH1/access_tokens"
CONSUMER = Target(oauth.get_consumer, missing=Missing, facts=lambda row: {}, refuse=policies.nothing)
ACCESS = Target(oauth.get_access_token, missing=Missing, facts=lambda row: {}, refuse=policies.nothing)
USER = Target(users.get, missing=Missing, facts=policies.user_facts, refuse=policies.nothing)
REQUEST_SECONDS, ACCESS_SECONDS = 28_800.0, 86_400.0
VERIFIER_LETTERS = "abcdefghijkmnopqrstuvwxyz23456789"
routes = Routes()


# -- consumers ----------------------------------------------------------------------------------------------------


class ConsumerFields(msgspec.Struct, kw_only=True):
    description: str | None | Unset = msgspec.UNSET


def _consumer_view(ctx: Ctx, row: Consumer) -> dict[str, Any]:
    return row.extra | {"id": row.id, "description": row.description,
                        "links": self_link(ctx, "OS-OAUTH1", "consumers", row.id)}


@routes.post(f"{PATH}/consumers", envelope="consumer", status=201,
             policy=Rule("identity:create_consumer", policies.ADMIN))
async def create_consumer(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(ConsumerFields, {key: value for key, value in body.items() if key != "secret"})
    secret = secrets.token_hex(32)
    row = Consumer(id=new_hex(), extra=extra, secret=ctx.app.credential_keys.encrypt(secret.encode()),
                   description=given(fields).get("description"))
    async with ctx.db.write() as tx:
        await db.add(tx, consumers, row)
    return _consumer_view(ctx, row) | {"secret": secret}


@routes.get(f"{PATH}/consumers", envelope="consumers", policy=Rule("identity:list_consumers", policies.READER))
async def list_consumers(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    async with ctx.db.read() as reader:
        found = await page(reader, sa.select(consumers), consumers.c.id, Consumer, query)
        return views(ctx, found, _consumer_view)


@routes.get(f"{PATH}/consumers/{{consumer_id}}", envelope="consumer", target=CONSUMER,
            policy=Rule("identity:get_consumer", policies.READER))
async def show_consumer(ctx: Ctx, consumer: Consumer) -> dict[str, Any]:
    return _consumer_view(ctx, consumer)


@routes.patch(f"{PATH}/consumers/{{consumer_id}}", envelope="consumer", target=CONSUMER,
              policy=Rule("identity:update_consumer", policies.ADMIN))
async def update_consumer(ctx: Ctx, consumer: Consumer, body: dict[str, Any]) -> dict[str, Any]:
    if "secret" in body:
        raise InvalidBody(reason="Cannot change consumer secret")
    fields, extra = parsed(ConsumerFields, body)
    async with ctx.db.write() as tx:
        return _consumer_view(ctx, await db.change(tx, consumers, consumer, extra=merged(consumer.extra, extra),
                                                   **given(fields)))


@routes.delete(f"{PATH}/consumers/{{consumer_id}}", target=CONSUMER,
               policy=Rule("identity:delete_consumer", policies.ADMIN))
async def delete_consumer(ctx: Ctx, consumer: Consumer) -> None:
    async with ctx.db.write() as tx:
        ended = await oauth.of_consumer(tx, consumer.id)
        await tx.execute(consumers.delete().where(consumers.c.id == consumer.id))
        if ended:
            await ctx.app.announce(tx, *(f"oauth:{id}" for id in ended), revoke=True)


# -- from a request token to an access token ----------------------------------------------------------------------


def _form(**fields: str) -> Response:
    """Times go as they are: clients compare them as they came."""
    ends = fields.pop("oauth_expires_at")
    return Response(f"{urlencode(fields)}&oauth_expires_at={ends}", 201, media_type="application/x-www-form-urlencoded")


@routes.post(f"{PATH}/request_token", policy=None, status=201)
async def create_request_token(ctx: Ctx) -> Response:
    """A consumer asks to act for somebody in a project."""
    signed = Signed.of(ctx)
    consumer = await oauth1.consumer_of(ctx.app, signed)
    await oauth1.must_be_signed_by(ctx.app, signed, consumer)
    secret, ends = secrets.token_hex(32), ctx.clock() + REQUEST_SECONDS
    async with ctx.db.write() as tx:
        await oauth.prune(tx, ctx.clock())
        project = await projects.get(tx, ctx.request.headers.get("requested-project-id", ""))
        row = RequestToken(id=new_hex(), consumer_id=consumer.id, project_id=project.id, expires_at=ends,
                           secret=ctx.app.credential_keys.encrypt(secret.encode()))
        await db.add(tx, request_tokens, row)
    return _form(oauth_token=row.id, oauth_token_secret=secret, oauth_expires_at=iso(ends))


class Authorization(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    roles: list[RoleRef]


@routes.put(f"{PATH}/authorize/{{request_token_id}}", envelope="token", bare_body=True,
            policy=Rule("identity:authorize_request_token", policies.ADMIN))
async def authorize(ctx: Ctx, request_token_id: str, body: Authorization) -> dict[str, str]:
    """Somebody lets a consumer have some of the roles that they hold in the project."""
    context = await ctx.app.contexts.of(ctx.caller.token)
    if context.token.trust_id or context.token.oauth_id or context.token.app_credential_id:
        raise Refused(reason="Cannot authorize a request token with a token issued via delegation.")
    verifier = "".join(secrets.choice(VERIFIER_LETTERS) for _ in range(8))
    async with ctx.db.write() as tx:
        row = await oauth.find_request_token(tx, request_token_id)
        if row is None or row.expires_at <= ctx.clock():
            raise Missing(kind="OAuth request token", id=request_token_id)
        held = await ctx.app.contexts.roles_on(tx, ctx.caller.user_id, row.project_id)
        chosen = [role.id for ref in body.roles for role in held if role.id == ref.id
                  or (ref.id is None and role.name == ref.name)]
        if not chosen or len(chosen) != len(body.roles):
            raise Unauthorized()
        await db.change(tx, request_tokens, row, user_id=ctx.caller.user_id, verifier=verifier, role_ids=chosen)
    return {"oauth_verifier": verifier}


@routes.post(f"{PATH}/access_token", policy=None, status=201)
async def create_access_token(ctx: Ctx) -> Response:
    """For a request token that was authorized; it counts once."""
    signed = Signed.of(ctx)
    consumer = await oauth1.consumer_of(ctx.app, signed)
    async with ctx.db.read() as reader:
        asked = await oauth.find_request_token(reader, signed.fields.get("oauth_token", ""))
    if asked is None:
        raise Unauthorized()
    await oauth1.must_be_signed_by(ctx.app, signed, consumer, asked)
    verifier = signed.fields.get("oauth_verifier", "")
    if asked.user_id is None or not hmac.compare_digest(verifier.encode(), (asked.verifier or "").encode()):
        raise Unauthorized()
    secret, ends = secrets.token_hex(32), ctx.clock() + ACCESS_SECONDS
    row = AccessToken(id=new_hex(), consumer_id=consumer.id, project_id=asked.project_id, user_id=asked.user_id,
                      role_ids=asked.role_ids, expires_at=ends,
                      secret=ctx.app.credential_keys.encrypt(secret.encode()))
    async with ctx.db.write() as tx:
        if not await db.update(tx, request_tokens.delete().where(request_tokens.c.id == asked.id)):
            raise Unauthorized()
        await db.add(tx, access_tokens, row)
    return _form(oauth_token=row.id, oauth_token_secret=secret, oauth_expires_at=iso(ends))


# -- what consumers were allowed ----------------------------------------------------------------------------------


def _access_view(ctx: Ctx, row: AccessToken) -> dict[str, Any]:
    links = self_link(ctx, "users", row.user_id, "OS-OAUTH1", "access_tokens", row.id)
    return {"id": row.id, "consumer_id": row.consumer_id, "project_id": row.project_id,
            "authorizing_user_id": row.user_id, "expires_at": iso(row.expires_at),
            "links": links | {"roles": f"{links['self']}/roles"}}


@routes.get(TOKENS, envelope="access_tokens", target=USER, policy=Rule("identity:list_access_tokens", policies.ADMIN))
async def list_access_tokens(ctx: Ctx, user: users.User, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = sa.select(access_tokens).where(access_tokens.c.user_id == user.id)
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, access_tokens.c.id, AccessToken, query), _access_view)


@routes.get(f"{TOKENS}/{{access_token_id}}", envelope="access_token", target=ACCESS,
            policy=Rule("identity:get_access_token", policies.ADMIN))
async def show_access_token(ctx: Ctx, token: AccessToken) -> dict[str, Any]:
    return _access_view(ctx, token)


@routes.delete(f"{TOKENS}/{{access_token_id}}", target=ACCESS,
               policy=Rule("identity:delete_access_token", policies.ADMIN))
async def delete_access_token(ctx: Ctx, token: AccessToken) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(access_tokens.delete().where(access_tokens.c.id == token.id))
        await ctx.app.announce(tx, f"oauth:{token.id}", revoke=True)


@routes.get(f"{TOKENS}/{{access_token_id}}/roles", target=ACCESS,
            policy=Rule("identity:list_access_token_roles", policies.ADMIN))
async def list_access_token_roles(ctx: Ctx, token: AccessToken) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        graph = await ctx.app.contexts.role_graph(reader)
    found = [role_view(ctx, graph.roles[id]) for id in sorted(token.role_ids) if id in graph.roles]
    return {"roles": found, "links": links_of(ctx)}


@routes.get(f"{TOKENS}/{{access_token_id}}/roles/{{role_id}}", envelope="role", target=ACCESS,
            policy=Rule("identity:get_access_token_role", policies.ADMIN))
async def show_access_token_role(ctx: Ctx, token: AccessToken, role_id: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        graph = await ctx.app.contexts.role_graph(reader)
    if role_id not in token.role_ids or role_id not in graph.roles:
        raise Missing(kind="role", id=role_id)
    return role_view(ctx, graph.roles[role_id])
