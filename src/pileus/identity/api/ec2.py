"""EC2 credentials: pairs of keys with which requests to Amazon's APIs are signed; and tokens for what is signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from pileus.identity import authentication, policies
from pileus.identity.api.listing import links_of
from pileus.identity.api.tokens import answer
from pileus.identity.api.views import self_link
from pileus.identity.faults import InvalidBody, Missing
from pileus.identity.model import credentials, projects, users
from pileus.identity.model.credentials import Credential
from pileus.identity.model.tables import credentials as table
from pileus.identity.model.users import User
from pileus.identity.signatures import Signed, Unsigned, s3_signature, same
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes, Target
from pileus.kit.web import Ctx

OWN = "(user_id:%(target.credential.user_id)s and not scope:domain)"
READ, DELETE, CREATE = (f"{policies.READER} or {OWN}", f"{policies.ADMIN} or {OWN}",
                        f"{policies.ADMIN} or (role:member and {OWN})")
PATH = "/v3/users/{user_id}/credentials/OS-EC2"
SKEW_SECONDS = 900.0
routes = Routes()


def id_of(access: str) -> str:
    """Found by the access key without a list of them."""
    return hashlib.sha256(access.encode()).hexdigest()


async def _get(conn: Connection, user_id: str, access: str) -> Credential:
    """Whoever the path says the owner is, it is the real one's that policy is asked about."""
    row = await credentials.find(conn, id_of(access))
    if row is None or row.type != "ec2":
        raise Missing(kind="credential", id=access)
    return row


USER = Target(users.get, missing=Missing, refuse=lambda path: {"target.credential.user_id": path["user_id"]},
              facts=lambda row: {"target.credential.user_id": row.id, "user_id": row.id})
CREDENTIAL = Target(_get, missing=Missing, hidden=lambda row, caller: False,
                    facts=lambda row: {"target.credential.user_id": row.user_id, "user_id": row.user_id})


class KeyCreate(msgspec.Struct, kw_only=True):
    tenant_id: str


class Presented(msgspec.Struct, kw_only=True):
    credentials: Signed | None = None
    ec2_credentials: Signed | None = msgspec.field(name="ec2Credentials", default=None)


class S3Signed(msgspec.Struct, kw_only=True):
    """`token` is the string that was signed, in base64."""

    access: str
    token: str
    signature: str


def _blob(ctx: Ctx, row: Credential) -> dict[str, Any]:
    return msgspec.json.decode(ctx.app.credential_keys.decrypt(row.encrypted_blob))


def _view(ctx: Ctx, row: Credential) -> dict[str, Any]:
    blob = _blob(ctx, row)
    return {"user_id": row.user_id, "tenant_id": row.project_id, "access": blob["access"],
            "secret": blob["secret"], "trust_id": blob.get("trust_id"),
            "links": self_link(ctx, "users", row.user_id, "credentials", "OS-EC2", blob["access"])}


@routes.get(PATH, target=USER, policy=Rule("identity:ec2_list_credentials", READ))
async def list_keys(ctx: Ctx, user: User) -> dict[str, Any]:
    query = sa.select(table).where(table.c.user_id == user.id, table.c.type == "ec2").order_by(table.c.id)
    async with ctx.db.read() as reader:
        rows = await db.many(reader, query, Credential)
    return {"credentials": [_view(ctx, row) for row in rows], "links": links_of(ctx)}


@routes.post(PATH, target=USER, status=201, policy=Rule("identity:ec2_create_credential", CREATE))
async def create_key(ctx: Ctx, user: User, body: KeyCreate) -> dict[str, Any]:
    """What the caller's own token may not do, the key may not either: it stays tied to its trust."""
    context = await ctx.app.contexts.of(ctx.caller.token)
    blob = {"access": new_hex(), "secret": new_hex()}
    if context.token.trust_id:
        blob["trust_id"] = context.token.trust_id
    if context.token.app_credential_id:
        blob["app_cred_id"] = context.token.app_credential_id
    row = Credential(id=id_of(blob["access"]), user_id=user.id, project_id=body.tenant_id, type="ec2",
                     encrypted_blob=ctx.app.credential_keys.encrypt(msgspec.json.encode(blob)))
    async with ctx.db.write() as tx:
        await projects.get(tx, body.tenant_id)
        await db.add(tx, table, row)
    return {"credential": _view(ctx, row)}


@routes.get(f"{PATH}/{{access}}", envelope="credential", target=CREDENTIAL,
            policy=Rule("identity:ec2_get_credential", READ))
async def show_key(ctx: Ctx, credential: Credential) -> dict[str, Any]:
    return _view(ctx, credential)


@routes.delete(f"{PATH}/{{access}}", target=CREDENTIAL, policy=Rule("identity:ec2_delete_credential", DELETE))
async def delete_key(ctx: Ctx, credential: Credential) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == credential.id))


# -- tokens for what was signed -----------------------------------------------------------------------------------


async def _key(ctx: Ctx, access: str) -> tuple[Credential, dict[str, Any]]:
    async with ctx.db.read() as reader:
        row = await credentials.find(reader, id_of(access))
    blob = _blob(ctx, row) if row is not None and row.type == "ec2" else {}
    if row is None or not hmac.compare_digest(str(blob.get("access", "")).encode(), access.encode()):
        raise Unauthorized()
    return row, blob


async def _token(ctx: Ctx, row: Credential, blob: dict[str, Any]) -> Response:
    token, found = await authentication.log_in_by_key(
        ctx.app, row.user_id, row.project_id or "", trust_id=blob.get("trust_id", ""),
        app_credential_id=blob.get("app_cred_id", ""))
    return answer(found, token, None)


@routes.post("/v3/ec2tokens", policy=Rule("identity:ec2tokens_validate", policies.SERVICE))
async def token_for_ec2(ctx: Ctx, body: Presented) -> Response:
    signed = body.credentials or body.ec2_credentials
    if signed is None:
        raise InvalidBody(reason="Expecting to find credentials in the body.")
    row, blob = await _key(ctx, signed.access)
    try:
        signed_at = signed.signed_at()
        right = signed.signatures(str(blob["secret"]))
    except Unsigned as error:
        raise Unauthorized() from error
    late = signed_at is not None and abs(ctx.clock() - signed_at) > SKEW_SECONDS
    if late or not same(signed.signature, right):
        raise Unauthorized()
    return await _token(ctx, row, blob)


@routes.post("/v3/s3tokens", envelope="credentials", policy=Rule("identity:s3tokens_validate", policies.SERVICE))
async def token_for_s3(ctx: Ctx, body: S3Signed) -> Response:
    row, blob = await _key(ctx, body.access)
    try:
        text = base64.urlsafe_b64decode(body.token.encode()).decode()
        right = s3_signature(str(blob["secret"]), text)
    except (Unsigned, binascii.Error, UnicodeError) as error:
        raise Unauthorized() from error
    if not same(body.signature, [right]):
        raise Unauthorized()
    return await _token(ctx, row, blob)
