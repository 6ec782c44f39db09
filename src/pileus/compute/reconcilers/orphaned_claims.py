"""Claims in placement whose server is gone: left by nobody we know of, so found by looking."""

from __future__ import annotations

import logging

from pileus.compute.model import hosts, migrations, servers
from pileus.compute.runtime import Compute
from pileus.kit.reconcile import reconciler

log = logging.getLogger(__name__)


@reconciler(every=300)
async def orphaned_claims(compute: Compute) -> None:
    """A server's row, or a migration's, is there before its claim and after it: one without a row is nobody's. What
    others have of providers that are no hosts is theirs."""
    async with compute.db.read() as reader:
        ours = await hosts.ids(reader)
    async for page in compute.placement.claims():
        claimed = [consumer_id for consumer_id, roots in page.items() if not ours.isdisjoint(roots)]
        async with compute.db.read() as reader:
            alive = await servers.alive_among(reader, claimed) | await migrations.going_on(reader)
        for consumer_id in claimed:
            if consumer_id not in alive:
                log.warning("claim of no server is released", extra={"server": consumer_id})
                await compute.placement.release(consumer_id)
