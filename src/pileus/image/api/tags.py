"""/v2/images/{image_id}/tags/{tag}"""

from __future__ import annotations

from pileus.image import access, attributes, faults
from pileus.image.model import images
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
ONE = "/v2/images/{image_id}/tags/{tag}"


@routes.put(ONE, status=204, policy=access.MODIFY_IMAGE, check=False)
async def add_tag(ctx: Ctx, image_id: str, tag: str) -> None:
    image = await access.image_for(ctx, image_id, access.MODIFY_IMAGE)
    if tag not in image.tags:
        tags = attributes.check("tags", [*image.tags, tag])
        attributes.check_counts(tags, image.properties)
        async with ctx.db.write() as tx:
            await images.change(tx, image, ctx.clock(), tags=tags)


@routes.delete(ONE, policy=access.MODIFY_IMAGE, check=False)
async def remove_tag(ctx: Ctx, image_id: str, tag: str) -> None:
    image = await access.image_for(ctx, image_id, access.MODIFY_IMAGE)
    if tag not in image.tags:
        raise faults.TagNotFound(tag=tag)
    async with ctx.db.write() as tx:
        await images.change(tx, image, ctx.clock(), tags=[each for each in image.tags if each != tag])
