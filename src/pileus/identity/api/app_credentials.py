"""Application credentials: what programs log in with instead of their user's password."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.fields import Name255, time_ahead
from pileus.identity.api.listing import links_of, narrowed, page, views
from pileus.identity.api.views import self_link
from pileus.identity.faults import Duplicate, InvalidBody, Missing, Refused
from pileus.identity.model import app_credentials, users
from pileus.identity.model.app_credentials import AccessRule, AppCredential
from pileus.identity.model.roles import Role
from pileus.identity.model.tables import access_rules
from pileus.identity.model.tables import app_credentials as table
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

OWNER = policies.OWNER
READ, WRITE = f"{policies.READER} or {OWNER}", f"{policies.ADMIN} or {OWNER}"
READ_RULE, WRITE_RULE = f"{policies.SYSTEM_READER} or {OWNER}", f"(role:admin and system_scope:all) or {OWNER}"
CREDENTIAL = Target(app_credentials.get, missing=Missing, facts=policies.app_credential_facts,
                    refuse=policies.of_path_user)
USER = Target(users.get, missing=Missing, facts=policies.user_facts, refuse=policies.nothing)
RULE = Target(app_credentials.get_rule, missing=Missing, refuse=policies.of_path_user,
              facts=lambda row: {"target.user.id": row.user_id, "user_id": row.user_id})
PATH = "/v3/users/{user_id}/application_credentials"
RULES = "/v3/users/{user_id}/access_rules"
routes = Routes()


class RoleRef(msgspec.Struct, kw_only=True):
    id: str | None = None
    name: str | None = None


class RuleRef(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: str | None = None
    service: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=16)] | None = None
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None


class CredentialCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name255
    description: str | None = None
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    expires_at: str | None = None
    roles: list[RoleRef] | None = None
    unrestricted: bool = False
    access_rules: list[RuleRef] = []
    project_id: str | None = None


def _view(ctx: Ctx, row: AppCredential) -> dict[str, Any]:
    graph: dict[str, Role] = ctx.app.contexts.known_roles
    found: dict[str, Any] = {
        "id": row.id, "name": row.name, "description": row.description, "project_id": row.project_id,
        "user_id": row.user_id, "unrestricted": row.unrestricted, "system": None,
        "expires_at": None if row.expires_at is None else datetime.fromtimestamp(
            round(row.expires_at, 6), UTC).replace(tzinfo=None).isoformat(),
        "roles": [{"id": id, "name": graph[id].name, "domain_id": graph[id].domain_id}
                  for id in row.role_ids if id in graph],
        "links": self_link(ctx, "users", row.user_id, "application_credentials", row.id)}
    return found | ({"access_rules": row.access_rules} if row.access_rules else {})


@routes.get(PATH, envelope="application_credentials", target=USER,
            policy=Rule("identity:list_application_credentials", READ))
async def list_app_credentials(ctx: Ctx, user: users.User, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(table).where(table.c.user_id == user.id), query, {"name": table.c.name})
    async with ctx.db.read() as reader:
        await ctx.app.contexts.role_graph(reader)
        return views(ctx, await page(reader, found, table.c.id, AppCredential, query), _view)


@routes.post(PATH, envelope="application_credential", target=USER, status=201,
             policy=Rule("identity:create_application_credential", OWNER))
async def create_app_credential(ctx: Ctx, user: users.User, body: CredentialCreate) -> dict[str, Any]:
    context = await ctx.app.contexts.of(ctx.caller.token)
    project_id = ctx.caller.project_id
    if project_id is None or body.project_id not in (None, project_id):
        raise InvalidBody(reason="An application credential is for the project of the token it is made with.")
    _must_be_free(context)
    secret = body.secret or secrets.token_urlsafe(64)
    hashed = await ctx.app.passwords.hash(secret)
    try:
        async with ctx.db.write() as tx:
            row = AppCredential(
                id=new_hex(), user_id=user.id, project_id=project_id, name=body.name, secret_hash=hashed,
                description=body.description, expires_at=time_ahead(body.expires_at, ctx.clock()),
                unrestricted=body.unrestricted, role_ids=_chosen(body.roles, context.roles),
                access_rules=[await _rule(tx, user.id, asked) for asked in body.access_rules])
            await db.add(tx, table, row)
    except db.Taken as error:
        raise Duplicate(kind="application_credential", why=f"Duplicate entry found with name {body.name}.") from error
    return _view(ctx, row) | {"secret": secret}


def _must_be_free(context: Any) -> None:
    if context.restricted:
        raise Refused(reason="Using method 'application_credential' is not allowed for managing additional application "
                             "credentials.")


def _chosen(asked: list[RoleRef] | None, held: list[Role]) -> list[str]:
    """Ids of the roles asked for, all of which the caller must hold; without any, all that are held."""
    if asked is None:
        return [role.id for role in held]
    chosen = []
    for ref in asked:
        found = [role.id for role in held if (ref.id and role.id == ref.id) or (not ref.id and role.name == ref.name)]
        if not found:
            raise InvalidBody(reason=f"Invalid application credential: you do not hold the role {ref.id or ref.name}.")
        chosen += found
    return chosen


async def _rule(tx: Connection, user_id: str, asked: RuleRef) -> dict[str, str]:
    """An access rule of the user, made if it is not there."""
    if asked.id is not None:
        rule = await app_credentials.get_rule(tx, user_id, asked.id)
    elif asked.service is None or asked.method is None or asked.path is None:
        raise InvalidBody(reason="An access rule has a service, a method and a path.")
    else:
        same = [r for r in await app_credentials.rules_of(tx, user_id)
                if (r.service, r.method, r.path) == (asked.service, asked.method, asked.path)]
        rule = same[0] if same else AccessRule(id=new_hex(), user_id=user_id, service=asked.service,
                                               method=asked.method, path=asked.path)
        if not same:
            await db.add(tx, access_rules, rule)
    return {"id": rule.id, "service": rule.service, "method": rule.method, "path": rule.path}


@routes.get(f"{PATH}/{{application_credential_id}}", envelope="application_credential", target=CREDENTIAL,
            policy=Rule("identity:get_application_credential", READ))
async def show_app_credential(ctx: Ctx, credential: AppCredential) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        await ctx.app.contexts.role_graph(reader)
    return _view(ctx, credential)


@routes.delete(f"{PATH}/{{application_credential_id}}", target=CREDENTIAL,
               policy=Rule("identity:delete_application_credential", WRITE))
async def delete_app_credential(ctx: Ctx, credential: AppCredential) -> None:
    _must_be_free(await ctx.app.contexts.of(ctx.caller.token))
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == credential.id))
        await ctx.app.announce(tx, f"app:{credential.id}", revoke=True)


# -- access rules -------------------------------------------------------------------------------------------------


def _rule_view(ctx: Ctx, row: AccessRule) -> dict[str, Any]:
    return {"id": row.id, "service": row.service, "method": row.method, "path": row.path,
            "links": self_link(ctx, "users", row.user_id, "access_rules", row.id)}


@routes.get(RULES, target=USER, policy=Rule("identity:list_access_rules", READ_RULE))
async def list_access_rules(ctx: Ctx, user: users.User) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = await app_credentials.rules_of(reader, user.id)
    return {"access_rules": [_rule_view(ctx, row) for row in found], "links": links_of(ctx)}


@routes.get(f"{RULES}/{{access_rule_id}}", envelope="access_rule", target=RULE,
            policy=Rule("identity:get_access_rule", READ_RULE))
async def show_access_rule(ctx: Ctx, rule: AccessRule) -> dict[str, Any]:
    return _rule_view(ctx, rule)


@routes.delete(f"{RULES}/{{access_rule_id}}", target=RULE, policy=Rule("identity:delete_access_rule", WRITE_RULE))
async def delete_access_rule(ctx: Ctx, rule: AccessRule) -> None:
    async with ctx.db.write() as tx:
        using = [c for c in await app_credentials.of_user(tx, rule.user_id)
                 if any(r["id"] == rule.id for r in c.access_rules)]
        if using:
            raise Refused(reason=f"The access rule {rule.id} is in use by an application credential.")
        await tx.execute(access_rules.delete().where(access_rules.c.id == rule.id))
