"""Servers that were deleted softly go for good when their time has come."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.compute.model.servers import Server
from pileus.compute.model.states import State
from pileus.compute.model.tables import servers as table
from pileus.compute.runtime import Compute
from pileus.compute.sagas.delete_server import DeleteServer
from pileus.kit import db
from pileus.kit.reconcile import reconciler


@reconciler(every=60)
async def reclaimed(compute: Compute) -> None:
    """Counted from when they were last changed, which is when they were deleted: nothing else may be done to them."""
    before = compute.clock() - compute.config.reclaim_after
    query = sa.select(table).where(table.c.alive, table.c.state == State.SOFT_DELETED, table.c.updated_at <= before)
    async with compute.db.write() as tx:
        for server in await db.many(tx, query, Server):
            await compute.sagas.start(tx, DeleteServer(server_id=server.id), server.id, supersede=True)
