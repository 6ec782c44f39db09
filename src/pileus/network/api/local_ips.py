"""/v2.0/local_ips: addresses that on each host mean the port there that stands for them."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, local_ip_faults
from pileus.network.addresses import canonical
from pileus.network.allocation import Wanted
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.shapes import (
    Changed,
    Created,
    ProjectId,
    Standard,
    UuidText,
    app,
    check_revision,
    given,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import base, local_ips, networks, ports, quotas, rbac, security_groups, subnets
from pileus.network.model.local_ips import OWNER, Association, LocalIp
from pileus.network.model.ports import Port
from pileus.network.new_ports import NewPort, add_ports

routes = Routes()


class LocalIpCreate(Created, kw_only=True, forbid_unknown_fields=True):
    local_port_id: UuidText | None = None
    network_id: UuidText | None = None
    local_ip_address: str | None = None
    ip_mode: Literal["translate", "passthrough"] = "translate"


class LocalIpUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    pass


class LocalIpView(Standard, kw_only=True):
    local_port_id: str
    network_id: str
    local_ip_address: str
    ip_mode: str


class AssociationCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    fixed_port_id: UuidText
    fixed_ip: str | None = None
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class AssociationView(msgspec.Struct, kw_only=True):
    local_ip_id: str
    local_ip_address: str
    fixed_port_id: str
    fixed_ip: str
    host: str


def view(row: LocalIp, tags: list[str]) -> LocalIpView:
    return LocalIpView(**standard(row, tags), local_port_id=row.local_port_id, network_id=row.network_id,
                       local_ip_address=row.local_ip_address, ip_mode=row.ip_mode)


async def views(conn: Connection, rows: list[LocalIp]) -> list[LocalIpView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    return [view(row, tags[row.id]) for row in rows]


def association_view(row: Association) -> AssociationView:
    return AssociationView(local_ip_id=row.local_ip_id, local_ip_address=row.local_ip_address,
                           fixed_port_id=row.fixed_port_id, fixed_ip=row.fixed_ip, host=row.host)


LOCAL_IP = Target(local_ips.get, missing=local_ip_faults.LocalIpNotFound)
ASSOCIATION = Target(local_ips.association, missing=local_ip_faults.AssociationNotFound)
LISTING = Listing(collection="local_ips", table=local_ips.local_ips, row=LocalIp,
                  columns=listing.columns_of(local_ips.local_ips))
ALL, ONE = "/v2.0/local_ips", "/v2.0/local_ips/{local_ip_id}"
PORTS = ONE + "/port_associations"
TOLD = ("local_ip_id", "local_ip_address", "fixed_port_id", "fixed_ip", "host")


@routes.get(ALL, envelope="local_ips", policy=Rule("get_local_ip", READER))
async def list_local_ips(ctx: Ctx, query: Query) -> Page[LocalIpView]:
    mine = None if sees_all(ctx) else local_ips.local_ips.c.project_id == (ctx.caller.project_id or "")
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, mine)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(ONE, envelope="local_ip", target=LOCAL_IP, policy=Rule("get_local_ip", READER))
async def show_local_ip(ctx: Ctx, local_ip: LocalIp) -> LocalIpView:
    async with ctx.db.read() as reader:
        return (await views(reader, [local_ip]))[0]


@routes.post(ALL, envelope="local_ip", bulk="local_ips", status=201, policy=Rule("create_local_ip", MEMBER))
async def create_local_ips(ctx: Ctx, body: list[LocalIpCreate]) -> list[LocalIpView]:
    """Of an address that a port has, or on a network with a port of its own that holds it."""
    now, made = ctx.clock(), []
    async with ctx.db.write() as tx:
        for each in body:
            project_id = owner(ctx, each)
            if each.local_port_id:
                port = await _port(ctx, tx, each.local_port_id)
                ip = await _address(tx, port, each.local_ip_address)
            elif each.network_id:
                port, ip = await _holder(ctx, tx, each, project_id)
            else:
                raise local_ip_faults.NeitherPortNorNetwork()
            made.append(LocalIp(
                id=new_uuid(), project_id=project_id, name=each.name, description=each.description or "",
                created_at=now, updated_at=now, network_id=port.network_id, local_port_id=port.id,
                local_ip_address=ip, ip_mode=each.ip_mode))
        await db.add(tx, local_ips.local_ips, *made)
        app(ctx).changed(tx)
    return [view(row, []) for row in made]


async def _port(ctx: Ctx, tx: Connection, port_id: str) -> Port:
    port = await ports.get(tx, port_id)
    if not (sees_all(ctx) or port.project_id == ctx.caller.project_id):
        raise faults.PortNotFound(port_id=port_id)
    return port


async def _address(tx: Connection, port: Port, asked: str | None) -> str:
    """The port's IPv4 address that is asked for, or the only one it has."""
    have = [held.ip for held in (await subnets.addresses_of(tx, [port.id]))[port.id] if "." in held.ip]
    if asked is not None:
        if (ip := canonical(asked)) not in have:
            raise local_ip_faults.AddressNotOfPort(port_id=port.id, ip=asked)
        return str(ip)
    if not have:
        raise local_ip_faults.NoAddress(port_id=port.id)
    if len(have) > 1:
        raise local_ip_faults.AddressNotSaid(port_id=port.id, count=len(have))
    return have[0]


async def _holder(ctx: Ctx, tx: Connection, body: LocalIpCreate, project_id: str) -> tuple[Port, str]:
    """A port that holds the address, so that nobody else gets it."""
    network, now = await networks.find(tx, body.network_id or ""), ctx.clock()
    if network is None or not (sees_all(ctx) or network.project_id == ctx.caller.project_id or await rbac.is_given(
            tx, "network", network.id, ctx.caller.project_id, rbac.SHARED)):
        raise faults.NetworkNotFound(network_id=body.network_id)
    await security_groups.project(tx, project_id, now)
    await quotas.must_have_room(tx, project_id, app(ctx).config.quotas, "port")
    port = Port(id=new_uuid(), project_id=project_id, created_at=now, updated_at=now, network_id=network.id,
                mac_address="", device_owner=OWNER, port_security_enabled=network.port_security_enabled)
    wanted = [Wanted(ip_address=body.local_ip_address)] if body.local_ip_address else None
    made = await add_ports(tx, app(ctx).config.mac_prefix, [NewPort(port=port, fixed_ips=wanted)])
    return made[0].port, await _address(tx, port, None)


@routes.put(ONE, envelope="local_ip", target=LOCAL_IP, policy=Rule("update_local_ip", MEMBER))
async def update_local_ip(ctx: Ctx, local_ip: LocalIp, body: LocalIpUpdate) -> LocalIpView:
    check_revision(ctx, local_ip)
    values = texts(given(body))
    async with ctx.db.write() as tx:
        row = await base.change(tx, local_ips.local_ips, local_ip, ctx.clock(), **values) if values else local_ip
        return (await views(tx, [row]))[0]


@routes.delete(ONE, target=LOCAL_IP, policy=Rule("delete_local_ip", MEMBER))
async def delete_local_ip(ctx: Ctx, local_ip: LocalIp) -> None:
    """A port that was made to hold the address goes with it."""
    try:
        async with ctx.db.write() as tx:
            await base.remove(tx, local_ips.local_ips, local_ip.id)
            port = await ports.find(tx, local_ip.local_port_id)
            if port is not None and port.device_owner == OWNER:
                await base.remove(tx, ports.ports, port.id)
            app(ctx).changed(tx)
    except db.Taken as error:
        raise local_ip_faults.LocalIpInUse(local_ip_id=local_ip.id) from error


# -- who stands for it ----------------------------------------------------------------------


@routes.get(PORTS, envelope="port_associations", target=LOCAL_IP, policy=Rule("get_local_ip_port_association", READER))
async def list_associations(ctx: Ctx, local_ip: LocalIp, query: Query) -> Page[AssociationView]:
    asked = {name: values for name, values in query.items() if name != "fields"}
    if unknown := [name for name in asked if name not in TOLD]:
        raise faults.InvalidFilter(names=unknown)
    async with ctx.db.read() as reader:
        found = await local_ips.associated(reader, local_ip.id)
    return Page([association_view(row) for row in found
                 if all(getattr(row, name) in values for name, values in asked.items())])


@routes.get(PORTS + "/{fixed_port_id}", envelope="port_association", target=ASSOCIATION,
            policy=Rule("get_local_ip_port_association", READER))
async def show_association(ctx: Ctx, association: Association) -> AssociationView:
    return association_view(association)


@routes.post(PORTS, envelope="port_association", status=201, target=LOCAL_IP,
             policy=Rule("create_local_ip_port_association", MEMBER))
async def create_association(ctx: Ctx, local_ip: LocalIp, body: AssociationCreate) -> AssociationView:
    async with ctx.db.write() as tx:
        local_ip = await local_ips.lock(tx, local_ip.id)
        port = await _port(ctx, tx, body.fixed_port_id)
        if port.network_id != local_ip.network_id:
            raise local_ip_faults.OtherNetwork(port_id=port.id, local_ip_id=local_ip.id)
        if any(known.fixed_port_id == port.id for known in await local_ips.associated(tx, local_ip.id)):
            raise local_ip_faults.AssociationExists(local_ip_id=local_ip.id, port_id=port.id)
        ip = await _address(tx, port, body.fixed_ip)
        try:
            await tx.execute(local_ips.associations.insert().values(
                local_ip_id=local_ip.id, fixed_port_id=port.id, fixed_ip=ip))
        except db.Taken as error:
            raise db.Collision(str(error)) from error
        app(ctx).changed(tx)
        return association_view(await local_ips.association(tx, local_ip.id, port.id))


@routes.delete(PORTS + "/{fixed_port_id}", target=ASSOCIATION,
               policy=Rule("delete_local_ip_port_association", MEMBER))
async def delete_association(ctx: Ctx, association: Association) -> None:
    c = local_ips.associations.c
    async with ctx.db.write() as tx:
        await tx.execute(local_ips.associations.delete().where(
            c.local_ip_id == association.local_ip_id, c.fixed_port_id == association.fixed_port_id))
        app(ctx).changed(tx)
