"""/v2.0/floatingips."""

from __future__ import annotations

from collections.abc import Sequence
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
from pileus.network import agent_faults, faults
from pileus.network.addresses import canonical
from pileus.network.allocation import Wanted
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.qos import must_have
from pileus.network.api.shapes import (
    Id,
    MaybeText,
    ProjectId,
    Text,
    app,
    check_revision,
    given,
    must_allow,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import (
    base,
    gateways,
    networks,
    port_forwardings,
    ports,
    quotas,
    rbac,
    routers,
    security_groups,
    subnets,
)
from pileus.network.model.port_forwardings import PortForwarding
from pileus.network.model.ports import FLOATING_IP, Port
from pileus.network.model.routers import FloatingIp, interfaces
from pileus.network.model.sides import sides
from pileus.network.model.subnets import addresses
from pileus.network.new_ports import NewPort, add_ports
from pileus.network.sagas.tell_compute import tell_compute

routes = Routes()


class FloatingIpUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    description: MaybeText = UNSET
    port_id: str | None | UnsetType = UNSET
    fixed_ip_address: str | None | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET
    router_id: str | None | UnsetType = UNSET


class FloatingIpCreate(FloatingIpUpdate, kw_only=True, forbid_unknown_fields=True):
    floating_network_id: Id
    floating_ip_address: str | None = None
    subnet_id: str | None = None
    dns_name: Text = ""
    dns_domain: Text = ""
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class FloatingIpView(msgspec.Struct, kw_only=True):
    id: str
    description: str
    project_id: str
    tenant_id: str
    created_at: str
    updated_at: str
    revision_number: int
    tags: list[str]
    floating_network_id: str
    floating_ip_address: str
    port_id: str | None
    fixed_ip_address: str | None
    router_id: str | None
    status: str
    dns_name: str
    dns_domain: str
    qos_policy_id: str | None
    qos_network_policy_id: str | None
    port_details: dict[str, Any] | None
    port_forwardings: list[dict[str, Any]] = []


async def views(conn: Connection, rows: Sequence[FloatingIp]) -> list[FloatingIpView]:
    beside = await sides(conn, [row.id for row in rows], policies_of={row.floating_network_id for row in rows})
    behind = await ports.by_ids(conn, {row.port_id for row in rows if row.port_id})
    forwarded = await port_forwardings.of_floating_ips(conn, [r.id for r in rows if r.router_id and not r.port_id])
    found = []
    for row in rows:
        shown, port = standard(row, beside.tags[row.id]), behind.get(row.port_id or "")
        del shown["name"]
        found.append(FloatingIpView(
            **shown, floating_network_id=row.floating_network_id, floating_ip_address=row.floating_ip_address,
            port_id=row.port_id, fixed_ip_address=row.fixed_ip_address, router_id=row.router_id, status=row.status,
            dns_name=row.dns_name, dns_domain=row.dns_domain, qos_policy_id=row.qos_policy_id,
            qos_network_policy_id=beside.policies.get(row.floating_network_id),
            port_details=None if port is None else {
                "name": port.name, "network_id": port.network_id, "mac_address": port.mac_address,
                "admin_state_up": port.admin_state_up, "status": port.status, "device_id": port.device_id,
                "device_owner": port.device_owner}, port_forwardings=[_forwarding(one) for one in forwarded[row.id]]))
    return found


def _forwarding(row: PortForwarding) -> dict[str, Any]:
    return {"id": row.id, "protocol": row.protocol, "external_port": row.external_port,
            "internal_ip_address": row.internal_ip_address, "internal_port": row.internal_port,
            "internal_port_id": row.internal_port_id}


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    return None if sees_all(ctx) else routers.floating_ips.c.project_id == (ctx.caller.project_id or "")


TARGET = Target(routers.get_floating_ip, missing=faults.FloatingIpNotFound)
LISTING = Listing(collection="floatingips", table=routers.floating_ips, row=FloatingIp,
                  columns=listing.columns_of(routers.floating_ips, "floating_port_id", "name"))


@routes.get("/v2.0/floatingips", envelope="floatingips", policy=Rule("get_floatingip", READER))
async def list_floating_ips(ctx: Ctx, query: Query) -> Page[FloatingIpView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get("/v2.0/floatingips/{floatingip_id}", envelope="floatingip", target=TARGET,
            policy=Rule("get_floatingip", READER))
async def show_floating_ip(ctx: Ctx, floating: FloatingIp) -> FloatingIpView:
    async with ctx.db.read() as reader:
        return (await views(reader, [floating]))[0]


@routes.post("/v2.0/floatingips", envelope="floatingip", bulk="floatingips", status=201,
             policy=Rule("create_floatingip", MEMBER))
async def create_floating_ips(ctx: Ctx, body: list[FloatingIpCreate]) -> list[FloatingIpView]:
    now, config, made = ctx.clock(), app(ctx).config, []
    owners = [owner(ctx, each) for each in body]
    async with ctx.db.write() as tx:
        for project_id in sorted(set(owners)):
            await security_groups.project(tx, project_id, now)
            await quotas.must_have_room(tx, project_id, config.quotas, "floatingip", owners.count(project_id))
        await must_have(ctx, tx, (each.qos_policy_id for each in body))
        for each, project_id in zip(body, owners, strict=True):
            port, address = await _outside(ctx, tx, each)
            row = FloatingIp(
                id=port.device_id, project_id=project_id, description=each.description or "", created_at=now,
                updated_at=now, floating_network_id=port.network_id, floating_ip_address=address,
                floating_port_id=port.id, dns_name=each.dns_name, dns_domain=each.dns_domain,
                qos_policy_id=None if each.qos_policy_id is UNSET else each.qos_policy_id)
            if each.router_id and not each.port_id:
                raise faults.BadFloatingIpRequest(reason="router_id cannot be specified without a port_id")
            if each.port_id:
                row = msgspec.structs.replace(row, **await inside(ctx, tx, row, each))
            elif each.fixed_ip_address:
                raise faults.BadFloatingIpRequest(reason="fixed_ip_address cannot be specified without a port_id")
            await _add(tx, row)
            made.append(row)
        app(ctx).changed(tx)
        await tell_compute(ctx.sagas, tx, *(row.port_id for row in made))
        return await views(tx, made)


async def _add(tx: Connection, row: FloatingIp) -> None:
    try:
        await db.add(tx, routers.floating_ips, row)
    except db.Taken as error:
        raise db.Collision(str(error)) from error


async def _outside(ctx: Ctx, tx: Connection, body: FloatingIpCreate) -> tuple[Port, str]:
    """The port that holds the public address."""
    network = await networks.find(tx, body.floating_network_id)
    if network is None:
        raise faults.NetworkNotFound(network_id=body.floating_network_id)
    if not (sees_all(ctx) or network.project_id == ctx.caller.project_id
            or await rbac.is_given(tx, "network", network.id, ctx.caller.project_id)):
        raise faults.NetworkNotFound(network_id=body.floating_network_id)
    if not network.external:
        raise faults.BadFloatingIpRequest(reason=f"Network {network.id} is not a valid external network")
    if body.floating_ip_address:
        must_allow(ctx, "create_floatingip:floating_ip_address")
        wanted = [Wanted(subnet_id=body.subnet_id, ip_address=body.floating_ip_address)]
    elif body.subnet_id:
        wanted = [Wanted(subnet_id=body.subnet_id)]
    else:
        wanted = await _any_address(tx, network.id)
    now = ctx.clock()
    port = Port(id=new_uuid(), project_id="", created_at=now, updated_at=now, network_id=network.id, mac_address="",
                status="N/A", device_id=new_uuid(), device_owner=FLOATING_IP, port_security_enabled=False)
    last = None
    for choice in [wanted] if wanted is None or len(wanted) == 1 else [[one] for one in wanted]:
        try:
            made = (await add_ports(tx, app(ctx).config.mac_prefix, [NewPort(port=port, fixed_ips=choice)]))[0]
        except faults.NoMoreAddresses as error:
            last = error
            continue
        return made.port, next((a.ip for a in made.addresses if "." in a.ip), made.addresses[0].ip)
    raise last or faults.NoMoreAddresses(network_id=network.id)


async def _any_address(tx: Connection, network_id: str) -> list[Wanted]:
    """One IPv4 address of whichever subnet has one left."""
    found = [Wanted(subnet_id=s.id) for s in await subnets.of_network(tx, network_id)
             if s.ip_version == 4 and s.serves(FLOATING_IP)]
    if not found:
        raise faults.BadFloatingIpRequest(reason=f"Network {network_id} does not contain any IPv4 subnet")
    return found


async def inside(ctx: Ctx, tx: Connection, row: FloatingIp, body: FloatingIpUpdate) -> dict[str, Any]:
    """What the columns of an association become; port forwarding finds its way to the guest by it, too."""
    port = await ports.find(tx, str(body.port_id))
    if port is None or not (sees_all(ctx) or port.project_id == ctx.caller.project_id):
        if port is not None and (await networks.get(tx, port.network_id)).project_id == ctx.caller.project_id:
            raise faults.BadFloatingIpRequest(reason=f"Port {port.id} is associated with a different project than "
                                              f"Floating IP {row.id} and therefore cannot be bound")
        raise faults.PortNotFound(port_id=body.port_id)
    held = (await subnets.addresses_of(tx, [port.id]))[port.id]
    asked = canonical(body.fixed_ip_address) if body.fixed_ip_address else None
    four = [address for address in held if "." in address.ip]
    if body.fixed_ip_address:
        chosen = next((address for address in four if address.ip == asked), None)
        if chosen is None:
            raise faults.BadFloatingIpRequest(
                reason=f"Port {port.id} does not have fixed ip {body.fixed_ip_address}")
    elif len(four) == 1:
        chosen = four[0]
    else:
        many = "has multiple fixed IPv4 addresses. Must provide a specific IPv4 address when assigning a floating IP"
        raise faults.BadFloatingIpRequest(reason=f"Port {port.id} " + (
            many if four else "does not have fixed IPv4 addresses, floating IPs cannot be assigned"))
    await _must_be_unserved(tx, row, port.id, chosen.ip)
    if body.router_id:
        router_id = await _named_router(ctx, tx, str(body.router_id), row.floating_network_id)
    else:
        router_id = await _router_between(tx, chosen.subnet_id, row.floating_network_id)
    if router_id is None:
        raise faults.NotReachable(network_id=row.floating_network_id, subnet_id=chosen.subnet_id, port_id=port.id)
    return {"port_id": port.id, "fixed_ip_address": chosen.ip, "router_id": router_id, "status": "DOWN"}


async def _must_be_unserved(tx: Connection, row: FloatingIp, port_id: str, fixed_ip: str) -> None:
    c = routers.floating_ips.c
    other = await db.scalar(tx, sa.select(c.id).where(
        c.port_id == port_id, c.fixed_ip_address == fixed_ip, c.floating_network_id == row.floating_network_id,
        c.id != row.id))
    if other is not None:
        raise faults.FloatingIpPortTaken(ip=row.floating_ip_address, port_id=port_id, fixed_ip=fixed_ip,
                                         network_id=row.floating_network_id)


async def _named_router(ctx: Ctx, tx: Connection, router_id: str, external_id: str) -> str:
    """The router that the client knows to lead to the port, be it by routes through others."""
    router = await routers.lock(tx, router_id)
    if not (sees_all(ctx) or router.project_id == ctx.caller.project_id):
        raise faults.RouterNotFound(router_id=router_id)
    if not await gateways.leads_to(tx, router.id, external_id):
        raise agent_faults.RouterElsewhere(router_id=router_id, network_id=external_id)
    return router.id


async def _router_between(tx: Connection, subnet_id: str, external_id: str) -> str | None:
    """A router with an interface on the subnet and its gateway, or else an interface, on the external network; held,
    so that neither leaves before the association is there. The one that is the subnet's gateway comes first."""
    of_subnet = sa.select(interfaces.c.router_id, addresses.c.ip).join(
        addresses, addresses.c.port_id == interfaces.c.port_id).where(addresses.c.subnet_id == subnet_id)
    subnet = await subnets.get(tx, subnet_id)
    candidates = sorted(await base.rows(tx, of_subnet), key=lambda pair: (pair[1] != subnet.gateway_ip, pair[0]))
    for router_id, _ in candidates:
        await routers.lock(tx, router_id)
        if await gateways.leads_to(tx, router_id, external_id):
            return router_id
    inside = ports.ports.c.network_id == external_id
    legs = set(await db.scalars(tx, sa.select(interfaces.c.router_id).join(
        ports.ports, ports.ports.c.id == interfaces.c.port_id).where(inside)))
    return next((router_id for router_id, _ in candidates if router_id in legs), None)


@routes.put("/v2.0/floatingips/{floatingip_id}", envelope="floatingip", target=TARGET,
            policy=Rule("update_floatingip", MEMBER))
async def update_floating_ip(ctx: Ctx, floating: FloatingIp, body: FloatingIpUpdate) -> FloatingIpView:
    """A body that says nothing at all ends the association."""
    check_revision(ctx, floating)
    if not given(body):
        body = FloatingIpUpdate(port_id=None)
    values = texts(given(body))
    async with ctx.db.write() as tx:
        await must_have(ctx, tx, [body.qos_policy_id])
        if body.port_id and (await port_forwardings.of_floating_ips(tx, [floating.id]))[floating.id]:
            raise faults.FloatingIpInUse(floatingip_id=floating.id)
        if body.port_id is UNSET and (body.fixed_ip_address, body.router_id) != (UNSET, UNSET) and floating.port_id:
            body = FloatingIpUpdate(port_id=floating.port_id, fixed_ip_address=body.fixed_ip_address,
                                    router_id=body.router_id)
        if body.port_id is not UNSET and body.port_id:
            values |= await inside(ctx, tx, floating, body)
        elif body.router_id:
            raise faults.BadFloatingIpRequest(reason="router_id cannot be specified without a port_id")
        elif "port_id" in values:
            if body.fixed_ip_address:
                raise faults.BadFloatingIpRequest(reason="fixed_ip_address cannot be specified without a port_id")
            values |= {"port_id": None, "fixed_ip_address": None, "router_id": None, "status": "DOWN"}
        row = await base.change(tx, routers.floating_ips, floating, ctx.clock(), **values)
        app(ctx).changed(tx)
        await tell_compute(ctx.sagas, tx, floating.port_id, row.port_id)
        return (await views(tx, [row]))[0]


@routes.delete("/v2.0/floatingips/{floatingip_id}", target=TARGET, policy=Rule("delete_floatingip", MEMBER))
async def delete_floating_ip(ctx: Ctx, floating: FloatingIp) -> None:
    check_revision(ctx, floating)
    async with ctx.db.write() as tx:
        if (await port_forwardings.of_floating_ips(tx, [floating.id]))[floating.id]:
            raise faults.FloatingIpInUse(floatingip_id=floating.id)
        await base.remove(tx, routers.floating_ips, floating.id)
        await base.remove(tx, ports.ports, floating.floating_port_id)
        app(ctx).changed(tx)
        await tell_compute(ctx.sagas, tx, floating.port_id)
