"""/v2.0/routers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, legs, subnet_rules
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.ndp_proxies import settle_router
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.port_shapes import FixedIp
from pileus.network.api.qos import must_have
from pileus.network.api.shapes import (
    Changed,
    MaybeBool,
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
from pileus.network.gateways import Change, GatewayAsked
from pileus.network.model import (
    base,
    gateways,
    networks,
    ports,
    quotas,
    rbac,
    router_sides,
    routers,
    security_groups,
    subnets,
)
from pileus.network.model.ports import Port
from pileus.network.model.routers import Router
from pileus.network.model.subnets import HostRoute, Subnet

routes = Routes()


class RouterUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    admin_state_up: MaybeBool = UNSET
    external_gateway_info: GatewayAsked | None | UnsetType = UNSET
    routes: list[HostRoute] | None | UnsetType = UNSET
    distributed: bool | UnsetType = UNSET
    ha: bool | UnsetType = UNSET
    enable_ndp_proxy: bool | None | UnsetType = UNSET
    enable_default_route_ecmp: bool | None | UnsetType = UNSET
    enable_default_route_bfd: bool | None | UnsetType = UNSET


class RouterCreate(RouterUpdate, kw_only=True, forbid_unknown_fields=True):
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET
    availability_zone_hints: list[str] = []
    flavor_id: None = None


class InterfaceAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    subnet_id: UuidText | None = None
    port_id: UuidText | None = None


class GatewayView(msgspec.Struct, kw_only=True):
    network_id: str
    external_fixed_ips: list[FixedIp]


class GatewayInfo(GatewayView, kw_only=True):
    enable_snat: bool
    qos_policy_id: str | None


class RouterView(Standard, kw_only=True):
    admin_state_up: bool
    status: str
    external_gateway_info: GatewayInfo | None
    external_gateways: list[GatewayView]
    enable_snat: bool
    routes: list[HostRoute]
    availability_zones: list[str] = []
    availability_zone_hints: list[str] = []
    flavor_id: None = None
    enable_ndp_proxy: bool
    enable_default_route_ecmp: bool
    enable_default_route_bfd: bool
    conntrack_helpers: list[dict[str, Any]] = []
    distributed: bool | UnsetType = UNSET
    ha: bool | UnsetType = UNSET


class InterfaceView(msgspec.Struct, kw_only=True):
    id: str
    project_id: str
    tenant_id: str
    port_id: str
    network_id: str
    subnet_id: str
    subnet_ids: list[str]
    tags: list[str] = []


async def views(ctx: Ctx, conn: Connection, rows: Sequence[Router]) -> list[RouterView]:
    sides = await router_sides.sides_of(conn, [row.id for row in rows])
    ways = {row.id: [first, *sides[row.id].further] if (first := gateways.first_of(row)) else [] for row in rows}
    held = await subnets.addresses_of(conn, [way.port_id for own in ways.values() for way in own])
    found = []
    for row in rows:
        shown = [GatewayView(network_id=way.network_id, external_fixed_ips=[
            FixedIp(subnet_id=a.subnet_id, ip_address=a.ip) for a in held[way.port_id]]) for way in ways[row.id]]
        first = GatewayInfo(network_id=shown[0].network_id, external_fixed_ips=shown[0].external_fixed_ips,
                            enable_snat=row.enable_snat, qos_policy_id=row.qos_policy_id) if shown else None
        found.append(RouterView(
            **standard(row, sides[row.id].tags), admin_state_up=row.admin_state_up, status=row.status,
            external_gateway_info=first, external_gateways=shown, enable_snat=row.enable_snat, routes=row.routes,
            conntrack_helpers=[{"protocol": protocol, "port": port, "helper": name}
                               for protocol, port, name in sides[row.id].followed],
            enable_ndp_proxy=bool(row.enable_ndp_proxy),
            enable_default_route_ecmp=bool(row.enable_default_route_ecmp),
            enable_default_route_bfd=bool(row.enable_default_route_bfd),
            availability_zones=["nova"] if row.host else []))
    return found


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    return None if sees_all(ctx) else routers.routers.c.project_id == (ctx.caller.project_id or "")


ROUTER = Target(routers.get, missing=faults.RouterNotFound)
LISTING = Listing(collection="routers", table=routers.routers, row=Router,
                  columns=listing.columns_of(routers.routers, "routes", "host", "gateway_network_id",
                                             "qos_policy_id"))


@routes.get("/v2.0/routers", envelope="routers", policy=Rule("get_router", READER))
async def list_routers(ctx: Ctx, query: Query) -> Page[RouterView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(ctx, reader, found.rows), extra=found.links)


@routes.get("/v2.0/routers/{router_id}", envelope="router", target=ROUTER, policy=Rule("get_router", READER))
async def show_router(ctx: Ctx, router: Router) -> RouterView:
    async with ctx.db.read() as reader:
        return (await views(ctx, reader, [router]))[0]


def _may_set(ctx: Ctx, body: RouterUpdate, verb: str, facts: dict[str, Any] | None) -> None:
    asked = body.external_gateway_info
    for name in ("distributed", "ha", "enable_default_route_ecmp", "enable_default_route_bfd"):
        if getattr(body, name) is not UNSET:
            must_allow(ctx, f"{verb}:{name}", facts)
    if body.distributed is True or body.ha is True:
        raise faults.InvalidInput(reason="routers are neither distributed nor highly available here")
    if isinstance(asked, GatewayAsked):
        may_ask(ctx, asked, f"{verb}:external_gateway_info", facts)


def may_ask(ctx: Ctx, asked: GatewayAsked, rule: str, facts: dict[str, Any] | None) -> None:
    for name in ("enable_snat", "external_fixed_ips"):
        if getattr(asked, name) is not UNSET:
            must_allow(ctx, f"{rule}:{name}", facts)


@routes.post("/v2.0/routers", envelope="router", bulk="routers", status=201, policy=Rule("create_router", MEMBER))
async def create_routers(ctx: Ctx, body: list[RouterCreate]) -> list[RouterView]:
    now, config, made = ctx.clock(), app(ctx).config, []
    for each in body:
        _may_set(ctx, each, "create_router", None)
    owners = [owner(ctx, each) for each in body]
    async with ctx.db.write() as tx:
        for project_id in sorted(set(owners)):
            await security_groups.project(tx, project_id, now)
            await quotas.must_have_room(tx, project_id, config.quotas, "router", owners.count(project_id))
        for each, project_id in zip(body, owners, strict=True):
            row = Router(id=new_uuid(), project_id=project_id, created_at=now, updated_at=now, name=each.name or "",
                         description=each.description or "", admin_state_up=each.admin_state_up is not False,
                         enable_default_route_ecmp=each.enable_default_route_ecmp is True,
                         enable_default_route_bfd=each.enable_default_route_bfd is True)
            await db.add(tx, routers.routers, row)
            if isinstance(each.external_gateway_info, GatewayAsked) and each.external_gateway_info.network_id:
                await must_see(ctx, tx, each.external_gateway_info)
                values = await Change(tx, row, config.mac_prefix, now).set_first(each.external_gateway_info)
                await db.update(tx, routers.routers.update().where(routers.routers.c.id == row.id).values(**values))
                row = msgspec.structs.replace(row, **values)
            if each.enable_ndp_proxy:
                after = msgspec.structs.replace(row, enable_ndp_proxy=True)
                await settle_router(tx, row, after, asked=True)
                row = await base.change(tx, routers.routers, row, now, enable_ndp_proxy=True)
            made.append(row)
        app(ctx).changed(tx)
        return await views(ctx, tx, made)


async def must_see(ctx: Ctx, tx: Connection, asked: GatewayAsked) -> None:
    network = await networks.find(tx, asked.network_id or "")
    if network is not None and not (sees_all(ctx) or network.project_id == ctx.caller.project_id or
                                    await rbac.is_given(tx, "network", network.id, ctx.caller.project_id)):
        raise faults.NetworkNotFound(network_id=asked.network_id)
    await must_have(ctx, tx, [asked.qos_policy_id])


@routes.put("/v2.0/routers/{router_id}", envelope="router", target=ROUTER, policy=Rule("update_router", MEMBER))
async def update_router(ctx: Ctx, router: Router, body: RouterUpdate) -> RouterView:
    check_revision(ctx, router)
    _may_set(ctx, body, "update_router", {"project_id": router.project_id})
    values, now = texts(given(body)), ctx.clock()
    asked = values.pop("external_gateway_info", UNSET)
    for name in ("distributed", "ha"):
        values.pop(name, None)
    for name in ("enable_default_route_ecmp", "enable_default_route_bfd"):
        if values.get(name, UNSET) is None:
            del values[name]
    async with ctx.db.write() as tx:
        router = await _unchanged(tx, router)
        if asked is not UNSET:
            if asked is not None:
                await must_see(ctx, tx, asked)
            values |= await Change(tx, router, app(ctx).config.mac_prefix, now).set_first(asked)
        after = becomes(router, values)
        values |= await settled_proxy(tx, router, after, asked=body.enable_ndp_proxy is True)
        if "routes" in values:
            values["routes"] = subnet_rules.host_routes(values["routes"] or [])
            await legs.check_routes(tx, after, values["routes"])
        row = await base.change(tx, routers.routers, router, now, **values)
        app(ctx).changed(tx)
        return (await views(ctx, tx, [row]))[0]


def becomes(router: Router, values: dict[str, Any]) -> Router:
    """What matters of it to those that hang on its gateway."""
    return msgspec.structs.replace(router, **{name: value for name, value in values.items()
                                              if name.startswith("gateway_") or name == "enable_ndp_proxy"})


async def settled_proxy(tx: Connection, before: Router, after: Router, *, asked: bool = False) -> dict[str, Any]:
    answers = await settle_router(tx, before, after, asked=asked)
    return {"enable_ndp_proxy": answers} if answers != before.enable_ndp_proxy else {}


class RoutesAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    routes: list[HostRoute]


async def _with_routes(ctx: Ctx, router: Router, change: Callable[[list[HostRoute]], list[HostRoute]]) -> RouterView:
    """The router is held meanwhile, so that changes of several clients add up."""
    async with ctx.db.write() as tx:
        router = await routers.lock(tx, router.id)
        wanted = change(router.routes)
        await legs.check_routes(tx, router, wanted)
        row = router
        if wanted != router.routes:
            row = await base.change(tx, routers.routers, router, ctx.clock(), routes=wanted)
        app(ctx).changed(tx)
        return (await views(ctx, tx, [row]))[0]


@routes.put("/v2.0/routers/{router_id}/add_extraroutes", envelope="router", target=ROUTER,
            policy=Rule("add_extraroutes", MEMBER))
async def add_routes(ctx: Ctx, router: Router, body: RoutesAsked) -> RouterView:
    """What is there already stays once."""
    asked = subnet_rules.host_routes(body.routes)
    return await _with_routes(ctx, router, lambda have: list(dict.fromkeys([*have, *asked])))


@routes.put("/v2.0/routers/{router_id}/remove_extraroutes", envelope="router", target=ROUTER,
            policy=Rule("remove_extraroutes", MEMBER))
async def remove_routes(ctx: Ctx, router: Router, body: RoutesAsked) -> RouterView:
    """What is not there need not be taken away."""
    asked = set(subnet_rules.host_routes(body.routes))
    return await _with_routes(ctx, router, lambda have: [route for route in have if route not in asked])


async def _unchanged(tx: Connection, router: Router) -> Router:
    locked = await routers.lock(tx, router.id)
    if locked.generation != router.generation:
        raise db.Stale(kind="router", id=router.id)
    return locked


@routes.delete("/v2.0/routers/{router_id}", target=ROUTER, policy=Rule("delete_router", MEMBER))
async def delete_router(ctx: Ctx, router: Router) -> None:
    check_revision(ctx, router)
    async with ctx.db.write() as tx:
        router = await routers.lock(tx, router.id)
        if await routers.interface_ports(tx, router.id):
            raise faults.RouterInUse(router_id=router.id)
        await Change(tx, router, app(ctx).config.mac_prefix, ctx.clock()).replace([])
        await base.remove(tx, routers.routers, router.id)
        app(ctx).changed(tx)


# -- interfaces -----------------------------------------------------------------------------


@routes.put("/v2.0/routers/{router_id}/add_router_interface", target=ROUTER,
            policy=Rule("add_router_interface", MEMBER))
async def add_interface(ctx: Ctx, router: Router, body: InterfaceAsked) -> InterfaceView:
    now = ctx.clock()
    if (body.port_id is None) == (body.subnet_id is None):
        raise faults.BadRouterRequest(reason="Either subnet_id or port_id must be specified" if body.port_id is None
                                      else "Cannot specify both subnet-id and port-id")
    async with ctx.db.write() as tx:
        router = await routers.lock(tx, router.id)
        if body.subnet_id is not None:
            subnet = await _subnet(ctx, tx, body.subnet_id)
            port_id, subnet_ids = await legs.add_subnet(tx, router, subnet, app(ctx).config.mac_prefix, now)
            network_id = subnet.network_id
        else:
            port = await _port(ctx, tx, body.port_id or "")
            subnet_ids = await legs.add_port(tx, router, port, now)
            port_id, network_id = port.id, port.network_id
        await base.bump(tx, routers.routers, router.id, now)
        app(ctx).changed(tx)
    return InterfaceView(id=router.id, project_id=router.project_id, tenant_id=router.project_id, port_id=port_id,
                         network_id=network_id, subnet_id=body.subnet_id or subnet_ids[0], subnet_ids=subnet_ids)


@routes.put("/v2.0/routers/{router_id}/remove_router_interface", target=ROUTER,
            policy=Rule("remove_router_interface", MEMBER))
async def remove_interface(ctx: Ctx, router: Router, body: InterfaceAsked) -> InterfaceView:
    now = ctx.clock()
    if body.port_id is None and body.subnet_id is None:
        raise faults.BadRouterRequest(reason="Either subnet_id or port_id must be specified")
    async with ctx.db.write() as tx:
        router = await routers.lock(tx, router.id)
        port = await _interface(tx, router, body)
        gone = await legs.remove_interface(tx, router, port, None if body.port_id else body.subnet_id, now)
        await base.bump(tx, routers.routers, router.id, now)
        app(ctx).changed(tx)
    return InterfaceView(id=router.id, project_id=router.project_id, tenant_id=router.project_id, port_id=port.id,
                         network_id=port.network_id, subnet_id=body.subnet_id or (gone[0] if gone else ""),
                         subnet_ids=gone)


async def _interface(tx: Connection, router: Router, body: InterfaceAsked) -> Port:
    if body.port_id is None:
        return await legs.interface_on(tx, router, body.subnet_id or "")
    if body.port_id not in await routers.interface_ports(tx, router.id):
        raise faults.InterfaceNotFound(router_id=router.id, port_id=body.port_id)
    if body.subnet_id is not None and (await legs.interface_on(tx, router, body.subnet_id)).id != body.port_id:
        raise faults.SubnetMismatch(port_id=body.port_id, subnet_id=body.subnet_id)
    return await ports.get(tx, body.port_id)


async def _subnet(ctx: Ctx, tx: Connection, subnet_id: str) -> Subnet:
    subnet = await subnets.get(tx, subnet_id)
    network = await networks.get(tx, subnet.network_id)
    if not (sees_all(ctx) or ctx.caller.project_id in (subnet.project_id, network.project_id) or
            await rbac.is_given(tx, "network", network.id, ctx.caller.project_id, rbac.SHARED)):
        raise faults.SubnetNotFound(subnet_id=subnet_id)
    return subnet


async def _port(ctx: Ctx, tx: Connection, port_id: str) -> Port:
    port = await ports.get(tx, port_id)
    if not (sees_all(ctx) or port.project_id == ctx.caller.project_id):
        raise faults.PortNotFound(port_id=port_id)
    return port
