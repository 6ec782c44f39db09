"""/v2/info/stores, and the stores of one image"""

from __future__ import annotations

from typing import Any

from pileus.image import access, faults
from pileus.image.api.root import ANYBODY
from pileus.image.model import images, usage
from pileus.image.model.images import WEB
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()


def _shown(ctx: Ctx) -> list[dict[str, Any]]:
    return [{"id": name, "weight": ctx.app.config.store_weights.get(name, 0),
             **({"default": "true"} if name == ctx.app.store.name else {})} for name in ctx.app.stores] + (
                [{"id": WEB, "weight": ctx.app.config.store_weights.get(WEB, 0), "read-only": "true"}]
                if ctx.app.web is not None else [])


@routes.get("/v2/info/stores", policy=ANYBODY)
async def show_stores(ctx: Ctx) -> dict[str, Any]:
    return {"stores": _shown(ctx)}


@routes.get("/v2/info/stores/detail", policy=access.STORES_DETAIL)
async def show_stores_detail(ctx: Ctx) -> dict[str, Any]:
    return {"stores": [
        each | ({"type": "http", "properties": ctx.app.web.details()} if each["id"] == WEB else
                {"type": "file", "properties": ctx.app.stores[each["id"]].details()}) for each in _shown(ctx)]}


@routes.get("/v2/info/usage", policy=ANYBODY)
async def show_usage(ctx: Ctx) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        used = await usage.of(reader, ctx.caller.project_id)
    limits = await ctx.app.limits_of(ctx.caller.project_id)
    return {"usage": {name: {"limit": limits.get(name, usage.UNLIMITED), "usage": used[name]}
                      for name in usage.RESOURCES}}


@routes.delete("/v2/stores/{store}/{image_id}", policy=access.DELETE_FROM_STORE, check=False)
async def delete_from_store(ctx: Ctx, store: str, image_id: str) -> None:
    image = await access.image_for(ctx, image_id, access.DELETE_FROM_STORE)
    if store == WEB and image.locations:
        raise faults.Forbidden(reason=f"Store {WEB} is read-only.")
    if store not in image.kept_in or not image.has_data or store not in ctx.app.stores:
        raise faults.StoreNotFound(store=store, image_id=image_id)
    if image.protected:
        raise faults.Protected(image_id=image_id)
    left = [name for name in image.kept_in if name != store]
    if not left and not image.locations:
        raise faults.Forbidden(reason=f"Store {store} holds the last copy of image {image_id}.")
    if image.importing_to:
        raise faults.Conflict(reason=f"An import of image {image_id} goes on.")
    async with ctx.db.write() as tx:
        await images.change(tx, image, ctx.clock(), store=left[0] if left else None, stores=left)
    await ctx.app.stores[store].remove(image.data_id or "")
