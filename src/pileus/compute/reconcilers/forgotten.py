"""Deleted servers are kept for a while and then forgotten."""

from __future__ import annotations

from pileus.compute.model import servers
from pileus.compute.runtime import Compute
from pileus.kit.reconcile import reconciler


@reconciler(every=3600)
async def forgotten(compute: Compute) -> None:
    before = compute.clock() - compute.config.keep_deleted_days * 86400
    more = True
    while more:
        async with compute.db.write() as tx:
            more = bool(await servers.prune_deleted(tx, before))
