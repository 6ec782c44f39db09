"""Limits: what a project may have and what it has, as one flat answer."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.compute import versions
from pileus.compute.api.quotas import used_by
from pileus.compute.api.room import kept_limits
from pileus.compute.model import quotas
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx

LIMITS = Rule("os_compute_api:limits", ANYONE)
OTHERS = Rule("os_compute_api:limits:other_project", ADMIN)
RULES = (OTHERS,)

ProxiedCount = Annotated[int, until(versions.NO_PROXIES)]


class LimitsQuery(msgspec.Struct, kw_only=True):
    tenant_id: str | None = None
    reserved: str | None = None              # once counted what was about to be used; nothing is now


class Absolute(msgspec.Struct, kw_only=True, rename="camel"):
    max_total_instances: int
    max_total_cores: int
    max_total_ram_size: int = msgspec.field(name="maxTotalRAMSize")
    max_total_keypairs: int
    max_server_meta: int
    max_server_groups: int
    max_server_group_members: int
    max_personality: Annotated[int, until(versions.NO_PERSONALITY)]
    max_personality_size: Annotated[int, until(versions.NO_PERSONALITY)]
    max_image_meta: Annotated[int, until(versions.NO_IMAGE_LIMITS)]
    max_total_floating_ips: ProxiedCount
    max_security_groups: ProxiedCount
    max_security_group_rules: ProxiedCount
    total_instances_used: int
    total_cores_used: int
    total_ram_used: int = msgspec.field(name="totalRAMUsed")
    total_server_groups_used: int
    total_floating_ips_used: ProxiedCount = 0
    total_security_groups_used: ProxiedCount = 0


class LimitsView(msgspec.Struct, kw_only=True):
    absolute: Absolute
    rate: list[dict[str, Any]] = []


def view(limits: dict[str, int], used: dict[str, int]) -> LimitsView:
    return LimitsView(absolute=Absolute(
        max_total_instances=limits["instances"], max_total_cores=limits["cores"], max_total_ram_size=limits["ram"],
        max_total_keypairs=limits["key_pairs"], max_server_meta=limits["metadata_items"],
        max_server_groups=limits["server_groups"], max_server_group_members=limits["server_group_members"],
        max_personality=limits["injected_files"], max_personality_size=limits["injected_file_content_bytes"],
        max_image_meta=limits["metadata_items"], max_total_floating_ips=limits["floating_ips"],
        max_security_groups=limits["security_groups"], max_security_group_rules=limits["security_group_rules"],
        total_instances_used=used["instances"], total_cores_used=used["cores"], total_ram_used=used["ram"],
        total_server_groups_used=used["server_groups"]))


routes = Routes()


@routes.get("/v2.1/limits", envelope="limits", policy=LIMITS, strict=versions.STRICT_QUERIES)
async def show_limits(ctx: Ctx, query: LimitsQuery) -> LimitsView:
    project_id = query.tenant_id or ctx.caller.project_id or ""
    if project_id != ctx.caller.project_id:
        ctx.must_allow(OTHERS.name)
    kept = await kept_limits(ctx, project_id)
    async with ctx.db.read() as reader:
        limits = await quotas.limits(reader, ctx.app.config, project_id, kept=kept)
        return view(limits, await used_by(reader, project_id))
