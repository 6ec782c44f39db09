"""Routers, their interfaces, and floating IPs."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection, Json
from pileus.network import faults
from pileus.network.model.base import Row, chunks, metadata, standard_columns
from pileus.network.model.subnets import HostRoute

routers = sa.Table(
    "router", metadata, *standard_columns("router"),
    sa.Column("admin_state_up", sa.Boolean, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("enable_snat", sa.Boolean, nullable=False),
    sa.Column("gateway_port_id", sa.String(36), sa.ForeignKey("port.id"), index=True),
    sa.Column("gateway_network_id", sa.String(36), sa.ForeignKey("network.id"), index=True),
    sa.Column("routes", Json, nullable=False),
    sa.Column("host", sa.String(255), index=True),
    sa.Column("qos_policy_id", sa.String(36), sa.ForeignKey("qos_policy.id"), index=True),
    sa.Column("enable_ndp_proxy", sa.Boolean),
    sa.Column("enable_default_route_ecmp", sa.Boolean),
    sa.Column("enable_default_route_bfd", sa.Boolean),
)
further_gateways = sa.Table(
    "further_gateway", metadata,
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id"), primary_key=True),
    sa.Column("router_id", sa.String(36), sa.ForeignKey("router.id"), nullable=False, index=True),
    sa.Column("network_id", sa.String(36), sa.ForeignKey("network.id"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
)
interfaces = sa.Table(
    "router_interface", metadata,
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id"), primary_key=True),
    sa.Column("router_id", sa.String(36), sa.ForeignKey("router.id"), nullable=False, index=True),
)
floating_ips = sa.Table(
    "floatingip", metadata, *standard_columns("floatingip"),
    sa.Column("floating_network_id", sa.String(36), sa.ForeignKey("network.id"), nullable=False, index=True),
    sa.Column("floating_ip_address", sa.String(45), nullable=False, index=True),
    sa.Column("floating_port_id", sa.String(36), sa.ForeignKey("port.id"), nullable=False, unique=True),
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id", ondelete="SET NULL"), index=True),
    sa.Column("fixed_ip_address", sa.String(45)),
    sa.Column("router_id", sa.String(36), sa.ForeignKey("router.id"), index=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("dns_name", sa.String(255), nullable=False),
    sa.Column("dns_domain", sa.String(255), nullable=False),
    sa.Column("qos_policy_id", sa.String(36), sa.ForeignKey("qos_policy.id"), index=True),
    sa.UniqueConstraint("floating_network_id", "port_id", "fixed_ip_address"),
)


class Router(Row, frozen=True, kw_only=True):
    """`host` is where it lives; the conductor chooses, and chooses anew when that host is dead. The gateway
    is its first, those after it are in a table of their own; the policy is that of all of them."""

    admin_state_up: bool = True
    status: str = "ACTIVE"
    enable_snat: bool = True
    gateway_port_id: str | None = None
    gateway_network_id: str | None = None
    routes: list[HostRoute] = []
    host: str | None = None
    qos_policy_id: str | None = None
    enable_ndp_proxy: bool | None = None
    enable_default_route_ecmp: bool | None = None
    enable_default_route_bfd: bool | None = None


class FloatingIp(Row, frozen=True, kw_only=True):
    floating_network_id: str
    floating_ip_address: str
    floating_port_id: str
    port_id: str | None = None
    fixed_ip_address: str | None = None
    router_id: str | None = None
    status: str = "DOWN"
    dns_name: str = ""
    dns_domain: str = ""
    qos_policy_id: str | None = None


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    router_id: str


async def get(conn: Connection, router_id: str) -> Router:
    row = await db.one(conn, sa.select(routers).where(routers.c.id == router_id), Router)
    if row is None:
        raise faults.RouterNotFound(router_id=router_id)
    return row


async def lock(tx: Connection, router_id: str) -> Router:
    """The row, held until the end of the transaction: one change of its legs at a time."""
    row = await db.one(tx, sa.select(routers).where(routers.c.id == router_id).with_for_update(), Router)
    if row is None:
        raise faults.RouterNotFound(router_id=router_id)
    return row


async def get_floating_ip(conn: Connection, floatingip_id: str) -> FloatingIp:
    row = await db.one(conn, sa.select(floating_ips).where(floating_ips.c.id == floatingip_id), FloatingIp)
    if row is None:
        raise faults.FloatingIpNotFound(floatingip_id=floatingip_id)
    return row


async def lock_floating_ip(tx: Connection, floatingip_id: str) -> FloatingIp:
    """The row, held until the end of the transaction: one change of its port forwardings at a time."""
    row = await db.one(tx, sa.select(floating_ips).where(floating_ips.c.id == floatingip_id).with_for_update(),
                       FloatingIp)
    if row is None:
        raise faults.FloatingIpNotFound(floatingip_id=floatingip_id)
    return row


async def interface_ports(conn: Connection, router_id: str) -> list[str]:
    return await db.scalars(conn, sa.select(interfaces.c.port_id).where(interfaces.c.router_id == router_id))


async def owner_of(conn: Connection, port_id: str) -> str | None:
    """The router whose interface or gateway the port is."""
    return await db.scalar(conn, sa.union_all(
        sa.select(interfaces.c.router_id).where(interfaces.c.port_id == port_id),
        sa.select(routers.c.id).where(routers.c.gateway_port_id == port_id),
        sa.select(further_gateways.c.router_id).where(further_gateways.c.port_id == port_id)))


async def floating_ips_of(conn: Connection, port_ids: Iterable[str]) -> list[FloatingIp]:
    return [row for part in chunks(port_ids) for row in await db.many(
        conn, sa.select(floating_ips).where(floating_ips.c.port_id.in_(part)), FloatingIp)]


async def dissociate(tx: Connection, port_id: str, fixed_ip: str | None = None) -> None:
    """Take the floating IPs of a port (or of one of its addresses) away from it."""
    wanted = floating_ips.update().where(floating_ips.c.port_id == port_id)
    if fixed_ip is not None:
        wanted = wanted.where(floating_ips.c.fixed_ip_address == fixed_ip)
    await tx.execute(wanted.values(port_id=None, fixed_ip_address=None, router_id=None, status="DOWN",
                                   generation=floating_ips.c.generation + 1))
