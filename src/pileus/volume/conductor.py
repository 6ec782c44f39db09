"""What the volume service makes of the news from its back ends."""

from __future__ import annotations

from pileus.kit.bus import Handlers
from pileus.volume.messages import BackEndSeen
from pileus.volume.model import services
from pileus.volume.runtime import Volumes

handlers = Handlers()


@handlers.on(BackEndSeen)
async def back_end_seen(volume: Volumes, message: BackEndSeen) -> None:
    """The back end is there; so is its node's backup service, and, since this is heard, a scheduler."""
    node, now = message.host.partition("@")[0], volume.clock()
    async with volume.db.write() as tx:
        await services.seen(tx, message.host, services.VOLUME, message.zone, now, message.facts)
        await services.seen(tx, node, services.BACKUP, message.zone, now, None)
        await services.seen(tx, node, services.SCHEDULER, message.zone, now, None)
