"""/v2.0/network-ip-availabilities and /v2.0/service-providers: what an operator asks about the whole."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_network
from typing import Any

import sqlalchemy as sa

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
from pileus.network.model.base import rows
from pileus.network.model.networks import Network
from pileus.network.model.subnets import Subnet

routes = Routes()
NETWORK = Target(network_model.get, missing=faults.NetworkNotFound)


def _total(subnet: Subnet) -> int:
    """Addresses of its pools, or where there are none, of its whole range."""
    pools = sum(last - first + 1 for first, last in ranges_of(subnet.allocation_pools))
    return pools or ip_network(subnet.cidr).num_addresses


async def _views(conn: Connection, found: list[Network], version: int | None) -> list[dict[str, Any]]:
    of_network = await subnets.of_networks(conn, [row.id for row in found])
    ids = [subnet.id for own in of_network.values() for subnet in own]
    counted: dict[str, int] = defaultdict(int)
    query = sa.select(subnets.addresses.c.subnet_id, sa.func.count()).where(
        subnets.addresses.c.subnet_id.in_(ids)).group_by(subnets.addresses.c.subnet_id)
    for subnet_id, count in await rows(conn, query):
        counted[subnet_id] = count
    views = []
    for row in found:
        own = [subnet for subnet in of_network[row.id] if version in (None, subnet.ip_version)]
        if version is not None and not own:
            continue
        inside = [{"subnet_id": s.id, "subnet_name": s.name, "cidr": s.cidr, "ip_version": s.ip_version,
                   "total_ips": _total(s), "used_ips": counted[s.id]} for s in own]
        views.append({"network_id": row.id, "network_name": row.name, "project_id": row.project_id,
                      "tenant_id": row.project_id, "subnet_ip_availability": inside,
                      "total_ips": sum(each["total_ips"] for each in inside),
                      "used_ips": sum(each["used_ips"] for each in inside)})
    return views


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
