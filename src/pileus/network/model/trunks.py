"""Trunks: ports whose guests also reach networks of other ports, by VLAN tags that the guest puts on its frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import trunk_faults
from pileus.network.model.base import Row, chunks, metadata, rows, standard_columns
from pileus.network.model.ports import ACTIVE, DOWN, ERROR, ports

SUBPORT_OWNER = "trunk:subport"
trunks = sa.Table(
    "trunk", metadata, *standard_columns("trunk"),
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id"), nullable=False, unique=True),
    sa.Column("admin_state_up", sa.Boolean, nullable=False),
)
subports = sa.Table(
    "subport", metadata,
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id"), primary_key=True),
    sa.Column("trunk_id", sa.String(36), sa.ForeignKey("trunk.id", ondelete="CASCADE"), nullable=False),
    sa.Column("segmentation_type", sa.String(16), nullable=False),
    sa.Column("segmentation_id", sa.Integer, nullable=False),
    sa.UniqueConstraint("trunk_id", "segmentation_type", "segmentation_id"),
)


class Trunk(Row, frozen=True, kw_only=True):
    port_id: str
    admin_state_up: bool = True


class Subport(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    trunk_id: str
    segmentation_type: str
    segmentation_id: int


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What a trunk tells that is not in its row."""

    subports: list[Subport] = []
    status: str = DOWN


async def get(conn: Connection, trunk_id: str) -> Trunk:
    row = await db.one(conn, sa.select(trunks).where(trunks.c.id == trunk_id), Trunk)
    if row is None:
        raise trunk_faults.TrunkNotFound(trunk_id=trunk_id)
    return row


async def lock(tx: Connection, trunk_id: str) -> Trunk:
    """The row, held until the end of the transaction: one change of its subports at a time."""
    row = await db.one(tx, sa.select(trunks).where(trunks.c.id == trunk_id).with_for_update(), Trunk)
    if row is None:
        raise trunk_faults.TrunkNotFound(trunk_id=trunk_id)
    return row


async def of_parent(conn: Connection, port_id: str) -> Trunk | None:
    return await db.one(conn, sa.select(trunks).where(trunks.c.port_id == port_id), Trunk)


async def subports_of(conn: Connection, trunk_id: str) -> list[Subport]:
    query = sa.select(subports).where(subports.c.trunk_id == trunk_id)
    return await db.many(conn, query.order_by(subports.c.segmentation_id, subports.c.port_id), Subport)


async def around(conn: Connection, trunk_ids: Iterable[str]) -> dict[str, Around]:
    """Subports in the order of their numbers; the state is what those of the parent and the subports make together."""
    parent, below = ports.alias("parent"), ports.alias("below")
    found: dict[str, list[Subport]] = defaultdict(list)
    states: dict[str, list[str]] = defaultdict(list)
    bound: dict[str, str] = {}
    c = subports.c
    for part in chunks(trunk_ids):
        query = sa.select(trunks.c.id, parent.c.host, parent.c.status, c.port_id, c.segmentation_type,
                          c.segmentation_id, below.c.status).select_from(trunks).join(
            parent, parent.c.id == trunks.c.port_id).outerjoin(subports, c.trunk_id == trunks.c.id).outerjoin(
            below, below.c.id == c.port_id).where(trunks.c.id.in_(part)).order_by(c.segmentation_id, c.port_id)
        for trunk_id, host, state, port_id, kind, number, below_state in await rows(conn, query):
            bound[trunk_id], states[trunk_id] = host, states[trunk_id] or [state]
            if port_id is not None:
                found[trunk_id].append(Subport(
                    port_id=port_id, trunk_id=trunk_id, segmentation_type=kind, segmentation_id=number))
                states[trunk_id].append(below_state)
    return {trunk_id: Around(subports=found[trunk_id], status=_state(host, states[trunk_id]))
            for trunk_id, host in bound.items()}


def _state(host: str, states: list[str]) -> str:
    """Of the parent first, then of the subports."""
    if not host or states[0] == DOWN:
        return DOWN
    if ERROR in states:
        return ERROR if states[0] == ERROR else "DEGRADED"
    return ACTIVE if all(state == ACTIVE for state in states) else "BUILD"


async def tied(conn: Connection, port_ids: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """The trunk of each port that is part of one, and whether it is its parent."""
    found: dict[str, tuple[str, bool]] = {}
    for part in chunks(sorted(set(port_ids))):
        parents = sa.select(trunks.c.port_id, trunks.c.id, sa.literal(1)).where(trunks.c.port_id.in_(part))
        below = sa.select(subports.c.port_id, subports.c.trunk_id, sa.literal(0)).where(subports.c.port_id.in_(part))
        for port_id, trunk_id, is_parent in await rows(conn, sa.union_all(parents, below)):
            found[port_id] = (trunk_id, bool(is_parent))
    return found


async def steered(conn: Connection) -> dict[str, tuple[str, int]]:
    """By subport: its parent and the VLAN its guest uses."""
    query = sa.select(subports.c.port_id, trunks.c.port_id, subports.c.segmentation_id).join(
        trunks, trunks.c.id == subports.c.trunk_id)
    return {port_id: (parent, number) for port_id, parent, number in await rows(conn, query)}
