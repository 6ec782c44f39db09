"""What the control plane heard of: back ends with what they can, the scheduler, the backup service."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.volume.drivers.base import BackEndFacts
from pileus.volume.faults import ServiceNotFound
from pileus.volume.model.tables import services, volumes

VOLUME, BACKUP, SCHEDULER = "cinder-volume", "cinder-backup", "cinder-scheduler"
DOWN_AFTER = 60.0                      # seconds without a sign of life


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    host: str
    binary: str
    zone: str
    created_at: float
    seen_at: float
    disabled: bool = False
    disabled_reason: str | None = None
    frozen: bool = False
    facts: BackEndFacts | None = None
    updated_at: float | None = None
    generation: int = 1

    def is_up(self, now: float) -> bool:
        return now - self.seen_at < DOWN_AFTER


async def every(conn: Connection, *, binary: str | None = None, host: str | None = None) -> list[ServiceRow]:
    """`host` also names all back ends of a node."""
    query = sa.select(services)
    if binary:
        query = query.where(services.c.binary == binary)
    if host:
        query = query.where(sa.or_(services.c.host == host, services.c.host.startswith(f"{host}@", autoescape=True)))
    return await db.many(conn, query.order_by(services.c.binary, services.c.host), ServiceRow)


async def get(conn: Connection, host: str, binary: str) -> ServiceRow:
    """Raises ServiceNotFound."""
    query = sa.select(services).where(services.c.host == host, services.c.binary == binary)
    row = await db.one(conn, query, ServiceRow)
    if row is None:
        raise ServiceNotFound(service=f"{binary} on host {host}")
    return row


_SEEN = services.update().where(
    services.c.host == sa.bindparam("of_host"), services.c.binary == sa.bindparam("of_binary"))


async def seen(tx: Connection, host: str, binary: str, zone: str, now: float, facts: BackEndFacts | None) -> None:
    known = msgspec.to_builtins(facts) if facts else None
    if not await db.update(tx, _SEEN, of_host=host, of_binary=binary, seen_at=now, facts=known):
        await db.add(tx, services, ServiceRow(id=new_uuid(), host=host, binary=binary, zone=zone, created_at=now,
                                              seen_at=now, facts=facts))


async def change(tx: Connection, row: ServiceRow, now: float, **values: Any) -> ServiceRow:
    return await db.change(tx, services, row, updated_at=now, **values)


async def provisioned(conn: Connection) -> dict[str, int]:
    """GiB promised by each back end, by its pool."""
    rows = await conn.execute(sa.select(volumes.c.host, sa.func.sum(volumes.c.size_gb).label("size")).where(
        volumes.c.host.is_not(None)).group_by(volumes.c.host))
    return {row.host: int(row.size) for row in rows}
