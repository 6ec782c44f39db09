"""Quota sets and quota classes, and the limits a project may look up of itself."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kit import numbers
from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import BIGGEST, truth
from pileus.volume.model import quotas
from pileus.volume.model.quotas import CLASS

routes = Routes()
SHOW = Rule("volume_extension:quotas:show", "role:admin or (role:reader and project_id:%(project_id)s)")
RULES = (SHOW,)
_OTHER = {"tenant_id", "user_id", "skip_validation", "force", "id", "class_name"}


class QuotaQuery(msgspec.Struct, kw_only=True):
    usage: str = "false"


@routes.get("/v3/os-quota-sets/{of_project}", envelope="quota_set", policy=SHOW, check=False)
async def show_quotas(ctx: Ctx, of_project: str, query: QuotaQuery) -> dict[str, Any]:
    ctx.must_allow(SHOW.name, {"project_id": of_project})
    async with ctx.db.read() as reader:
        limit = await quotas.limits(reader, ctx.app.config, of_project)
        if not truth(query.usage, "usage"):
            return {"id": of_project} | limit
        used = await quotas.usage(reader, of_project)
    return {"id": of_project} | {
        name: {"limit": most, "in_use": used.get(name, 0), "reserved": 0} for name, most in limit.items()}


@routes.get("/v3/os-quota-sets/{of_project}/defaults", envelope="quota_set", policy=SHOW, check=False)
async def show_default_quotas(ctx: Ctx, of_project: str) -> dict[str, Any]:
    ctx.must_allow(SHOW.name, {"project_id": of_project})
    async with ctx.db.read() as reader:
        return {"id": of_project} | await quotas.limits(reader, ctx.app.config, CLASS)


def _changes(body: dict[str, Any], known: dict[str, int]) -> dict[str, int]:
    found = {}
    for name, value in body.items():
        if name in _OTHER:
            continue
        if name not in known:
            raise BadRequest(reason=f"Bad key in quota set: {name}")
        number = numbers.whole(value.strip() if isinstance(value, str) else value)
        if number is None or not -1 <= number <= BIGGEST:
            raise BadRequest(reason=f"Quota limit for {name} must be an integer from -1 to {BIGGEST}, not {value}.")
        found[name] = number
    if not found:
        raise BadRequest(reason="No limit to set was given.")
    return found


@routes.put("/v3/os-quota-sets/{of_project}", envelope="quota_set",
            policy=Rule("volume_extension:quotas:update", ADMIN))
async def update_quotas(ctx: Ctx, of_project: str, body: dict[str, Any]) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        await quotas.set_limits(tx, of_project, _changes(body, await quotas.limits(tx, ctx.app.config, of_project)))
        return await quotas.limits(tx, ctx.app.config, of_project)


@routes.delete("/v3/os-quota-sets/{of_project}", status=200, policy=Rule("volume_extension:quotas:delete", ADMIN))
async def delete_quotas(ctx: Ctx, of_project: str) -> None:
    async with ctx.db.write() as tx:
        await quotas.forget_limits(tx, of_project)


@routes.get("/v3/os-quota-class-sets/{name}", envelope="quota_class_set",
            policy=Rule("volume_extension:quota_classes:get", ADMIN))
async def show_class(ctx: Ctx, name: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        return {"id": name} | await quotas.limits(reader, ctx.app.config, _place(name))


def _place(name: str) -> str:
    return CLASS if name == "default" else f"class:{name}"[:64]


@routes.put("/v3/os-quota-class-sets/{name}", envelope="quota_class_set",
            policy=Rule("volume_extension:quota_classes:update", ADMIN))
async def update_class(ctx: Ctx, name: str, body: dict[str, Any]) -> dict[str, Any]:
    place = _place(name)
    async with ctx.db.write() as tx:
        await quotas.set_limits(tx, place, _changes(body, await quotas.limits(tx, ctx.app.config, place)))
        return await quotas.limits(tx, ctx.app.config, place)


@routes.get("/v3/limits", envelope="limits", policy=Rule("limits_extension:used_limits", ANYONE))
async def show_limits(ctx: Ctx) -> dict[str, Any]:
    project = ctx.caller.project_id or ""
    if ctx.caller.is_admin and ctx.version >= versions.LIMITS_OF_PROJECT:
        project = ctx.request.query_params.get("project_id", project)
    async with ctx.db.read() as reader:
        limit, used = await quotas.limits(reader, ctx.app.config, project), await quotas.usage(reader, project)
    return {"rate": [], "absolute": {
        "maxTotalVolumes": limit["volumes"], "totalVolumesUsed": used["volumes"],
        "maxTotalSnapshots": limit["snapshots"], "totalSnapshotsUsed": used["snapshots"],
        "maxTotalVolumeGigabytes": limit["gigabytes"], "totalGigabytesUsed": used["gigabytes"],
        "maxTotalBackups": limit["backups"], "totalBackupsUsed": used["backups"],
        "maxTotalBackupGigabytes": limit["backup_gigabytes"], "totalBackupGigabytesUsed": used["backup_gigabytes"]}}
