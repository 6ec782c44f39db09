"""Regions, services and endpoints: what catalogs are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa

from pileus.identity import feed, policies
from pileus.identity.api.fields import Id, Name255, Unset, same_or_refused
from pileus.identity.api.listing import given, merged, narrowed, page, parsed, views
from pileus.identity.api.views import endpoint_view, region_view, service_view
from pileus.identity.faults import Duplicate, InvalidBody, Missing, Refused
from pileus.identity.model import catalog
from pileus.identity.model.catalog import CatalogService, Endpoint, Region
from pileus.identity.model.tables import endpoints, regions, services
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

REGION = Target(catalog.get_region, missing=Missing, refuse=policies.nothing)
SERVICE = Target(catalog.get_service, missing=Missing, refuse=policies.nothing)
ENDPOINT = Target(catalog.get_endpoint, missing=Missing, refuse=policies.nothing)
ANYONE, READ, WRITE = policies.ANYONE, policies.READER, policies.ADMIN
RegionId = Annotated[str, msgspec.Meta(max_length=255)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern=r"^[a-zA-Z0-9+.-]+:.+")]
Interface = Literal["public", "internal", "admin"]
NAMES_IN_URL = re.compile(r"[$%]\((\w+)\)s")
KNOWN_IN_URL = {"project_id", "tenant_id", "user_id"}
routes = Routes()


class RegionFields(msgspec.Struct, kw_only=True):
    id: RegionId | None | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET
    parent_region_id: RegionId | None | Unset = msgspec.UNSET


class ServiceCreate(msgspec.Struct, kw_only=True):
    type: Name255
    name: str = ""
    description: str | None = None
    enabled: bool = True


class ServiceUpdate(msgspec.Struct, kw_only=True):
    type: Name255 | Unset = msgspec.UNSET
    name: str | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET
    enabled: bool | Unset = msgspec.UNSET


class EndpointCreate(msgspec.Struct, kw_only=True):
    service_id: Id
    interface: Interface
    url: Url
    region_id: RegionId | None = None
    region: RegionId | None = None
    enabled: bool = True


class EndpointUpdate(msgspec.Struct, kw_only=True):
    service_id: Id | Unset = msgspec.UNSET
    interface: Interface | Unset = msgspec.UNSET
    url: Url | Unset = msgspec.UNSET
    region_id: RegionId | None | Unset = msgspec.UNSET
    enabled: bool | Unset = msgspec.UNSET


# -- regions ------------------------------------------------------------------------------------------------------


@routes.get("/v3/regions", envelope="regions", policy=Rule("identity:list_regions", ANYONE))
async def list_regions(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(regions), query, {"parent_region_id": regions.c.parent_region_id})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, regions.c.id, Region, query), region_view)


@routes.post("/v3/regions", envelope="region", status=201, policy=Rule("identity:create_region", WRITE))
async def create_region(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    return await _create_region(ctx, body, None)


@routes.put("/v3/regions/{new_id}", envelope="region", status=201, policy=Rule("identity:create_region", WRITE))
async def create_region_with_id(ctx: Ctx, new_id: str, body: dict[str, Any]) -> dict[str, Any]:
    same_or_refused(body, "id", new_id)
    return await _create_region(ctx, body, new_id)


async def _create_region(ctx: Ctx, body: dict[str, Any], id: str | None) -> dict[str, Any]:
    fields, extra = parsed(RegionFields, body)
    values = given(fields)
    region = Region(id=id or values.get("id") or new_hex(), description=values.get("description") or "", extra=extra,
                    parent_region_id=values.get("parent_region_id"))
    try:
        async with ctx.db.write() as tx:
            if region.parent_region_id:
                await catalog.get_region(tx, region.parent_region_id)
            await db.add(tx, regions, region)
    except db.Taken as error:
        raise Duplicate(kind="region", why=f"Duplicate ID, {region.id}.") from error
    return region_view(ctx, region)


@routes.get("/v3/regions/{region_id}", envelope="region", target=REGION, policy=Rule("identity:get_region", ANYONE))
async def show_region(ctx: Ctx, region: Region) -> dict[str, Any]:
    return region_view(ctx, region)


@routes.patch("/v3/regions/{region_id}", envelope="region", target=REGION,
              policy=Rule("identity:update_region", WRITE))
async def update_region(ctx: Ctx, region: Region, body: dict[str, Any]) -> dict[str, Any]:
    same_or_refused(body, "id", region.id)
    fields, extra = parsed(RegionFields, body)
    values = given(fields)
    values.pop("id", None)
    if "description" in values:
        values["description"] = values["description"] or ""
    if extra:
        values["extra"] = merged(region.extra, extra)
    async with ctx.db.write() as tx:
        await _must_not_loop(tx, region.id, values.get("parent_region_id"))
        return region_view(ctx, await db.change(tx, regions, region, **values))


async def _must_not_loop(conn: Connection, region_id: str, parent_id: str | None) -> None:
    while parent_id is not None:
        if parent_id == region_id:
            raise InvalidBody(reason="A region cannot be below itself.")
        parent_id = (await catalog.get_region(conn, parent_id)).parent_region_id


@routes.delete("/v3/regions/{region_id}", target=REGION, policy=Rule("identity:delete_region", WRITE))
async def delete_region(ctx: Ctx, region: Region) -> None:
    try:
        async with ctx.db.write() as tx:
            await tx.execute(regions.delete().where(regions.c.id == region.id))
    except db.Taken as error:
        raise Refused(reason=f"Unable to delete region {region.id} because it or its child regions have associated "
                             "endpoints.") from error


# -- services -----------------------------------------------------------------------------------------------------


@routes.get("/v3/services", envelope="services", policy=Rule("identity:list_services", READ))
async def list_services(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(services), query, {"type": services.c.type, "name": services.c.name})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, services.c.id, CatalogService, query), service_view)


@routes.post("/v3/services", envelope="service", status=201, policy=Rule("identity:create_service", WRITE))
async def create_service(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(ServiceCreate, body)
    service = CatalogService(id=new_hex(), extra=extra, **msgspec.structs.asdict(fields))
    async with ctx.db.write() as tx:
        await db.add(tx, services, service)
        await ctx.app.announce(tx, feed.CATALOG)
    return service_view(ctx, service)


@routes.get("/v3/services/{service_id}", envelope="service", target=SERVICE, policy=Rule("identity:get_service", READ))
async def show_service(ctx: Ctx, service: CatalogService) -> dict[str, Any]:
    return service_view(ctx, service)


@routes.patch("/v3/services/{service_id}", envelope="service", target=SERVICE,
              policy=Rule("identity:update_service", WRITE))
async def update_service(ctx: Ctx, service: CatalogService, body: dict[str, Any]) -> dict[str, Any]:
    same_or_refused(body, "id", service.id)
    fields, extra = parsed(ServiceUpdate, body)
    values = given(fields) | ({"extra": merged(service.extra, extra)} if extra else {})
    async with ctx.db.write() as tx:
        await ctx.app.announce(tx, feed.CATALOG)
        return service_view(ctx, await db.change(tx, services, service, **values))


@routes.delete("/v3/services/{service_id}", target=SERVICE, policy=Rule("identity:delete_service", WRITE))
async def delete_service(ctx: Ctx, service: CatalogService) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(services.delete().where(services.c.id == service.id))
        await ctx.app.announce(tx, feed.CATALOG)


# -- endpoints ----------------------------------------------------------------------------------------------------


@routes.get("/v3/endpoints", envelope="endpoints", policy=Rule("identity:list_endpoints", READ))
async def list_endpoints(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(endpoints), query, {
        "interface": endpoints.c.interface, "service_id": endpoints.c.service_id, "region_id": endpoints.c.region_id,
        "region": endpoints.c.region_id})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, endpoints.c.id, Endpoint, query), endpoint_view)


async def _check_endpoint(tx: Connection, values: dict[str, Any]) -> None:
    if unknown := set(NAMES_IN_URL.findall(values.get("url", ""))) - KNOWN_IN_URL:
        raise InvalidBody(reason=f"Malformed endpoint URL: nothing is known of {', '.join(sorted(unknown))}.")
    try:
        if "service_id" in values:
            await catalog.get_service(tx, values["service_id"])
        if values.get("region_id"):
            await catalog.get_region(tx, values["region_id"])
    except Missing as error:
        raise InvalidBody(reason=str(error)) from error


async def _make_region(tx: Connection, region_id: str | None) -> None:
    """Clients of older versions name regions that nobody made."""
    if region_id and not await db.one(tx, sa.select(regions).where(regions.c.id == region_id), Region):
        await db.add(tx, regions, Region(id=region_id))


@routes.post("/v3/endpoints", envelope="endpoint", status=201, policy=Rule("identity:create_endpoint", WRITE))
async def create_endpoint(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    """`region` is how older clients name the region; it is made if it is not there."""
    fields, extra = parsed(EndpointCreate, body)
    endpoint = Endpoint(id=new_hex(), service_id=fields.service_id, interface=fields.interface, url=fields.url,
                        region_id=fields.region_id or fields.region, enabled=fields.enabled, extra=extra)
    async with ctx.db.write() as tx:
        await _make_region(tx, None if fields.region_id else fields.region)
        await _check_endpoint(tx, msgspec.structs.asdict(endpoint))
        await db.add(tx, endpoints, endpoint)
        await ctx.app.announce(tx, feed.CATALOG)
    return endpoint_view(ctx, endpoint)


@routes.get("/v3/endpoints/{endpoint_id}", envelope="endpoint", target=ENDPOINT,
            policy=Rule("identity:get_endpoint", READ))
async def show_endpoint(ctx: Ctx, endpoint: Endpoint) -> dict[str, Any]:
    return endpoint_view(ctx, endpoint)


@routes.patch("/v3/endpoints/{endpoint_id}", envelope="endpoint", target=ENDPOINT,
              policy=Rule("identity:update_endpoint", WRITE))
async def update_endpoint(ctx: Ctx, endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    same_or_refused(body, "id", endpoint.id)
    legacy = "region" in body and "region_id" not in body
    body = ({"region_id": body["region"]} if legacy else {}) | {k: v for k, v in body.items() if k != "region"}
    fields, extra = parsed(EndpointUpdate, body)
    values: dict[str, Any] = given(fields) | ({"extra": merged(endpoint.extra, extra)} if extra else {})
    async with ctx.db.write() as tx:
        await _make_region(tx, values.get("region_id") if legacy else None)
        await _check_endpoint(tx, values)
        await ctx.app.announce(tx, feed.CATALOG)
        return endpoint_view(ctx, await db.change(tx, endpoints, endpoint, **values))


@routes.delete("/v3/endpoints/{endpoint_id}", target=ENDPOINT, policy=Rule("identity:delete_endpoint", WRITE))
async def delete_endpoint(ctx: Ctx, endpoint: Endpoint) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(endpoints.delete().where(endpoints.c.id == endpoint.id))
        await ctx.app.announce(tx, feed.CATALOG)
