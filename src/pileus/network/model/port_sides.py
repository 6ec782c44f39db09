"""What ports' views tell out of small tables, read in one statement: groups, tags, trunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit.db import Connection
from pileus.network.model.base import chunks, rows, tags
from pileus.network.model.ports import port_groups, ports
from pileus.network.model.trunks import subports, trunks

GROUP, TAG, TRUNK, SUBPORT = range(4)


class Below(msgspec.Struct, frozen=True, gc=False):
    """A subport as its parent tells of it."""

    port_id: str
    mac: str
    number: int


class Side(msgspec.Struct, gc=False):
    groups: list[str] = []
    tags: list[str] = []
    trunk_id: str | None = None
    subports: list[Below] = []


async def sides_of(conn: Connection, port_ids: Iterable[str]) -> dict[str, Side]:
    found: dict[str, Side] = defaultdict(Side)
    nothing, zero = sa.literal("", sa.String(36)), sa.literal(0)
    for part in chunks(port_ids):
        below = ports.alias("below")
        query = sa.union_all(
            sa.select(port_groups.c.port_id, sa.literal(GROUP), port_groups.c.security_group_id, nothing, zero).where(
                port_groups.c.port_id.in_(part)),
            sa.select(tags.c.resource_id, sa.literal(TAG), tags.c.tag, nothing, zero).where(
                tags.c.resource_id.in_(part)),
            sa.select(trunks.c.port_id, sa.literal(TRUNK), trunks.c.id, nothing, zero).where(
                trunks.c.port_id.in_(part)),
            sa.select(trunks.c.port_id, sa.literal(SUBPORT), subports.c.port_id, below.c.mac_address,
                      subports.c.segmentation_id).join(subports, subports.c.trunk_id == trunks.c.id).join(
                          below, below.c.id == subports.c.port_id).where(trunks.c.port_id.in_(part)))
        for port_id, kind, value, mac, number in await rows(conn, query):
            side = found[port_id]
            if kind == GROUP:
                side.groups.append(value)
            elif kind == TAG:
                side.tags.append(value)
            elif kind == TRUNK:
                side.trunk_id = value
            else:
                side.subports.append(Below(value, mac, number))
    for side in found.values():
        side.groups.sort()
        side.tags.sort()
        side.subports.sort(key=lambda below: (below.number, below.port_id))
    return found
