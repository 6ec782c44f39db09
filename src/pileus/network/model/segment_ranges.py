"""Ranges of numbers that networks are given when nobody names one."""

from __future__ import annotations

from uuid import UUID, uuid5

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import range_faults
from pileus.network.config import NetworkConfig
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


class SegmentRange(Row, frozen=True, kw_only=True):
    """A range that is not shared is its project's alone. Default ones are what the settings say."""

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


_OF_KIND = sa.select(ranges).where(ranges.c.network_type == sa.bindparam("of_kind"), ~ranges.c.is_default).order_by(
    ranges.c.created_at, ranges.c.id)


async def of_kind(conn: Connection, kind: str, physical: str | None = None) -> list[SegmentRange]:
    """Without default ones; of any physical network where none is named."""
    query = _OF_KIND if physical is None else _OF_KIND.where(ranges.c.physical_network == physical)
    return await db.many(conn, query, SegmentRange, of_kind=kind)


async def used(conn: Connection, row: SegmentRange) -> dict[int, str]:
    """The numbers in the range that networks have, and whose networks these are."""
    c = networks.c
    same = c.physical_network == row.physical_network if row.physical_network else c.physical_network.is_(None)
    found = await rows(conn, sa.select(c.segmentation_id, c.project_id).where(
        c.network_type == row.network_type, same, c.segmentation_id.between(row.minimum, row.maximum)).order_by(
            c.segmentation_id))
    return dict((number, project_id) for number, project_id in found)


def defaults(config: NetworkConfig, now: float = 0.0) -> list[SegmentRange]:
    """Those that the settings make, each under an id that stays its own."""
    wanted = [("vxlan", None, config.first_vni, config.last_vni)]
    wanted += [("vlan", physical, *span) for physical, span in sorted(config.vlan_ranges.items())]
    return [SegmentRange(
        id=str(uuid5(UUID(int=0), " ".join(filter(None, ("pileus default range of", kind, physical))))),
        project_id="", created_at=now, updated_at=now, is_default=True, network_type=kind, physical_network=physical,
        minimum=first, maximum=last) for kind, physical, first, last in wanted]


async def settle_defaults(tx: Connection, config: NetworkConfig, now: float) -> None:
    """The default ranges are as the settings say."""
    known = {row.id: row for row in await db.many(tx, sa.select(ranges).where(ranges.c.is_default), SegmentRange)}
    for wanted in defaults(config, now):
        row = known.pop(wanted.id, None)
        if row is None:
            await db.add(tx, ranges, wanted)
        elif (row.minimum, row.maximum) != (wanted.minimum, wanted.maximum):
            await db.change(tx, ranges, row, updated_at=now, minimum=wanted.minimum, maximum=wanted.maximum)
    await db.update(tx, ranges.delete().where(ranges.c.id.in_(list(known))))
