"""/v2.0/quotas."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit.policy import ADMIN, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api.shapes import app
from pileus.network.config import Count
from pileus.network.model import base, quotas, security_groups
from pileus.network.model.quotas import COUNTED

routes = Routes()
Limit = Count | UnsetType


class QuotaUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    network: Limit = UNSET
    subnet: Limit = UNSET
    subnetpool: Limit = UNSET
    port: Limit = UNSET
    router: Limit = UNSET
    floatingip: Limit = UNSET
    security_group: Limit = UNSET
    security_group_rule: Limit = UNSET
    rbac_policy: Limit = UNSET
    trunk: Limit = UNSET
    check_limit: bool = True             # said by older clients; it is so unless they force it
    force: bool = False


class Whose(msgspec.Struct, frozen=True):
    """The project whose quotas a path names."""

    project_id: str


async def whose(conn: Any, project_id: str) -> Whose:
    return Whose(project_id)


PROJECT = Target(whose, missing=faults.ProjectNotFound)
SHOW, UPDATE = Rule("get_quota", PROJECT_READER), Rule("update_quota", ADMIN)


@routes.get("/v2.0/quotas", envelope="quotas", policy=Rule("get_quotas", ADMIN))
async def list_quotas(ctx: Ctx) -> Page[dict[str, Any]]:
    """The projects that have quotas of their own."""
    async with ctx.db.read() as reader:
        known = await base.rows(reader, sa.select(quotas.quotas.c.project_id).distinct().order_by(
            quotas.quotas.c.project_id))
        return Page([await quotas.limits(reader, project_id, app(ctx).config.quotas)
                     | {"project_id": project_id, "tenant_id": project_id} for (project_id,) in known])


@routes.get("/v2.0/quotas/{project_id}", envelope="quota", target=PROJECT, policy=SHOW)
async def show_quota(ctx: Ctx, whose: Whose) -> dict[str, int]:
    async with ctx.db.read() as reader:
        return await quotas.limits(reader, whose.project_id, app(ctx).config.quotas)


@routes.get("/v2.0/quotas/{project_id}/default", envelope="quota", target=PROJECT, policy=SHOW)
async def show_default(ctx: Ctx, whose: Whose) -> dict[str, int]:
    return msgspec.structs.asdict(app(ctx).config.quotas)


@routes.get("/v2.0/quotas/{project_id}/details.json", envelope="quota", target=PROJECT, policy=SHOW)
@routes.get("/v2.0/quotas/{project_id}/details", envelope="quota", target=PROJECT, policy=SHOW)
async def show_details(ctx: Ctx, whose: Whose) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        limits = await quotas.limits(reader, whose.project_id, app(ctx).config.quotas)
        return {name: {"limit": limit, "used": await quotas.used(reader, whose.project_id, name), "reserved": 0}
                for name, limit in limits.items()}


@routes.put("/v2.0/quotas/{project_id}", envelope="quota", target=PROJECT, policy=UPDATE)
async def update_quota(ctx: Ctx, whose: Whose, body: QuotaUpdate) -> dict[str, int]:
    async with ctx.db.write() as tx:
        wanted = {name: limit for name in COUNTED if (limit := getattr(body, name)) is not UNSET}
        for resource, limit in wanted.items():
            used = 0 if body.force else await quotas.used(tx, whose.project_id, resource)
            if 0 <= limit < used:
                raise faults.InvalidQuota(limit=limit, resource=resource, used=used)
        await security_groups.project(tx, whose.project_id, ctx.clock())
        for resource, limit in wanted.items():
            await quotas.set_limit(tx, whose.project_id, resource, limit)
        return await quotas.limits(tx, whose.project_id, app(ctx).config.quotas)


@routes.delete("/v2.0/quotas/{project_id}", target=PROJECT, policy=Rule("delete_quota", ADMIN))
async def reset_quota(ctx: Ctx, whose: Whose) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(quotas.quotas.delete().where(quotas.quotas.c.project_id == whose.project_id))
