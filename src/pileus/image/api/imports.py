"""/v2/images/{image_id}/import and the tasks that tell how it went"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from starlette.responses import Response

from pileus.image import access, answers, faults, fetching, regions, transforming
from pileus.image.model import images, tasks, usage
from pileus.image.model.images import ACTIVE, IMPORTING, QUEUED, UPLOADING, Image
from pileus.image.model.tasks import Task
from pileus.image.sagas.import_image import COPY, DIRECT, REGION, WEB, ImportImage
from pileus.kit import db
from pileus.kit.faults import Forbidden, NotFound
from pileus.kit.ids import is_uuid, new_uuid
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
INTERFACES = ("public", "internal", "admin")
Url = Annotated[str, msgspec.Meta(max_length=4096)]


class Method(msgspec.Struct, kw_only=True):
    name: str
    uri: Url = ""
    glance_image_id: str = ""
    glance_region: str = ""
    glance_service_interface: str = "public"


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


class Source(NamedTuple):
    """What is fetched, from where and by which token, or why there is nothing."""

    source_id: str = ""
    url: str = ""
    sealed_token: str = ""
    missing: str = ""


async def _source_of(ctx: Ctx, method: Method) -> Source:
    """What the saga has to know of the image to download. One that the caller may not see is not there."""
    source, app = method.glance_image_id, ctx.app
    region, interface = method.glance_region or app.config.region, method.glance_service_interface
    if region == app.config.region and interface in INTERFACES:
        try:
            await access.image_for(ctx, source, access.DOWNLOAD_IMAGE)
        except (NotFound, Forbidden):
            return Source(missing=f"There is no image {source} with data to download.")
        return Source(source)
    try:
        url = await regions.image_service(app.catalog_of, ctx.caller.token, region, interface)
    except regions.NoImage as error:
        return Source(missing=str(error))
    return Source(source, url, app.box.seal(ctx.caller.token))


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
    source = await _source_of(ctx, method) if method.name == REGION else Source(url=method.uri)
    work = ImportImage(
        image_id=image.id, task_id=task.id, data_id=data_id, method=method.name, made_id=made_id,
        injected={} if copies else _injected(ctx), stores=wish.stores, had=image.kept_in if copies else [],
        all_must_succeed=wish.all_must_succeed, source_id=source.source_id, url=source.url,
        sealed_token=source.sealed_token, missing=source.missing)
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


@routes.get("/v2/images/{image_id}/tasks", policy=access.GET_IMAGE, check=False)
async def list_image_tasks(ctx: Ctx, image_id: str) -> Response:
    await access.image_for(ctx, image_id, access.GET_IMAGE)
    async with ctx.db.read() as reader:
        found = await tasks.of_image(reader, image_id)
    return answers.json_answer({"tasks": [answers.task_view(each) for each in found]})
