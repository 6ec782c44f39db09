"""What views of routers tell out of small tables, in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit.db import Connection
from pileus.network.model.base import chunks, rows, tags
from pileus.network.model.followed_protocols import helpers
from pileus.network.model.gateways import Gateway
from pileus.network.model.routers import further_gateways as further

TAG, FOLLOWED, GATEWAY = range(3)


class Side(msgspec.Struct):
    """`further` are the gateways after the first, `followed` protocols with their ports and helpers."""

    tags: list[str] = []
    followed: list[tuple[str, int, str]] = []
    further: list[Gateway] = []


async def sides_of(conn: Connection, router_ids: Iterable[str]) -> dict[str, Side]:
    found: dict[str, Side] = defaultdict(Side)
    for part in chunks(router_ids):
        query = sa.union_all(
            sa.select(tags.c.resource_id, sa.literal(TAG), sa.literal(0), tags.c.tag,
                      sa.literal("", sa.String(36))).where(tags.c.resource_id.in_(part)),
            sa.select(helpers.c.router_id, sa.literal(FOLLOWED), helpers.c.port, helpers.c.protocol,
                      helpers.c.helper).where(helpers.c.router_id.in_(part)),
            sa.select(further.c.router_id, sa.literal(GATEWAY), further.c.number, further.c.port_id,
                      further.c.network_id).where(further.c.router_id.in_(part)))
        for router_id, kind, number, text, more in sorted(await rows(conn, query)):
            if kind == TAG:
                found[router_id].tags.append(text)
            elif kind == FOLLOWED:
                found[router_id].followed.append((text, number, more))
            else:
                found[router_id].further.append(Gateway(port_id=text, network_id=more))
    for side in found.values():
        side.followed.sort()
    return found
