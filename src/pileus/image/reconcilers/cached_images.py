"""The cache holds the images it is to hold, no others, and no more bytes than it may."""

from __future__ import annotations

import logging

from pileus.image.copying import copy
from pileus.image.model import cached
from pileus.image.model.cached import CACHED
from pileus.image.runtime import Images
from pileus.image.stores.base import NoSuchData, StoreFull
from pileus.kit.reconcile import reconciler

log = logging.getLogger(__name__)


@reconciler(every=60)
async def cached_images(app: Images) -> None:
    async with app.db.read() as reader:
        wanted = await cached.queued(reader)
    for image in wanted:
        try:
            await copy(await app.read_stored(image), app.cache, image.data_id or "", image.sha512)
        except (NoSuchData, StoreFull) as error:
            log.warning("image %s is not cached: %s", image.id, error)
            continue
        async with app.db.write() as tx:
            await cached.mark(tx, image, app.clock())
    await _prune(app)
    async with app.db.read() as reader:
        known = await cached.data_ids(reader)
    await app.cache.sweep(3600.0)
    for data_id in await app.cache.contents(0.0):
        if data_id not in known:
            await app.cache.remove(data_id)


async def _prune(app: Images) -> None:
    """Those used longest ago go first."""
    async with app.db.read() as reader:
        held = [each for each in await cached.all_of(reader) if each.status == CACHED]
    too_much, going = sum(each.size for each in held) - app.config.cache_max_bytes, list[str]()
    for each in held:
        if too_much <= 0:
            break
        going.append(each.image_id)
        too_much -= each.size
    if going:
        async with app.db.write() as tx:
            await cached.remove(tx, *going)
