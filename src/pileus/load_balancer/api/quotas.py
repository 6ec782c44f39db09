"""/v2.0/quotas (and /v2.0/lbaas/quotas)"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.numbers import INT_MAX
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx
from pileus.load_balancer.api import policies
from pileus.load_balancer.api.lists import Query
from pileus.load_balancer.api.shapes import BASE, app, given
from pileus.load_balancer.model import quotas
from pileus.load_balancer.model.quotas import NAMES

routes = Routes()
Count = Annotated[int, msgspec.Meta(ge=-1, le=INT_MAX)]
# Names from before the API had its own, by which older clients still ask.
OLDER = {"loadbalancer": "load_balancer", "healthmonitor": "health_monitor"}
PATH = f"{BASE}/quotas"
ONE, ALL = policies.read("quota"), policies.listed("quota")
DEFAULTS: Rule = policies.anybody("quota", "get_defaults")


class QuotaChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """null: as many as the defaults say."""

    load_balancer: Count | None | UnsetType = UNSET
    loadbalancer: Count | None | UnsetType = UNSET
    listener: Count | None | UnsetType = UNSET
    member: Count | None | UnsetType = UNSET
    pool: Count | None | UnsetType = UNSET
    health_monitor: Count | None | UnsetType = UNSET
    healthmonitor: Count | None | UnsetType = UNSET
    l7policy: Count | None | UnsetType = UNSET
    l7rule: Count | None | UnsetType = UNSET


def _defaults(ctx: Ctx) -> dict[str, int]:
    return {name: getattr(app(ctx).config.quotas, name) for name in NAMES}


def _view(limits: dict[str, Any]) -> dict[str, Any]:
    return limits | {older: limits[name] for older, name in OLDER.items()}


def _whole(ctx: Ctx, own: dict[str, Any]) -> dict[str, Any]:
    defaults = _defaults(ctx)
    return _view({name: defaults[name] if own[name] is None else own[name] for name in NAMES})


@routes.get(PATH, envelope="quotas", policy=ALL)
async def list_quotas(ctx: Ctx, query: Query) -> Page[dict[str, Any]]:
    """Of projects that have some of their own."""
    wanted = (query.get("project_id") or query.get("tenant_id") or [None])[-1]
    project_id = wanted if ctx.caller.is_admin else ctx.caller.project_id
    async with ctx.db.read() as reader:
        found = await quotas.every(reader, project_id)
    return Page([_whole(ctx, row) | {"project_id": row["project_id"], "tenant_id": row["project_id"]}
                 for row in found])


@routes.get(f"{PATH}/defaults", envelope="quota", policy=DEFAULTS)
async def show_default_quotas(ctx: Ctx) -> dict[str, Any]:
    return _view(_defaults(ctx))


@routes.get(f"{PATH}/{{project_id}}/default", envelope="quota", policy=DEFAULTS)
async def show_defaults_of(ctx: Ctx, project_id: str) -> dict[str, Any]:
    return _view(_defaults(ctx))


@routes.get(f"{PATH}/{{project_id}}", envelope="quota", policy=ONE, check=False)
async def show_quota(ctx: Ctx, project_id: str) -> dict[str, Any]:
    ctx.must_allow(ONE.name, {"project_id": project_id})
    async with ctx.db.read() as reader:
        return _whole(ctx, await quotas.own(reader, project_id))


@routes.put(f"{PATH}/{{project_id}}", envelope="quota", status=202, policy=policies.admin("quota", "put"))
async def change_quota(ctx: Ctx, project_id: str, body: QuotaChange) -> dict[str, Any]:
    values = {OLDER.get(name, name): value for name, value in given(body).items()}
    async with ctx.db.write() as tx:
        await quotas.put(tx, project_id, values)
        return _whole(ctx, await quotas.own(tx, project_id))


@routes.delete(f"{PATH}/{{project_id}}", policy=policies.admin("quota", "delete"))
async def reset_quota(ctx: Ctx, project_id: str) -> None:
    async with ctx.db.write() as tx:
        await quotas.put(tx, project_id, dict.fromkeys(NAMES))
