"""/v2.0/network-ip-availabilities, /v2.0/floatingip_pools and /v2.0/service-providers: what is there, and how much."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_network
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.addresses import ranges_of
from pileus.network.api import listing, networks
from pileus.network.api.listing import Query
from pileus.network.model import networks as network_model
from pileus.network.model import subnets
from pileus.network.model.base import chunks, rows
from pileus.network.model.networks import Network
from pileus.network.model.subnets import Subnet

routes = Routes()
DETAILS = ("total_ips_in_subnet", "total_ips_in_allocation_pool", "used_ips_in_subnet", "used_ips_in_allocation_pool")
NETWORK = Target(network_model.get, missing=faults.NetworkNotFound)


def _in_pools(subnet: Subnet) -> int:
    return sum(last - first + 1 for first, last in ranges_of(subnet.allocation_pools))


def _total(subnet: Subnet) -> int:
    """Addresses of its pools, or where there are none, of its whole range."""
    return _in_pools(subnet) or ip_network(subnet.cidr).num_addresses


def _usable(subnet: Subnet) -> int:
    """IPv4 keeps the network's address and the broadcast address for itself."""
    return max(ip_network(subnet.cidr).num_addresses - (2 if subnet.ip_version == 4 else 0), 0)


async def _views(conn: Connection, found: list[Network], version: int | None) -> list[dict[str, Any]]:
    of_network = await subnets.of_networks(conn, [row.id for row in found])
    used, pooled = await _counted(conn, [subnet for own in of_network.values() for subnet in own])
    views = []
    for row in found:
        own = [subnet for subnet in of_network[row.id] if version in (None, subnet.ip_version)]
        if version is not None and not own:
            continue
        inside = [{"subnet_id": s.id, "subnet_name": s.name, "cidr": s.cidr, "ip_version": s.ip_version,
                   "total_ips": _total(s), "used_ips": used[s.id], "ip_availability_details": {
                       "total_ips_in_subnet": _usable(s), "total_ips_in_allocation_pool": _in_pools(s),
                       "used_ips_in_subnet": used[s.id], "used_ips_in_allocation_pool": pooled[s.id]}} for s in own]
        views.append({"network_id": row.id, "network_name": row.name, "project_id": row.project_id,
                      "tenant_id": row.project_id, "subnet_ip_availability": inside,
                      "total_ips": sum(each["total_ips"] for each in inside),
                      "used_ips": sum(each["used_ips"] for each in inside),
                      "ip_availability_details": {
                          name: sum(each["ip_availability_details"][name] for each in inside) for name in DETAILS}})
    return views


async def _counted(conn: Connection, found: list[Subnet]) -> tuple[dict[str, int], dict[str, int]]:
    """How many addresses of each subnet are in use, and how many of these are out of its allocation pools."""
    used: dict[str, int] = defaultdict(int)
    pooled: dict[str, int] = defaultdict(int)
    c = subnets.addresses.c
    known = {subnet.id: subnet for subnet in found}
    for ids in chunks(known):
        ranges = [sa.and_(c.subnet_id == i, c.number.between(f"{first:032x}", f"{last:032x}"))
                  for i in ids for first, last in ranges_of(known[i].allocation_pools)]
        inside = sa.func.sum(sa.case((sa.or_(sa.false(), *ranges), 1), else_=0))
        query = sa.select(c.subnet_id, sa.func.count(), inside).where(c.subnet_id.in_(ids)).group_by(c.subnet_id)
        for subnet_id, count, in_pools in await rows(conn, query):
            used[subnet_id], pooled[subnet_id] = count, int(in_pools)
    return used, pooled


@routes.get("/v2.0/network-ip-availabilities", envelope="network_ip_availabilities",
            policy=Rule("get_network_ip_availability", ADMIN))
async def list_availabilities(ctx: Ctx, query: Query) -> Page[dict[str, Any]]:
    renamed = {"network_id": "id", "network_name": "name"}
    version = query.get("ip_version", [None])[-1]
    if version not in (None, "4", "6"):
        raise faults.InvalidInput(reason=f"'{version}' is no ip_version")
    asked = {renamed.get(name, name): values for name, values in query.items() if name != "ip_version"}
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, networks.LISTING, asked, None)
        return Page(await _views(reader, found.rows, int(version) if version else None), extra=found.links)


@routes.get("/v2.0/network-ip-availabilities/{network_id}", envelope="network_ip_availability", target=NETWORK,
            policy=Rule("get_network_ip_availability", ADMIN))
async def show_availability(ctx: Ctx, network: Network) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        return (await _views(reader, [network], None))[0]


@routes.get("/v2.0/service-providers", envelope="service_providers", policy=Rule("get_service_provider", ANYONE))
async def list_providers(ctx: Ctx) -> Page[dict[str, Any]]:
    """Who makes which advanced service real."""
    return Page([{"service_type": "L3_ROUTER_NAT", "name": "single_node", "default": True}])


class FloatingPool(msgspec.Struct, kw_only=True):
    """A subnet that floating IPs can be had from."""

    subnet_id: str
    subnet_name: str
    network_id: str
    project_id: str
    tenant_id: str
    cidr: str


@routes.get("/v2.0/floatingip-pools", envelope="floatingip_pools", policy=Rule("get_floatingip_pool", ANYONE))
@routes.get("/v2.0/floatingip_pools", envelope="floatingip_pools", policy=Rule("get_floatingip_pool", ANYONE))
async def list_floating_pools(ctx: Ctx, query: Query) -> Page[FloatingPool]:
    """Those of the external networks that the caller may see."""
    c, asked = subnets.subnets.c, {name: values for name, values in query.items() if name != "fields"}
    columns = {"subnet_id": c.id, "subnet_name": c.name, "network_id": c.network_id, "project_id": c.project_id,
               "tenant_id": c.project_id, "cidr": c.cidr}
    if unknown := [name for name in asked if name not in columns]:
        raise faults.InvalidFilter(names=unknown)
    outside = sa.select(network_model.networks.c.id).where(network_model.networks.c.external)
    if (visible := networks.visible(ctx)) is not None:
        outside = outside.where(visible)
    wanted = sa.select(subnets.subnets).where(
        c.ip_version == 4, c.network_id.in_(outside), *(columns[name].in_(values) for name, values in asked.items()))
    async with ctx.db.read() as reader:
        found = await db.many(reader, wanted.order_by(c.created_at, c.id), Subnet)
    return Page([FloatingPool(subnet_id=s.id, subnet_name=s.name, network_id=s.network_id, project_id=s.project_id,
                              tenant_id=s.project_id, cidr=s.cidr) for s in found])
