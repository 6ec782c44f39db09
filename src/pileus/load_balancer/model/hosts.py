"""Hosts that carry load balancers."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.load_balancer.model.tables import hosts, load_balancers


class Host(msgspec.Struct, frozen=True, kw_only=True):
    id: str                                # its name
    seen_at: float
    unable: str | None = None              # to carry any, and why; None: it can


async def seen(tx: Connection, host: str, now: float, unable: str | None) -> None:
    changed = await tx.execute(hosts.update().where(hosts.c.id == host).values(seen_at=now, unable=unable))
    if not changed.rowcount:
        await db.add(tx, hosts, Host(id=host, seen_at=now, unable=unable))


async def every(conn: Connection) -> list[Host]:
    return await db.many(conn, sa.select(hosts).order_by(hosts.c.id), Host)


async def burdens(conn: Connection) -> dict[str, int]:
    """How many load balancers each host carries."""
    query = sa.select(load_balancers.c.host, sa.func.count().label("carried")).where(
        load_balancers.c.host.is_not(None)).group_by(load_balancers.c.host)
    return {row.host: row.carried for row in await conn.execute(query)}


class NoHost(Exception):
    """Says why no host can carry it."""


async def choose(conn: Connection, now: float, *, dead_after: float, among: list[str] | None = None,
                 without: str = "") -> str:
    """The live host that carries least, of `among` if that names some, and not `without` if there is another one.
    Raises NoHost."""
    found, reasons = [], []
    for host in await every(conn):
        if among is not None and host.id not in among:
            reasons.append(f"{host.id}: is not in the availability zone")
        elif now - host.seen_at >= dead_after:
            reasons.append(f"{host.id}: was last heard of {now - host.seen_at:.0f} s ago")
        elif host.unable is not None:
            reasons.append(f"{host.id}: {host.unable}")
        else:
            found.append(host.id)
    if not found:
        raise NoHost(f"no host can carry it: {'; '.join(reasons) or 'there is none'}")
    carried = await burdens(conn)
    return min((name for name in found if name != without or len(found) == 1),
               key=lambda name: (carried.get(name, 0), name))
