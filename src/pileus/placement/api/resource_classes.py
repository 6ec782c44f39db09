"""/resource_classes"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import Window, since
from pileus.kit.web import Ctx
from pileus.placement import faults, versions
from pileus.placement.api.root import mounted
from pileus.placement.model import names

CustomName = Annotated[str, msgspec.Meta(pattern="^CUSTOM_[A-Z0-9_]+$", max_length=255)]


class ClassBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: CustomName


routes = Routes()
SINCE = since(versions.CUSTOM_CLASSES)
ONE = "/resource_classes/{name}"
UPDATE = Rule("placement:resource_classes:update", policy.ADMIN_OR_SERVICE)


def view(ctx: Ctx, name: str) -> dict[str, Any]:
    return {"name": name, "links": [{"rel": "self", "href": mounted(ctx, f"/resource_classes/{name}")}]}


@routes.get("/resource_classes", window=SINCE, policy=Rule("placement:resource_classes:list", policy.ADMIN_OR_SERVICE))
async def list_classes(ctx: Ctx) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = [*names.standard("class"), *await names.custom(reader, "class")]
    return {"resource_classes": [view(ctx, name) for name in found]}


@routes.post("/resource_classes", window=SINCE, status=201,
             policy=Rule("placement:resource_classes:create", policy.ADMIN_OR_SERVICE))
async def create_class(ctx: Ctx, body: ClassBody) -> None:
    async with ctx.db.write() as tx:
        if not await names.ensure(tx, "class", body.name):
            raise faults.Conflict(reason=f"Conflicting resource class already exists: {body.name}")
    ctx.headers["location"] = f"{ctx.base_url}/resource_classes/{body.name}"


@routes.get(ONE, window=SINCE, policy=Rule("placement:resource_classes:show", policy.ADMIN_OR_SERVICE))
async def show_class(ctx: Ctx, name: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        if not await names.exists(reader, "class", name):
            raise faults.ClassNotFound(name=name)
    return view(ctx, name)


@routes.put(ONE, window=Window(versions.CUSTOM_CLASSES, versions.ENSURE_CLASS), policy=UPDATE)
async def rename_class(ctx: Ctx, name: str, body: ClassBody) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        await names.remove(tx, "class", name)
        if not await names.ensure(tx, "class", body.name):
            raise faults.Conflict(reason=f"Resource class already exists: {body.name}")
    return view(ctx, body.name)


@routes.put(ONE, window=since(versions.ENSURE_CLASS), status=201, policy=UPDATE)
async def ensure_class(ctx: Ctx, name: str) -> None:
    if not names.CUSTOM.fullmatch(name):
        raise faults.BadRequest(reason=f"JSON does not validate: '{name}' does not match '^CUSTOM_[A-Z0-9_]+$'")
    async with ctx.db.write() as tx:
        new = await names.ensure(tx, "class", name)
    ctx.status = 201 if new else 204
    ctx.headers["location"] = f"{ctx.base_url}/resource_classes/{name}"


@routes.delete(ONE, window=SINCE, policy=Rule("placement:resource_classes:delete", policy.ADMIN_OR_SERVICE))
async def delete_class(ctx: Ctx, name: str) -> None:
    async with ctx.db.write() as tx:
        await names.remove(tx, "class", name)
