"""Claims in placement whose server is gone: left by nobody we know of, so found by looking."""

from __future__ import annotations

import logging

from pileus.compute.model import hosts, migrations, servers
from pileus.compute.runtime import Compute
from pileus.kit.reconcile import reconciler

log = logging.getLogger(__name__)


@reconciler(every=300)
async def orphaned_claims(compute: Compute) -> None:
    """A server's row, or a migration's, is there before its claim and after it: one without a row is nobody's."""
    async with compute.db.read() as reader:
        known = await hosts.every(reader)
    for host in known:
        claimed = list(await compute.placement.consumers_of(host.id))
        async with compute.db.read() as reader:
            alive = await servers.alive_among(reader, claimed) | await migrations.going_on(reader)
        for consumer_id in set(claimed) - alive:
            log.warning("claim of no server is released", extra={"server": consumer_id, "host": host.name})
            await compute.placement.release(consumer_id)
