"""OS-EP-FILTER: which endpoints the catalogs of a project show."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity import feed, policies
from pileus.identity.api.fields import Name255, Unset
from pileus.identity.api.listing import given, links_of, narrowed, page, views
from pileus.identity.api.views import endpoint_view, project_view, self_link
from pileus.identity.faults import InvalidBody, Missing
from pileus.identity.model import catalog, endpoint_filter, projects
from pileus.identity.model.catalog import Endpoint
from pileus.identity.model.endpoint_filter import FILTERS, EndpointGroup
from pileus.identity.model.projects import Project
from pileus.identity.model.tables import endpoint_groups as table
from pileus.identity.model.tables import endpoints as endpoint_table
from pileus.identity.model.tables import project_endpoint_groups, project_endpoints
from pileus.identity.model.tables import projects as project_table
from pileus.kit import db
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

GROUP = Target(endpoint_filter.get_group, missing=Missing, refuse=policies.nothing)
PROJECT = Target(projects.get, missing=Missing, facts=policies.project_facts, refuse=policies.nothing)
ENDPOINT = Target(catalog.get_endpoint, missing=Missing, refuse=policies.nothing)
READ, WRITE = policies.READER, policies.ADMIN
ROOT = "/v3/OS-EP-FILTER"
GROUPS = f"{ROOT}/endpoint_groups"
routes = Routes()


class GroupCreate(msgspec.Struct, kw_only=True):
    name: Name255
    filters: dict[str, str]
    description: str | None = None


class GroupUpdate(msgspec.Struct, kw_only=True):
    """Clients send null for a name and filters that they leave as they are."""

    name: Name255 | None | Unset = msgspec.UNSET
    filters: dict[str, str] | None | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET


def _view(ctx: Ctx, row: EndpointGroup) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "description": row.description, "filters": row.filters,
            "links": self_link(ctx, "OS-EP-FILTER", "endpoint_groups", row.id)}


def _must_be_known(filters: dict[str, str]) -> dict[str, str]:
    if unknown := set(filters) - set(FILTERS):
        raise InvalidBody(reason=f"Endpoints are filtered by {', '.join(FILTERS)}, not by {', '.join(unknown)}.")
    return filters


@routes.get(GROUPS, envelope="endpoint_groups", policy=Rule("identity:list_endpoint_groups", READ))
async def list_endpoint_groups(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(table), query, {"name": table.c.name})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, EndpointGroup, query), _view)


@routes.post(GROUPS, envelope="endpoint_group", status=201, policy=Rule("identity:create_endpoint_group", WRITE))
async def create_endpoint_group(ctx: Ctx, body: GroupCreate) -> dict[str, Any]:
    group = EndpointGroup(id=new_hex(), name=body.name, description=body.description,
                          filters=_must_be_known(body.filters))
    async with ctx.db.write() as tx:
        await db.add(tx, table, group)
    return _view(ctx, group)


@routes.head(f"{GROUPS}/{{endpoint_group_id}}", target=GROUP, policy=Rule("identity:get_endpoint_group", READ))
async def check_endpoint_group(ctx: Ctx, group: EndpointGroup) -> None:
    """200 or 404."""


@routes.get(f"{GROUPS}/{{endpoint_group_id}}", envelope="endpoint_group", target=GROUP,
            policy=Rule("identity:get_endpoint_group", READ))
async def show_endpoint_group(ctx: Ctx, group: EndpointGroup) -> dict[str, Any]:
    return _view(ctx, group)


@routes.patch(f"{GROUPS}/{{endpoint_group_id}}", envelope="endpoint_group", target=GROUP,
              policy=Rule("identity:update_endpoint_group", WRITE))
async def update_endpoint_group(ctx: Ctx, group: EndpointGroup, body: GroupUpdate) -> dict[str, Any]:
    values = {name: value for name, value in given(body).items() if value is not None or name == "description"}
    _must_be_known(body.filters or {})
    async with ctx.db.write() as tx:
        await ctx.app.announce(tx, feed.CATALOG)
        return _view(ctx, await db.change(tx, table, group, **values))


@routes.delete(f"{GROUPS}/{{endpoint_group_id}}", target=GROUP, policy=Rule("identity:delete_endpoint_group", WRITE))
async def delete_endpoint_group(ctx: Ctx, group: EndpointGroup) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == group.id))
        await ctx.app.announce(tx, feed.CATALOG)


@routes.get(f"{GROUPS}/{{endpoint_group_id}}/endpoints", target=GROUP,
            policy=Rule("identity:list_endpoints_associated_with_endpoint_group", READ))
async def list_endpoints_of_group(ctx: Ctx, group: EndpointGroup) -> dict[str, Any]:
    found = sa.select(endpoint_table).where(*(endpoint_table.c[key] == value for key, value in group.filters.items()))
    async with ctx.db.read() as reader:
        rows = await db.many(reader, found.order_by(endpoint_table.c.id), Endpoint)
    return {"endpoints": [endpoint_view(ctx, row) for row in rows], "links": links_of(ctx)}


# -- projects and what they are shown -----------------------------------------------------------------------------


@routes.get(f"{ROOT}/projects/{{project_id}}/endpoints", target=PROJECT,
            policy=Rule("identity:list_endpoints_for_project", READ))
async def list_endpoints_of_project(ctx: Ctx, project: Project) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        rows = await endpoint_filter.endpoints_of(reader, project.id)
    return {"endpoints": [endpoint_view(ctx, row) for row in rows], "links": links_of(ctx)}


@routes.get(f"{ROOT}/projects/{{project_id}}/endpoint_groups", target=PROJECT,
            policy=Rule("identity:list_endpoint_groups_for_project", READ))
async def list_groups_of_project(ctx: Ctx, project: Project) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        rows = await endpoint_filter.groups_of(reader, project.id)
    return {"endpoint_groups": [_view(ctx, row) for row in rows], "links": links_of(ctx)}


@routes.get(f"{ROOT}/endpoints/{{endpoint_id}}/projects", envelope="projects", target=ENDPOINT,
            policy=Rule("identity:list_projects_for_endpoint", READ))
async def list_projects_of_endpoint(ctx: Ctx, endpoint: Endpoint, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    given_to = sa.select(project_endpoints.c.project_id).where(project_endpoints.c.endpoint_id == endpoint.id)
    return await _projects(ctx, given_to, query)


@routes.get(f"{GROUPS}/{{endpoint_group_id}}/projects", envelope="projects", target=GROUP,
            policy=Rule("identity:list_projects_associated_with_endpoint_group", READ))
async def list_projects_of_group(ctx: Ctx, group: EndpointGroup, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    given_to = sa.select(project_endpoint_groups.c.project_id).where(
        project_endpoint_groups.c.endpoint_group_id == group.id)
    return await _projects(ctx, given_to, query)


async def _projects(ctx: Ctx, ids: sa.Select[Any], query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = sa.select(project_table).where(project_table.c.id.in_(ids))
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, project_table.c.id, Project, query), project_view)


class Ties:
    """Tying one kind of thing (endpoints, groups of them) to projects."""

    def __init__(self, path: str, column: str, tied: sa.Table, get: Any, names: tuple[str, str, str]):
        self.tied, self.column, self.get = tied, column, get
        routes.put(path, status=204, policy=Rule(f"identity:{names[0]}", WRITE))(self.tie)
        routes.head(path, status=204, policy=Rule(f"identity:{names[1]}", READ))(self.check)
        routes.delete(path, policy=Rule(f"identity:{names[2]}", WRITE))(self.untie)

    def _where(self, project_id: str, thing_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(self.tied.c.project_id == project_id, self.tied.c[self.column] == thing_id)

    async def tie(self, ctx: Ctx, project_id: str, thing_id: str) -> None:
        async with ctx.db.write() as tx:
            await self.get(tx, thing_id)
            await projects.get(tx, project_id)
            if not await db.scalar(tx, sa.select(self.tied.c.project_id).where(self._where(project_id, thing_id))):
                await tx.execute(self.tied.insert().values(**{"project_id": project_id, self.column: thing_id}))
                await ctx.app.announce(tx, feed.CATALOG)

    async def check(self, ctx: Ctx, project_id: str, thing_id: str) -> None:
        async with ctx.db.read() as reader:
            if not await db.scalar(reader, sa.select(self.tied.c.project_id).where(self._where(project_id, thing_id))):
                raise Missing(kind="association of endpoint or group", id=thing_id)

    async def untie(self, ctx: Ctx, project_id: str, thing_id: str) -> None:
        async with ctx.db.write() as tx:
            if not await db.update(tx, self.tied.delete().where(self._where(project_id, thing_id))):
                raise Missing(kind="association of endpoint or group", id=thing_id)
            await ctx.app.announce(tx, feed.CATALOG)


_ENDPOINTS = Ties(f"{ROOT}/projects/{{project_id}}/endpoints/{{thing_id}}", "endpoint_id", project_endpoints,
                  catalog.get_endpoint,
                  ("add_endpoint_to_project", "check_endpoint_in_project", "remove_endpoint_from_project"))
_GROUPS = Ties(f"{GROUPS}/{{thing_id}}/projects/{{project_id}}", "endpoint_group_id", project_endpoint_groups,
               endpoint_filter.get_group,
               ("add_endpoint_group_to_project", "get_endpoint_group_in_project", "remove_endpoint_group_from_project"))


@routes.get(f"{ROOT}/projects/{{project_id}}/endpoints/{{thing_id}}", status=204,
            policy=Rule("identity:check_endpoint_in_project", READ))
async def check_endpoint_of_project(ctx: Ctx, project_id: str, thing_id: str) -> None:
    await _ENDPOINTS.check(ctx, project_id, thing_id)


@routes.get(f"{GROUPS}/{{thing_id}}/projects/{{project_id}}", envelope="endpoint_group",
            policy=Rule("identity:get_endpoint_group_in_project", READ))
async def show_group_of_project(ctx: Ctx, project_id: str, thing_id: str) -> dict[str, Any]:
    await _GROUPS.check(ctx, project_id, thing_id)
    async with ctx.db.read() as reader:
        return _view(ctx, await endpoint_filter.get_group(reader, thing_id))
