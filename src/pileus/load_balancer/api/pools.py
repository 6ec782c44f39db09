"""/v2.0/lbaas/pools"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.load_balancer.api import lists, policies
from pileus.load_balancer.api.health_monitors import MonitorCreate
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.members import MemberCreate
from pileus.load_balancer.api.shapes import (
    BASE,
    DescribedChange,
    Id,
    PartView,
    Ref,
    add,
    alter,
    begin,
    changed,
    created,
    going,
    hidden_from_nobody,
    of_part,
    same,
    unsupported,
)
from pileus.load_balancer.faults import Invalid, Missing, NoCertificate, NoSuch, PoolInUse, ProtocolMismatch
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import HealthMonitor, Listener, LoadBalancer, Member, Policy, Pool

routes = Routes()
POOLS = Listing("pools", tables.pools, Pool)
PATH = f"{BASE}/pools"
Protocol = Literal["HTTP", "HTTPS", "PROXY", "PROXYV2", "SCTP", "TCP", "UDP"]
Algorithm = Literal["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"]
Reference = Annotated[str, msgspec.Meta(max_length=255)]
# Which pools a listener may lead to.
FITS = {"HTTP": ("HTTP", "PROXY", "PROXYV2"), "HTTPS": ("HTTPS", "PROXY", "PROXYV2", "TCP"),
        "TCP": ("HTTP", "HTTPS", "PROXY", "PROXYV2", "TCP"), "TERMINATED_HTTPS": ("HTTP", "PROXY", "PROXYV2"),
        "UDP": ("UDP",), "SCTP": ("SCTP",), "PROMETHEUS": ()}
COOKIE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Persistence(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    type: Literal["SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE"]
    cookie_name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    persistence_timeout: int | None = None
    persistence_granularity: str | None = None


class PersistenceChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    type: Literal["SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE"] | None = None
    cookie_name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    persistence_timeout: int | None = None
    persistence_granularity: str | None = None


class Settings(DescribedChange, kw_only=True, forbid_unknown_fields=True):
    """Above all how members are spoken to by TLS."""

    tls_enabled: bool | None | UnsetType = UNSET
    tls_container_ref: Reference | None | UnsetType = UNSET
    ca_tls_container_ref: Reference | None | UnsetType = UNSET
    crl_container_ref: Reference | None | UnsetType = UNSET
    tls_ciphers: str | None | UnsetType = UNSET
    tls_versions: list[str] | None | UnsetType = UNSET
    alpn_protocols: list[str] | None | UnsetType = UNSET


SECURED = tuple(name for name in Settings.__struct_fields__ if name not in DescribedChange.__struct_fields__)


class PoolSaid(Settings, kw_only=True, forbid_unknown_fields=True):
    project_id: Id | None = None
    tenant_id: Id | None = None
    session_persistence: Persistence | None = None


class PoolCreate(PoolSaid, kw_only=True, forbid_unknown_fields=True):
    protocol: Protocol
    lb_algorithm: Algorithm
    loadbalancer_id: Id | None = None
    listener_id: Id | None = None


class PoolGraph(PoolSaid, kw_only=True, forbid_unknown_fields=True):
    """One that is made together with its load balancer, or nothing but the name of another such one."""

    protocol: Protocol | None = None
    lb_algorithm: Algorithm | None = None
    members: list[MemberCreate] | None = None
    healthmonitor: MonitorCreate | None = None


class PoolUpdate(Settings, kw_only=True, forbid_unknown_fields=True):
    lb_algorithm: Algorithm | UnsetType = UNSET
    session_persistence: PersistenceChange | None | UnsetType = UNSET


class PoolView(PartView, kw_only=True):
    description: str
    protocol: str
    lb_algorithm: str
    session_persistence: dict[str, Any] | None
    tls_enabled: bool
    tls_container_ref: str | None
    ca_tls_container_ref: str | None
    crl_container_ref: str | None
    tls_ciphers: str | None
    tls_versions: list[str]
    alpn_protocols: list[str]
    loadbalancers: list[Ref]
    listeners: list[Ref]
    members: list[Ref]
    healthmonitor_id: str | None


async def views(conn: Connection, pools: list[Pool]) -> list[PoolView]:
    ids = [pool.id for pool in pools]
    members = await rows.of(conn, Member, "pool_id", ids)
    monitors = {row.pool_id: row.id for row in await rows.of(conn, HealthMonitor, "pool_id", ids)}
    of_policies = await rows.of(conn, Policy, "redirect_pool_id", ids)
    listeners = await rows.of(conn, Listener, "default_pool_id", ids)
    used = [(row.default_pool_id, row.id) for row in listeners] + [
        (policy.redirect_pool_id, policy.listener_id) for policy in of_policies]
    return [PoolView(**same(pool, PoolView) | of_part(pool) | {
        "description": pool.description or "", "loadbalancers": [Ref(pool.load_balancer_id)],
        "listeners": [Ref(id) for id in dict.fromkeys(each for pool_id, each in used if pool_id == pool.id)],
        "members": [Ref(member.id) for member in members if member.pool_id == pool.id],
        "healthmonitor_id": monitors.get(pool.id)}) for pool in pools]


async def get_pool(conn: Connection, pool_id: str) -> Pool:
    return await rows.get(conn, Pool, pool_id)


POOL = Target(get_pool, missing=Missing, hidden=hidden_from_nobody)


def _persistence(said: Persistence | PersistenceChange | None, protocol: str) -> dict[str, Any] | None:
    """Raises Invalid."""
    if said is None or said.type is None:
        return None
    if protocol != "UDP" and (said.persistence_timeout is not None or said.persistence_granularity is not None):
        raise Invalid(reason="persistence_timeout and persistence_granularity are for pools of UDP and SCTP alone")
    if said.type != "SOURCE_IP" and protocol not in ("HTTP", "PROXY", "PROXYV2"):
        raise Invalid(reason=f"session persistence of type {said.type} needs a pool that speaks HTTP, not {protocol}")
    if said.type == "APP_COOKIE":
        if not said.cookie_name or not COOKIE.fullmatch(said.cookie_name):
            raise Invalid(reason=f"session persistence of type APP_COOKIE needs a cookie_name, and "
                                 f"{said.cookie_name!r} is none")
    elif said.cookie_name:
        raise Invalid(reason=f"Field \"cookie_name\" can not be specified with session persistence of type "
                             f"\"{said.type}\".")
    return {"type": said.type, "cookie_name": said.cookie_name or None,
            "persistence_timeout": said.persistence_timeout, "persistence_granularity": said.persistence_granularity}


def _secured(values: dict[str, Any]) -> dict[str, Any]:
    """Raises NoCertificate: this cloud has no key manager that keeps any."""
    refs = [values[name] for name in ("tls_container_ref", "ca_tls_container_ref", "crl_container_ref")
            if values.get(name)]
    if refs:
        raise NoCertificate(refs=refs)
    for name, usual in (("tls_enabled", False), ("tls_versions", []), ("alpn_protocols", [])):
        if name in values and values[name] is None:
            values[name] = usual
    return values


def _must_balance(protocol: str, algorithm: str) -> None:
    if algorithm == "SOURCE_IP_PORT" or (protocol, algorithm) == ("UDP", "LEAST_CONNECTIONS"):
        raise unsupported(f"lb_algorithm {algorithm} of pools of {protocol}")


def new_pool(ctx: Ctx, body: PoolCreate | PoolGraph, balancer: LoadBalancer) -> Pool:
    if body.protocol is None or body.lb_algorithm is None:
        raise Invalid(reason="a pool needs protocol and lb_algorithm")
    if body.protocol == "SCTP":
        raise unsupported("pools of SCTP")
    _must_balance(body.protocol, body.lb_algorithm)
    secured = _secured({name: value for name in SECURED
                        if (value := getattr(body, name)) is not UNSET})
    return Pool(id=new_uuid(), **created(ctx, body, balancer.project_id), description=body.description or "",
                load_balancer_id=balancer.id, protocol=body.protocol, lb_algorithm=body.lb_algorithm,
                session_persistence=_persistence(body.session_persistence, body.protocol), **secured)


def must_speak(listener_protocol: str, pool: Pool) -> None:
    """Raises ProtocolMismatch."""
    if pool.protocol not in FITS[listener_protocol]:
        raise ProtocolMismatch(pool=pool.protocol, listener=listener_protocol)


async def must_be_here(tx: Connection, pool_id: str, balancer_id: str) -> Pool:
    """A pool that is referred to, of the same load balancer. Raises NoSuch."""
    pool = await rows.find(tx, Pool, pool_id)
    if pool is None or pool.load_balancer_id != balancer_id or pool.is_going:
        raise NoSuch(what=Pool.title, id=pool_id)
    return pool


@routes.get(PATH, envelope="pools", policy=policies.listed("pool"))
async def list_pools(ctx: Ctx, query: Query) -> Page[PoolView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, POOLS, query)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(f"{PATH}/{{pool_id}}", envelope="pool", target=POOL, policy=policies.read("pool"))
async def show_pool(ctx: Ctx, pool: Pool) -> PoolView:
    async with ctx.db.read() as reader:
        return (await views(reader, [pool]))[0]


POST = policies.write("pool", "post")


@routes.post(PATH, envelope="pool", status=201, policy=POST, check=False)
async def create_pool(ctx: Ctx, body: PoolCreate) -> PoolView:
    async with ctx.db.write() as tx:
        listener = None
        if body.listener_id:
            listener = await rows.find(tx, Listener, body.listener_id)
            if listener is None:
                raise NoSuch(what=Listener.title, id=body.listener_id)
            if listener.default_pool_id is not None:
                raise Invalid(reason=f"Listener {listener.id} already has a default pool {listener.default_pool_id}.")
        balancer_id = body.loadbalancer_id or (listener.load_balancer_id if listener else None)
        if balancer_id is None:
            raise Invalid(reason="Must provide at least one of: loadbalancer_id, listener_id")
        balancer = await rows.find(tx, LoadBalancer, balancer_id)
        if balancer is None or listener is not None and listener.load_balancer_id != balancer_id:
            raise NoSuch(what=LoadBalancer.title, id=balancer_id)
        ctx.must_allow(POST.name, {"project_id": balancer.project_id})
        pool = new_pool(ctx, body, balancer)
        await begin(ctx, tx, balancer_id)
        await add(ctx, tx, pool)
        if listener is not None:
            must_speak(listener.protocol, pool)
            await alter(ctx, tx, listener, {"default_pool_id": pool.id})
        return (await views(tx, [pool]))[0]


@routes.put(f"{PATH}/{{pool_id}}", envelope="pool", target=POOL, policy=policies.write("pool", "put"))
async def update_pool(ctx: Ctx, pool: Pool, body: PoolUpdate) -> PoolView:
    values = _secured(changed(body))
    _must_balance(pool.protocol, values.get("lb_algorithm", pool.lb_algorithm))
    if body.session_persistence is not UNSET:
        values["session_persistence"] = _persistence(_over(pool, body.session_persistence), pool.protocol)
    async with ctx.db.write() as tx:
        await begin(ctx, tx, pool.load_balancer_id)
        return (await views(tx, [await alter(ctx, tx, pool, values)]))[0]


def _over(pool: Pool, said: PersistenceChange | None) -> PersistenceChange | None:
    """Its type may be left out where there is one."""
    if said is None or said.type is not None or not pool.session_persistence:
        return said
    return msgspec.structs.replace(said, type=pool.session_persistence["type"])


@routes.delete(f"{PATH}/{{pool_id}}", target=POOL, policy=policies.write("pool", "delete"))
async def delete_pool(ctx: Ctx, pool: Pool) -> None:
    async with ctx.db.write() as tx:
        used = [policy for policy in await rows.of(tx, Policy, "redirect_pool_id", [pool.id]) if not policy.is_going]
        if used:
            raise PoolInUse(id=pool.id, policy=used[0].id)
        await begin(ctx, tx, pool.load_balancer_id)
        await let_go(tx, pool)


async def let_go(tx: Connection, pool: Pool) -> None:
    """The pool with all that is in it; listeners go on without it."""
    await tx.execute(tables.listeners.update().where(tables.listeners.c.default_pool_id == pool.id).values(
        default_pool_id=None, generation=tables.listeners.c.generation + sa.literal(1)))
    parts = [*await rows.of(tx, Member, "pool_id", [pool.id]), *await rows.of(tx, HealthMonitor, "pool_id", [pool.id])]
    await going(tx, *(part for part in parts if not part.is_going), await rows.get(tx, Pool, pool.id))
