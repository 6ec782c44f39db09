"""/resource_providers/{uuid}/inventories"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.placement import faults, versions
from pileus.placement.api.root import Generation, Name
from pileus.placement.model import inventories, names, providers
from pileus.placement.model.inventories import INT32, Inventory

Positive = Annotated[int, msgspec.Meta(ge=1, le=INT32)]


class InventoryBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    total: Positive
    reserved: Annotated[int, msgspec.Meta(ge=0, le=INT32)] = 0
    min_unit: Positive = 1
    max_unit: Positive = INT32
    step_size: Positive = 1
    allocation_ratio: Annotated[float, msgspec.Meta(ge=0, le=3.40282e38)] = 1.0


class OneInventoryBody(InventoryBody, kw_only=True, forbid_unknown_fields=True):
    resource_provider_generation: Generation


class NewInventoryBody(InventoryBody, kw_only=True, forbid_unknown_fields=True):
    resource_class: Name
    resource_provider_generation: Generation | None = None


class InventoriesBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    resource_provider_generation: Generation
    inventories: dict[Name, InventoryBody]


def inventory(ctx: Ctx, name: str, body: InventoryBody) -> Inventory:
    """The body as a row, if it makes sense to this version."""
    most = body.total if ctx.version >= versions.ALL_RESERVED else body.total - 1
    if body.reserved > most:
        raise faults.BadRequest(reason=f"Invalid inventory for '{name}'. The reserved value is greater than"
                                f"{'' if ctx.version >= versions.ALL_RESERVED else ' or equal to'} total.")
    made = Inventory(total=body.total, reserved=body.reserved, min_unit=body.min_unit, max_unit=body.max_unit,
                     step_size=body.step_size, allocation_ratio=body.allocation_ratio)
    if (body.total - body.reserved) * body.allocation_ratio >= 2 ** 62:
        raise faults.BadRequest(reason=f"Invalid inventory for '{name}'. The capacity is beyond all bounds.")
    return made


def view(found: dict[str, Inventory], generation: int) -> dict[str, Any]:
    return {"inventories": {name: msgspec.structs.asdict(each) for name, each in found.items()},
            "resource_provider_generation": generation}


def view_one(found: Inventory, generation: int) -> dict[str, Any]:
    return {**msgspec.structs.asdict(found), "resource_provider_generation": generation}


async def write(ctx: Ctx, tx: Any, uuid: str, generation: int, wanted: dict[str, Inventory]) -> None:
    """Replace all inventories of a provider that is still at `generation`."""
    await names.must_know_classes(tx, wanted)
    await providers.advance(tx, uuid, generation, ctx.clock())
    await inventories.replace(tx, uuid, wanted)
    await providers.mark(tx, [uuid])


routes = Routes()
ALL = "/resource_providers/{uuid}/inventories"
ONE = "/resource_providers/{uuid}/inventories/{resource_class}"


@routes.get(ALL, policy=Rule("placement:resource_providers:inventories:list", policy.ADMIN_OR_SERVICE))
async def list_inventories(ctx: Ctx, uuid: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        provider = await providers.get(reader, uuid)
        return view(await inventories.of(reader, uuid), provider.generation)


@routes.put(ALL, policy=Rule("placement:resource_providers:inventories:update", policy.ADMIN_OR_SERVICE))
async def set_inventories(ctx: Ctx, uuid: str, body: InventoriesBody) -> dict[str, Any]:
    wanted = {name: inventory(ctx, name, each) for name, each in body.inventories.items()}
    async with ctx.db.write() as tx:
        await providers.get(tx, uuid)
        await write(ctx, tx, uuid, body.resource_provider_generation, wanted)
    return view(wanted, body.resource_provider_generation + 1)


@routes.post(ALL, status=201, policy=Rule("placement:resource_providers:inventories:create", policy.ADMIN_OR_SERVICE))
async def add_inventory(ctx: Ctx, uuid: str, body: NewInventoryBody) -> dict[str, Any]:
    name, made = body.resource_class, inventory(ctx, body.resource_class, body)
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        known = await inventories.of(tx, uuid)
        if name in known:
            raise faults.Conflict(reason=f"Update conflict: inventory of {name} of resource provider {uuid} exists.")
        await write(ctx, tx, uuid, provider.generation, known | {name: made})
    ctx.headers["location"] = f"{ctx.base_url}/resource_providers/{uuid}/inventories/{name}"
    return view_one(made, provider.generation + 1)


@routes.delete(ALL, window=since(versions.DELETE_INVENTORIES),
               policy=Rule("placement:resource_providers:inventories:delete", policy.ADMIN_OR_SERVICE))
async def delete_inventories(ctx: Ctx, uuid: str) -> None:
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        await write(ctx, tx, uuid, provider.generation, {})


@routes.get(ONE, policy=Rule("placement:resource_providers:inventories:show", policy.ADMIN_OR_SERVICE))
async def show_inventory(ctx: Ctx, uuid: str, resource_class: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        provider = await providers.get(reader, uuid)
        return view_one(_one(await inventories.of(reader, uuid), uuid, resource_class), provider.generation)


@routes.put(ONE, policy=Rule("placement:resource_providers:inventories:update", policy.ADMIN_OR_SERVICE))
async def set_inventory(ctx: Ctx, uuid: str, resource_class: str, body: OneInventoryBody) -> dict[str, Any]:
    made = inventory(ctx, resource_class, body)
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        if provider.generation != body.resource_provider_generation:
            raise faults.provider_changed(uuid)
        known = await inventories.of(tx, uuid)
        if resource_class not in known:
            raise faults.BadRequest(reason=f"No inventory record with resource class {resource_class} for resource"
                                    f" provider {uuid}.")
        await write(ctx, tx, uuid, provider.generation, known | {resource_class: made})
    return view_one(made, provider.generation + 1)


@routes.delete(ONE, policy=Rule("placement:resource_providers:inventories:delete", policy.ADMIN_OR_SERVICE))
async def delete_inventory(ctx: Ctx, uuid: str, resource_class: str) -> None:
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        known = await inventories.of(tx, uuid)
        _one(known, uuid, resource_class)
        kept = {name: each for name, each in known.items() if name != resource_class}
        await write(ctx, tx, uuid, provider.generation, kept)


def _one(found: dict[str, Inventory], uuid: str, name: str) -> Inventory:
    if name not in found:
        raise faults.InventoryNotFound(resource_class=name, provider_id=uuid)
    return found[name]
