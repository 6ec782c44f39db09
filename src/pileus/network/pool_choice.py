"""Takes prefixes for subnets out of subnet pools, one at a time per pool."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.addresses import free_prefix, network_of
from pileus.network.model.subnets import SubnetPool, pools, subnets


async def locked(tx: Connection, subnetpool_id: str) -> SubnetPool:
    row = await db.one(tx, sa.select(pools).where(pools.c.id == subnetpool_id).with_for_update(), SubnetPool)
    if row is None:
        raise faults.SubnetPoolNotFound(subnetpool_id=subnetpool_id)
    return row


async def default_pool(tx: Connection, ip_version: int) -> SubnetPool:
    query = sa.select(pools).where(pools.c.is_default, pools.c.ip_version == ip_version).with_for_update()
    row = await db.one(tx, query, SubnetPool)
    if row is None:
        raise faults.BadSubnetRequest(reason=f"No default subnetpool found for IPv{ip_version}")
    return row


async def cidr_from(tx: Connection, pool: SubnetPool, cidr: str | None, prefixlen: int | None) -> str:
    """The prefix asked for if it is free, or the first free one of the asked-for (or usual) length."""
    taken = await db.scalars(tx, sa.select(subnets.c.cidr).where(subnets.c.subnetpool_id == pool.id))
    if cidr is None:
        length = prefixlen if prefixlen is not None else pool.default_prefixlen
        _check_length(pool, length)
        found = free_prefix(pool.prefixes, taken, length)
        if found is None:
            raise faults.SubnetAllocationError(reason=f"Insufficient prefix space to allocate subnet size /{length}")
        return found
    net = network_of(cidr)
    if net is None or net.version != pool.ip_version:
        raise faults.SubnetAllocationError(reason="Cannot allocate requested subnet from the available set of prefixes")
    _check_length(pool, net.prefixlen)
    if free_prefix([str(net)], taken, net.prefixlen) is None or not any(
            net.subnet_of(prefix) for p in pool.prefixes if (prefix := network_of(p)) is not None):  # type: ignore[arg-type]
        raise faults.SubnetAllocationError(reason="Cannot allocate requested subnet from the available set of prefixes")
    return str(net)


def _check_length(pool: SubnetPool, length: int) -> None:
    if length < pool.min_prefixlen:
        raise faults.PrefixTooShort(prefixlen=length, least=pool.min_prefixlen)
    if length > pool.max_prefixlen:
        raise faults.PrefixTooLong(prefixlen=length, most=pool.max_prefixlen)
