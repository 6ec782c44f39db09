"""Group types and their specs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Metadata, Name, Query, truth, whole
from pileus.volume.faults import GroupSpecNotFound, GroupTypeExists, GroupTypeInUse, GroupTypeNotFound
from pileus.volume.model import groups
from pileus.volume.model.groups import GroupType
from pileus.volume.model.tables import group_types as table

routes = Routes()
READ = Rule("group:get_group_type", "role:admin or role:reader")
TYPE = Target(groups.get_type, missing=GroupTypeNotFound, facts=lambda row: {}, hidden=lambda row, caller: False)
WINDOW = since(versions.GROUP_TYPES)


class GroupTypeView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    description: str | None
    is_public: bool
    group_specs: dict[str, str] | UnsetType = UNSET


def view(ctx: Ctx, row: GroupType) -> GroupTypeView:
    return GroupTypeView(id=row.id, name=row.name, description=row.description, is_public=row.is_public,
                         group_specs=row.group_specs if ctx.caller.is_admin else UNSET)


@routes.get("/v3/group_types", envelope="group_types", window=WINDOW, policy=READ)
async def list_group_types(ctx: Ctx, query: Query) -> Page[GroupTypeView]:
    public = query.get("is_public", ["true"])[-1].lower()
    async with ctx.db.read() as reader:
        rows = await groups.every_type(reader)
    if not ctx.caller.is_admin or public != "none":
        wanted = truth(public, "is_public") if ctx.caller.is_admin else True
        rows = [row for row in rows if row.is_public == wanted]
    if "sort" in query:
        key, _, direction = query["sort"][-1].partition(":")
        if key not in ("id", "name", "created_at"):
            raise BadRequest(reason=f"Sort key supplied is invalid: {key}")
        rows.sort(key=lambda row: (getattr(row, key), row.id), reverse=direction != "asc")
    most = whole(query["limit"][-1], "limit") if "limit" in query else None
    return Page([view(ctx, row) for row in rows[:most]])


@routes.get("/v3/group_types/{group_type_id}", envelope="group_type", window=WINDOW, policy=READ)
async def show_group_type(ctx: Ctx, group_type_id: str) -> GroupTypeView:
    async with ctx.db.read() as reader:
        if group_type_id == "default":
            found = await groups.find_type(reader, groups.DEFAULT_NAME)
            if found is None:
                raise GroupTypeNotFound(group_type_id="default")
            return view(ctx, found)
        return view(ctx, await groups.get_type(reader, group_type_id))


class GroupTypeCreate(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    description: Name | None = None
    is_public: bool | str = True
    group_specs: Metadata | None = None


@routes.post("/v3/group_types", envelope="group_type", status=202, window=WINDOW,
             policy=Rule("group:group_types_manage", ADMIN))
async def create_group_type(ctx: Ctx, body: GroupTypeCreate) -> GroupTypeView:
    row = GroupType(id=new_uuid(), name=body.name.strip(), description=body.description, created_at=ctx.clock(),
                    is_public=truth(body.is_public, "is_public"), group_specs=body.group_specs or {})
    try:
        async with ctx.db.write() as tx:
            await db.add(tx, table, row)
    except db.Taken as error:
        raise GroupTypeExists(name=row.name) from error
    return view(ctx, row)


class GroupTypeUpdate(msgspec.Struct, kw_only=True):
    name: Name | None = None
    description: Name | None = None
    is_public: bool | str | None = None


@routes.put("/v3/group_types/{group_type_id}", envelope="group_type", target=TYPE, window=WINDOW,
            policy=Rule("group:group_types_manage", ADMIN))
async def update_group_type(ctx: Ctx, row: GroupType, body: GroupTypeUpdate) -> GroupTypeView:
    changes: dict[str, Any] = {name: value for name in ("name", "description") if (value := getattr(body, name))}
    if body.is_public is not None:
        changes["is_public"] = truth(body.is_public, "is_public")
    if not changes:
        raise BadRequest(reason="Specify group type name, description or a combination thereof.")
    try:
        async with ctx.db.write() as tx:
            return view(ctx, await db.change(tx, table, row, updated_at=ctx.clock(), **changes))
    except db.Taken as error:
        raise GroupTypeExists(name=body.name) from error


@routes.delete("/v3/group_types/{group_type_id}", target=TYPE, status=202, window=WINDOW,
               policy=Rule("group:group_types_manage", ADMIN))
async def delete_group_type(ctx: Ctx, row: GroupType) -> None:
    try:
        async with ctx.db.write() as tx:
            await tx.execute(table.delete().where(table.c.id == row.id))
    except db.Taken as error:
        raise GroupTypeInUse(group_type_id=row.id) from error


# -- specs ------------------------------------------------------------------------------------------

SPECS = "/v3/group_types/{group_type_id}/group_specs"
MANAGE = Rule("group:group_types_specs", ADMIN)


async def _write(ctx: Ctx, row: GroupType, specs: dict[str, str]) -> None:
    async with ctx.db.write() as tx:
        await db.change(tx, table, row, updated_at=ctx.clock(), group_specs=specs)


def _one(row: GroupType, key: str) -> str:
    if key not in row.group_specs:
        raise GroupSpecNotFound(group_type_id=row.id, key=key)
    return row.group_specs[key]


@routes.get(SPECS, envelope="group_specs", target=TYPE, window=WINDOW, policy=MANAGE)
async def list_group_specs(ctx: Ctx, row: GroupType) -> dict[str, str]:
    return row.group_specs


@routes.post(SPECS, envelope="group_specs", target=TYPE, status=202, window=WINDOW, policy=MANAGE)
async def add_group_specs(ctx: Ctx, row: GroupType, body: Metadata) -> dict[str, str]:
    await _write(ctx, row, row.group_specs | body)
    return body


@routes.get(f"{SPECS}/{{key}}", target=TYPE, window=WINDOW, policy=MANAGE)
async def show_group_spec(ctx: Ctx, row: GroupType, key: str) -> dict[str, str]:
    return {key: _one(row, key)}


@routes.put(f"{SPECS}/{{key}}", target=TYPE, window=WINDOW, policy=MANAGE)
async def set_group_spec(ctx: Ctx, row: GroupType, key: str, body: Metadata) -> dict[str, str]:
    if set(body) != {key}:
        raise BadRequest(reason="Request body and URI mismatch")
    await _write(ctx, row, row.group_specs | body)
    return body


@routes.delete(f"{SPECS}/{{key}}", target=TYPE, status=202, window=WINDOW, policy=MANAGE)
async def remove_group_spec(ctx: Ctx, row: GroupType, key: str) -> None:
    _one(row, key)
    await _write(ctx, row, {name: value for name, value in row.group_specs.items() if name != key})
