"""Local IPs: addresses that on each host mean the port there that stands for them."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import local_ip_faults
from pileus.network.model.base import Row, metadata, rows, standard_columns
from pileus.network.model.ports import ports

OWNER = "network:local_ip"   # of ports that were made to hold an address
TRANSLATE, PASSTHROUGH = "translate", "passthrough"
local_ips = sa.Table(
    "local_ip", metadata, *standard_columns("local_ip"),
    sa.Column("network_id", sa.String(36), nullable=False, index=True),
    sa.Column("local_port_id", sa.String(36), sa.ForeignKey("port.id"), nullable=False, index=True),
    sa.Column("local_ip_address", sa.String(45), nullable=False),
    sa.Column("ip_mode", sa.String(16), nullable=False),
)
associations = sa.Table(
    "local_ip_association", metadata,
    sa.Column("local_ip_id", sa.String(36), sa.ForeignKey("local_ip.id"), primary_key=True),
    sa.Column("fixed_port_id", sa.String(36), sa.ForeignKey("port.id", ondelete="CASCADE"), primary_key=True,
              index=True),
    sa.Column("fixed_ip", sa.String(45), nullable=False),
)


class LocalIp(Row, frozen=True, kw_only=True):
    network_id: str
    local_port_id: str
    local_ip_address: str
    ip_mode: str = TRANSLATE


class Association(msgspec.Struct, frozen=True, kw_only=True):
    """With what its view tells of the local IP and of the port."""

    local_ip_id: str
    fixed_port_id: str
    fixed_ip: str
    local_ip_address: str
    project_id: str
    host: str

    @property
    def id(self) -> str:
        return self.fixed_port_id


async def get(conn: Connection, local_ip_id: str) -> LocalIp:
    row = await db.one(conn, sa.select(local_ips).where(local_ips.c.id == local_ip_id), LocalIp)
    if row is None:
        raise local_ip_faults.LocalIpNotFound(local_ip_id=local_ip_id)
    return row


async def lock(tx: Connection, local_ip_id: str) -> LocalIp:
    row = await db.one(tx, sa.select(local_ips).where(local_ips.c.id == local_ip_id).with_for_update(), LocalIp)
    if row is None:
        raise local_ip_faults.LocalIpNotFound(local_ip_id=local_ip_id)
    return row


def _associations() -> Any:
    c = associations.c
    return sa.select(c.local_ip_id, c.fixed_port_id, c.fixed_ip, local_ips.c.local_ip_address, local_ips.c.project_id,
                     ports.c.host).join(local_ips, local_ips.c.id == c.local_ip_id).join(
                         ports, ports.c.id == c.fixed_port_id)


async def associated(conn: Connection, local_ip_id: str) -> list[Association]:
    c = associations.c
    return await db.many(conn, _associations().where(c.local_ip_id == local_ip_id).order_by(c.fixed_port_id),
                         Association)


async def association(conn: Connection, local_ip_id: str, fixed_port_id: str) -> Association:
    c = associations.c
    row = await db.one(conn, _associations().where(
        c.local_ip_id == local_ip_id, c.fixed_port_id == fixed_port_id), Association)
    if row is None:
        raise local_ip_faults.AssociationNotFound(local_ip_id=local_ip_id, port_id=fixed_port_id)
    return row


async def readdressed(tx: Connection, port_id: str, kept: set[str]) -> None:
    """The port has these addresses only: it stands for nobody by another one, and no local IP may be another one."""
    c, one = associations.c, local_ips.c
    lost = await db.scalar(tx, sa.select(one.id).where(
        one.local_port_id == port_id, one.local_ip_address.not_in(kept)).limit(1))
    if lost is not None:
        raise local_ip_faults.LocalIpInUse(local_ip_id=lost)
    await tx.execute(associations.delete().where(c.fixed_port_id == port_id, c.fixed_ip.not_in(kept)))


class Stands(msgspec.Struct, frozen=True):
    """One port that stands for a local IP somewhere, as engines are told."""

    local_ip_id: str
    revision: int
    network_id: str
    ip: str
    mode: str
    port_id: str
    fixed_ip: str
    mac: str


async def standing(conn: Connection) -> list[Stands]:
    c, one = associations.c, local_ips.c
    query = sa.select(one.id, one.generation, one.network_id, one.local_ip_address, one.ip_mode, c.fixed_port_id,
                      c.fixed_ip, ports.c.mac_address).join(local_ips, one.id == c.local_ip_id).join(
                          ports, ports.c.id == c.fixed_port_id).where(ports.c.host != "")
    return [Stands(*row) for row in await rows(conn, query.order_by(one.id, c.fixed_port_id))]
