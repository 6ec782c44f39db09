"""The gateways of routers: the first stands in the router's own row, those after it in a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network.model.routers import Router, routers
from pileus.network.model.routers import further_gateways as further


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    network_id: str


class Further(Gateway, frozen=True, kw_only=True):
    router_id: str
    number: int


async def further_of(conn: Connection, router_ids: Iterable[str] | None = None) -> dict[str, list[Gateway]]:
    """Those after the first, in order, by router; of all routers if none are named."""
    found: dict[str, list[Gateway]] = defaultdict(list)
    query = sa.select(further).order_by(further.c.router_id, further.c.number)
    if router_ids is not None:
        query = query.where(further.c.router_id.in_(list(router_ids)))
    for row in await db.many(conn, query, Further):
        found[row.router_id].append(Gateway(port_id=row.port_id, network_id=row.network_id))
    return found


async def of_router(conn: Connection, router: Router) -> list[Gateway]:
    first = first_of(router)
    return [] if first is None else [first, *(await further_of(conn, [router.id]))[router.id]]


def first_of(router: Router) -> Gateway | None:
    if router.gateway_port_id is None or router.gateway_network_id is None:
        return None
    return Gateway(port_id=router.gateway_port_id, network_id=router.gateway_network_id)


async def record(tx: Connection, router_id: str, have: list[Gateway], wanted: list[Gateway]) -> None:
    """Write down those after the first, where they are others than before."""
    if have[1:]:
        await tx.execute(further.delete().where(further.c.router_id == router_id))
    for number, gateway in enumerate(wanted[1:], start=1):
        await db.add(tx, further, Further(router_id=router_id, number=number, port_id=gateway.port_id,
                                          network_id=gateway.network_id))


def on_network(network_id: str) -> sa.ColumnElement[bool]:
    """Of routers: one of the gateways is on the network."""
    later = sa.select(further.c.router_id).where(further.c.network_id == network_id)
    return sa.or_(routers.c.gateway_network_id == network_id, routers.c.id.in_(later))


async def leads_to(conn: Connection, router_id: str, network_id: str) -> bool:
    query = sa.select(routers.c.id).where(routers.c.id == router_id, on_network(network_id))
    return await db.scalar(conn, query) is not None
