"""Ports and the security groups they are in."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection, Json
from pileus.network import faults
from pileus.network.model.base import Row, chunks, metadata, rows, standard_columns

ROUTER_INTERFACE, ROUTER_GATEWAY = "network:router_interface", "network:router_gateway"
FLOATING_IP, DHCP = "network:floatingip", "network:dhcp"
ROUTER_OWNERS = (ROUTER_INTERFACE, ROUTER_GATEWAY)
ACTIVE, DOWN, ERROR = "ACTIVE", "DOWN", "ERROR"

ports = sa.Table(
    "port", metadata, *standard_columns("port"),
    sa.Column("network_id", sa.String(36), sa.ForeignKey("network.id"), nullable=False),
    sa.Column("mac_address", sa.String(17), nullable=False),
    sa.Column("admin_state_up", sa.Boolean, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("device_id", sa.String(255), nullable=False, index=True),
    sa.Column("device_owner", sa.String(255), nullable=False),
    sa.Column("port_security_enabled", sa.Boolean, nullable=False),
    sa.Column("host", sa.String(255), nullable=False, index=True),
    sa.Column("vnic_type", sa.String(64), nullable=False),
    sa.Column("vif_type", sa.String(64), nullable=False),
    sa.Column("vif_details", Json, nullable=False),
    sa.Column("profile", Json, nullable=False),
    sa.Column("allowed_address_pairs", Json, nullable=False),
    sa.Column("extra_dhcp_opts", Json, nullable=False),
    sa.Column("dns_name", sa.String(255), nullable=False),
    sa.Column("dns_domain", sa.String(255), nullable=False),
    sa.Column("qos_policy_id", sa.String(36), sa.ForeignKey("qos_policy.id"), index=True),
    sa.Column("propagate_uplink_status", sa.Boolean),
    sa.Column("hints", Json),
    sa.Column("data_plane_status", sa.String(16)),
    sa.UniqueConstraint("network_id", "mac_address"),
)
port_groups = sa.Table(
    "port_security_group", metadata,
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("security_group_id", sa.String(36), sa.ForeignKey("security_group.id"), primary_key=True, index=True),
)


class AddressPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    ip_address: str
    mac_address: str | None = None


class DhcpOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    opt_name: str
    opt_value: str | None = None
    ip_version: int = 4


class Port(Row, frozen=True, kw_only=True, gc=False):
    """`host` is empty as long as the port is bound to none. Only the engine's reports make a port ACTIVE."""

    network_id: str
    mac_address: str
    admin_state_up: bool = True
    status: str = DOWN
    device_id: str = ""
    device_owner: str = ""
    port_security_enabled: bool = True
    host: str = ""
    vnic_type: str = "normal"
    vif_type: str = "unbound"
    vif_details: dict[str, Any] = {}
    profile: dict[str, Any] = {}
    allowed_address_pairs: list[AddressPair] = []
    extra_dhcp_opts: list[DhcpOption] = []
    dns_name: str = ""
    dns_domain: str = ""
    qos_policy_id: str | None = None
    propagate_uplink_status: bool | None = True
    hints: dict[str, Any] | None = None
    data_plane_status: str | None = None


async def find(conn: Connection, port_id: str) -> Port | None:
    return await db.one(conn, sa.select(ports).where(ports.c.id == port_id), Port)


async def get(conn: Connection, port_id: str) -> Port:
    row = await find(conn, port_id)
    if row is None:
        raise faults.PortNotFound(port_id=port_id)
    return row


async def by_ids(conn: Connection, ids: Iterable[str]) -> dict[str, Port]:
    return {row.id: row for part in chunks(sorted(set(ids))) for row in await db.many(
        conn, sa.select(ports).where(ports.c.id.in_(part)), Port)}


async def groups_of(conn: Connection, port_ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for part in chunks(port_ids):
        query = sa.select(port_groups.c.port_id, port_groups.c.security_group_id).where(
            port_groups.c.port_id.in_(part)).order_by(port_groups.c.security_group_id)
        for port_id, group_id in await rows(conn, query):
            found[port_id].append(group_id)
    return found


async def set_groups(tx: Connection, groups: dict[str, list[str]]) -> None:
    """Insert the memberships of new ports (or of ports whose old ones were deleted)."""
    members = [{"port_id": port_id, "security_group_id": group_id}
               for port_id, ids in groups.items() for group_id in dict.fromkeys(ids)]
    if members:
        await tx.execute(port_groups.insert(), members)


def new_mac(prefix: str) -> str:
    tail = secrets.token_bytes(3)
    return f"{prefix}:{tail[0]:02x}:{tail[1]:02x}:{tail[2]:02x}"


_WITH_MACS = sa.select(sa.literal(1)).where(
    ports.c.network_id.in_(sa.bindparam("network_ids", expanding=True)),
    ports.c.mac_address.in_(sa.bindparam("macs", expanding=True))).limit(1)


async def free_macs(conn: Connection, prefix: str, network_ids: list[str]) -> list[str]:
    """One MAC per entry of `network_ids` that no port of that network has; the constraint decides in the end."""
    while True:
        drawn = [new_mac(prefix) for _ in network_ids]
        if len(set(drawn)) == len(drawn) and await db.scalar(
                conn, _WITH_MACS, network_ids=list(set(network_ids)), macs=drawn) is None:
            return drawn


async def has_mac(conn: Connection, network_id: str, mac: str) -> bool:
    query = sa.select(ports.c.id).where(ports.c.network_id == network_id, ports.c.mac_address == mac)
    return await db.scalar(conn, query) is not None


async def with_allocations(conn: Connection, network_id: str) -> list[Port]:
    """Servers' ports that obey the network's policy, and were given something of their hosts."""
    query = sa.select(ports).where(ports.c.network_id == network_id, ports.c.qos_policy_id.is_(None),
                                   ports.c.host != "", ports.c.device_owner.like("compute:%"))
    return [port for port in await db.many(conn, query, Port) if port.profile.get("allocation")]
