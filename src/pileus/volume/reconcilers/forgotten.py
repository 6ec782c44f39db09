"""Messages are not kept for ever."""

from __future__ import annotations

from pileus.kit.reconcile import reconciler
from pileus.volume.model import notices
from pileus.volume.runtime import Volumes


@reconciler(every=3600)
async def old_messages(volume: Volumes) -> None:
    async with volume.db.write() as tx:
        await notices.prune(tx, volume.clock() - notices.KEPT_SECONDS)
