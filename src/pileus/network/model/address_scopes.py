"""Address scopes: where addresses mean one thing only, so that nothing has to be translated."""

from __future__ import annotations

from ipaddress import ip_network

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import scope_faults
from pileus.network.model.base import Row, metadata, rows, standard_columns
from pileus.network.model.subnets import SubnetPool, pools, subnets

scopes = sa.Table(
    "address_scope", metadata, *standard_columns("address_scope"),
    sa.Column("ip_version", sa.Integer, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
)


class AddressScope(Row, frozen=True, kw_only=True):
    ip_version: int
    shared: bool = False


async def get(conn: Connection, address_scope_id: str) -> AddressScope:
    row = await db.one(conn, sa.select(scopes).where(scopes.c.id == address_scope_id), AddressScope)
    if row is None:
        raise scope_faults.AddressScopeNotFound(address_scope_id=address_scope_id)
    return row


async def lock(tx: Connection, address_scope_id: str) -> AddressScope:
    """The row, held until the end of the transaction: one change of its pools at a time."""
    query = sa.select(scopes).where(scopes.c.id == address_scope_id).with_for_update()
    row = await db.one(tx, query, AddressScope)
    if row is None:
        raise scope_faults.AddressScopeNotFound(address_scope_id=address_scope_id)
    return row


async def must_be_apart(tx: Connection, pool: SubnetPool) -> None:
    """No prefix of the pool is in another pool of its scope, which the caller holds."""
    query = sa.select(pools.c.prefixes).where(pools.c.address_scope_id == pool.address_scope_id, pools.c.id != pool.id)
    own = [ip_network(prefix) for prefix in pool.prefixes]
    for prefixes in await db.scalars(tx, query):
        for other in map(ip_network, prefixes):
            if any(mine.overlaps(other) for mine in own):  # type: ignore[arg-type]
                raise scope_faults.PrefixConflict()


async def must_agree(tx: Connection, pool: SubnetPool) -> None:
    """Networks with subnets out of the pool have none of that version of another scope."""
    mine = sa.select(subnets.c.network_id).where(subnets.c.subnetpool_id == pool.id)
    query = sa.select(pools.c.address_scope_id).select_from(subnets).outerjoin(
        pools, pools.c.id == subnets.c.subnetpool_id).where(
            subnets.c.network_id.in_(mine), subnets.c.ip_version == pool.ip_version,
            sa.or_(subnets.c.subnetpool_id.is_(None), subnets.c.subnetpool_id != pool.id))
    if any(scope != pool.address_scope_id for scope in await db.scalars(tx, query)):
        raise scope_faults.ScopeAffinity()


async def of_pools(conn: Connection) -> dict[str, str]:
    """The scopes of all pools that are in one."""
    query = sa.select(pools.c.id, pools.c.address_scope_id).where(pools.c.address_scope_id.is_not(None))
    return dict(await rows(conn, query))  # type: ignore[arg-type]
