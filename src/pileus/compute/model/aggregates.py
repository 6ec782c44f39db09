"""Aggregates: groups of hosts with metadata; one that names an availability zone puts its hosts there."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.compute.faults import AggregateExists, AggregateNotFound
from pileus.compute.model.tables import aggregate_hosts, aggregates, hosts
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.numbers import digits

ZONE = "availability_zone"


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    metadata: dict[str, str] = {}
    created_at: float
    updated_at: float | None = None
    generation: int = 1
    number: int = 0                   # given by the database
    hosts: tuple[str, ...] = ()

    @property
    def zone(self) -> str | None:
        return self.metadata.get(ZONE)


async def every(conn: Connection) -> list[Aggregate]:
    """All of them with their hosts: two queries."""
    found = await db.many(conn, sa.select(aggregates).order_by(aggregates.c.number), Aggregate)
    members: dict[str, list[str]] = {}
    for row in await conn.execute(sa.select(aggregate_hosts).order_by(aggregate_hosts.c.host)):
        members.setdefault(row.aggregate_id, []).append(row.host)
    return [msgspec.structs.replace(each, hosts=tuple(members.get(each.id, ()))) for each in found]


async def get(conn: Connection, number: str) -> Aggregate:
    """By the number that clients know it by. Raises AggregateNotFound."""
    found = None
    if (known := digits(number)) is not None and known < 1 << 63:
        found = await db.one(conn, sa.select(aggregates).where(aggregates.c.number == known), Aggregate)
    if found is None:
        raise AggregateNotFound(aggregate_id=number)
    names = await db.scalars(conn, sa.select(aggregate_hosts.c.host).where(
        aggregate_hosts.c.aggregate_id == found.id).order_by(aggregate_hosts.c.host))
    return msgspec.structs.replace(found, hosts=tuple(names))


async def add(tx: Connection, aggregate: Aggregate) -> None:
    """Raises AggregateExists."""
    values = {name: getattr(aggregate, name) for name in aggregate.__struct_fields__ if name not in ("number", "hosts")}
    try:
        await tx.execute(aggregates.insert(), [values])
    except db.Taken:
        raise AggregateExists(name=aggregate.name) from None


async def find_by_id(conn: Connection, aggregate_id: str) -> Aggregate:
    number = await db.scalar(conn, sa.select(aggregates.c.number).where(aggregates.c.id == aggregate_id))
    return await get(conn, str(number))


async def change(tx: Connection, aggregate: Aggregate, now: float, **values: Any) -> Aggregate:
    """Raises AggregateExists for a name that another one has."""
    try:
        changed = await db.change(tx, aggregates, aggregate, updated_at=now, **values)
    except db.Taken:
        raise AggregateExists(name=values.get("name", "")) from None
    await settle_zones(tx, aggregate.hosts)
    return changed


async def remove(tx: Connection, aggregate: Aggregate) -> None:
    await tx.execute(aggregates.delete().where(aggregates.c.id == aggregate.id))


async def add_host(tx: Connection, aggregate: Aggregate, host: str) -> None:
    await tx.execute(aggregate_hosts.insert(), [{"aggregate_id": aggregate.id, "host": host}])
    await settle_zones(tx, (host,))


async def remove_host(tx: Connection, aggregate: Aggregate, host: str) -> None:
    await db.update(tx, aggregate_hosts.delete().where(
        aggregate_hosts.c.aggregate_id == aggregate.id, aggregate_hosts.c.host == host))
    await settle_zones(tx, (host,))


async def settle_zones(tx: Connection, names: tuple[str, ...]) -> None:
    """What the hosts' rows say of their zones is what their aggregates say."""
    zones = {host: each.zone for each in await every(tx) if each.zone for host in each.hosts}
    for name in names:
        await db.update(tx, hosts.update().where(hosts.c.name == name).values(zone=zones.get(name)))
