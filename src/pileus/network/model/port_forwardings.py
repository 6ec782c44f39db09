"""Ports of a floating IP that lead to ports of guests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.model.base import Row, chunks, metadata, standard_columns
from pileus.network.model.routers import floating_ips

port_forwardings = sa.Table(
    "port_forwarding", metadata, *standard_columns("port_forwarding"),
    sa.Column("floatingip_id", sa.String(36), sa.ForeignKey("floatingip.id", ondelete="CASCADE"), nullable=False),
    sa.Column("internal_port_id", sa.String(36), sa.ForeignKey("port.id", ondelete="CASCADE"), nullable=False,
              index=True),
    sa.Column("internal_ip_address", sa.String(45), nullable=False),
    sa.Column("internal_port", sa.Integer, nullable=False),
    sa.Column("internal_last", sa.Integer, nullable=False),
    sa.Column("external_port", sa.Integer, nullable=False),
    sa.Column("external_last", sa.Integer, nullable=False),
    sa.Column("protocol", sa.String(16), nullable=False),
    sa.UniqueConstraint("floatingip_id", "protocol", "external_port"),
)


class PortForwarding(Row, frozen=True, kw_only=True):
    """Ports from `external_port` to `external_last` of the floating IP lead to as many of the guest's, one to one."""

    floatingip_id: str
    internal_port_id: str
    internal_ip_address: str
    internal_port: int
    internal_last: int
    external_port: int
    external_last: int
    protocol: str


async def get(conn: Connection, floatingip_id: str, port_forwarding_id: str) -> PortForwarding:
    c = port_forwardings.c
    row = await db.one(conn, sa.select(port_forwardings).where(
        c.id == port_forwarding_id, c.floatingip_id == floatingip_id), PortForwarding)
    if row is None:
        raise faults.PortForwardingNotFound(port_forwarding_id=port_forwarding_id)
    return row


async def of_floating_ips(conn: Connection, floating_ids: Iterable[str]) -> dict[str, list[PortForwarding]]:
    found: dict[str, list[PortForwarding]] = defaultdict(list)
    for part in chunks(floating_ids):
        query = sa.select(port_forwardings).where(port_forwardings.c.floatingip_id.in_(part)).order_by(
            port_forwardings.c.created_at, port_forwardings.c.id)
        for row in await db.many(conn, query, PortForwarding):
            found[row.floatingip_id].append(row)
    return found


async def let_go(tx: Connection) -> None:
    """Floating IPs whose last forwarding went with its port have no router any more."""
    left = sa.select(port_forwardings.c.floatingip_id)
    await db.update(tx, floating_ips.update().where(
        floating_ips.c.router_id.is_not(None), floating_ips.c.port_id.is_(None), floating_ips.c.id.not_in(left)).values(
            router_id=None, status="DOWN", generation=floating_ips.c.generation + 1))
