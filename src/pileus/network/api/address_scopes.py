"""/v2.0/address-scopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import scope_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import GRANTED_SHOW, MEMBER
from pileus.network.api.shapes import (
    Changed,
    Created,
    Standard,
    check_revision,
    given,
    must_allow,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import address_scopes, base, rbac
from pileus.network.model.address_scopes import AddressScope, scopes
from pileus.network.model.subnets import SubnetPool

routes = Routes()


class ScopeCreate(Created, kw_only=True, forbid_unknown_fields=True):
    ip_version: Literal[4, 6]
    shared: bool = False


class ScopeUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    shared: bool | UnsetType = UNSET


class ScopeView(Standard, kw_only=True):
    ip_version: int
    shared: bool


async def views(conn: Connection, rows: Sequence[AddressScope]) -> list[ScopeView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    return [ScopeView(**standard(row, tags[row.id]), ip_version=row.ip_version, shared=row.shared) for row in rows]


def facts(row: AddressScope) -> dict[str, Any]:
    return {"project_id": row.project_id}


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    mine = ctx.caller.project_id or ""
    return None if sees_all(ctx) else sa.or_(
        scopes.c.project_id == mine, scopes.c.id.in_(rbac.granted("address_scope", mine)))


async def granted(reader: Connection, row: AddressScope, caller: Caller) -> bool:
    return await rbac.is_given(reader, "address_scope", row.id, caller.project_id)


SCOPE = Target(address_scopes.get, missing=scope_faults.AddressScopeNotFound, facts=facts, granted=granted)
LISTING = Listing(collection="address_scopes", table=scopes, row=AddressScope, columns=listing.columns_of(scopes))
ONE = "/v2.0/address-scopes/{address_scope_id}"


@routes.get("/v2.0/address-scopes", envelope="address_scopes", policy=Rule("get_address_scope", GRANTED_SHOW))
async def list_scopes(ctx: Ctx, query: Query) -> Page[ScopeView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(ONE, envelope="address_scope", target=SCOPE, policy=Rule("get_address_scope", GRANTED_SHOW))
async def show_scope(ctx: Ctx, scope: AddressScope) -> ScopeView:
    async with ctx.db.read() as reader:
        return (await views(reader, [scope]))[0]


@routes.post("/v2.0/address-scopes", envelope="address_scope", bulk="address_scopes", status=201,
             policy=Rule("create_address_scope", MEMBER))
async def create_scopes(ctx: Ctx, body: list[ScopeCreate]) -> list[ScopeView]:
    now = ctx.clock()
    if any(each.shared for each in body):
        must_allow(ctx, "create_address_scope:shared")
    rows = [AddressScope(
        id=new_uuid(), project_id=owner(ctx, each), name=each.name, description=each.description or "", created_at=now,
        updated_at=now, ip_version=each.ip_version, shared=each.shared) for each in body]
    async with ctx.db.write() as tx:
        await db.add(tx, scopes, *rows)
        for row in rows:
            if row.shared:
                await rbac.share_with_all(tx, "address_scope", row, rbac.SHARED, now)
        return await views(tx, rows)


@routes.put(ONE, envelope="address_scope", target=SCOPE, policy=Rule("update_address_scope", MEMBER))
async def update_scope(ctx: Ctx, scope: AddressScope, body: ScopeUpdate) -> ScopeView:
    """Sharing with all is for good: others' pools may be in it."""
    check_revision(ctx, scope)
    values, now = texts(given(body)), ctx.clock()
    if body.shared is not UNSET:
        must_allow(ctx, "update_address_scope:shared", facts(scope))
    if scope.shared and body.shared is False:
        raise scope_faults.AddressScopeUpdate(
            address_scope_id=scope.id, reason="Shared address scope can't be unshared")
    async with ctx.db.write() as tx:
        row = await base.change(tx, scopes, scope, now, **values) if values else scope
        if row.shared and not scope.shared:
            await rbac.share_with_all(tx, "address_scope", row, rbac.SHARED, now)
        return (await views(tx, [row]))[0]


@routes.delete(ONE, target=SCOPE, policy=Rule("delete_address_scope", MEMBER))
async def delete_scope(ctx: Ctx, scope: AddressScope) -> None:
    check_revision(ctx, scope)
    try:
        async with ctx.db.write() as tx:
            await rbac.forget(tx, scope.id)
            await base.remove(tx, scopes, scope.id)
    except db.Taken as error:
        raise scope_faults.AddressScopeInUse(address_scope_id=scope.id) from error


async def must_be_own(ctx: Ctx, tx: Connection, pool: SubnetPool) -> None:
    """A pool's prefixes matter to all in its scope: only the scope's owner changes them."""
    if pool.address_scope_id is not None and not sees_all(ctx):
        scope = await address_scopes.get(tx, pool.address_scope_id)
        if scope.project_id != ctx.caller.project_id:
            raise scope_faults.PoolInForeignScope(subnetpool_id=pool.id, address_scope_id=scope.id)


async def settle_pool(ctx: Ctx, tx: Connection, pool: SubnetPool) -> None:
    """Whether the pool may be in the scope it says it is in."""
    if pool.address_scope_id is not None:
        scope = await address_scopes.lock(tx, pool.address_scope_id)
        mine = sees_all(ctx) or scope.project_id == ctx.caller.project_id
        if not mine and not await rbac.is_given(tx, "address_scope", scope.id, ctx.caller.project_id):
            raise scope_faults.AddressScopeNotFound(address_scope_id=scope.id)
        if scope.ip_version != pool.ip_version:
            raise scope_faults.ScopeVersion(
                subnetpool_id=pool.id, address_scope_id=scope.id, ip_version=scope.ip_version)
        await address_scopes.must_be_apart(tx, pool)
    await address_scopes.must_agree(tx, pool)
