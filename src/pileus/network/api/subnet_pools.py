"""/v2.0/subnetpools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.numbers import INT_MAX, whole
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, pool_choice, scope_faults, subnet_rules
from pileus.network.addresses import Net, network_of, summarized, without
from pileus.network.api import listing
from pileus.network.api.address_scopes import must_be_own, settle_pool
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import GRANTED_SHOW, MEMBER
from pileus.network.api.shapes import (
    Changed,
    ProjectId,
    Standard,
    UuidText,
    app,
    check_revision,
    given,
    must_allow,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import base, networks, quotas, rbac, security_groups
from pileus.network.model.subnets import SubnetPool, get_pool, of_network, pools, subnets

routes = Routes()
Length = Annotated[int, msgspec.Meta(ge=0, le=128)] | str | UnsetType


class PoolUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    prefixes: Annotated[list[str], msgspec.Meta(min_length=1)] | UnsetType = UNSET
    default_prefixlen: Length = UNSET
    min_prefixlen: Length = UNSET
    max_prefixlen: Length = UNSET
    default_quota: Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)] | None | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET
    address_scope_id: UuidText | None | UnsetType = UNSET


class PoolCreate(PoolUpdate, kw_only=True, forbid_unknown_fields=True):
    shared: bool = False
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class PoolView(Standard, kw_only=True):
    ip_version: int
    prefixes: list[str]
    default_prefixlen: str
    min_prefixlen: str
    max_prefixlen: str
    default_quota: int | None
    shared: bool
    is_default: bool
    address_scope_id: str | None


async def views(conn: Connection, rows: Sequence[SubnetPool]) -> list[PoolView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    return [PoolView(
        **standard(row, tags[row.id]), ip_version=row.ip_version, prefixes=row.prefixes,
        default_prefixlen=str(row.default_prefixlen), min_prefixlen=str(row.min_prefixlen),
        max_prefixlen=str(row.max_prefixlen),
        default_quota=row.default_quota, shared=row.shared, is_default=row.is_default,
        address_scope_id=row.address_scope_id) for row in rows]


def facts(row: SubnetPool) -> dict[str, Any]:
    return {"project_id": row.project_id, "shared": row.shared}


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    return None if sees_all(ctx) else sa.or_(
        pools.c.project_id == (ctx.caller.project_id or ""),
        pools.c.id.in_(rbac.granted("subnetpool", ctx.caller.project_id)))


async def granted(reader: Connection, row: SubnetPool, caller: Caller) -> bool:
    return await rbac.is_given(reader, "subnetpool", row.id, caller.project_id)


POOL = Target(get_pool, missing=faults.SubnetPoolNotFound, facts=facts, granted=granted)
LISTING = Listing(collection="subnetpools", table=pools, row=SubnetPool,
                  columns=listing.columns_of(pools, "prefixes"))


@routes.get("/v2.0/subnetpools", envelope="subnetpools", policy=Rule("get_subnetpool", GRANTED_SHOW))
async def list_pools(ctx: Ctx, query: Query) -> Page[PoolView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get("/v2.0/subnetpools/{subnetpool_id}", envelope="subnetpool", target=POOL,
            policy=Rule("get_subnetpool", GRANTED_SHOW))
async def show_pool(ctx: Ctx, pool: SubnetPool) -> PoolView:
    async with ctx.db.read() as reader:
        return (await views(reader, [pool]))[0]


@routes.post("/v2.0/subnetpools", envelope="subnetpool", status=201, policy=Rule("create_subnetpool", MEMBER))
async def create_pool(ctx: Ctx, body: PoolCreate) -> PoolView:
    now, project_id = ctx.clock(), owner(ctx, body)
    for name, wanted in (("shared", body.shared), ("is_default", body.is_default is True)):
        if wanted:
            must_allow(ctx, f"create_subnetpool:{name}")
    if body.prefixes is UNSET:
        raise faults.InvalidInput(reason="prefixes are required")
    nets = _nets(body.prefixes)
    version, most = nets[0].version, nets[0].max_prefixlen
    values = {"min_prefixlen": 8 if version == 4 else 64, "max_prefixlen": most} | _lengths(body)
    values.setdefault("default_prefixlen", values["min_prefixlen"])
    row = SubnetPool(
        id=new_uuid(), project_id=project_id, name=body.name or "", description=body.description or "",
        created_at=now, updated_at=now, ip_version=version, prefixes=summarized(map(str, nets)), shared=body.shared,
        default_quota=None if body.default_quota is UNSET else body.default_quota,
        is_default=body.is_default is True,
        address_scope_id=None if body.address_scope_id is UNSET else body.address_scope_id, **values)
    _check(row)
    async with ctx.db.write() as tx:
        await security_groups.project(tx, project_id, now)
        await quotas.must_have_room(tx, project_id, app(ctx).config.quotas, "subnetpool")
        await _only_default(tx, row)
        await settle_pool(ctx, tx, row)
        await db.add(tx, pools, row)
        if row.shared:
            await rbac.share_with_all(tx, "subnetpool", row, rbac.SHARED, now)
        return (await views(tx, [row]))[0]


def _nets(prefixes: Sequence[str]) -> list[Net]:
    nets = []
    for prefix in prefixes:
        net = network_of(prefix)
        if net is None or nets and net.version != nets[0].version:
            raise faults.InvalidInput(reason=f"'{prefix}' is not a valid prefix for this subnet pool")
        nets.append(net)
    return nets


def _lengths(body: PoolUpdate) -> dict[str, int]:
    found = {}
    for name in ("default_prefixlen", "min_prefixlen", "max_prefixlen"):
        value = getattr(body, name)
        if value is not UNSET:
            number = whole(value)
            if number is None or number < 0:
                raise faults.InvalidInput(reason=f"'{value}' is not an integer for {name}")
            found[name] = number
    return found


def _check(row: SubnetPool) -> None:
    longest = 32 if row.ip_version == 4 else 128
    if row.min_prefixlen > row.max_prefixlen or row.max_prefixlen > longest:
        raise faults.IllegalPool(reason=f"min_prefixlen {row.min_prefixlen}, max_prefixlen {row.max_prefixlen}")
    if not row.min_prefixlen <= row.default_prefixlen <= row.max_prefixlen:
        raise faults.IllegalPool(reason=f"default_prefixlen {row.default_prefixlen} is not between "
                                        f"{row.min_prefixlen} and {row.max_prefixlen}")


async def _only_default(tx: Connection, row: SubnetPool) -> None:
    query = sa.select(pools.c.id).where(
        pools.c.is_default, pools.c.ip_version == row.ip_version, pools.c.id != row.id)
    if row.is_default and await db.scalar(tx, query) is not None:
        raise faults.InvalidInput(reason=f"A default subnetpool for IPv{row.ip_version} already exists")


@routes.put("/v2.0/subnetpools/{subnetpool_id}", envelope="subnetpool", target=POOL,
            policy=Rule("update_subnetpool", MEMBER), check=False)
async def update_pool(ctx: Ctx, pool: SubnetPool, body: PoolUpdate) -> PoolView:
    """What is wrong with a body is told to anybody."""
    if not ctx.allows("update_subnetpool", facts(pool)):
        async with ctx.db.read() as reader:
            seen = ctx.allows("get_subnetpool", facts(pool) | {"granted": await granted(reader, pool, ctx.caller)})
        raise faults.PolicyNotAuthorized(rule="update_subnetpool") if seen else (
            faults.SubnetPoolNotFound(subnetpool_id=pool.id))
    check_revision(ctx, pool)
    if body.is_default is not UNSET:
        must_allow(ctx, "update_subnetpool:is_default", facts(pool))
    values = texts(given(body)) | _lengths(body)
    if body.prefixes is not UNSET:
        nets = _nets(body.prefixes)
        if nets[0].version != pool.ip_version or not _covered(pool.prefixes, nets):
            raise faults.InvalidInput(reason="Existing prefixes must be a subset of the new prefixes")
        values["prefixes"] = summarized(map(str, nets))
    async with ctx.db.write() as tx:
        after = msgspec.structs.replace(pool, **values)
        _check(after)
        await _only_default(tx, after)
        if values.keys() & {"prefixes", "address_scope_id"}:
            await must_be_own(ctx, tx, pool)
            await settle_pool(ctx, tx, after)
            app(ctx).changed(tx)
        row = await base.change(tx, pools, pool, ctx.clock(), **values)
        return (await views(tx, [row]))[0]


def _covered(prefixes: Sequence[str], nets: Sequence[Net]) -> bool:
    """A pool may grow; what subnets may have come from stays in it."""
    known = [net for net in map(network_of, prefixes) if net is not None]
    whole = [net for net in map(network_of, summarized(map(str, nets))) if net is not None]
    return all(any(old.subnet_of(new) for new in whole) for old in known)  # type: ignore[arg-type]


@routes.delete("/v2.0/subnetpools/{subnetpool_id}", target=POOL, policy=Rule("delete_subnetpool", MEMBER))
async def delete_pool(ctx: Ctx, pool: SubnetPool) -> None:
    check_revision(ctx, pool)
    try:
        async with ctx.db.write() as tx:
            await pool_choice.locked(tx, pool.id)
            await rbac.forget(tx, pool.id)
            await base.remove(tx, pools, pool.id)
    except db.Taken as error:
        raise faults.SubnetPoolInUse(subnetpool_id=pool.id) from error


# -- prefixes -------------------------------------------------------------------------------


class PrefixesAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    prefixes: Annotated[list[str], msgspec.Meta(min_length=1)]


class PrefixesView(msgspec.Struct, kw_only=True):
    prefixes: list[str]


class NetworkNamed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    network_id: UuidText


async def _refit(ctx: Ctx, tx: Connection, pool: SubnetPool, prefixes: Sequence[str]) -> PrefixesView:
    """Make these the pool's prefixes. The pool is held."""
    await must_be_own(ctx, tx, pool)
    after = msgspec.structs.replace(pool, prefixes=summarized(prefixes))
    await settle_pool(ctx, tx, after)
    if after.prefixes != pool.prefixes:
        await base.change(tx, pools, pool, ctx.clock(), prefixes=after.prefixes)
        app(ctx).changed(tx)
    return PrefixesView(prefixes=after.prefixes)


def _of_version(pool: SubnetPool, prefixes: Sequence[str]) -> list[Net]:
    nets = _nets(prefixes)
    if nets[0].version != pool.ip_version:
        raise faults.InvalidInput(reason=f"prefixes of the pool are of IP version {pool.ip_version}")
    return nets


@routes.put("/v2.0/subnetpools/{subnetpool_id}/add_prefixes", target=POOL, policy=Rule("add_prefixes", MEMBER))
async def add_prefixes(ctx: Ctx, pool: SubnetPool, body: PrefixesAsked) -> PrefixesView:
    added = _of_version(pool, body.prefixes)
    async with ctx.db.write() as tx:
        pool = await pool_choice.locked(tx, pool.id)
        return await _refit(ctx, tx, pool, [*pool.prefixes, *map(str, added)])


@routes.put("/v2.0/subnetpools/{subnetpool_id}/remove_prefixes", target=POOL, policy=Rule("remove_prefixes", MEMBER))
async def remove_prefixes(ctx: Ctx, pool: SubnetPool, body: PrefixesAsked) -> PrefixesView:
    """What subnets came from stays."""
    gone = _of_version(pool, body.prefixes)
    async with ctx.db.write() as tx:
        pool = await pool_choice.locked(tx, pool.id)
        taken = await db.scalars(tx, sa.select(subnets.c.cidr).where(subnets.c.subnetpool_id == pool.id))
        if any(net.overlaps(used) for net in gone for used in map(network_of, taken) if used):  # type: ignore[arg-type]
            raise scope_faults.PrefixInUse()
        return await _refit(ctx, tx, pool, without(pool.prefixes, gone))


@routes.put("/v2.0/subnetpools/{subnetpool_id}/onboard_network_subnets", target=POOL,
            policy=Rule("onboard_network_subnets", MEMBER))
async def onboard_subnets(ctx: Ctx, pool: SubnetPool, body: NetworkNamed) -> dict[str, Any]:
    """The network's subnets of the pool's IP version become the pool's, and so do their prefixes."""
    async with ctx.db.write() as tx:
        network = await networks.lock(tx, body.network_id)
        if not (sees_all(ctx) or network.project_id == ctx.caller.project_id):
            raise faults.NetworkNotFound(network_id=network.id)
        pool = await pool_choice.locked(tx, pool.id)
        found = [s for s in await of_network(tx, network.id) if s.ip_version == pool.ip_version]
        for subnet in found:
            if subnet.subnetpool_id is not None:
                raise scope_faults.SubnetInPool(subnet_id=subnet.id, subnetpool_id=subnet.subnetpool_id)
        taken = await db.scalars(tx, sa.select(subnets.c.cidr).where(subnets.c.subnetpool_id == pool.id))
        for subnet in found:
            subnet_rules.check_overlap(subnet_rules.network_for(subnet.cidr, subnet.ip_version), taken, network.id)
            await base.change(tx, subnets, subnet, ctx.clock(), subnetpool_id=pool.id)
        if found:
            await _refit(ctx, tx, pool, [*pool.prefixes, *(subnet.cidr for subnet in found)])
    return {}
