"""Credentials for other systems, readable by their user; and stored policies, which nobody of ours reads."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.fields import Id, Name255, Unset, same_or_refused
from pileus.identity.api.listing import given, merged, narrowed, page, parsed, views
from pileus.identity.api.views import self_link
from pileus.identity.faults import Duplicate, InvalidBody, Missing
from pileus.identity.model import credentials, projects, users
from pileus.identity.model.credentials import Credential, StoredPolicy
from pileus.identity.model.tables import credentials as table
from pileus.identity.model.tables import policies as policy_table
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

OWN = "user_id:%(target.credential.user_id)s"
READ = f"{policies.ANY_ADMIN} or {policies.SYSTEM_READER} or {OWN}"
WRITE = f"{policies.ANY_ADMIN} or {OWN}"


def _facts(row: Credential) -> dict[str, Any]:
    return {"target.credential.user_id": row.user_id, "user_id": row.user_id}


CREDENTIAL = Target(credentials.get, missing=Missing, facts=_facts, refuse=policies.nothing)
POLICY = Target(credentials.get_policy, missing=Missing, refuse=policies.nothing)
routes = Routes()


class CredentialCreate(msgspec.Struct, kw_only=True):
    type: Name255
    blob: str
    user_id: Id | None = None
    project_id: Id | None = None


class CredentialUpdate(msgspec.Struct, kw_only=True):
    type: Name255 | Unset = msgspec.UNSET
    blob: str | Unset = msgspec.UNSET
    user_id: Id | Unset = msgspec.UNSET
    project_id: Id | None | Unset = msgspec.UNSET


def _view(ctx: Ctx, row: Credential) -> dict[str, Any]:
    return row.extra | {
        "id": row.id, "user_id": row.user_id, "project_id": row.project_id, "type": row.type,
        "blob": ctx.app.credential_keys.decrypt(row.encrypted_blob).decode(),
        "links": self_link(ctx, "credentials", row.id)}


@routes.get("/v3/credentials", envelope="credentials", policy=Rule("identity:list_credentials", policies.ANYONE))
async def list_credentials(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    """Everybody's for those who may get everybody's, else the caller's own."""
    found = narrowed(sa.select(table), query, {"user_id": table.c.user_id, "type": table.c.type})
    if not ctx.allows("identity:get_credential", {}):
        found = found.where(table.c.user_id == ctx.caller.user_id)
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, Credential, query), _view)


def _ec2_access(type: str, blob: str) -> str | None:
    """EC2 credentials are found by the digest of their access key, so the key must be in the blob."""
    if type != "ec2":
        return None
    try:
        access = msgspec.json.decode(blob, type=dict[str, Any])["access"]
    except (msgspec.DecodeError, KeyError) as error:
        raise InvalidBody(reason="The blob of an ec2 credential is an object with access and secret.") from error
    return str(access)


async def _check(tx: Connection, values: dict[str, Any], type: str) -> None:
    try:
        if "user_id" in values:
            await users.get(tx, values["user_id"])
        if values.get("project_id"):
            await projects.get(tx, values["project_id"])
    except Missing as error:
        raise InvalidBody(reason=str(error)) from error
    if type == "ec2" and "project_id" in values and not values["project_id"]:
        raise InvalidBody(reason="Credential type ec2 requires project_id.")


@routes.post("/v3/credentials", envelope="credential", status=201, policy=Rule("identity:create_credential", WRITE),
             check=False)
async def create_credential(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(CredentialCreate, body)
    user_id = fields.user_id or ctx.caller.user_id
    ctx.must_allow("identity:create_credential", {"target.credential.user_id": user_id, "user_id": user_id})
    access = _ec2_access(fields.type, fields.blob)
    row = Credential(id=hashlib.sha256(access.encode()).hexdigest() if access else new_hex(), user_id=user_id,
                     project_id=fields.project_id, type=fields.type, extra=extra,
                     encrypted_blob=ctx.app.credential_keys.encrypt(fields.blob.encode()))
    try:
        async with ctx.db.write() as tx:
            await _check(tx, {"user_id": user_id, "project_id": row.project_id}, row.type)
            await db.add(tx, table, row)
    except db.Taken as error:
        raise Duplicate(kind="credential", why="its access key is in use.") from error
    return _view(ctx, row)


@routes.get("/v3/credentials/{credential_id}", envelope="credential", target=CREDENTIAL,
            policy=Rule("identity:get_credential", READ))
async def show_credential(ctx: Ctx, credential: Credential) -> dict[str, Any]:
    return _view(ctx, credential)


@routes.patch("/v3/credentials/{credential_id}", envelope="credential", target=CREDENTIAL,
              policy=Rule("identity:update_credential", WRITE))
async def update_credential(ctx: Ctx, credential: Credential, body: dict[str, Any]) -> dict[str, Any]:
    same_or_refused(body, "id", credential.id)
    fields, extra = parsed(CredentialUpdate, body)
    values = given(fields)
    if "user_id" in values:
        ctx.must_allow("identity:update_credential", {
            "target.credential.user_id": values["user_id"], "user_id": values["user_id"]})
    if "blob" in values:
        values["encrypted_blob"] = ctx.app.credential_keys.encrypt(values.pop("blob").encode())
    if extra:
        values["extra"] = merged(credential.extra, extra)
    async with ctx.db.write() as tx:
        await _check(tx, values, values.get("type", credential.type))
        return _view(ctx, await db.change(tx, table, credential, **values))


@routes.delete("/v3/credentials/{credential_id}", target=CREDENTIAL, policy=Rule("identity:delete_credential", WRITE))
async def delete_credential(ctx: Ctx, credential: Credential) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == credential.id))


# -- stored policies ----------------------------------------------------------------------------------------------


class PolicyFields(msgspec.Struct, kw_only=True):
    type: Name255 | Unset = msgspec.UNSET
    blob: str | Unset = msgspec.UNSET


def policy_view(ctx: Ctx, row: StoredPolicy) -> dict[str, Any]:
    return row.extra | {"id": row.id, "type": row.type, "blob": row.blob, "links": self_link(ctx, "policies", row.id)}


@routes.get("/v3/policies", envelope="policies", policy=Rule("identity:list_policies", policies.READER))
async def list_policies(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(policy_table), query, {"type": policy_table.c.type})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, policy_table.c.id, StoredPolicy, query), policy_view)


@routes.post("/v3/policies", envelope="policy", status=201, policy=Rule("identity:create_policy", policies.ADMIN))
async def create_policy(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(PolicyFields, body)
    values = given(fields)
    if set(values) != {"type", "blob"}:
        raise InvalidBody(reason="A policy has a type and a blob.")
    row = StoredPolicy(id=new_hex(), extra=extra, **values)
    async with ctx.db.write() as tx:
        await db.add(tx, policy_table, row)
    return policy_view(ctx, row)


@routes.get("/v3/policies/{policy_id}", envelope="policy", target=POLICY,
            policy=Rule("identity:get_policy", policies.READER))
async def show_policy(ctx: Ctx, policy: StoredPolicy) -> dict[str, Any]:
    return policy_view(ctx, policy)


@routes.patch("/v3/policies/{policy_id}", envelope="policy", target=POLICY,
              policy=Rule("identity:update_policy", policies.ADMIN))
async def update_policy(ctx: Ctx, policy: StoredPolicy, body: dict[str, Any]) -> dict[str, Any]:
    same_or_refused(body, "id", policy.id)
    fields, extra = parsed(PolicyFields, body)
    values = given(fields) | ({"extra": merged(policy.extra, extra)} if extra else {})
    async with ctx.db.write() as tx:
        return policy_view(ctx, await db.change(tx, policy_table, policy, **values))


@routes.delete("/v3/policies/{policy_id}", target=POLICY, policy=Rule("identity:delete_policy", policies.ADMIN))
async def delete_policy(ctx: Ctx, policy: StoredPolicy) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(policy_table.delete().where(policy_table.c.id == policy.id))
