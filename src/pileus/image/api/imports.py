"""/v2/images/{image_id}/import and the tasks that tell how it went"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from starlette.responses import Response

from pileus.image import access, answers, faults, fetching, transforming
from pileus.image.model import images, tasks, usage
from pileus.image.model.images import ACTIVE, IMPORTING, QUEUED, UPLOADING, Image
from pileus.image.model.tasks import Task
from pileus.image.sagas.import_image import COPY, DIRECT, REGION, WEB, ImportImage
from pileus.kit import db
from pileus.kit.ids import is_uuid, new_uuid
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
Url = Annotated[str, msgspec.Meta(max_length=4096)]


class Method(msgspec.Struct, kw_only=True):
    name: str
    uri: Url = ""
    glance_image_id: str = ""
    glance_region: str = ""
    glance_service_interface: Literal["public", "internal", "admin"] | str = "public"


class ImportBody(msgspec.Struct, kw_only=True):
    method: Method
    stores: list[str] | None = None
    all_stores: bool = False
    all_stores_must_succeed: bool = True


@routes.post("/v2/images/{image_id}/import", status=202, policy=access.MODIFY_IMAGE, check=False)
async def import_image(ctx: Ctx, image_id: str, body: ImportBody) -> None:
    copies = body.method.name == COPY
    image = await access.image_for(ctx, image_id, access.COPY_IMAGE if copies else access.MODIFY_IMAGE)
    _must_make_sense(ctx, image, body.method)
    if body.method.name == REGION:
        await _must_see_source(ctx, body.method)
    told = {"image_id": image_id, "import_req": msgspec.to_builtins(body)}
    await begin(ctx, image, Wish(method=body.method, stores=wanted_stores(ctx, body, image), told=told,
                                 all_must_succeed=body.all_stores_must_succeed))


def _must_make_sense(ctx: Ctx, image: Image, method: Method) -> None:
    needed = {DIRECT: UPLOADING, WEB: QUEUED, COPY: ACTIVE, REGION: QUEUED}.get(method.name)
    if needed is None:
        raise faults.BadRequest(reason=f"Unknown import method name '{method.name:.80}'.")
    if image.status != needed:
        todo = {UPLOADING: "needs to be staged", QUEUED: "status must be queued", ACTIVE: "status must be active"}
        raise faults.Conflict(reason=f"Image {todo[needed]} before '{method.name}' method can be used")
    if method.name in (DIRECT, WEB) and None in (image.disk_format, image.container_format):
        raise faults.BadRequest(reason="'disk_format' and 'container_format' need to be set before import")
    if method.name == WEB:
        must_be_allowed(ctx, method.uri)
    if method.name == REGION and not is_uuid(method.glance_image_id):
        raise faults.BadRequest(reason="Remote image id does not look like a UUID")


async def _must_see_source(ctx: Ctx, method: Method) -> None:
    """An image the caller may not download fails the import, as one that is not there does."""
    async with ctx.db.read() as reader:
        source = await images.find(reader, method.glance_image_id)
    if source is None:
        return
    if not (images.sees_all(ctx.caller) or source.visibility in ("public", "community")
            or source.owner == ctx.caller.project_id):
        method.glance_image_id = ""


def must_be_allowed(ctx: Ctx, url: str) -> None:
    try:
        fetching.place(url, ctx.app.config)
    except fetching.NotAllowed as error:
        raise faults.BadRequest(reason=str(error)) from None


def wanted_stores(ctx: Ctx, body: ImportBody, image: Image) -> list[str]:
    named = body.stores
    if body.all_stores and named is not None:
        raise faults.BadRequest(reason="All_stores parameter can't be used with x-image-meta-store header or stores"
                                " parameter")
    known = list(ctx.app.stores)
    if body.all_stores:
        return known
    if named is None:
        named = [ctx.request.headers.get("x-image-meta-store", ctx.app.store.name)]
    unknown = [name for name in named if name not in known]
    if unknown or not named:
        raise faults.BadRequest(reason=f"There is no store called {', '.join(unknown)[:80]}.")
    if body.method.name == COPY and (there := [name for name in named if name in image.kept_in]):
        raise faults.Conflict(reason=f"Image is already present at store '{', '.join(there)}'")
    return list(dict.fromkeys(named))


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An import that makes sense."""

    method: Method
    stores: list[str]
    told: dict[str, Any]                         # what the task shows as its input
    all_must_succeed: bool = True
    kind: str = "api_image_import"


async def begin(ctx: Ctx, image: Image, wish: Wish, *, new: bool = False) -> Task:
    """The image (`new`: with its first row), its task and its saga, in one transaction."""
    now, method, copies = ctx.clock(), wish.method, wish.method.name == COPY
    data_id = image.data_id if method.name in (DIRECT, COPY) and image.data_id else new_uuid()
    task = Task(id=new_uuid(), type=wish.kind, owner=ctx.caller.project_id, user_id=ctx.caller.user_id,
                request_id=ctx.request_id, image_id=image.id, input=wish.told, created_at=now, updated_at=now)
    made_id = new_uuid() if not copies and transforming.may(ctx.app) else ""
    work = ImportImage(
        image_id=image.id, task_id=task.id, data_id=data_id, method=method.name, url=method.uri, made_id=made_id,
        injected={} if copies else _injected(ctx),
        source_id=_source(ctx, method), stores=wish.stores, had=image.kept_in if copies else [],
        all_must_succeed=wish.all_must_succeed)
    changes: dict[str, Any] = {"importing_to": wish.stores, "failed_import": []}
    if not copies:
        changes |= {"status": IMPORTING, "data_id": data_id, "made_id": made_id or None,
                    "locations": None}
    limits = await ctx.app.limits_of(image.owner)
    try:
        async with ctx.db.write() as tx:
            await usage.must_fit(tx, image.owner, limits, image_size_total=-(-(image.size or 0) // usage.MIB),
                                 image_count_uploading=int(image.status == QUEUED), image_count_total=int(new))
            if new:
                await images.add(tx, image)
            await images.change(tx, image, now, **changes)
            await tasks.add(tx, task)
            await ctx.sagas.start(tx, work, image.id)
    except db.Taken:
        raise faults.Conflict(reason=f"Another import of image {image.id} goes on.") from None
    return task


def _injected(ctx: Ctx) -> dict[str, str]:
    config = ctx.app.config
    if transforming.INJECT not in config.import_plugins or set(config.import_properties_not_by) & set(ctx.caller.roles):
        return {}
    return config.import_properties


def _source(ctx: Ctx, method: Method) -> str:
    """Of other regions we know nothing: what they hold is not there."""
    here = method.glance_region in ("", ctx.app.config.region)
    return method.glance_image_id if here and method.glance_service_interface in (
        "public", "internal", "admin") else ""


@routes.get("/v2/images/{image_id}/tasks", policy=access.GET_IMAGE, check=False)
async def list_image_tasks(ctx: Ctx, image_id: str) -> Response:
    await access.image_for(ctx, image_id, access.GET_IMAGE)
    async with ctx.db.read() as reader:
        found = await tasks.of_image(reader, image_id)
    return answers.json_answer({"tasks": [answers.task_view(each) for each in found]})
