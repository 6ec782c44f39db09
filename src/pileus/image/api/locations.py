"""/v2/images/{image_id}/locations: what services and owners add once and for all, and what services are told"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from pileus.image import access, answers, faults, locating
from pileus.image.locating import ALGORITHM, Checksum, Hex, Known, Url
from pileus.image.model import images, tasks, usage
from pileus.image.model.images import IMPORTING, QUEUED, WEB, Image, Location
from pileus.image.model.tasks import SUCCESS, Task
from pileus.image.sagas.add_location import AddLocation
from pileus.kit import db
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
LOCATIONS = "/v2/images/{image_id}/locations"


class ValidationData(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    os_hash_algo: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    os_hash_value: Hex | None = None
    checksum: Checksum | None = None


class LocationBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    url: Url
    validation_data: ValidationData = msgspec.field(default_factory=ValidationData)


@routes.get(LOCATIONS, policy=access.FETCH_LOCATION, check=False)
async def list_locations(ctx: Ctx, image_id: str) -> Response:
    image = await access.image_for(ctx, image_id, access.FETCH_LOCATION)
    return answers.json_answer(locating.shown(ctx.app, image))


@routes.post(LOCATIONS, status=202, policy=access.ADD_LOCATION, check=False)
async def add_location(ctx: Ctx, image_id: str, body: LocationBody) -> dict[str, Any]:
    """The image becomes active at once, or once it was found to be what the caller says."""
    image = await access.image_for(ctx, image_id, access.ADD_LOCATION)
    if image.status != QUEUED:
        raise faults.Conflict(reason=f"It's not allowed to add locations if image status is {image.status}.")
    known = _known(body.validation_data)
    locating.must_be_usable(ctx.app, image, body.url)
    where = Location(url=body.url, metadata={"store": WEB})
    columns = locating.located(image, where, await locating.size_of(ctx.app, body.url))
    await _begin(ctx, image, columns, body, known)
    return {"url": where.url, "metadata": where.metadata}


def _known(told: ValidationData) -> Known | None:
    if told.os_hash_algo is None and told.os_hash_value is None:
        return None
    if told.os_hash_algo is None or told.os_hash_value is None:
        raise faults.BadRequest(reason="os_hash_algo and os_hash_value need to be given together.")
    known = Known(os_hash_algo=told.os_hash_algo, os_hash_value=told.os_hash_value, checksum=told.checksum)
    known.must_make_sense()
    return known


async def _begin(ctx: Ctx, image: Image, columns: dict[str, Any], body: LocationBody, known: Known | None) -> None:
    """The image, its task and its saga, in one transaction; without a saga where nothing is to be found out."""
    now, hashes = ctx.clock(), ctx.app.config.hash_locations
    told: dict[str, Any] = {} if hashes else {"status": SUCCESS, "result": {"image_id": image.id}}
    task = Task(id=new_uuid(), type="location_import", owner=ctx.caller.project_id, user_id=ctx.caller.user_id,
                request_id=ctx.request_id, image_id=image.id, created_at=now, updated_at=now,
                input={"loc_url": body.url, "image_id": image.id}, **told)
    if not hashes:
        columns |= known.columns if known else {}
    else:
        columns["os_hash_algo"] = known.os_hash_algo if known else ALGORITHM
        columns |= {"status": IMPORTING} if known else {}
    work = AddLocation(image_id=image.id, task_id=task.id, data_id=columns["data_id"], url=body.url,
                       algorithm=known.os_hash_algo if known else ALGORITHM,
                       expected=known.os_hash_value.lower() if known else "")
    limits = await ctx.app.limits_of(image.owner)
    try:
        async with ctx.db.write() as tx:
            await usage.must_fit(tx, image.owner, limits, image_size_total=-(-columns["size"] // usage.MIB))
            await images.change(tx, image, now, **columns)
            await tasks.add(tx, task)
            if hashes:
                await ctx.sagas.start(tx, work, image.id)
    except db.Taken:
        raise faults.Conflict(reason=f"Another change of image {image.id} goes on.") from None
