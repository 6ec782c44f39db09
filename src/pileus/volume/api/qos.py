"""Quality of service: named sets of limits that volume types are associated with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.volume.api.values import Key, Query, counted, listed, truth
from pileus.volume.faults import QosExists, QosInUse, QosKeyNotFound, QosNotFound
from pileus.volume.model import listing, types
from pileus.volume.model.tables import qos as table
from pileus.volume.model.types import Qos
from pileus.volume.paths import links_to

routes = Routes()
QOS = Target(types.get_qos, missing=QosNotFound, facts=lambda row: {}, hidden=lambda row, caller: False)
CREATE = Rule("volume_extension:qos_specs_manage:create", ADMIN)
READ = Rule("volume_extension:qos_specs_manage:get", ADMIN)
READ_ALL = Rule("volume_extension:qos_specs_manage:get_all", ADMIN)
UPDATE = Rule("volume_extension:qos_specs_manage:update", ADMIN)
DELETE = Rule("volume_extension:qos_specs_manage:delete", ADMIN)
Value = Annotated[str, msgspec.Meta(max_length=255)] | int


class QosView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    consumer: str
    specs: dict[str, str]


def view(row: Qos) -> QosView:
    return QosView(id=row.id, name=row.name, consumer=row.consumer, specs=row.specs)


@routes.get("/v3/qos-specs", envelope="qos_specs", policy=READ_ALL)
async def list_qos(ctx: Ctx, query: Query) -> Page[QosView]:
    wanted = listed(ctx, query, filters={"consumer", "name", "id"}, sortable={"id", "name", "created_at", "consumer"})
    wanted.project_id = None
    async with ctx.db.read() as reader:
        found = await listing.page(reader, table, wanted, Qos)
    return Page([view(row) for row in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/qos-specs/{qos_id}", target=QOS, policy=READ)
async def show_qos(ctx: Ctx, row: Qos) -> dict[str, Any]:
    return {"qos_specs": view(row), "links": links_to(ctx, f"qos-specs/{row.id}")}


@routes.post("/v3/qos-specs", policy=CREATE)
async def create_qos(ctx: Ctx, body: dict[Literal["qos_specs"], dict[Key, Value]]) -> dict[str, Any]:
    asked = {name: str(value).strip() for name, value in body.get("qos_specs", {}).items()}
    name, consumer = asked.pop("name", ""), asked.pop("consumer", "back-end")
    if not name or consumer not in ("front-end", "back-end", "both"):
        raise BadRequest(reason="qos_specs needs a name, and consumer is one of front-end, back-end, both.")
    row = Qos(id=new_uuid(), name=name, consumer=consumer, specs=asked, created_at=ctx.clock())
    try:
        async with ctx.db.write() as tx:
            await db.add(tx, table, row)
    except db.Taken as error:
        raise QosExists(name=name) from error
    return {"qos_specs": view(row), "links": links_to(ctx, f"qos-specs/{row.id}")}


@routes.put("/v3/qos-specs/{qos_id}", envelope="qos_specs", target=QOS, policy=UPDATE)
async def set_keys(ctx: Ctx, row: Qos, body: dict[Key, Value]) -> dict[str, str]:
    asked = {name: str(value) for name, value in body.items()}
    consumer = asked.get("consumer", row.consumer)
    if not asked or consumer not in ("front-end", "back-end", "both"):
        raise BadRequest(reason="qos_specs needs something to set, and consumer is one of front-end, back-end, both.")
    specs = row.specs | {name: value for name, value in asked.items() if name != "consumer"}
    async with ctx.db.write() as tx:
        await db.change(tx, table, row, specs=specs, consumer=consumer, updated_at=ctx.clock())
    return asked


class Keys(msgspec.Struct, kw_only=True):
    keys: list[str]


@routes.put("/v3/qos-specs/{qos_id}/delete_keys", target=QOS, status=202, policy=UPDATE)
async def unset_keys(ctx: Ctx, row: Qos, body: Keys) -> None:
    for key in body.keys:
        if key not in row.specs:
            raise QosKeyNotFound(qos_id=row.id, key=key)
    async with ctx.db.write() as tx:
        await db.change(tx, table, row, updated_at=ctx.clock(),
                        specs={name: value for name, value in row.specs.items() if name not in body.keys})


class DeleteQuery(msgspec.Struct, kw_only=True):
    force: str = "false"


@routes.delete("/v3/qos-specs/{qos_id}", target=QOS, status=202, policy=DELETE)
async def delete_qos(ctx: Ctx, row: Qos, query: DeleteQuery) -> None:
    async with ctx.db.write() as tx:
        users = await types.with_qos(tx, row.id)
        if users and not truth(query.force, "force"):
            raise QosInUse(qos_id=row.id)
        for kind in users:
            await types.change(tx, kind, ctx.clock(), qos_id=None)
        await tx.execute(table.delete().where(table.c.id == row.id))


# -- associations ---------------------------------------------------------------------------

class Association(msgspec.Struct, kw_only=True):
    association_type: str
    id: str
    name: str


class AssociationQuery(msgspec.Struct, kw_only=True):
    vol_type_id: Annotated[str, msgspec.Meta(min_length=1)]


@routes.get("/v3/qos-specs/{qos_id}/associations", envelope="qos_associations", target=QOS, policy=READ_ALL)
async def list_associations(ctx: Ctx, row: Qos) -> Page[Association]:
    async with ctx.db.read() as reader:
        return Page([Association(association_type="volume_type", id=kind.id, name=kind.name)
                     for kind in await types.with_qos(reader, row.id)])


@routes.get("/v3/qos-specs/{qos_id}/associate", target=QOS, status=202, policy=UPDATE)
async def associate(ctx: Ctx, row: Qos, query: AssociationQuery) -> None:
    async with ctx.db.write() as tx:
        kind = await types.get(tx, query.vol_type_id)
        if kind.qos_id not in (None, row.id):
            raise BadRequest(reason=f"Type {kind.id} is already associated with another qos specs: {kind.qos_id}")
        await types.change(tx, kind, ctx.clock(), qos_id=row.id)


@routes.get("/v3/qos-specs/{qos_id}/disassociate", target=QOS, status=202, policy=UPDATE)
async def disassociate(ctx: Ctx, row: Qos, query: AssociationQuery) -> None:
    async with ctx.db.write() as tx:
        kind = await types.get(tx, query.vol_type_id)
        if kind.qos_id == row.id:
            await types.change(tx, kind, ctx.clock(), qos_id=None)


@routes.get("/v3/qos-specs/{qos_id}/disassociate_all", target=QOS, status=202, policy=UPDATE)
async def disassociate_all(ctx: Ctx, row: Qos) -> None:
    async with ctx.db.write() as tx:
        for kind in await types.with_qos(tx, row.id):
            await types.change(tx, kind, ctx.clock(), qos_id=None)
