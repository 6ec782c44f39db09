"""/v2/tasks: an image and its import from a web server, asked for in one go"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from pileus.image import access, answers, faults
from pileus.image.api.images import new_image
from pileus.image.api.imports import Method, Url, Wish, begin, must_be_allowed
from pileus.image.model import tables, tasks
from pileus.image.model.listing import limit_of
from pileus.image.sagas.import_image import WEB
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
ALL = "/v2/tasks"


class TaskInput(msgspec.Struct, kw_only=True):
    import_from: Url
    import_from_format: str
    image_properties: dict[str, Any]


class TaskCreate(msgspec.Struct, kw_only=True):
    type: Literal["import"]
    input: TaskInput


@routes.get(ALL, policy=access.GET_TASKS)
async def list_tasks(ctx: Ctx, query: dict[str, list[str]]) -> Response:
    limit, where = limit_of(query), list[sa.ColumnElement[bool]]()
    where += [tables.tasks.c[name] == query[name][-1] for name in ("status", "type") if name in query]
    async with ctx.db.read() as reader:
        found = await tasks.page(reader, where=where, limit=limit, marker=query.get("marker", [None])[-1])
    shown = found[:limit]
    more = {"next": answers.path_with(ctx, shown[-1].id)} if shown and len(found) > limit else {}
    return answers.json_answer({
        "tasks": [answers.task_view(each) for each in shown], "first": answers.path_with(ctx, None),
        "schema": "/v2/schemas/tasks"} | more)


@routes.post(ALL, status=201, policy=access.ADD_TASK)
async def create_task(ctx: Ctx, body: TaskCreate) -> Response:
    must_be_allowed(ctx, body.input.import_from)
    image = new_image(ctx, {"disk_format": body.input.import_from_format, "container_format": "bare"}
                      | body.input.image_properties)
    if image.disk_format != body.input.import_from_format:
        raise faults.BadRequest(reason="The image's disk_format must be the format it is imported from.")
    access.must_allow_visibility(ctx, image, image.visibility)
    made = await begin(ctx, image, Wish(
        method=Method(name=WEB, uri=body.input.import_from), stores=[ctx.app.store.name],
        told=msgspec.to_builtins(body.input), kind="import"), new=True)
    return answers.json_answer(answers.task_view(made), 201, {"location": f"{ctx.base_url}/v2/tasks/{made.id}"})


@routes.get(ALL + "/{task_id}", policy=access.GET_TASK)
async def show_task(ctx: Ctx, task_id: str) -> Response:
    async with ctx.db.read() as reader:
        return answers.json_answer(answers.task_view(await tasks.get(reader, task_id)))
