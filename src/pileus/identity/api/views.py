"""Rows as clients see them."""

from __future__ import annotations

from typing import Any

from pileus.identity.contexts import iso, plain_time
from pileus.identity.model.catalog import CatalogService, Endpoint, Region
from pileus.identity.model.projects import Project
from pileus.identity.model.roles import Role
from pileus.identity.model.users import Group, User
from pileus.kit.web import Ctx


def self_link(ctx: Ctx, *path: str) -> dict[str, str]:
    return {"self": f"{ctx.base_url}/v3/{'/'.join(path)}"}


def domain_view(ctx: Ctx, row: Project) -> dict[str, Any]:
    return row.extra | {"id": row.id, "name": row.name, "description": row.description, "enabled": row.enabled,
                        "tags": row.tags, "options": row.options, "links": self_link(ctx, "domains", row.id)}


def project_view(ctx: Ctx, row: Project) -> dict[str, Any]:
    return row.extra | {
        "id": row.id, "name": row.name, "domain_id": row.domain_id, "parent_id": row.parent_id,
        "is_domain": row.is_domain, "description": row.description, "enabled": row.enabled, "tags": row.tags,
        "options": row.options, "links": self_link(ctx, "projects", row.id)}


def user_view(ctx: Ctx, row: User) -> dict[str, Any]:
    found = row.extra | {
        "id": row.id, "name": row.name, "domain_id": row.domain_id, "enabled": row.enabled,
        "password_expires_at": plain_time(row.password_expires_at), "options": row.options,
        "links": self_link(ctx, "users", row.id)}
    return found | ({"default_project_id": row.default_project_id} if row.default_project_id else {})


def group_view(ctx: Ctx, row: Group) -> dict[str, Any]:
    return row.extra | {"id": row.id, "name": row.name, "domain_id": row.domain_id, "description": row.description,
                        "links": self_link(ctx, "groups", row.id)}


def role_view(ctx: Ctx, row: Role) -> dict[str, Any]:
    return row.extra | {"id": row.id, "name": row.name, "domain_id": row.domain_id, "description": row.description,
                        "options": row.options, "links": self_link(ctx, "roles", row.id)}


def region_view(ctx: Ctx, row: Region) -> dict[str, Any]:
    return row.extra | {"id": row.id, "description": row.description, "parent_region_id": row.parent_region_id,
                        "links": self_link(ctx, "regions", row.id)}


def service_view(ctx: Ctx, row: CatalogService) -> dict[str, Any]:
    found = row.extra | {"id": row.id, "type": row.type, "name": row.name, "enabled": row.enabled,
                         "links": self_link(ctx, "services", row.id)}
    return found | ({"description": row.description} if row.description is not None else {})


def endpoint_view(ctx: Ctx, row: Endpoint) -> dict[str, Any]:
    return row.extra | {
        "id": row.id, "service_id": row.service_id, "region_id": row.region_id, "region": row.region_id,
        "interface": row.interface, "url": row.url, "enabled": row.enabled,
        "links": self_link(ctx, "endpoints", row.id)}


def time_view(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
