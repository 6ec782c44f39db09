"""/v2.0/lbaas/listeners"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.numbers import INT_MAX
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.load_balancer.api import l7policies, lists, policies
from pileus.load_balancer.api.l7policies import PolicyGraph
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.pools import PoolGraph, must_be_here, must_speak
from pileus.load_balancer.api.shapes import (
    BASE,
    DescribedChange,
    Id,
    PartView,
    PortNumber,
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
from pileus.load_balancer.faults import BadOption, Invalid, Missing, NoCertificate, NoSuch, PortTaken
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import Listener, LoadBalancer, Policy

routes = Routes()
LISTENERS = Listing("listeners", tables.listeners, Listener)
PATH = f"{BASE}/listeners"
Protocol = Literal["HTTP", "HTTPS", "TCP", "TERMINATED_HTTPS", "UDP", "SCTP", "PROMETHEUS"]
Reference = Annotated[str, msgspec.Meta(max_length=255)]
Limit = Annotated[int, msgspec.Meta(ge=-1, le=INT_MAX)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=365 * 86_400_000)]
HEADERS = ("X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
USUAL: dict[str, Any] = {
    "connection_limit": -1, "insert_headers": {}, "timeout_client_data": 50_000, "timeout_member_connect": 5_000,
    "timeout_member_data": 50_000, "timeout_tcp_inspect": 0, "sni_container_refs": [], "client_authentication": "NONE",
    "tls_versions": [], "alpn_protocols": [], "hsts_include_subdomains": False, "hsts_preload": False}
REFERENCES = ("default_tls_container_ref", "client_ca_tls_container_ref", "client_crl_container_ref")


class Settings(DescribedChange, kw_only=True, forbid_unknown_fields=True):
    connection_limit: Limit | None | UnsetType = UNSET
    insert_headers: dict[str, str | bool] | None | UnsetType = UNSET
    timeout_client_data: Milliseconds | None | UnsetType = UNSET
    timeout_member_connect: Milliseconds | None | UnsetType = UNSET
    timeout_member_data: Milliseconds | None | UnsetType = UNSET
    timeout_tcp_inspect: Milliseconds | None | UnsetType = UNSET
    allowed_cidrs: list[str] | None | UnsetType = UNSET
    default_tls_container_ref: Reference | None | UnsetType = UNSET
    sni_container_refs: list[Reference] | None | UnsetType = UNSET
    client_ca_tls_container_ref: Reference | None | UnsetType = UNSET
    client_crl_container_ref: Reference | None | UnsetType = UNSET
    client_authentication: Literal["NONE", "OPTIONAL", "MANDATORY"] | None | UnsetType = UNSET
    tls_ciphers: str | None | UnsetType = UNSET
    tls_versions: list[str] | None | UnsetType = UNSET
    alpn_protocols: list[str] | None | UnsetType = UNSET
    hsts_max_age: Limit | None | UnsetType = UNSET
    hsts_include_subdomains: bool | None | UnsetType = UNSET
    hsts_preload: bool | None | UnsetType = UNSET


SETTINGS = tuple(name for name in Settings.__struct_fields__ if name not in DescribedChange.__struct_fields__)


class ListenerCreate(Settings, kw_only=True, forbid_unknown_fields=True):
    project_id: Id | None = None
    tenant_id: Id | None = None
    protocol: Protocol
    protocol_port: PortNumber
    default_pool_id: Id | None = None


class ListenerOf(ListenerCreate, kw_only=True, forbid_unknown_fields=True):
    loadbalancer_id: Id


class ListenerGraph(ListenerCreate, kw_only=True, forbid_unknown_fields=True):
    """One that is made together with its load balancer."""

    default_pool: PoolGraph | None = None
    l7policies: list[PolicyGraph] | None = None


class ListenerUpdate(Settings, kw_only=True, forbid_unknown_fields=True):
    default_pool_id: Id | None | UnsetType = UNSET


class ListenerView(PartView, kw_only=True):
    description: str
    protocol: str
    protocol_port: int
    connection_limit: int
    default_pool_id: str | None
    insert_headers: dict[str, str]
    timeout_client_data: int
    timeout_member_connect: int
    timeout_member_data: int
    timeout_tcp_inspect: int
    allowed_cidrs: list[str] | None
    default_tls_container_ref: str | None
    sni_container_refs: list[str]
    client_ca_tls_container_ref: str | None
    client_crl_container_ref: str | None
    client_authentication: str
    tls_ciphers: str | None
    tls_versions: list[str]
    alpn_protocols: list[str]
    hsts_max_age: int | None
    hsts_include_subdomains: bool
    hsts_preload: bool
    loadbalancers: list[Ref]
    l7policies: list[Ref]


class Statistics(msgspec.Struct, kw_only=True):
    bytes_in: int
    bytes_out: int
    active_connections: int
    total_connections: int
    request_errors: int


async def views(conn: Connection, found: list[Listener]) -> list[ListenerView]:
    own = await rows.of(conn, Policy, "listener_id", [listener.id for listener in found])
    return [ListenerView(**same(listener, ListenerView) | of_part(listener) | {
        "description": listener.description or "", "loadbalancers": [Ref(listener.load_balancer_id)],
        "l7policies": [Ref(policy.id) for policy in sorted(own, key=lambda policy: policy.position)
                       if policy.listener_id == listener.id]}) for listener in found]


async def get_listener(conn: Connection, listener_id: str) -> Listener:
    return await rows.get(conn, Listener, listener_id)


LISTENER = Target(get_listener, missing=Missing, hidden=hidden_from_nobody)


def _settings(values: dict[str, Any], protocol: str, vips: list[str]) -> dict[str, Any]:
    """What was said, as columns have it. Raises Invalid, BadOption and NoCertificate."""
    refs = [values[name] for name in REFERENCES if values.get(name)] + (values.get("sni_container_refs") or [])
    if refs:
        raise NoCertificate(refs=refs)                   # this cloud has no key manager that keeps any
    for name, usual in USUAL.items():
        if name in values and values[name] is None:
            values[name] = usual
    if values.get("client_authentication", "NONE") != "NONE" or values.get("hsts_max_age"):
        raise Invalid(reason="client_authentication and hsts_max_age are for listeners that end TLS")
    if "insert_headers" in values:
        values["insert_headers"] = _headers(values["insert_headers"], protocol)
    if values.get("allowed_cidrs"):
        values["allowed_cidrs"] = _prefixes(values["allowed_cidrs"], vips)
    elif "allowed_cidrs" in values:
        values["allowed_cidrs"] = None
    if values.get("connection_limit") == 0:
        raise Invalid(reason="Invalid input for field/attribute connection_limit. Value: '0'.")
    return values


def _headers(given: dict[str, str | bool], protocol: str) -> dict[str, str]:
    if given and protocol not in ("HTTP", "TERMINATED_HTTPS"):
        raise Invalid(reason=f"insert_headers are for listeners that speak HTTP, not {protocol}")
    for name, value in given.items():
        if name not in HEADERS:
            raise BadOption(value=name, option="insert_headers")
        if str(value).lower() not in ("true", "false"):
            raise BadOption(value=value, option=f"{name}, a boolean of insert_headers")
    return {name: str(value).lower() for name, value in given.items()}


def _prefixes(given: list[str], vips: list[str]) -> list[str]:
    versions = {6 if ":" in vip else 4 for vip in vips}
    found = []
    for text in given:
        try:
            prefix = ip_network(text, strict=False)
        except ValueError:
            raise Invalid(reason=f"Invalid input for field/attribute allowed_cidrs. Value: '{text}'.") from None
        if prefix.version not in versions:
            raise Invalid(reason=f"CIDR {text} is not of the IP version of the VIP")
        found.append(text)
    return found


def new_listener(ctx: Ctx, body: ListenerCreate, balancer: LoadBalancer) -> Listener:
    if body.protocol == "SCTP":
        raise unsupported("listeners of SCTP")
    values = {name: value for name in SETTINGS if (value := getattr(body, name)) is not UNSET}
    settings = _settings(values, body.protocol, balancer.vips)
    if body.protocol == "TERMINATED_HTTPS":
        raise Invalid(reason="An SNI or default certificate container reference must be provided for "
                             "TERMINATED_HTTPS protocol listeners.")
    return Listener(id=new_uuid(), **created(ctx, body, balancer.project_id), description=body.description or "",
                    load_balancer_id=balancer.id, protocol=body.protocol, protocol_port=body.protocol_port,
                    transport="udp" if body.protocol == "UDP" else "tcp", **settings)


async def add_listener(ctx: Ctx, tx: Connection, row: Listener) -> Listener:
    await add(ctx, tx, row, PortTaken(protocol=row.protocol, port=row.protocol_port))
    return row


@routes.get(PATH, envelope="listeners", policy=policies.listed("listener"))
async def list_listeners(ctx: Ctx, query: Query) -> Page[ListenerView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, LISTENERS, query)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(f"{PATH}/{{listener_id}}", envelope="listener", target=LISTENER, policy=policies.read("listener"))
async def show_listener(ctx: Ctx, listener: Listener) -> ListenerView:
    async with ctx.db.read() as reader:
        return (await views(reader, [listener]))[0]


@routes.get(f"{PATH}/{{listener_id}}/stats", envelope="stats", target=LISTENER,
            policy=policies.read("listener", "get_stats"))
async def show_statistics(ctx: Ctx, listener: Listener) -> Statistics:
    return Statistics(**same(listener, Statistics))


POST = policies.write("listener", "post")


@routes.post(PATH, envelope="listener", status=201, policy=POST, check=False)
async def create_listener(ctx: Ctx, body: ListenerOf) -> ListenerView:
    async with ctx.db.write() as tx:
        balancer = await rows.find(tx, LoadBalancer, body.loadbalancer_id)
        if balancer is None:
            raise NoSuch(what=LoadBalancer.title, id=body.loadbalancer_id)
        ctx.must_allow(POST.name, {"project_id": balancer.project_id})
        row = new_listener(ctx, body, balancer)
        if body.default_pool_id:
            must_speak(row.protocol, await must_be_here(tx, body.default_pool_id, balancer.id))
            row = msgspec.structs.replace(row, default_pool_id=body.default_pool_id)
        await begin(ctx, tx, balancer.id)
        return (await views(tx, [await add_listener(ctx, tx, row)]))[0]


@routes.put(f"{PATH}/{{listener_id}}", envelope="listener", target=LISTENER, policy=policies.write("listener", "put"))
async def update_listener(ctx: Ctx, listener: Listener, body: ListenerUpdate) -> ListenerView:
    async with ctx.db.write() as tx:
        balancer = await rows.get(tx, LoadBalancer, listener.load_balancer_id)
        values = _settings(changed(body), listener.protocol, balancer.vips)
        await begin(ctx, tx, balancer.id)
        if pool_id := values.get("default_pool_id"):
            must_speak(listener.protocol, await must_be_here(tx, pool_id, balancer.id))
        return (await views(tx, [await alter(ctx, tx, listener, values)]))[0]


@routes.delete(f"{PATH}/{{listener_id}}", target=LISTENER, policy=policies.write("listener", "delete"))
async def delete_listener(ctx: Ctx, listener: Listener) -> None:
    async with ctx.db.write() as tx:
        await begin(ctx, tx, listener.load_balancer_id)
        for policy in await rows.of(tx, Policy, "listener_id", [listener.id]):
            if not policy.is_going:
                await l7policies.let_go(tx, policy)
        await going(tx, await rows.get(tx, Listener, listener.id))
