"""Addresses of guests for which routers answer, on their external networks, who has them."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import ndp_faults
from pileus.network.model.base import Row, metadata, rows, standard_columns
from pileus.network.model.subnets import addresses

proxies = sa.Table(
    "ndp_proxy", metadata, *standard_columns("ndp_proxy"),
    sa.Column("router_id", sa.String(36), sa.ForeignKey("router.id"), nullable=False),
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("ip_address", sa.String(45), nullable=False),
    sa.UniqueConstraint("router_id", "ip_address"),
)


class NdpProxy(Row, frozen=True, kw_only=True):
    router_id: str
    port_id: str
    ip_address: str


async def get(conn: Connection, ndp_proxy_id: str) -> NdpProxy:
    row = await db.one(conn, sa.select(proxies).where(proxies.c.id == ndp_proxy_id), NdpProxy)
    if row is None:
        raise ndp_faults.NdpProxyNotFound(ndp_proxy_id=ndp_proxy_id)
    return row


async def by_router(conn: Connection) -> dict[str, tuple[str, ...]]:
    """The addresses of each."""
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for router_id, ip in await rows(conn, sa.select(proxies.c.router_id, proxies.c.ip_address).order_by(
            proxies.c.router_id, proxies.c.ip_address)):
        found[router_id] = (*found[router_id], ip)
    return found


async def on_router(conn: Connection, router_id: str, subnet_id: str | None = None) -> bool:
    """Whether there are any, of ports on the subnet if one is named."""
    query = sa.select(proxies.c.id).where(proxies.c.router_id == router_id)
    if subnet_id is not None:
        query = query.join(addresses, sa.and_(
            addresses.c.port_id == proxies.c.port_id, addresses.c.ip == proxies.c.ip_address)).where(
                addresses.c.subnet_id == subnet_id)
    return await db.scalar(conn, query.limit(1)) is not None


async def readdressed(tx: Connection, port_id: str, kept: set[str]) -> None:
    """Those of addresses that the port has no longer are no more."""
    await tx.execute(proxies.delete().where(proxies.c.port_id == port_id, proxies.c.ip_address.not_in(kept)))
