"""/v2/cache: copies of images beside the API, for stores that are slow or far"""

from __future__ import annotations

from starlette.responses import Response

from pileus.image import access, answers, faults
from pileus.image.model import cached, images
from pileus.image.model.cached import CACHED, QUEUED
from pileus.image.model.images import ACTIVE
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
ALL, ONE = "/v2/cache", "/v2/cache/{image_id}"
TARGETS = {"": (QUEUED, CACHED), "cache": (CACHED,), "queue": (QUEUED,)}


@routes.get(ALL, policy=access.CACHE_LIST)
async def show_cache(ctx: Ctx) -> Response:
    async with ctx.db.read() as reader:
        found = await cached.all_of(reader)
    return answers.json_answer({
        "cached_images": [
            {"image_id": each.image_id, "hits": each.hits, "size": each.size, "last_accessed": each.accessed_at,
             "last_modified": each.changed_at} for each in found if each.status == CACHED],
        "queued_images": [each.image_id for each in found if each.status == QUEUED]})


@routes.put(ONE, status=202, policy=access.CACHE_IMAGE)
async def queue_image(ctx: Ctx, image_id: str) -> None:
    async with ctx.db.write() as tx:
        image = await images.get(tx, image_id)
        if image.status != ACTIVE:
            raise faults.BadRequest(reason=f"Only images with status active can be targeted for queueing, not"
                                    f" {image.status}.")
        await cached.queue(tx, image_id, ctx.clock())
        tx.on_commit(lambda: ctx.app.reconcilers.wake("cached_images"))


@routes.delete(ONE, policy=access.CACHE_DELETE)
async def remove_image(ctx: Ctx, image_id: str) -> None:
    """An image need not be there to leave the cache, nor in the cache if it is there."""
    async with ctx.db.write() as tx:
        if not await cached.remove(tx, image_id):
            await images.get(tx, image_id)
        tx.on_commit(lambda: ctx.app.reconcilers.wake("cached_images"))


@routes.delete(ALL, policy=access.CACHE_DELETE)
async def clear_cache(ctx: Ctx) -> None:
    target = ctx.request.headers.get("x-image-cache-clear-target", "").lower()
    if target not in TARGETS:
        raise faults.BadRequest(reason="If x-image-cache-clear-target is given it must be 'cache' or 'queue'.")
    async with ctx.db.write() as tx:
        await cached.clear(tx, *TARGETS[target])
        tx.on_commit(lambda: ctx.app.reconcilers.wake("cached_images"))
