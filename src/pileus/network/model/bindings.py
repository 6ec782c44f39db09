"""Further hosts that ports are prepared for, beside the one that each is on: what a live migration needs."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection, Json
from pileus.network import binding_faults
from pileus.network.model.base import metadata

bindings = sa.Table(
    "port_binding", metadata,
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("vnic_type", sa.String(64), nullable=False),
    sa.Column("vif_type", sa.String(64), nullable=False),
    sa.Column("vif_details", Json, nullable=False),
    sa.Column("profile", Json, nullable=False),
)


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """That of a port to a host. Rows are of those that are inactive; the active one is in the port's row."""

    port_id: str
    host: str
    vnic_type: str = "normal"
    vif_type: str = "unbound"
    vif_details: dict[str, Any] = {}
    profile: dict[str, Any] = {}


async def of_port(conn: Connection, port_id: str) -> list[Binding]:
    query = sa.select(bindings).where(bindings.c.port_id == port_id).order_by(bindings.c.host)
    return await db.many(conn, query, Binding)


async def get(conn: Connection, port_id: str, host: str) -> Binding:
    row = await db.one(conn, sa.select(bindings).where(bindings.c.port_id == port_id, bindings.c.host == host), Binding)
    if row is None:
        raise binding_faults.BindingNotFound(port_id=port_id, host=host)
    return row


async def put(tx: Connection, row: Binding) -> None:
    """In place of one of the same host."""
    await remove(tx, row.port_id, row.host)
    await db.add(tx, bindings, row)


async def remove(tx: Connection, port_id: str, host: str) -> int:
    return await db.update(tx, bindings.delete().where(bindings.c.port_id == port_id, bindings.c.host == host))
