"""The networks a fresh cloud begins with; whatever is there already stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.network import dhcp, legs, segments
from pileus.network.addresses import Pool, default_gateway, default_pools, network_of
from pileus.network.gateways import Change, GatewayAsked
from pileus.network.model import networks, rbac, routers, security_groups, segment_ranges, subnets
from pileus.network.model.networks import Network as NetworkRow
from pileus.network.model.networks import segment_of
from pileus.network.model.routers import Router
from pileus.network.model.subnets import Subnet

if TYPE_CHECKING:
    from pileus.network.runtime import Network

PRIVATE = "10.0.0.0/24"
POOL, POOL_PREFIX = "shared-default-subnetpool-v4", "10.96.0.0/12"      # what projects get networks of that ask for any


async def bootstrap(runtime: Network, *, admin_project: str, demo_project: str) -> None:
    """The external network, a pool for networks that are made of themselves, and for the demo project a private network
    with a router to the external one."""
    now = runtime.clock()
    async with runtime.db.write() as tx:
        for project_id in (admin_project, demo_project):
            await security_groups.project(tx, project_id, now)
        await segment_ranges.settle_defaults(tx, runtime.config, now)
        public = await _public(tx, runtime, admin_project, now)
        await _pool(tx, admin_project, now)
        inside = await _private(tx, runtime, demo_project, now)
        if inside is not None:
            await _router(tx, runtime, public, inside)
        runtime.changed(tx)


async def _named(tx: Connection, project_id: str, name: str) -> NetworkRow | None:
    c = networks.networks.c
    return await db.one(tx, sa.select(networks.networks).where(c.project_id == project_id, c.name == name).order_by(
        c.created_at), NetworkRow)


async def _public(tx: Connection, runtime: Network, project_id: str, now: float) -> NetworkRow:
    external = runtime.config.external
    known = await _named(tx, project_id, external.name)
    if known is not None:
        return known
    row = NetworkRow(
        id=new_uuid(), project_id=project_id, name=external.name, created_at=now, updated_at=now, external=True,
        is_default=True, mtu=runtime.config.underlay_mtu, network_type="flat", physical_network=external.physical,
        segment=segment_of("flat", external.physical, None))
    await db.add(tx, networks.networks, row)
    await rbac.share_with_all(tx, "network", row, rbac.EXTERNAL, now)
    await db.add(tx, subnets.subnets, Subnet(
        id=new_uuid(), project_id=project_id, name=f"{external.name}-subnet", created_at=now, updated_at=now,
        network_id=row.id, ip_version=4, cidr=external.cidr, gateway_ip=external.gateway, enable_dhcp=False,
        allocation_pools=[Pool(external.first, external.last)]))
    return row


async def _pool(tx: Connection, project_id: str, now: float) -> None:
    """Unless there is a pool of this name, or another one is the default."""
    c = subnets.pools.c
    there = sa.select(c.id).where(sa.or_(sa.and_(c.project_id == project_id, c.name == POOL),
                                         sa.and_(c.is_default, c.ip_version == 4)))
    if await db.scalar(tx, there.limit(1)) is not None:
        return
    row = subnets.SubnetPool(
        id=new_uuid(), project_id=project_id, name=POOL, created_at=now, updated_at=now, ip_version=4,
        prefixes=[POOL_PREFIX], shared=True, is_default=True, min_prefixlen=8, max_prefixlen=32, default_prefixlen=24)
    await db.add(tx, subnets.pools, row)
    await rbac.share_with_all(tx, "subnetpool", row, rbac.SHARED, now)


async def _private(tx: Connection, runtime: Network, project_id: str, now: float) -> Subnet | None:
    """The subnet if it was made now."""
    if await _named(tx, project_id, "private") is not None:
        return None
    config = runtime.config
    vni = await segments.vni(tx, config, project_id)
    row = NetworkRow(
        id=new_uuid(), project_id=project_id, name="private", created_at=now, updated_at=now, mtu=config.overlay_mtu,
        segmentation_id=vni, segment=segment_of("vxlan", None, vni))
    await db.add(tx, networks.networks, row)
    net = network_of(PRIVATE)
    if net is None:
        raise ValueError(PRIVATE)
    gateway = default_gateway(net)
    inside = Subnet(
        id=new_uuid(), project_id=project_id, name="private-subnet", created_at=now, updated_at=now,
        network_id=row.id, ip_version=4, cidr=PRIVATE, gateway_ip=gateway,
        allocation_pools=default_pools(net, gateway))
    await db.add(tx, subnets.subnets, inside)
    await dhcp.settle(tx, row, config.mac_prefix, now)
    return inside


async def _router(tx: Connection, runtime: Network, public: NetworkRow, inside: Subnet) -> None:
    """Made together with the private network, so a project that has taken its router apart keeps it so."""
    now, prefix = runtime.clock(), runtime.config.mac_prefix
    row = Router(id=new_uuid(), project_id=inside.project_id, name="router", created_at=now, updated_at=now)
    await db.add(tx, routers.routers, row)
    values = await Change(tx, row, prefix, now).set_first(GatewayAsked(network_id=public.id))
    await db.update(tx, routers.routers.update().where(routers.routers.c.id == row.id).values(**values))
    row = msgspec.structs.replace(row, **values)
    await legs.add_subnet(tx, row, inside, prefix, now)
