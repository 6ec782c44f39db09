"""/v2.0/ndp_proxies: addresses of guests that are made known on the external network of a router."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, ndp_faults
from pileus.network.addresses import canonical
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.shapes import (
    Changed,
    Created,
    Id,
    Standard,
    Text,
    app,
    check_revision,
    given,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import base, ndp_proxies, networks, ports, routers, subnets
from pileus.network.model.ndp_proxies import NdpProxy, proxies
from pileus.network.model.ports import Port
from pileus.network.model.routers import Router

routes = Routes()
EVERY, ONE = "/v2.0/ndp_proxies", "/v2.0/ndp_proxies/{ndp_proxy_id}"


class ProxyCreate(Created, kw_only=True, forbid_unknown_fields=True):
    router_id: Id
    port_id: Id
    ip_address: Text | None = None


class ProxyView(Standard, kw_only=True):
    router_id: str
    port_id: str
    ip_address: str


async def views(conn: Connection, rows: Sequence[NdpProxy]) -> list[ProxyView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    return [ProxyView(**standard(row, tags[row.id]), router_id=row.router_id, port_id=row.port_id,
                      ip_address=row.ip_address) for row in rows]


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    return None if sees_all(ctx) else proxies.c.project_id == (ctx.caller.project_id or "")


PROXY = Target(ndp_proxies.get, missing=ndp_faults.NdpProxyNotFound)
LISTING = Listing(collection="ndp_proxies", table=proxies, row=NdpProxy, columns=listing.columns_of(proxies))


@routes.get(EVERY, envelope="ndp_proxies", policy=Rule("get_ndp_proxy", READER))
async def list_proxies(ctx: Ctx, query: Query) -> Page[ProxyView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(ONE, envelope="ndp_proxy", target=PROXY, policy=Rule("get_ndp_proxy", READER))
async def show_proxy(ctx: Ctx, row: NdpProxy) -> ProxyView:
    async with ctx.db.read() as reader:
        return (await views(reader, [row]))[0]


@routes.post(EVERY, envelope="ndp_proxy", status=201, policy=Rule("create_ndp_proxy", MEMBER))
async def create_proxy(ctx: Ctx, body: ProxyCreate) -> ProxyView:
    project_id, now = owner(ctx, body), ctx.clock()
    async with ctx.db.write() as tx:
        router = await routers.lock(tx, body.router_id)
        port = await ports.get(tx, body.port_id)
        for thing, fault in ((router, faults.RouterNotFound(router_id=router.id)),
                             (port, faults.PortNotFound(port_id=port.id))):
            if not (sees_all(ctx) or thing.project_id == ctx.caller.project_id):
                raise fault
        if not router.enable_ndp_proxy:
            raise ndp_faults.NotEnabled(router_id=router.id)
        row = NdpProxy(id=new_uuid(), project_id=project_id, name=body.name, description=body.description or "",
                       created_at=now, updated_at=now, router_id=router.id, port_id=port.id,
                       ip_address=await _address(tx, router, port, body.ip_address))
        try:
            await db.add(tx, proxies, row)
        except db.Taken as error:
            raise ndp_faults.NdpProxyExists(router_id=router.id, ip=row.ip_address) from error
        app(ctx).changed(tx)
        return (await views(tx, [row]))[0]


async def _address(tx: Connection, router: Router, port: Port, asked: str | None) -> str:
    """The one that is meant, or the first that the router leads to."""
    held = [each for each in (await subnets.addresses_of(tx, [port.id]))[port.id] if ":" in each.ip]
    if asked and canonical(asked) not in [each.ip for each in held]:
        raise ndp_faults.AddressNotOfPort(ip=asked, port_id=port.id)
    legs = await subnets.addresses_of(tx, await routers.interface_ports(tx, router.id))
    near = {leg.subnet_id for own in legs.values() for leg in own}
    found = [each.ip for each in held if each.subnet_id in near and (not asked or each.ip == canonical(asked))]
    if not found:
        raise ndp_faults.PortUnreachable(port_id=port.id, router_id=router.id)
    inside = await networks.inside(tx, [port.network_id, router.gateway_network_id or ""])
    inner, outer = (inside[i].scopes.get(6) for i in (port.network_id, router.gateway_network_id or ""))
    if inner != outer:
        raise ndp_faults.ScopesDiffer(inner=inner, outer=outer)
    return found[0]


@routes.put(ONE, envelope="ndp_proxy", target=PROXY, policy=Rule("update_ndp_proxy", MEMBER))
async def update_proxy(ctx: Ctx, row: NdpProxy, body: Changed) -> ProxyView:
    check_revision(ctx, row)
    values = texts(given(body))
    async with ctx.db.write() as tx:
        changed = await base.change(tx, proxies, row, ctx.clock(), **values) if values else row
        return (await views(tx, [changed]))[0]


@routes.delete(ONE, target=PROXY, policy=Rule("delete_ndp_proxy", MEMBER))
async def delete_proxy(ctx: Ctx, row: NdpProxy) -> None:
    check_revision(ctx, row)
    async with ctx.db.write() as tx:
        await base.remove(tx, proxies, row.id)
        app(ctx).changed(tx)


async def settle_router(tx: Connection, before: Router, after: Router, asked: bool) -> bool | None:
    """Whether a router, as it becomes, answers for others: only through a gateway whose IPv6 is of an address scope.
    One that loses its gateway does so no more."""
    if before.gateway_network_id != after.gateway_network_id and await ndp_proxies.on_router(tx, before.id):
        raise ndp_faults.GatewayInUse(router_id=before.id)
    if not after.enable_ndp_proxy:
        return after.enable_ndp_proxy
    if after.gateway_network_id is None:
        if asked:
            raise ndp_faults.GatewayNotValid(router_id=before.id, reason="the router has no external gateway")
        return False
    if (await networks.inside(tx, [after.gateway_network_id]))[after.gateway_network_id].scopes.get(6) is None:
        raise ndp_faults.GatewayNotValid(
            router_id=before.id, reason="the external network's IPv6 subnets are in no address scope")
    return True
