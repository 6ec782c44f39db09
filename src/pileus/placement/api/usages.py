"""/usages and /resource_providers/{uuid}/usages"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.placement import faults, versions
from pileus.placement.model import allocations, inventories, providers
from pileus.placement.model.allocations import UNKNOWN_TYPE


class UsageQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    project_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    consumer_type: Annotated[str | None, since(versions.CONSUMER_TYPES)] = None


routes = Routes()


@routes.get("/resource_providers/{uuid}/usages",
            policy=Rule("placement:resource_providers:usages", policy.ADMIN_OR_SERVICE))
async def show_provider_usages(ctx: Ctx, uuid: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        provider = await providers.get(reader, uuid)
        used = dict.fromkeys(await inventories.of(reader, uuid), 0) | await inventories.used(reader, uuid)
    return {"usages": used, "resource_provider_generation": provider.generation}


@routes.get("/usages", window=since(versions.PROJECT_USAGES), check=False,
            policy=Rule("placement:usages", policy.PROJECT_READER + " or " + policy.SERVICE))
async def show_project_usages(ctx: Ctx, query: UsageQuery) -> dict[str, Any]:
    if query.project_id is None:
        raise faults.MissingValue(name="project_id")
    ctx.must_allow("placement:usages", {"project_id": query.project_id})
    async with ctx.db.read() as reader:
        rows = await allocations.usages(reader, query.project_id, query.user_id)
        if ctx.version < versions.CONSUMER_TYPES:
            return {"usages": _summed(rows)}
        counts = await allocations.consumer_counts(reader, query.project_id, query.user_id)
    return {"usages": _by_type(rows, counts, query.consumer_type)}


def _summed(rows: list[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row.resource_class] = found.get(row.resource_class, 0) + int(row.used)
    return found


def _by_type(rows: list[Any], counts: dict[str | None, int], wanted: str | None) -> dict[str, Any]:
    if wanted == "all":
        return {"all": {**_summed(rows), "consumer_count": sum(counts.values())}} if counts else {}
    found: dict[str, Any] = {}
    for kind, number in counts.items():
        name = kind or UNKNOWN_TYPE
        if wanted in (None, name):
            found[name] = {**_summed([row for row in rows if row.consumer_type == kind]), "consumer_count": number}
    return found
