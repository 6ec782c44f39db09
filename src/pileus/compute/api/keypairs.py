"""Key pairs: list, show, create or import, delete."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Annotated, Literal

import msgspec

from pileus.compute import times, versions
from pileus.compute.api.room import kept_limits
from pileus.compute.api.values import MOST
from pileus.compute.faults import BadPublicKey, KeypairExists, KeypairQuota
from pileus.compute.model import keypairs, quotas
from pileus.compute.model.keypairs import Keypair
from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.numbers import INT_MAX
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

OWNER = "role:admin or user_id:%(user_id)s"
INDEX = Rule("os_compute_api:os-keypairs:index", OWNER)
SHOW = Rule("os_compute_api:os-keypairs:show", OWNER)
CREATE = Rule("os_compute_api:os-keypairs:create", OWNER)
DELETE = Rule("os_compute_api:os-keypairs:delete", OWNER)
_NAME = re.compile(r"[A-Za-z0-9_ -]+")
_NAME_WITH_DOTS = re.compile(r"[A-Za-z0-9_ @.-]+")

PublicKey = str
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class KeypairCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    public_key: PublicKey | None = None
    type: Annotated[Literal["ssh", "x509"], since(versions.KEYPAIR_TYPES)] = "ssh"
    user_id: Annotated[UserId | None, since(versions.KEYPAIR_USER)] = None


class KeypairImport(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    public_key: PublicKey
    type: Literal["ssh", "x509"] = "ssh"
    user_id: UserId | None = None


class OwnerQuery(msgspec.Struct, kw_only=True):
    user_id: Annotated[str | None, since(versions.KEYPAIR_USER)] = None


class KeypairQuery(OwnerQuery, kw_only=True):
    limit: Annotated[Annotated[int, msgspec.Meta(ge=0)] | None, since(versions.KEYPAIR_PAGES)] = None
    marker: Annotated[str | None, since(versions.KEYPAIR_PAGES)] = None


class KeypairSummary(msgspec.Struct, kw_only=True):
    name: str
    public_key: str
    fingerprint: str
    type: Annotated[str, since(versions.KEYPAIR_TYPES)]


class KeypairEntry(msgspec.Struct, kw_only=True):
    keypair: KeypairSummary


class KeypairCreated(KeypairSummary, kw_only=True):
    user_id: str
    private_key: str | msgspec.UnsetType = msgspec.UNSET


class KeypairView(KeypairSummary, kw_only=True):
    id: int
    user_id: str
    created_at: str | None
    updated_at: str | None = None
    deleted_at: str | None = None
    deleted: bool = False


def entry(keypair: Keypair) -> KeypairEntry:
    return KeypairEntry(keypair=KeypairSummary(
        name=keypair.name, public_key=keypair.public_key, fingerprint=keypair.fingerprint, type=keypair.type))


def view(keypair: Keypair) -> KeypairView:
    return KeypairView(
        id=keypair.id, name=keypair.name, user_id=keypair.user_id, type=keypair.type, public_key=keypair.public_key,
        fingerprint=keypair.fingerprint, created_at=times.iso_micro(keypair.created_at))


def owner(ctx: Ctx, rule: Rule, named: str | None) -> str:
    """The user whose key pairs this is about, if the caller may do so."""
    user_id = named or ctx.caller.user_id
    ctx.must_allow(rule.name, ctx.caller.credentials | {"user_id": user_id})
    return user_id


def _checked_name(ctx: Ctx, name: str) -> None:
    allowed = _NAME_WITH_DOTS if ctx.version >= versions.IMPORTED_KEYPAIRS else _NAME
    if name != name.strip() or not allowed.fullmatch(name):
        raise BadPublicKey(reason="Keypair name contains unsafe characters")


async def _add(ctx: Ctx, keypair: Keypair) -> None:
    """Raises KeypairExists, KeypairQuota."""
    project_id = ctx.caller.project_id or ""
    kept = await kept_limits(ctx, project_id)
    try:
        async with ctx.db.write() as tx:
            await quotas.take_turn(tx, "", keypair.user_id)
            limit = (await quotas.limits(tx, ctx.app.config, project_id, kept=kept))["key_pairs"]
            if 0 <= limit <= await keypairs.count(tx, keypair.user_id):
                raise KeypairQuota()
            await keypairs.add(tx, keypair)
    except db.Taken as error:
        raise KeypairExists(name=keypair.name) from error


async def _create(ctx: Ctx, body: KeypairCreate | KeypairImport) -> KeypairCreated:
    user_id = owner(ctx, CREATE, body.user_id)
    _checked_name(ctx, body.name)
    public, private = body.public_key, None
    if public is None:
        public, private = await asyncio.to_thread(keypairs.generate, body.type, user_id)
    keypair = Keypair(
        user_id=user_id, name=body.name, id=secrets.randbelow(INT_MAX) + 1, type=body.type, public_key=public,
        fingerprint=keypairs.fingerprint(body.type, public), created_at=ctx.clock())
    await _add(ctx, keypair)
    if ctx.version >= versions.KEYPAIR_TYPES:
        ctx.status = 201
    return KeypairCreated(name=keypair.name, public_key=public, fingerprint=keypair.fingerprint, type=keypair.type,
                          user_id=user_id, private_key=msgspec.UNSET if private is None else private)


routes = Routes()


@routes.get("/v2.1/os-keypairs", envelope="keypairs", policy=INDEX, check=False, strict=versions.STRICT_QUERIES)
async def list_keypairs(ctx: Ctx, query: KeypairQuery) -> Page[KeypairEntry]:
    user_id = owner(ctx, INDEX, query.user_id)
    paged = ctx.version >= versions.KEYPAIR_PAGES
    limit = min(MOST if query.limit is None else query.limit, MOST) if paged else None
    async with ctx.db.read() as reader:
        if query.marker and await keypairs.find(reader, user_id, query.marker) is None:
            raise BadRequest(reason=f"Marker {query.marker} could not be found.")
        found = await keypairs.page(reader, user_id, limit=None if limit is None else limit + 1,
                                    after=query.marker or "")
    more = found[limit - 1].name if limit and len(found) > limit else None
    return Page([entry(keypair) for keypair in found[:limit]], next_marker=more)


@routes.get("/v2.1/os-keypairs/{name}", envelope="keypair", policy=SHOW, check=False, strict=versions.STRICT_QUERIES)
async def show_keypair(ctx: Ctx, name: str, query: OwnerQuery) -> KeypairView:
    user_id = owner(ctx, SHOW, query.user_id)
    async with ctx.db.read() as reader:
        return view(await keypairs.get(reader, user_id, name))


@routes.post("/v2.1/os-keypairs", envelope="keypair", policy=CREATE, check=False,
             window=until(versions.IMPORTED_KEYPAIRS))
async def create_keypair(ctx: Ctx, body: KeypairCreate) -> KeypairCreated:
    return await _create(ctx, body)


@routes.post("/v2.1/os-keypairs", envelope="keypair", policy=CREATE, check=False,
             window=since(versions.IMPORTED_KEYPAIRS))
async def import_keypair(ctx: Ctx, body: KeypairImport) -> KeypairCreated:
    return await _create(ctx, body)


@routes.delete("/v2.1/os-keypairs/{name}", policy=DELETE, check=False, strict=versions.STRICT_QUERIES)
async def delete_keypair(ctx: Ctx, name: str, query: OwnerQuery) -> None:
    user_id = owner(ctx, DELETE, query.user_id)
    async with ctx.db.write() as tx:
        await keypairs.remove(tx, user_id, name)
    if ctx.version < versions.KEYPAIR_TYPES:
        ctx.status = 202
