"""Whether a project, and the user who asks, may have more: counted in the transaction that adds it."""

from __future__ import annotations

from collections.abc import Mapping, Sized

from pileus.compute.faults import MetadataQuota, QuotaExceeded
from pileus.compute.model import quotas
from pileus.compute.model.quotas import RESOURCE_CLASS, UNIFIED, UNLIMITED
from pileus.compute.model.servers import Server
from pileus.identity.client import ask_limits
from pileus.kit.db import Connection
from pileus.kit.web import Ctx


async def kept_limits(ctx: Ctx, project_id: str | None) -> dict[str, int]:
    """Those that identity keeps, by the names they have there (servers, class:VCPU, …). Raises Unavailable."""
    return await ask_limits(ctx.app.unified_limits, project_id)


def taken_by(server: Server) -> dict[str, int]:
    """What one server counts for, by the names of quota sets and of unified limits of resource classes."""
    return {"instances": 1, "cores": server.vcpus, "ram": server.memory_mb} | quotas.classes_of(
        server.flavor, server.image)


def taken_more(after: Server, before: Server) -> dict[str, int]:
    was = taken_by(before)
    return {name: amount - was.get(name, 0) for name, amount in taken_by(after).items()}


async def room_for(tx: Connection, ctx: Ctx, server: Server, kept: Mapping[str, int], each: Mapping[str, int],
                   counts: tuple[int, int] = (1, 1)) -> int:
    """How many times the server's project and user may have what `each` says more of: from the lower of the counts to
    the higher. `kept`: limits by identity. In the turn of the project; raises QuotaExceeded."""
    low, high = counts
    await quotas.take_turn(tx, server.project_id)
    bounds = await quotas.bounds(tx, ctx.app.config, server.project_id, server.user_id, kept)
    for whose, limits in bounds.items():
        counted = {name: limit for name, limit in limits.items()
                   if name in each and (whose or not _kept_as_class(name, kept))}
        high = _fitting(counted, await quotas.usage(tx, server.project_id, whose), each, low, high)
    classes = {name: limit for name, limit in kept.items() if name.startswith(RESOURCE_CLASS)}
    if classes:
        high = _fitting(classes, await quotas.usage_of_classes(tx, server.project_id), each, low, high)
    return high


def _kept_as_class(name: str, kept: Mapping[str, int]) -> bool:
    """Cores, for which identity keeps a limit of VCPU: placement's count of them is the one that matters."""
    return UNIFIED[name] in kept and UNIFIED[name].startswith(RESOURCE_CLASS)


def _fitting(limits: Mapping[str, int], used: Mapping[str, int], each: Mapping[str, int], low: int, high: int) -> int:
    for name, limit in limits.items():
        more, has = each.get(name, 0), used.get(name, 0)
        if more <= 0 or limit == UNLIMITED:
            continue
        room = (limit - has) // more
        if room < low:
            raise QuotaExceeded(resource=name, wanted=low * more, used=has, limit=limit)
        high = min(high, room)
    return high


async def limits_of(ctx: Ctx, project_id: str) -> dict[str, int]:
    """What a project may have, by API names; for what is not counted. Raises Unavailable."""
    kept = await kept_limits(ctx, project_id)
    async with ctx.db.read() as reader:
        return await quotas.limits(reader, ctx.app.config, project_id, kept=kept)


async def must_fit_metadata(ctx: Ctx, wanted: Sized, project_id: str) -> None:
    """Raises MetadataQuota."""
    if len(wanted):
        limit = (await limits_of(ctx, project_id))["metadata_items"]
        if limit != UNLIMITED and len(wanted) > limit:
            raise MetadataQuota(limit=limit)
