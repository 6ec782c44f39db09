"""Volume types."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Metadata, Name, Query, counted, dictionary, listed, truth
from pileus.volume.faults import TypeExists, TypeInUse, TypeNotFound
from pileus.volume.model import listing, types
from pileus.volume.model.tables import types as table
from pileus.volume.model.types import VolumeType

routes = Routes()
# A type of others is hidden by being unknown: `hidden` is asked only of those who may see no more.
TYPE = Target(types.get, missing=TypeNotFound, facts=lambda row: {}, hidden=lambda row, caller: False)
SORTABLE = {"id", "name", "created_at", "updated_at", "is_public", "description"}


class TypeView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    is_public: bool
    description: str | None
    access: bool | UnsetType = msgspec.field(name="os-volume-type-access:is_public", default=UNSET)
    extra_specs: dict[str, str] | UnsetType = UNSET
    qos_specs_id: str | None | UnsetType = UNSET


VISIBLE = {"RESKEY:availability_zones", "multiattach", "replication_enabled"}


def view(ctx: Ctx, row: VolumeType, *, created: bool = False) -> TypeView:
    found = TypeView(id=row.id, name=row.name, is_public=row.is_public, description=row.description,
                     access=row.is_public)
    if created:
        found.extra_specs = row.extra_specs
    elif ctx.caller.is_admin:
        found.extra_specs, found.qos_specs_id = row.extra_specs, row.qos_id
    else:
        found.extra_specs = {name: value for name, value in row.extra_specs.items() if name in VISIBLE}
    return found


@routes.get("/v3/types", envelope="volume_types", policy=Rule("volume_extension:type_get_all", "role:admin or "
            "(role:reader and project_id:%(project_id)s)"))
async def list_types(ctx: Ctx, query: Query) -> Page[TypeView]:
    wanted = listed(ctx, {key: value for key, value in query.items() if key != "is_public"}, filters={"name"},
                    sortable=SORTABLE)
    wanted.project_id, wanted.exact = None, {name: each for name, each in wanted.exact.items() if name == "name"}
    asked = query.get("is_public", ["true"])[-1]
    if not ctx.caller.is_admin:
        wanted.clauses.append(types.allowed_to(ctx.caller.project_id))
    elif asked.lower() != "none":
        public = truth(asked, "is_public")
        wanted.clauses.append(types.allowed_to(ctx.caller.project_id) if public and "is_public" not in query
                              else table.c.is_public if public else sa.not_(table.c.is_public))
    async with ctx.db.read() as reader:
        if "extra_specs" in query and ctx.version >= versions.TYPE_FILTERS:
            specs = dictionary(query["extra_specs"][-1], "extra_specs")
            wanted.clauses.append(table.c.id.in_(await types.with_specs(reader, specs)))
        found = await listing.page(reader, table, wanted, VolumeType)
    return Page([view(ctx, row) for row in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/types/{type_id}", envelope="volume_type",
            policy=Rule("volume_extension:type_get", PROJECT_READER))
async def show_type(ctx: Ctx, type_id: str) -> TypeView:
    async with ctx.db.read() as reader:
        if type_id == "default":
            return view(ctx, await types.default_for(reader, ctx.caller.project_id, ctx.app.config.default_type))
        row = await types.get(reader, type_id)
        return view(ctx, await types.get_allowed(reader, row.id, ctx.caller))


class TypeCreate(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    description: Name | None = None
    extra_specs: Metadata | None = None
    is_public: bool | str = msgspec.field(name="os-volume-type-access:is_public", default=True)


@routes.post("/v3/types", envelope="volume_type", policy=Rule("volume_extension:type_create", ADMIN))
async def create_type(ctx: Ctx, body: TypeCreate) -> TypeView:
    row = VolumeType(id=new_uuid(), name=_named(body.name), description=body.description,
                     is_public=truth(body.is_public, "is_public"), extra_specs=body.extra_specs or {},
                     created_at=ctx.clock())
    try:
        async with ctx.db.write() as tx:
            await db.add(tx, table, row)
    except db.Taken as error:
        raise TypeExists(name=row.name) from error
    return view(ctx, row, created=True)


def _named(name: str) -> str:
    if not name.strip():
        raise BadRequest(reason="Volume type name can not be empty.")
    return name.strip()


class TypeUpdate(msgspec.Struct, kw_only=True):
    name: Name | None = None
    description: Name | None | UnsetType = UNSET
    is_public: bool | str | None = None


@routes.put("/v3/types/{type_id}", envelope="volume_type", target=TYPE,
            policy=Rule("volume_extension:type_update", ADMIN))
async def update_type(ctx: Ctx, row: VolumeType, body: TypeUpdate) -> TypeView:
    changes: dict[str, Any] = {}
    if body.name is not None:
        changes["name"] = _named(body.name)
    if body.description is not UNSET and body.description is not None:
        changes["description"] = body.description
    if body.is_public is not None:
        changes["is_public"] = truth(body.is_public, "is_public")
    if not changes:
        raise BadRequest(reason="Specify volume type name, description, is_public or a combination thereof.")
    try:
        async with ctx.db.write() as tx:
            found = view(ctx, await types.change(tx, row, ctx.clock(), **changes), created=True)
    except db.Taken as error:
        raise TypeExists(name=body.name) from error
    found.access = UNSET
    return found


@routes.delete("/v3/types/{type_id}", target=TYPE, status=202, policy=Rule("volume_extension:type_delete", ADMIN))
async def delete_type(ctx: Ctx, row: VolumeType) -> None:
    if row.name == ctx.app.config.default_type:
        raise BadRequest(reason=f"The volume type {row.name} is the default one and cannot be deleted.")
    try:
        async with ctx.db.write() as tx:
            await tx.execute(table.delete().where(table.c.id == row.id))
    except db.Taken as error:
        raise TypeInUse(type_id=row.id) from error
