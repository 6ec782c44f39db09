"""/v2.0/auto-allocated-topology: a network with a way out, for a project that asks for any."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from starlette.responses import JSONResponse

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.network import dhcp, faults, legs, pool_choice, segments
from pileus.network.addresses import default_gateway, default_pools, network_of
from pileus.network.api.listing import Query
from pileus.network.api.shapes import app
from pileus.network.gateways import Change, GatewayAsked
from pileus.network.model import auto_topologies, base, networks, quotas, rbac, routers, security_groups, subnets
from pileus.network.model.auto_topologies import AutoTopology
from pileus.network.model.networks import Network, segment_of
from pileus.network.model.ports import DHCP, ports
from pileus.network.model.routers import Router
from pileus.network.model.subnets import Subnet, addresses

routes = Routes()
NAME = "auto_allocated"
PATH = "/v2.0/auto-allocated-topology/{project_id}"
SHOW, DELETE = (Rule(f"{verb}_auto_allocated_topology", PROJECT_MEMBER) for verb in ("get", "delete"))


def _project(ctx: Ctx, named: str, rule: Rule) -> str:
    """Of the caller, where clients that were told of none write None. Raises ProjectNotFound, PolicyRefused."""
    own = ctx.caller.project_id or ""
    project_id = own if named == "None" else named
    if project_id != own and not ctx.allows(rule.name, {"project_id": project_id}):
        raise faults.ProjectNotFound(project_id=project_id)
    ctx.must_allow(rule.name, {"project_id": project_id})
    return project_id


@routes.get(PATH, envelope="auto_allocated_topology", policy=SHOW, check=False)
async def show_topology(ctx: Ctx, project_id: str, query: Query) -> Any:
    """Made when it is first asked for. `fields=dry-run` only asks whether it could be."""
    project_id = _project(ctx, project_id, SHOW)
    if "dry-run" in query.get("fields", []):
        async with ctx.db.read() as reader:
            await _outside(reader, project_id)
            await _pool(reader)
        told = {"id": "dry-run=pass", "tenant_id": project_id, "project_id": project_id}
        return JSONResponse({"auto_allocated_topology": told})       # whole, though `fields` names none of it
    async with ctx.db.write() as tx:
        await security_groups.project(tx, project_id, ctx.clock())      # held, so that it is made once
        known = await auto_topologies.find(tx, project_id)
        if known is None:
            known = await _make(ctx, tx, project_id)
            app(ctx).changed(tx)
    return {"id": known.network_id, "tenant_id": project_id, "project_id": project_id}


async def _outside(conn: Connection, project_id: str) -> Network:
    """The default external network, or the only one that the project may use."""
    c = networks.networks.c
    query = sa.select(networks.networks).where(
        c.external, c.id.in_(rbac.granted("network", project_id, rbac.EXTERNAL))).order_by(c.id)
    found = await db.many(conn, query, Network)
    usual = [row for row in found if row.is_default] or found
    if len(usual) != 1:
        raise faults.AutoAllocationFailed(reason="No default router:external network" if not usual
                                          else "Several external networks, and none of them is the default")
    return usual[0]


async def _pool(conn: Connection) -> subnets.SubnetPool:
    c = subnets.pools.c
    found = await db.one(conn, sa.select(subnets.pools).where(c.is_default, c.ip_version == 4), subnets.SubnetPool)
    if found is None:
        raise faults.AutoAllocationFailed(reason="No default pools")
    return found


async def _make(ctx: Ctx, tx: Connection, project_id: str) -> AutoTopology:
    config, now = app(ctx).config, ctx.clock()
    outside, pool = await _outside(tx, project_id), await _pool(tx)
    for resource in ("network", "subnet", "router", "port"):
        await quotas.must_have_room(tx, project_id, config.quotas, resource)
    own = {"project_id": project_id, "created_at": now, "updated_at": now}
    vni = await segments.vni(tx, config, project_id)
    network = Network(id=new_uuid(), name=f"{NAME}_network", mtu=config.overlay_mtu, segmentation_id=vni,
                      segment=segment_of("vxlan", None, vni), **own)
    await db.add(tx, networks.networks, network)
    pool = await pool_choice.locked(tx, pool.id)
    cidr = await pool_choice.cidr_from(tx, pool, None, None)
    net = network_of(cidr)
    if net is None:
        raise faults.AutoAllocationFailed(reason=f"{cidr} is no network")
    gateway = default_gateway(net)
    subnet = Subnet(id=new_uuid(), name=f"{NAME}_subnet_v4", network_id=network.id, ip_version=4, cidr=cidr,
                    gateway_ip=gateway, allocation_pools=default_pools(net, gateway), subnetpool_id=pool.id, **own)
    await db.add(tx, subnets.subnets, subnet)
    await dhcp.settle(tx, network, config.mac_prefix, now)
    router = Router(id=new_uuid(), name=f"{NAME}_router", **own)
    await db.add(tx, routers.routers, router)
    values = await Change(tx, router, config.mac_prefix, now).set_first(GatewayAsked(network_id=outside.id))
    await db.update(tx, routers.routers.update().where(routers.routers.c.id == router.id).values(**values))
    await legs.add_subnet(tx, msgspec.structs.replace(router, **values), subnet, config.mac_prefix, now)
    made = AutoTopology(project_id=project_id, network_id=network.id, router_id=router.id)
    await db.add(tx, auto_topologies.auto_topologies, made)
    return made


@routes.delete(PATH, policy=DELETE, check=False)
async def delete_topology(ctx: Ctx, project_id: str) -> None:
    """All of it, or nothing while anybody's port is on the network. There is none: nothing to do."""
    project_id, now = _project(ctx, project_id, DELETE), ctx.clock()
    async with ctx.db.write() as tx:
        known = await auto_topologies.find(tx, project_id)
        if known is None:
            return
        router = await routers.lock(tx, known.router_id)
        await networks.lock(tx, known.network_id)
        mine = sa.select(ports.c.id).where(ports.c.network_id == known.network_id, ports.c.device_owner != DHCP,
                                           ports.c.device_id != known.router_id)
        if await db.scalar(tx, mine.limit(1)) is not None:
            raise faults.NetworkInUse(network_id=known.network_id)
        await tx.execute(auto_topologies.auto_topologies.delete().where(
            auto_topologies.auto_topologies.c.project_id == project_id))
        for port_id in await routers.interface_ports(tx, router.id):
            await tx.execute(routers.interfaces.delete().where(routers.interfaces.c.port_id == port_id))
            await base.remove(tx, ports, port_id)
        await Change(tx, router, app(ctx).config.mac_prefix, now).replace([])
        await base.remove(tx, routers.routers, router.id)
        inside = sa.select(subnets.subnets.c.id).where(subnets.subnets.c.network_id == known.network_id)
        await tx.execute(addresses.delete().where(addresses.c.subnet_id.in_(inside)))
        await tx.execute(ports.delete().where(ports.c.network_id == known.network_id))
        await tx.execute(subnets.subnets.delete().where(subnets.subnets.c.network_id == known.network_id))
        await rbac.forget(tx, known.network_id)
        await base.remove(tx, networks.networks, known.network_id)
        app(ctx).changed(tx)
