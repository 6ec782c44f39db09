"""What belongs to a volume type: extra specs, access, encryption; default types of projects."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.types import TYPE, VISIBLE
from pileus.volume.api.values import Key, whole
from pileus.volume.faults import (
    AccessExists,
    AccessNotFound,
    DefaultTypeNotFound,
    EncryptionInUse,
    EncryptionNotFound,
    ExtraSpecNotFound,
)
from pileus.volume.model import types
from pileus.volume.model.tables import default_types, type_access
from pileus.volume.model.types import Encryption, VolumeType
from pileus.volume.times import iso

routes = Routes()
SPECS = "/v3/types/{type_id}/extra_specs"
Specs = dict[Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9_.:\- ]+$")],
             Annotated[str, msgspec.Meta(max_length=255)]]


# -- extra specs ----------------------------------------------------------------------------

@routes.get(SPECS, envelope="extra_specs", target=TYPE,
            policy=Rule("volume_extension:types_extra_specs:index", PROJECT_READER.replace(
                " and project_id:%(project_id)s", "")))
async def list_specs(ctx: Ctx, row: VolumeType) -> dict[str, str]:
    return row.extra_specs if ctx.caller.is_admin else {
        name: value for name, value in row.extra_specs.items() if name in VISIBLE}


@routes.post(SPECS, envelope="extra_specs", target=TYPE, status=200,
             policy=Rule("volume_extension:types_extra_specs:create", ADMIN))
async def add_specs(ctx: Ctx, row: VolumeType, body: Specs) -> dict[str, str]:
    if not body:
        raise BadRequest(reason="Invalid input for field/attribute extra_specs: nothing is in it.")
    async with ctx.db.write() as tx:
        await types.change(tx, row, ctx.clock(), extra_specs=row.extra_specs | body)
    return body


def _one(row: VolumeType, key: str) -> str:
    if key not in row.extra_specs:
        raise ExtraSpecNotFound(type_id=row.id, key=key)
    return row.extra_specs[key]


@routes.get(f"{SPECS}/{{key}}", target=TYPE, policy=Rule("volume_extension:types_extra_specs:show", PROJECT_READER
            .replace(" and project_id:%(project_id)s", "")))
async def show_spec(ctx: Ctx, row: VolumeType, key: str) -> dict[str, str]:
    if not ctx.caller.is_admin and key not in VISIBLE:
        raise ExtraSpecNotFound(type_id=row.id, key=key)
    return {key: _one(row, key)}


@routes.put(f"{SPECS}/{{key}}", target=TYPE, policy=Rule("volume_extension:types_extra_specs:update", ADMIN))
async def set_spec(ctx: Ctx, row: VolumeType, key: str, body: Specs) -> dict[str, str]:
    if set(body) != {key}:
        raise BadRequest(reason="Request body and URI mismatch" if len(body) == 1 else
                         "Request body contains too many items")
    async with ctx.db.write() as tx:
        await types.change(tx, row, ctx.clock(), extra_specs=row.extra_specs | body)
    return body


@routes.delete(f"{SPECS}/{{key}}", target=TYPE, status=202,
               policy=Rule("volume_extension:types_extra_specs:delete", ADMIN))
async def remove_spec(ctx: Ctx, row: VolumeType, key: str) -> None:
    _one(row, key)
    async with ctx.db.write() as tx:
        await types.change(tx, row, ctx.clock(), extra_specs={
            name: value for name, value in row.extra_specs.items() if name != key})


# -- access ---------------------------------------------------------------------------------

class Access(msgspec.Struct, kw_only=True):
    project: Key


class AccessView(msgspec.Struct, kw_only=True):
    volume_type_id: str
    project_id: str


@routes.get("/v3/types/{type_id}/os-volume-type-access", envelope="volume_type_access", target=TYPE,
            policy=Rule("volume_extension:volume_type_access:get_all_for_type", ADMIN))
async def list_access(ctx: Ctx, row: VolumeType) -> Page[AccessView]:
    if row.is_public:
        raise AccessNotFound(type_id=row.id, project_id="any project: it is public")
    async with ctx.db.read() as reader:
        return Page([AccessView(volume_type_id=row.id, project_id=each)
                     for each in await types.access_of(reader, row.id)])


@routes.action("/v3/types/{type_id}/action", "addProjectAccess", target=TYPE,
               policy=Rule("volume_extension:volume_type_access:addProjectAccess", ADMIN))
async def add_access(ctx: Ctx, row: VolumeType, body: Access) -> None:
    if row.is_public:
        raise AccessExists(type_id=row.id, project_id=body.project)
    try:
        async with ctx.db.write() as tx:
            await tx.execute(type_access.insert().values(type_id=row.id, project_id=body.project))
    except db.Taken as error:
        raise AccessExists(type_id=row.id, project_id=body.project) from error


@routes.action("/v3/types/{type_id}/action", "removeProjectAccess", target=TYPE,
               policy=Rule("volume_extension:volume_type_access:removeProjectAccess", ADMIN))
async def remove_access(ctx: Ctx, row: VolumeType, body: Access) -> None:
    async with ctx.db.write() as tx:
        if not await db.update(tx, type_access.delete().where(
                type_access.c.type_id == row.id, type_access.c.project_id == body.project)):
            raise AccessNotFound(type_id=row.id, project_id=body.project)


# -- encryption -----------------------------------------------------------------------------

class EncryptionWish(msgspec.Struct, kw_only=True):
    provider: Key | UnsetType = UNSET
    control_location: Literal["front-end", "back-end"] | UnsetType = UNSET
    cipher: str | None | UnsetType = UNSET
    key_size: int | str | None | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        found = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        if found.get("key_size") is not None:
            found["key_size"] = whole(found["key_size"], "key_size", 1)
        return found


def _encryption(row: VolumeType) -> Encryption:
    if row.encryption is None:
        raise EncryptionNotFound(type_id=row.id)
    return row.encryption


@routes.get("/v3/types/{type_id}/encryption", target=TYPE,
            policy=Rule("volume_extension:volume_type_encryption:get", ADMIN))
async def show_encryption(ctx: Ctx, row: VolumeType) -> dict[str, Any]:
    """A type without encryption has an empty one."""
    found = row.encryption
    if found is None:
        return {}
    return {"volume_type_id": row.id, "encryption_id": found.encryption_id, "provider": found.provider,
            "control_location": found.control_location, "cipher": found.cipher, "key_size": found.key_size,
            "deleted": False, "created_at": iso(found.created_at), "updated_at": None, "deleted_at": None}


@routes.get("/v3/types/{type_id}/encryption/{key}", target=TYPE,
            policy=Rule("volume_extension:volume_type_encryption:get", ADMIN))
async def show_encryption_item(ctx: Ctx, row: VolumeType, key: str) -> dict[str, Any]:
    found = await show_encryption(ctx, row)
    if key not in found:
        raise EncryptionNotFound(type_id=row.id)
    return {key: found[key]}


@routes.post("/v3/types/{type_id}/encryption", envelope="encryption", target=TYPE, status=200,
             policy=Rule("volume_extension:volume_type_encryption:create", ADMIN))
async def create_encryption(ctx: Ctx, row: VolumeType, body: EncryptionWish) -> dict[str, Any]:
    if row.encryption is not None:
        raise BadRequest(reason=f"Volume type encryption for type {row.id} already exists.")
    wanted = body.given()
    if "provider" not in wanted:
        raise BadRequest(reason="provider must be defined")
    wanted.setdefault("control_location", "front-end")
    found = Encryption(encryption_id=new_uuid(), created_at=ctx.clock(), **wanted)
    await _set_encryption(ctx, row, found, "create")
    return {"volume_type_id": row.id, "encryption_id": found.encryption_id, **wanted}


async def _set_encryption(ctx: Ctx, row: VolumeType, found: Encryption | None, what: str) -> None:
    async with ctx.db.write() as tx:
        if await types.in_use(tx, row.id):
            raise EncryptionInUse(what=what)
        await types.change(tx, row, ctx.clock(), encryption=found)


@routes.put("/v3/types/{type_id}/encryption/{encryption_id}", envelope="encryption", target=TYPE,
            policy=Rule("volume_extension:volume_type_encryption:update", ADMIN))
async def update_encryption(ctx: Ctx, row: VolumeType, encryption_id: str, body: EncryptionWish) -> dict[str, Any]:
    found, wanted = _encryption(row), body.given()
    if found.encryption_id != encryption_id:
        raise EncryptionNotFound(type_id=row.id)
    await _set_encryption(ctx, row, msgspec.structs.replace(found, **wanted), "update")
    return wanted


@routes.delete("/v3/types/{type_id}/encryption/{encryption_id}", target=TYPE, status=202,
               policy=Rule("volume_extension:volume_type_encryption:delete", ADMIN))
async def delete_encryption(ctx: Ctx, row: VolumeType, encryption_id: str) -> None:
    if _encryption(row).encryption_id != encryption_id and encryption_id != "provider":
        raise EncryptionNotFound(type_id=row.id)
    await _set_encryption(ctx, row, None, "delete")


# -- default types of projects --------------------------------------------------------------

class DefaultType(msgspec.Struct, kw_only=True):
    volume_type: Key


class DefaultTypeView(msgspec.Struct, kw_only=True):
    project_id: str
    volume_type_id: str


@routes.get("/v3/default-types", envelope="default_types", window=since(versions.DEFAULT_TYPES),
            policy=Rule("volume_extension:default_get_all", ADMIN))
async def list_default_types(ctx: Ctx) -> Page[DefaultTypeView]:
    async with ctx.db.read() as reader:
        rows = await reader.execute(sa.select(default_types).order_by(default_types.c.project_id))
        return Page([DefaultTypeView(project_id=row.project_id, volume_type_id=row.type_id) for row in rows])


@routes.get("/v3/default-types/{of_project}", envelope="default_type", window=since(versions.DEFAULT_TYPES),
            policy=Rule("volume_extension:default_get", ADMIN))
async def show_default_type(ctx: Ctx, of_project: str) -> DefaultTypeView:
    async with ctx.db.read() as reader:
        found = await db.scalar(reader, sa.select(default_types.c.type_id).where(
            default_types.c.project_id == of_project))
    if found is None:
        raise DefaultTypeNotFound(project_id=of_project)
    return DefaultTypeView(project_id=of_project, volume_type_id=found)


@routes.put("/v3/default-types/{of_project}", envelope="default_type", window=since(versions.DEFAULT_TYPES),
            policy=Rule("volume_extension:default_set_or_update", ADMIN))
async def set_default_type(ctx: Ctx, of_project: str, body: DefaultType) -> DefaultTypeView:
    async with ctx.db.write() as tx:
        kind = await types.get_allowed(tx, body.volume_type, ctx.caller)
        await tx.execute(default_types.delete().where(default_types.c.project_id == of_project))
        await tx.execute(default_types.insert().values(project_id=of_project, type_id=kind.id))
    return DefaultTypeView(project_id=of_project, volume_type_id=kind.id)


@routes.delete("/v3/default-types/{of_project}", window=since(versions.DEFAULT_TYPES),
               policy=Rule("volume_extension:default_unset", ADMIN))
async def unset_default_type(ctx: Ctx, of_project: str) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(default_types.delete().where(default_types.c.project_id == of_project))
