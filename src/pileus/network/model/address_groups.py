"""Address groups: named lists of networks that security group rules may name as their remote."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection, Json
from pileus.network import faults
from pileus.network.model.base import Row, chunks, metadata, standard_columns

address_groups = sa.Table(
    "address_group", metadata, *standard_columns("address_group"),
    sa.Column("addresses", Json, nullable=False),
)


class AddressGroup(Row, frozen=True, kw_only=True):
    addresses: list[str] = []


async def get(conn: Connection, address_group_id: str) -> AddressGroup:
    row = await db.one(conn, sa.select(address_groups).where(address_groups.c.id == address_group_id), AddressGroup)
    if row is None:
        raise faults.AddressGroupNotFound(address_group_id=address_group_id)
    return row


async def by_ids(conn: Connection, ids: Iterable[str]) -> dict[str, AddressGroup]:
    return {row.id: row for part in chunks(sorted(set(ids))) for row in await db.many(
        conn, sa.select(address_groups).where(address_groups.c.id.in_(part)), AddressGroup)}
