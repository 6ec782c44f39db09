"""/v2/images/{image_id}/file, and the stage of an import"""

from __future__ import annotations

import re

from starlette.responses import Response

from pileus.image import access, faults
from pileus.image.answers import FileAnswer
from pileus.image.model import images
from pileus.image.model.images import DEACTIVATED, UPLOADING, Image
from pileus.image.stores.base import NoSuchData
from pileus.image.uploads import upload
from pileus.kit import faults as kit_faults
from pileus.kit.incoming import pieces
from pileus.kit.numbers import digits
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

OCTETS = "application/octet-stream"
routes = Routes()
FILE = "/v2/images/{image_id}/file"


@routes.put(FILE, status=204, stream=True, policy=access.UPLOAD_IMAGE, check=False)
async def upload_file(ctx: Ctx, image_id: str) -> None:
    image = await access.image_for(ctx, image_id, access.UPLOAD_IMAGE)
    wanted = ctx.request.headers.get("x-image-meta-store", ctx.app.store.name)
    if wanted not in ctx.app.stores:
        raise faults.BadRequest(reason=f"There is no store called {wanted:.80}.")
    await upload(ctx.app, image, pieces(ctx.request), declared=_declared(ctx), store=ctx.app.stores[wanted])


@routes.put("/v2/images/{image_id}/stage", status=204, stream=True, policy=access.UPLOAD_IMAGE, check=False)
async def stage_file(ctx: Ctx, image_id: str) -> None:
    image = await access.image_for(ctx, image_id, access.UPLOAD_IMAGE)
    await upload(ctx.app, image, pieces(ctx.request), declared=_declared(ctx), then=UPLOADING)


def _declared(ctx: Ctx) -> int | None:
    """How many bytes the client says it sends; refused before the first one if that is too much."""
    media = ctx.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != OCTETS:
        raise kit_faults.UnsupportedMedia(found=media or "nothing", wanted=OCTETS)
    found: int | None = None
    for name in ("content-length", "x-openstack-image-size"):
        text = ctx.request.headers.get(name)
        if text is None:
            continue
        found = digits(text)
        if found is None:
            raise faults.BadRequest(reason=f"{name} is not a number of bytes: {text:.40}")
        if found > ctx.app.config.max_image_bytes:
            raise faults.TooBig(reason=f"Image exceeds the limit of {ctx.app.config.max_image_bytes} bytes.")
    return found


@routes.get(FILE, policy=access.DOWNLOAD_IMAGE, check=False)
async def download_file(ctx: Ctx, image_id: str) -> Response:
    image = await access.image_for(ctx, image_id, access.DOWNLOAD_IMAGE)
    if image.status == DEACTIVATED and not images.sees_all(ctx.caller):
        raise faults.Forbidden(reason="The requested image has been deactivated. Image data download is forbidden.")
    if not image.has_data or image.size is None:
        return Response(status_code=204)
    span = _range(ctx.request.headers.get("range"), image.size)
    try:
        reading = await ctx.app.read(image)
    except NoSuchData as error:
        raise _missing(image) from error
    if span is None:
        headers = {"content-md5": image.checksum or "", "accept-ranges": "bytes"}
        return FileAnswer(reading, 0, image.size, 200, headers)
    first, last = span
    return FileAnswer(reading, first, last - first + 1, 206,
                      {"content-range": f"bytes {first}-{last}/{image.size}", "accept-ranges": "bytes"})


def _missing(image: Image) -> kit_faults.Fault:
    return faults.Conflict(reason=f"The data of image {image.id} is in none of its stores {', '.join(image.found_in)}.")


_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def _range(text: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte asked for; None for all of them (also when several ranges are)."""
    if text is None or "," in text:
        return None
    found = _RANGE.fullmatch(text.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        raise faults.BadRange(found=text[:80], size=size)
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if first > last:
        fault = faults.BadRange(found=text[:80], size=size)
        fault.headers["content-range"] = f"bytes */{size}"
        raise fault
    return first, last
