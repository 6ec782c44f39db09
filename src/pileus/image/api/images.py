"""/v2/images"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from pileus.image import access, answers, attributes, faults, locating, patches
from pileus.image.api.root import IMPORT_METHODS
from pileus.image.model import images, listing, usage
from pileus.image.model.images import ACTIVE, DEACTIVATED, Image
from pileus.kit.faults import MethodNotAllowed
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
ONE = "/v2/images/{image_id}"
LOCATIONS = "locations"
PATCHES = (patches.V20, patches.V21)


@routes.get("/v2/images", policy=access.GET_IMAGES)
async def list_images(ctx: Ctx, query: dict[str, list[str]]) -> Response:
    _must_not_mean_one(ctx)
    async with ctx.db.read() as reader:
        found, marker = await listing.page(reader, query, ctx.caller, ctx.app.recent)
    body = {"images": [_view(ctx, each.image) if ctx.app.config.show_locations else each.shown for each in found],
            "schema": "/v2/schemas/images", "first": answers.path_with(ctx, None)}
    return answers.json_answer(body | ({"next": answers.path_with(ctx, marker)} if marker else {}))


def _view(ctx: Ctx, image: Image) -> dict[str, Any]:
    """With its locations, where they are shown at all, to those who may see them."""
    view = answers.view(image)
    if ctx.app.config.show_locations and ctx.allows(access.GET_LOCATION.name, access.facts(image)):
        view[LOCATIONS] = locating.shown(ctx.app, image)
    return view


def _must_not_mean_one(ctx: Ctx) -> None:
    """A slash at the end is the path of an image whose id is empty."""
    if ctx.request.scope["path"].endswith("/"):
        raise faults.ImageNotFound(image_id="")


@routes.delete("/v2/images", policy=access.DELETE_IMAGE, check=False)
async def delete_nothing(ctx: Ctx) -> None:
    _must_not_mean_one(ctx)
    raise MethodNotAllowed(method="DELETE")


@routes.post("/v2/images", status=201, policy=access.ADD_IMAGE)
async def create_image(ctx: Ctx, body: dict[str, Any]) -> Response:
    image = new_image(ctx, body)
    access.must_allow_visibility(ctx, image, image.visibility)
    limits = await ctx.app.limits_of(image.owner)
    async with ctx.db.write() as tx:
        await usage.must_fit(tx, image.owner, limits, image_count_total=1)
        await images.add(tx, image)
    return answers.json_answer(_view(ctx, image), 201, {
        "location": f"{ctx.base_url}/v2/images/{image.id}",
        "openstack-image-import-methods": ",".join(IMPORT_METHODS),
        "openstack-image-store-ids": ",".join(ctx.app.stores)})


def new_image(ctx: Ctx, body: dict[str, Any]) -> Image:
    values = {name: attributes.check(name, value) for name, value in body.items()}
    columns: dict[str, Any] = {name: values.pop(name) for name in list(values) if name in attributes.ATTRIBUTES}
    attributes.check_counts(columns.get("tags", []), values)
    owner = columns.pop("owner", None) or ctx.caller.project_id
    if owner != ctx.caller.project_id and not ctx.caller.is_admin:
        raise faults.Forbidden(reason=f"You are not permitted to create images owned by '{owner}'.")
    now = ctx.clock()
    columns.setdefault("id", new_uuid())
    return Image(**columns, owner=owner, properties=values, created_at=now, updated_at=now)


@routes.get(ONE, policy=access.GET_IMAGE, check=False)
async def show_image(ctx: Ctx, image_id: str) -> Response:
    return answers.json_answer(_view(ctx, await access.image_for(ctx, image_id, access.GET_IMAGE)))


@routes.patch(ONE, policy=access.MODIFY_IMAGE, check=False, media=PATCHES)
async def update_image(ctx: Ctx, image_id: str, body: Any) -> Response:
    changes = patches.parse(body, ctx.request.headers.get("content-type", "").partition(";")[0].strip().lower())
    image = await access.image_for(ctx, image_id, access.MODIFY_IMAGE)
    columns = patches.apply(image, [each for each in changes if each.name != LOCATIONS])
    if columns.get("visibility", image.visibility) != image.visibility:
        access.must_allow_visibility(ctx, image, columns["visibility"])
    if columns.get("owner", image.owner) != image.owner and not ctx.caller.is_admin:
        raise faults.Forbidden(reason="You are not permitted to change the owner of this image.")
    places = await _located(ctx, image, [each for each in changes if each.name == LOCATIONS])
    if columns or places:
        limits = await ctx.app.limits_of(image.owner)
        async with ctx.db.write() as tx:
            if "size" in places:
                await usage.must_fit(tx, image.owner, limits, image_size_total=-(-places["size"] // usage.MIB))
            image = await images.change(tx, image, ctx.clock(), **columns | places)
    return answers.json_answer(_view(ctx, image))


async def _located(ctx: Ctx, image: Image, changes: list[patches.Change]) -> dict[str, Any]:
    """The columns that changes of locations change, one after the other."""
    columns: dict[str, Any] = {}
    for change in changes:
        rule = access.DELETE_FROM_STORE if change.operation == "remove" else access.SET_LOCATION
        ctx.must_allow(rule.name, access.facts(image))
        columns |= await locating.changed(ctx.app, msgspec.structs.replace(image, **columns), change)
    return columns


@routes.delete(ONE, policy=access.DELETE_IMAGE, check=False)
async def delete_image(ctx: Ctx, image_id: str) -> None:
    image = await access.image_for(ctx, image_id, access.DELETE_IMAGE)
    if image.protected:
        raise faults.Protected(image_id=image_id)
    async with ctx.db.write() as tx:
        await images.remove(tx, image)
    for data_id in (image.data_id, image.made_id):
        if data_id is not None:
            await ctx.app.forget(data_id)


@routes.post(ONE + "/actions/deactivate", status=204, policy=access.DEACTIVATE, check=False)
async def deactivate_image(ctx: Ctx, image_id: str) -> None:
    await _switch(ctx, await access.image_for(ctx, image_id, access.DEACTIVATE), ACTIVE, DEACTIVATED)


@routes.post(ONE + "/actions/reactivate", status=204, policy=access.REACTIVATE, check=False)
async def reactivate_image(ctx: Ctx, image_id: str) -> None:
    await _switch(ctx, await access.image_for(ctx, image_id, access.REACTIVATE), DEACTIVATED, ACTIVE)


async def _switch(ctx: Ctx, image: Image, before: str, after: str) -> None:
    if image.status not in (before, after):
        raise faults.Forbidden(reason=f"Not allowed to make an image {after} in status '{image.status}'")
    if image.status == before:
        async with ctx.db.write() as tx:
            await images.change(tx, image, ctx.clock(), status=after)
