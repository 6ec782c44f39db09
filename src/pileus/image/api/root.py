"""Versions, schemas, and what this installation can do."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from pileus.image import attributes, faults, metadef_types
from pileus.image.answers import json_answer
from pileus.image.versions import ANNOUNCED
from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

IMPORT_METHODS = ("glance-direct", "web-download", "copy-image", "glance-download")
ANYBODY = Rule("default", policy.ANYONE)
routes = Routes()


def _versions(ctx: Ctx) -> dict[str, Any]:
    return {"versions": [
        {"id": f"v{version}", "status": "SUPPORTED" if n else "CURRENT",
         "links": [{"rel": "self", "href": f"{ctx.base_url}/v2/"}]} for n, version in enumerate(ANNOUNCED)]}


@routes.get("/", policy=None)
async def choose_version(ctx: Ctx) -> Response:
    return json_answer(_versions(ctx), 300)


@routes.get("/versions", policy=None)
async def show_versions(ctx: Ctx) -> Response:
    return json_answer(_versions(ctx))


@routes.get("/v2/schemas/{name}", policy=ANYBODY)
async def show_schema(ctx: Ctx, name: str) -> dict[str, Any]:
    image = attributes.image_schema(locations=ctx.app.config.show_locations)
    member = attributes.member_schema()
    known = {"image": image, "member": member, "images": attributes.list_schema("images", image),
             "members": attributes.list_schema("members", member), "task": attributes.task_schema(),
             "tasks": attributes.list_schema("tasks", attributes.task_schema())}
    if name not in known:
        raise faults.SchemaNotFound(name=name)
    return known[name]


@routes.get("/v2/schemas/metadefs/{name}", policy=ANYBODY)
async def show_metadef_schema(ctx: Ctx, name: str) -> dict[str, Any]:
    known = metadef_types.schemas()
    if name not in known:
        raise faults.SchemaNotFound(name=name)
    return known[name]


@routes.get("/v2/info/import", policy=ANYBODY)
async def show_import_methods(ctx: Ctx) -> dict[str, Any]:
    return {"import-methods": {"description": "Import methods available.", "type": "array",
                               "value": list(IMPORT_METHODS)}}
