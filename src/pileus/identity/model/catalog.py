"""Regions, services and endpoints, and the catalog that tokens carry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import endpoints, regions, services
from pileus.kit import db
from pileus.kit.db import Connection


class Region(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    parent_region_id: str | None = None
    description: str = ""
    extra: dict[str, Any] = {}
    generation: int = 1


class CatalogService(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    name: str = ""
    description: str | None = None
    enabled: bool = True
    extra: dict[str, Any] = {}
    generation: int = 1


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    service_id: str
    region_id: str | None
    interface: str
    url: str
    enabled: bool = True
    extra: dict[str, Any] = {}
    generation: int = 1


async def get_region(conn: Connection, region_id: str) -> Region:
    row = await db.one(conn, sa.select(regions).where(regions.c.id == region_id), Region)
    if row is None:
        raise Missing(kind="region", id=region_id)
    return row


async def get_service(conn: Connection, service_id: str) -> CatalogService:
    row = await db.one(conn, sa.select(services).where(services.c.id == service_id), CatalogService)
    if row is None:
        raise Missing(kind="service", id=service_id)
    return row


async def get_endpoint(conn: Connection, endpoint_id: str) -> Endpoint:
    row = await db.one(conn, sa.select(endpoints).where(endpoints.c.id == endpoint_id), Endpoint)
    if row is None:
        raise Missing(kind="endpoint", id=endpoint_id)
    return row


class Catalog:
    """What is enabled, as tokens show it; URLs may name the project and the user they are asked for."""

    def __init__(self, found_services: list[CatalogService], found_endpoints: list[Endpoint],
                 shown: Mapping[str, frozenset[str]] | None = None):
        """`shown`: what the projects see that do not see everything."""
        by_service: dict[str, list[Endpoint]] = {}
        for endpoint in found_endpoints:
            by_service.setdefault(endpoint.service_id, []).append(endpoint)
        self._entries = [(service, by_service.get(service.id, [])) for service in found_services]
        self._personal = any("(" in endpoint.url for endpoint in found_endpoints)
        self._shown = shown or {}
        self._shared: msgspec.Raw | None = None

    def encoded(self, *, user_id: str, project_id: str | None) -> msgspec.Raw:
        if self._personal or project_id in self._shown:
            return msgspec.Raw(msgspec.json.encode(self.entries(user_id=user_id, project_id=project_id)))
        if self._shared is None:
            self._shared = msgspec.Raw(msgspec.json.encode(self.entries(user_id="", project_id=None)))
        return self._shared

    def entries(self, *, user_id: str, project_id: str | None) -> list[dict[str, Any]]:
        shown = self._shown.get(project_id or "")
        known = self._entries if shown is None else [
            (service, kept) for service, found in self._entries if (kept := [e for e in found if e.id in shown])]
        return [{"endpoints": [{"id": e.id, "interface": e.interface, "region_id": e.region_id, "region": e.region_id,
                                "url": url} for e in found if (url := _filled(e.url, user_id, project_id))],
                 "id": service.id, "type": service.type, "name": service.name} for service, found in known]


def _filled(url: str, user_id: str, project_id: str | None) -> str | None:
    """The URL with names replaced, or None where one has no value: an unscoped token has no project."""
    values = {"user_id": user_id, "project_id": project_id, "tenant_id": project_id}
    for name, value in values.items():
        for form in (f"$({name})s", f"%({name})s"):
            if form in url:
                if not value:
                    return None
                url = url.replace(form, value)
    return url


Shown = Callable[[Connection, list[Endpoint]], Awaitable[Mapping[str, frozenset[str]]]]


async def load(conn: Connection, shown: Shown) -> Catalog:
    """`shown` tells what the projects see that do not see everything."""
    enabled = await db.many(conn, sa.select(services).where(services.c.enabled.is_(True)).order_by(
        services.c.type, services.c.id), CatalogService)
    found = await db.many(conn, sa.select(endpoints).where(endpoints.c.enabled.is_(True)).order_by(
        endpoints.c.interface, endpoints.c.id), Endpoint)
    return Catalog(enabled, found, await shown(conn, found))
