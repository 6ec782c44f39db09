"""Ranges of numbers that networks are given when nobody names one."""

from __future__ import annotations

from uuid import UUID, uuid5

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import range_faults
from pileus.network.model.base import Row, metadata, rows, standard_columns
from pileus.network.model.networks import networks

ranges = sa.Table(
    "network_segment_range", metadata, *standard_columns("network_segment_range"),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("network_type", sa.String(16), nullable=False),
    sa.Column("physical_network", sa.String(64)),
    sa.Column("minimum", sa.Integer, nullable=False),
    sa.Column("maximum", sa.Integer, nullable=False),
)
DEFAULT = str(uuid5(UUID(int=0), "pileus default range of vxlan"))     # the id of the one that settings make


class SegmentRange(Row, frozen=True, kw_only=True):
    """A range that is not shared is its project's alone. The default one is what the settings say."""

    shared: bool = True
    is_default: bool = False
    network_type: str = "vxlan"
    physical_network: str | None = None
    minimum: int
    maximum: int

    def overlaps(self, other: SegmentRange) -> bool:
        return self.minimum <= other.maximum and other.minimum <= self.maximum and (
            self.network_type, self.physical_network) == (other.network_type, other.physical_network)


async def get(conn: Connection, range_id: str) -> SegmentRange:
    row = await db.one(conn, sa.select(ranges).where(ranges.c.id == range_id), SegmentRange)
    if row is None:
        raise range_faults.RangeNotFound(range_id=range_id)
    return row


async def of_kind(conn: Connection, kind: str, physical: str | None = None) -> list[SegmentRange]:
    """Without the default one; of any physical network where none is named."""
    query = sa.select(ranges).where(ranges.c.network_type == kind, ~ranges.c.is_default)
    if physical is not None:
        query = query.where(ranges.c.physical_network == physical)
    return await db.many(conn, query.order_by(ranges.c.created_at, ranges.c.id), SegmentRange)


async def used(conn: Connection, row: SegmentRange) -> dict[int, str]:
    """The numbers in the range that networks have, and whose networks these are."""
    c = networks.c
    same = c.physical_network == row.physical_network if row.physical_network else c.physical_network.is_(None)
    found = await rows(conn, sa.select(c.segmentation_id, c.project_id).where(
        c.network_type == row.network_type, same, c.segmentation_id.between(row.minimum, row.maximum)).order_by(
            c.segmentation_id))
    return dict((number, project_id) for number, project_id in found)


async def settle_default(tx: Connection, first: int, last: int, now: float) -> None:
    """The default range is as the settings say."""
    known = await db.one(tx, sa.select(ranges).where(ranges.c.id == DEFAULT), SegmentRange)
    if known is None:
        await db.add(tx, ranges, SegmentRange(
            id=DEFAULT, project_id="", created_at=now, updated_at=now, is_default=True, minimum=first, maximum=last))
    elif (known.minimum, known.maximum) != (first, last):
        await db.change(tx, ranges, known, updated_at=now, minimum=first, maximum=last)
