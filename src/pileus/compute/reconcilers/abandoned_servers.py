"""No server is on its way without somebody who brings it there."""

from __future__ import annotations

import logging

import sqlalchemy as sa

from pileus.compute.model import servers
from pileus.compute.model.servers import Server, ServerFault, State
from pileus.compute.model.tables import servers as table
from pileus.compute.runtime import Compute
from pileus.kit import db
from pileus.kit.reconcile import reconciler
from pileus.kit.saga import FINISHED, sagas

log = logging.getLogger(__name__)


@reconciler(every=60)
async def abandoned_servers(compute: Compute) -> None:
    """Row and saga commit together, so this finds something only after somebody edited the database by hand."""
    worked_on = sa.exists().where(sagas.c.subject == table.c.id, sagas.c.phase.not_in(FINISHED))
    query = sa.select(table).where(table.c.alive, table.c.state == State.BUILDING, sa.not_(worked_on))
    async with compute.db.write() as tx:
        for server in await db.many(tx, query, Server):
            log.warning("server was left in BUILD", extra={"server": server.id})
            await servers.change(tx, server, compute.clock(), state=State.ERROR, fault=ServerFault(
                code=500, message="The boot of this server was lost.", created_at=compute.clock()))
