"""/resource_providers/{uuid}/aggregates"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import Window, since
from pileus.kit.web import Ctx
from pileus.placement import faults, versions
from pileus.placement.api.root import Generation, Uuid
from pileus.placement.model import providers
from pileus.placement.model.providers import Provider


class AggregatesBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    resource_provider_generation: Generation
    aggregates: list[Uuid]


routes = Routes()
PATH = "/resource_providers/{uuid}/aggregates"
LIST = Rule("placement:resource_providers:aggregates:list", policy.ADMIN_OR_SERVICE)
UPDATE = Rule("placement:resource_providers:aggregates:update", policy.ADMIN_OR_SERVICE)
WITHOUT_GENERATION = Window(versions.AGGREGATES, versions.AGGREGATE_GENERATION)


@routes.get(PATH, window=since(versions.AGGREGATES), policy=LIST)
async def list_aggregates(ctx: Ctx, uuid: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        provider = await providers.get(reader, uuid)
        return _view(ctx, await providers.aggregates_of(reader, uuid), provider.generation)


@routes.put(PATH, window=WITHOUT_GENERATION, policy=UPDATE)
async def set_aggregates_blindly(ctx: Ctx, uuid: str, body: list[Uuid]) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        return await _set(ctx, tx, provider, body)


@routes.put(PATH, window=since(versions.AGGREGATE_GENERATION), policy=UPDATE)
async def set_aggregates(ctx: Ctx, uuid: str, body: AggregatesBody) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        if provider.generation != body.resource_provider_generation:
            raise faults.provider_changed(uuid)
        return await _set(ctx, tx, provider, body.aggregates)


async def _set(ctx: Ctx, tx: Any, provider: Provider, wanted: list[str]) -> dict[str, Any]:
    if len(set(wanted)) < len(wanted):
        raise faults.BadRequest(reason="JSON does not validate: aggregates has non-unique elements")
    await providers.advance(tx, provider.id, provider.generation, ctx.clock())
    await providers.set_aggregates(tx, provider.id, wanted)
    await providers.mark(tx, [provider.id])
    return _view(ctx, sorted(wanted), provider.generation + 1)


def _view(ctx: Ctx, found: list[str], generation: int) -> dict[str, Any]:
    with_generation = ctx.version >= versions.AGGREGATE_GENERATION
    return {"aggregates": found} | ({"resource_provider_generation": generation} if with_generation else {})
