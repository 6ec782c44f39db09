"""Unified limits: what services ask how much a project may have."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.fields import Id, Name255, Unset
from pileus.identity.api.listing import given, links_of, narrowed, page, views
from pileus.identity.api.views import self_link
from pileus.identity.faults import Duplicate, InvalidBody, Missing, Refused
from pileus.identity.model import catalog, limits, projects
from pileus.identity.model.limits import Limit, LimitRow, RegisteredLimit
from pileus.identity.model.tables import limits as table
from pileus.identity.model.tables import projects as project_table
from pileus.identity.model.tables import registered_limits
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

Amount = Annotated[int, msgspec.Meta(ge=-1, le=0x7FFFFFFF)]        # -1: as much as there is
MODELS = {"flat": "Limit enforcement and validation does not take project hierarchy into consideration.",
          "strict_two_level": "Projects have one parent at most, whose limit none of its children may exceed."}
LIST_ALL = f"role:admin or {policies.SYSTEM_READER}"
SHOW = (f"{LIST_ALL} or domain_id:%(target.limit.domain.id)s or domain_id:%(target.limit.project.domain_id)s"
        " or project_id:%(target.limit.project_id)s")
routes = Routes()


def _facts(row: Limit) -> dict[str, Any]:
    if row.is_domain:
        return {"target.limit.domain.id": row.place_id}
    return {"target.limit.project_id": row.place_id, "target.limit.project.domain_id": row.domain_id}


LIMIT = Target(limits.get, missing=Missing, facts=_facts, refuse=policies.nothing)
REGISTERED = Target(limits.get_registered, missing=Missing, facts=lambda row: {}, refuse=policies.nothing)


class RegisteredCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    service_id: Id
    resource_name: Name255
    default_limit: Amount
    region_id: str | None = None
    description: str | None = None


class RegisteredUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    service_id: Id | Unset = msgspec.UNSET
    resource_name: Name255 | Unset = msgspec.UNSET
    default_limit: Amount | Unset = msgspec.UNSET
    region_id: str | None | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET


class LimitCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    service_id: Id
    resource_name: Name255
    resource_limit: Amount
    project_id: Id | None = None
    domain_id: Id | None = None
    region_id: str | None = None
    description: str | None = None


class LimitUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    resource_limit: Amount | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET


# -- registered limits --------------------------------------------------------------------------------------------


def _registered_view(ctx: Ctx, row: RegisteredLimit) -> dict[str, Any]:
    return {"id": row.id, "service_id": row.service_id, "region_id": row.region_id, "resource_name": row.resource_name,
            "default_limit": row.default_limit, "description": row.description,
            "links": self_link(ctx, "registered_limits", row.id)}


@routes.get("/v3/registered_limits", envelope="registered_limits",
            policy=Rule("identity:list_registered_limits", policies.ANYONE))
async def list_registered_limits(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    columns = registered_limits.c
    found = narrowed(sa.select(registered_limits), query, {
        "service_id": columns.service_id, "region_id": columns.region_id, "resource_name": columns.resource_name})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, columns.id, RegisteredLimit, query), _registered_view)


async def _must_exist(conn: Connection, values: dict[str, Any]) -> None:
    try:
        if "service_id" in values:
            await catalog.get_service(conn, values["service_id"])
        if values.get("region_id") is not None:
            await catalog.get_region(conn, values["region_id"])
    except Missing as error:
        raise InvalidBody(reason=str(error)) from error


@routes.post("/v3/registered_limits", envelope="registered_limits", status=201,
             policy=Rule("identity:create_registered_limits", policies.ADMIN))
async def create_registered_limits(ctx: Ctx, body: list[RegisteredCreate]) -> Page[dict[str, Any]]:
    """All of them or none."""
    rows = [RegisteredLimit(id=new_hex(), region_key=each.region_id or "", **msgspec.structs.asdict(each))
            for each in body]
    try:
        async with ctx.db.write() as tx:
            for row in rows:
                await _must_exist(tx, msgspec.structs.asdict(row))
            await db.add(tx, registered_limits, *rows)
    except db.Taken as error:
        raise Duplicate(kind="registered_limit", why="there is one of this service, region and resource.") from error
    return Page([_registered_view(ctx, row) for row in rows])


@routes.get("/v3/registered_limits/{registered_limit_id}", envelope="registered_limit", target=REGISTERED,
            policy=Rule("identity:get_registered_limit", policies.ANYONE))
async def show_registered_limit(ctx: Ctx, limit: RegisteredLimit) -> dict[str, Any]:
    return _registered_view(ctx, limit)


@routes.patch("/v3/registered_limits/{registered_limit_id}", envelope="registered_limit", target=REGISTERED,
              policy=Rule("identity:update_registered_limit", policies.ADMIN))
async def update_registered_limit(ctx: Ctx, limit: RegisteredLimit, body: RegisteredUpdate) -> dict[str, Any]:
    values = given(body)
    if "region_id" in values:
        values["region_key"] = values["region_id"] or ""
    try:
        async with ctx.db.write() as tx:
            await _must_exist(tx, values)
            if {"service_id", "region_id", "resource_name"} & set(values) and await limits.in_use(tx, limit.id):
                raise Refused(reason=f"Unable to update the registered limit {limit.id} because there are project "
                                     "limits associated with it.")
            return _registered_view(ctx, await db.change(tx, registered_limits, limit, **values))
    except db.Taken as error:
        raise Duplicate(kind="registered_limit", why="there is one of this service, region and resource.") from error


@routes.delete("/v3/registered_limits/{registered_limit_id}", target=REGISTERED,
               policy=Rule("identity:delete_registered_limit", policies.ADMIN))
async def delete_registered_limit(ctx: Ctx, limit: RegisteredLimit) -> None:
    async with ctx.db.write() as tx:
        if await limits.in_use(tx, limit.id):
            raise Refused(reason=f"Unable to delete the registered limit {limit.id} because there are project limits "
                                 "associated with it.")
        await tx.execute(registered_limits.delete().where(registered_limits.c.id == limit.id))


# -- limits of projects and domains -------------------------------------------------------------------------------


def _view(ctx: Ctx, row: Limit) -> dict[str, Any]:
    return {"id": row.id, "service_id": row.service_id, "region_id": row.region_id, "resource_name": row.resource_name,
            "resource_limit": row.resource_limit, "description": row.description,
            "project_id": None if row.is_domain else row.place_id, "domain_id": row.place_id if row.is_domain else None,
            "links": self_link(ctx, "limits", row.id)}


@routes.get("/v3/limits/model", policy=Rule("identity:get_limit_model", policies.ANYONE))
async def show_model(ctx: Ctx) -> dict[str, Any]:
    name = ctx.app.config.limit_model
    return {"model": {"name": name, "description": MODELS[name]}, "links": links_of(ctx)}


@routes.get("/v3/limits", envelope="limits", policy=Rule("identity:list_limits", policies.ANYONE))
async def list_limits(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    """Everybody's for those who may get everybody's; else those of the caller's project, or of their domain."""
    found = limits.query()
    if not ctx.allows("identity:get_limit", {}):
        own = table.c.project_id == (ctx.caller.project_id or "")
        if ctx.caller.domain_id:
            own = sa.or_(project_table.c.domain_id == ctx.caller.domain_id, table.c.project_id == ctx.caller.domain_id)
        found = found.where(own)
    for name, is_domain in (("project_id", False), ("domain_id", True)):
        if name in query:
            found = found.where(table.c.project_id == query[name][-1], project_table.c.is_domain.is_(is_domain))
    found = narrowed(found, query, {
        "service_id": registered_limits.c.service_id, "region_id": registered_limits.c.region_id,
        "resource_name": registered_limits.c.resource_name})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, Limit, query), _view)


@routes.post("/v3/limits", envelope="limits", status=201, policy=Rule("identity:create_limits", policies.ADMIN))
async def create_limits(ctx: Ctx, body: list[LimitCreate]) -> Page[dict[str, Any]]:
    """All of them or none."""
    try:
        async with ctx.db.write() as tx:
            ids = [await _create(ctx, tx, each) for each in body]
            return Page([_view(ctx, await limits.get(tx, id)) for id in ids])
    except db.Taken as error:
        raise Duplicate(kind="limit", why="the project or domain has one of this resource.") from error


async def _create(ctx: Ctx, tx: Connection, asked: LimitCreate) -> str:
    if (asked.project_id is None) == (asked.domain_id is None):
        raise InvalidBody(reason="A limit is either of a project or of a domain.")
    place = await projects.find(tx, asked.project_id or asked.domain_id or "")
    if place is None or place.is_domain != (asked.project_id is None):
        raise InvalidBody(reason=f"Could not find project or domain: {asked.project_id or asked.domain_id}.")
    registered = await limits.find_registered(tx, asked.service_id, asked.region_id, asked.resource_name)
    if registered is None:
        raise InvalidBody(reason="Unable to create a limit that has no corresponding registered limit.")
    await _must_fit(ctx, tx, registered, place.id, place.parent_id, asked.resource_limit)
    row = LimitRow(id=new_hex(), project_id=place.id, registered_limit_id=registered.id,
                   resource_limit=asked.resource_limit, description=asked.description)
    await db.add(tx, table, row)
    return row.id


async def _must_fit(ctx: Ctx, tx: Connection, registered: RegisteredLimit, place_id: str, parent_id: str | None,
                    amount: int) -> None:
    """With the strict model: no more than the parent's, no less than any child's."""
    if ctx.app.config.limit_model == "flat":
        return
    above, below = await limits.around(tx, registered.id, place_id, parent_id)
    most = registered.default_limit if above is None else above
    if parent_id is not None and _more(amount, most):
        raise Refused(reason=f"The limit {amount} of {registered.resource_name} exceeds that of the parent, {most}.")
    if any(_more(each, amount) for each in below):
        raise Refused(reason=f"The limit {amount} of {registered.resource_name} is below that of a child, "
                             f"{max(below)}.")


def _more(amount: int, most: int) -> bool:
    return most != -1 and (amount == -1 or amount > most)


@routes.get("/v3/limits/{limit_id}", envelope="limit", target=LIMIT, policy=Rule("identity:get_limit", SHOW))
async def show_limit(ctx: Ctx, limit: Limit) -> dict[str, Any]:
    return _view(ctx, limit)


@routes.patch("/v3/limits/{limit_id}", envelope="limit", target=LIMIT,
              policy=Rule("identity:update_limit", policies.ADMIN))
async def update_limit(ctx: Ctx, limit: Limit, body: LimitUpdate) -> dict[str, Any]:
    values = given(body)
    async with ctx.db.write() as tx:
        if "resource_limit" in values:
            place = await projects.get(tx, limit.place_id)
            registered = await limits.get_registered(tx, limit.registered_limit_id)
            await _must_fit(ctx, tx, registered, place.id, place.parent_id, values["resource_limit"])
        await db.change(tx, table, limit.row, **values)
        return _view(ctx, await limits.get(tx, limit.id))


@routes.delete("/v3/limits/{limit_id}", target=LIMIT, policy=Rule("identity:delete_limit", policies.ADMIN))
async def delete_limit(ctx: Ctx, limit: Limit) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == limit.id))
