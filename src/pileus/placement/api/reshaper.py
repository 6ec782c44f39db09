"""/reshaper: inventories of several providers and allocations of several consumers change as one."""

from __future__ import annotations

import msgspec

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.placement import faults, versions
from pileus.placement.api.allocations import AllocationsBody, claim
from pileus.placement.api.inventories import InventoriesBody, inventory
from pileus.placement.api.root import Uuid
from pileus.placement.model import allocations, inventories, names, providers


class ReshapeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    inventories: dict[Uuid, InventoriesBody]
    allocations: dict[Uuid, AllocationsBody]


routes = Routes()


@routes.post("/reshaper", status=204, window=since(versions.RESHAPER),
             policy=Rule("placement:reshaper:reshape", policy.ADMIN_OR_SERVICE))
async def reshape(ctx: Ctx, body: ReshapeBody) -> None:
    """Both old and new inventories are there while allocations move; then the old ones go."""
    claims = {consumer_id: claim(ctx, each, may_be_empty=True) for consumer_id, each in body.allocations.items()}
    wanted = {uuid: {name: inventory(ctx, name, each) for name, each in part.inventories.items()}
              for uuid, part in body.inventories.items()}
    async with ctx.db.write() as tx:
        await names.must_know_classes(tx, {name for part in wanted.values() for name in part})
        for uuid in sorted(wanted):
            try:
                await providers.get(tx, uuid)
            except faults.ProviderNotFound as error:
                raise faults.BadRequest(reason=f"Resource provider {uuid} named in inventories not found.") from error
            await providers.advance(tx, uuid, body.inventories[uuid].resource_provider_generation, ctx.clock())
            await inventories.replace(tx, uuid, await inventories.of(tx, uuid) | wanted[uuid])
        if claims:
            await allocations.replace(tx, claims, ctx.clock())
        for uuid, part in wanted.items():
            await inventories.replace(tx, uuid, part)
        await providers.mark(tx, list(wanted))
