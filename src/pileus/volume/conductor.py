"""What the volume service makes of the news from its back ends."""

from __future__ import annotations

import logging

from pileus.kit.bus import Failed, Handlers, NobodyThere
from pileus.volume import attaching
from pileus.volume.messages import BackEndSeen
from pileus.volume.model import services
from pileus.volume.model.keys import KeyUnusable
from pileus.volume.runtime import Volumes

log = logging.getLogger(__name__)
handlers = Handlers()


@handlers.on(BackEndSeen)
async def back_end_seen(volume: Volumes, message: BackEndSeen) -> None:
    """The back end is there; so is its node's backup service, and, since this is heard, a scheduler."""
    node, now = message.host.partition("@")[0], volume.clock()
    async with volume.db.write() as tx:
        await services.seen(tx, message.host, services.VOLUME, message.zone, now, message.facts)
        await services.seen(tx, node, services.BACKUP, message.zone, now, None)
        await services.seen(tx, node, services.SCHEDULER, message.zone, now, None)
    for volume_id in message.lost:
        await _serve_again(volume, volume_id, message.host)


async def _serve_again(volume: Volumes, volume_id: str, host: str) -> None:
    """Guests wait a minute for who served them; the back end tells of it again, until this is done."""
    try:
        if await attaching.serve_again(volume, volume_id, host):
            log.warning("volume %s was served no longer, and is again", volume_id)
    except (Failed, NobodyThere, KeyUnusable) as error:
        log.warning("volume %s is served no longer, and cannot be: %s", volume_id, error)
