"""Quota sets of projects and their users, and the class of defaults behind them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.compute import versions
from pileus.compute.api.room import kept_limits
from pileus.compute.api.values import Number, truth, whole
from pileus.compute.faults import QuotaKeptByIdentity, QuotaTooHigh, QuotaTooLow
from pileus.compute.model import groups, quotas
from pileus.kit.db import Connection
from pileus.kit.policy import ADMIN, ANYONE, PROJECT_READER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx

SHOW = Rule("os_compute_api:os-quota-sets:show", PROJECT_READER)
DETAIL = Rule("os_compute_api:os-quota-sets:detail", PROJECT_READER)
ONE_SET = "/v2.1/os-quota-sets/{project_id}"
ONE_CLASS = "/v2.1/os-quota-class-sets/{class_name}"
PROXIED = ("fixed_ips", "floating_ips", "networks", "security_groups", "security_group_rules")
FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
GROUPS = ("server_groups", "server_group_members")

Limit = Number | msgspec.UnsetType


class Limits(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    instances: Limit = msgspec.UNSET
    cores: Limit = msgspec.UNSET
    ram: Limit = msgspec.UNSET
    key_pairs: Limit = msgspec.UNSET
    metadata_items: Limit = msgspec.UNSET
    server_groups: Limit = msgspec.UNSET
    server_group_members: Limit = msgspec.UNSET
    fixed_ips: Annotated[Limit, until(versions.NO_PROXIES)] = msgspec.UNSET
    floating_ips: Annotated[Limit, until(versions.NO_PROXIES)] = msgspec.UNSET
    networks: Annotated[Limit, until(versions.NO_PROXIES)] = msgspec.UNSET
    security_groups: Annotated[Limit, until(versions.NO_PROXIES)] = msgspec.UNSET
    security_group_rules: Annotated[Limit, until(versions.NO_PROXIES)] = msgspec.UNSET
    injected_files: Annotated[Limit, until(versions.NO_PERSONALITY)] = msgspec.UNSET
    injected_file_content_bytes: Annotated[Limit, until(versions.NO_PERSONALITY)] = msgspec.UNSET
    injected_file_path_bytes: Annotated[Limit, until(versions.NO_PERSONALITY)] = msgspec.UNSET

    def given(self) -> dict[str, int]:
        """The limits named, as numbers. Raises BadRequest."""
        return {name: whole(value, name, quotas.UNLIMITED) for name in quotas.FIXED | dict.fromkeys(MAIN)
                if (value := getattr(self, name)) is not msgspec.UNSET}


MAIN = ("instances", "cores", "ram")


class LimitsForced(Limits, kw_only=True, forbid_unknown_fields=True):
    force: bool | str = False


class UserQuery(msgspec.Struct, kw_only=True):
    user_id: str = ""


class Use(msgspec.Struct, kw_only=True):
    in_use: int
    limit: int
    reserved: int = 0


def shown(ctx: Ctx, limits: dict[str, int]) -> dict[str, int]:
    """The limits that clients of the request's version know."""
    hidden = {"networks"} | set(PROXIED if ctx.version >= versions.NO_PROXIES else ())
    hidden |= set(FILES if ctx.version >= versions.NO_PERSONALITY else ())
    return {name: limit for name, limit in limits.items() if name not in hidden}


def shown_of_class(ctx: Ctx, limits: dict[str, int]) -> dict[str, int]:
    """Classes knew nothing of server groups, and kept the networks' limits, until they followed quota sets."""
    if ctx.version >= versions.QUOTA_CLASSES:
        return shown(ctx, limits)
    return {name: limit for name, limit in limits.items() if name not in GROUPS and name != "networks"}


async def _limits(ctx: Ctx, reader: Connection, kept: dict[str, int], project_id: str, user_id: str) -> dict[str, int]:
    return shown(ctx, await quotas.limits(reader, ctx.app.config, project_id, user_id, kept))


async def used_by(reader: Connection, project_id: str, user_id: str = "") -> dict[str, int]:
    """Of what is counted for a whole project, or for a user of it."""
    groups_made = await groups.count(reader, project_id, user_id)
    return await quotas.usage(reader, project_id, user_id) | {"server_groups": groups_made}


def _must_be_kept_here(changes: dict[str, int], kept: dict[str, int]) -> None:
    for name in sorted(changes.keys() & quotas.unified(kept)):
        raise QuotaKeptByIdentity(resource=name, unified=quotas.UNIFIED[name])


async def _check_room(ctx: Ctx, tx: Connection, kept: dict[str, int], changes: dict[str, int], project_id: str,
                      user_id: str) -> None:
    """A limit below what is used, or of a user above the project's, needs force."""
    used = await quotas.usage(tx, project_id, user_id)
    most = await quotas.limits(tx, ctx.app.config, project_id, kept=kept) if user_id else {}
    for name, limit in changes.items():
        if 0 <= limit < used.get(name, 0):
            raise QuotaTooLow(limit=limit, resource=name, used=used[name])
        if (top := most.get(name, quotas.UNLIMITED)) >= 0 and not 0 <= limit <= top:
            raise QuotaTooHigh(limit=limit, resource=name, most=top)


routes = Routes()


@routes.get(ONE_SET, envelope="quota_set", policy=SHOW, check=False, strict=versions.STRICT_QUERIES)
async def show_quotas(ctx: Ctx, project_id: str, query: UserQuery) -> dict[str, int | str]:
    ctx.must_allow(SHOW.name, {"project_id": project_id})
    kept = await kept_limits(ctx, project_id)
    async with ctx.db.read() as reader:
        return {"id": project_id, **await _limits(ctx, reader, kept, project_id, query.user_id)}


@routes.get(f"{ONE_SET}/detail", envelope="quota_set", policy=DETAIL, check=False, strict=versions.STRICT_QUERIES)
async def show_quotas_in_detail(ctx: Ctx, project_id: str, query: UserQuery) -> dict[str, Use | str]:
    ctx.must_allow(DETAIL.name, {"project_id": project_id})
    kept = await kept_limits(ctx, project_id)
    async with ctx.db.read() as reader:
        limits = await _limits(ctx, reader, kept, project_id, query.user_id)
        used = await used_by(reader, project_id, query.user_id)
    return {"id": project_id, **{name: Use(in_use=used.get(name, 0), limit=limit) for name, limit in limits.items()}}


@routes.get(f"{ONE_SET}/defaults", envelope="quota_set", policy=Rule("os_compute_api:os-quota-sets:defaults", ANYONE))
async def show_default_quotas(ctx: Ctx, project_id: str) -> dict[str, int | str]:
    kept = await kept_limits(ctx, None)
    async with ctx.db.read() as reader:
        return {"id": project_id, **shown(ctx, await quotas.defaults(reader, ctx.app.config, kept))}


@routes.put(ONE_SET, envelope="quota_set", policy=Rule("os_compute_api:os-quota-sets:update", ADMIN),
            strict=versions.STRICT_QUERIES)
async def update_quotas(ctx: Ctx, project_id: str, body: LimitsForced, query: UserQuery) -> dict[str, int]:
    changes = body.given()
    kept = await kept_limits(ctx, project_id)
    if not query.user_id:
        _must_be_kept_here(changes, kept)
    async with ctx.db.write() as tx:
        if not truth(body.force, "force"):
            await _check_room(ctx, tx, kept, changes, project_id, query.user_id)
        await quotas.set_limits(tx, changes, project_id, query.user_id)
        return await _limits(ctx, tx, kept, project_id, query.user_id)


@routes.delete(ONE_SET, status=202, policy=Rule("os_compute_api:os-quota-sets:delete", ADMIN))
async def delete_quotas(ctx: Ctx, project_id: str, query: UserQuery) -> None:
    async with ctx.db.write() as tx:
        await quotas.forget_limits(tx, project_id, query.user_id or None)


@routes.get(ONE_CLASS, envelope="quota_class_set", policy=Rule("os_compute_api:os-quota-class-sets:show", ADMIN))
async def show_quota_class(ctx: Ctx, class_name: str) -> dict[str, int | str]:
    kept = await kept_limits(ctx, None)
    async with ctx.db.read() as reader:
        found = await quotas.limits(reader, ctx.app.config, f"class:{class_name}", kept=kept)
    return {"id": class_name, **shown_of_class(ctx, found)}


@routes.put(ONE_CLASS, envelope="quota_class_set", policy=Rule("os_compute_api:os-quota-class-sets:update", ADMIN))
async def update_quota_class(ctx: Ctx, class_name: str, body: Limits) -> dict[str, int]:
    changes = body.given()
    kept = await kept_limits(ctx, None)
    _must_be_kept_here(changes, kept)
    async with ctx.db.write() as tx:
        await quotas.set_limits(tx, changes, f"class:{class_name}")
        found = await quotas.limits(tx, ctx.app.config, f"class:{class_name}", kept=kept)
    return shown_of_class(ctx, found)
