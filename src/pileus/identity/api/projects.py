"""Projects, their tree and their tags."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.domains import apply_changes, remove_domain
from pileus.identity.api.fields import (
    Id,
    Name64,
    Options,
    Tag,
    Tags,
    Unset,
    must_be_mutable,
    must_be_unique,
    same_or_refused,
    with_options,
)
from pileus.identity.api.listing import Query, given, narrowed, page, parsed, views
from pileus.identity.api.views import project_view
from pileus.identity.faults import Duplicate, InvalidBody, Missing, Refused
from pileus.identity.model import projects
from pileus.identity.model.projects import Project, new_domain, new_project
from pileus.identity.model.tables import projects as table
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

PROJECT = Target(projects.get, missing=Missing, facts=policies.project_facts, refuse=policies.nothing)
READ = policies.reader_of("project") + " or project_id:%(target.project.id)s"
WRITE = policies.writer_of("project")
MANAGE_TAGS = f"{WRITE} or (role:admin and project_id:%(target.project.id)s)"
TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")
routes = Routes()


class ProjectCreate(msgspec.Struct, kw_only=True):
    name: Name64
    domain_id: Id | None = None
    parent_id: Id | None = None
    is_domain: bool = False
    description: str | None = ""
    enabled: bool = True
    tags: Tags = []
    options: Options = {}


class ProjectUpdate(msgspec.Struct, kw_only=True):
    name: Name64 | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET
    enabled: bool | Unset = msgspec.UNSET
    tags: Tags | Unset = msgspec.UNSET
    options: Options | Unset = msgspec.UNSET


class ProjectQuery(msgspec.Struct, kw_only=True):
    parents_as_list: str | None = None
    parents_as_ids: str | None = None
    subtree_as_list: str | None = None
    subtree_as_ids: str | None = None


COLUMNS: dict[str, sa.ColumnElement[Any]] = {
    "name": table.c.name, "domain_id": table.c.domain_id, "parent_id": table.c.parent_id, "enabled": table.c.enabled,
    "is_domain": table.c.is_domain}


def narrowed_projects(found: sa.Select[Any], query: Query) -> sa.Select[Any]:
    if "is_domain" not in query:
        found = found.where(table.c.is_domain.is_(False))
    found = narrowed(found, query, COLUMNS)
    return projects.tagged(found, {key: query[key][-1].split(",") for key in TAG_FILTERS if key in query})


@routes.get("/v3/projects", envelope="projects", policy=Rule("identity:list_projects", policies.LISTER))
async def list_projects(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed_projects(sa.select(table), query)
    if ctx.caller.domain_id:
        found = found.where(table.c.domain_id == ctx.caller.domain_id)
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, Project, query), project_view)


@routes.post("/v3/projects", envelope="project", status=201, policy=Rule("identity:create_project", WRITE), check=False)
async def create_project(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(ProjectCreate, body)
    domain_id = fields.domain_id or ctx.caller.domain_id or "default"
    ctx.must_allow("identity:create_project", {} if fields.is_domain else {"target.project.domain_id": domain_id})
    more: dict[str, Any] = {
        "description": fields.description or "", "enabled": fields.enabled, "extra": extra,
        "tags": must_be_unique(fields.tags), "options": with_options({}, fields.options)}
    try:
        async with ctx.db.write() as tx:
            if fields.is_domain:
                if fields.parent_id or fields.domain_id:
                    raise InvalidBody(reason="A project that acts as a domain has no domain and no parent.")
                project = new_domain(new_hex(), fields.name, **more)
            else:
                parent = await _parent(tx, ctx, fields, domain_id)
                project = new_project(new_hex(), fields.name, parent, **more)
            await projects.add(tx, project)
    except db.Taken as error:
        raise Duplicate(kind="project", why=f"it is not possible to create two projects named {fields.name} in one "
                                            "domain.") from error
    return project_view(ctx, project)


async def _parent(tx: Connection, ctx: Ctx, fields: ProjectCreate, domain_id: str) -> Project:
    if fields.parent_id is None:
        domain = await projects.find(tx, domain_id)
        if domain is None or not domain.is_domain:
            raise InvalidBody(reason=f"Could not find domain: {domain_id}.")
        return domain
    parent = await projects.find(tx, fields.parent_id)
    if parent is None:
        raise Missing(kind="project", id=fields.parent_id)
    owner = parent.id if parent.is_domain else parent.domain_id
    if fields.domain_id not in (None, owner):
        raise InvalidBody(reason="The parent project is in another domain.")
    if not ctx.allows("identity:create_project", {"target.project.domain_id": owner}):
        raise Refused(reason="You are not authorized to create projects there.")
    # Limits of the strict model know of domains and of projects right below them.
    deepest = 1 if ctx.app.config.limit_model == "strict_two_level" else ctx.app.config.tree_depth
    if len(parent.ancestors) >= deepest:
        raise Refused(reason=f"Projects nest at most {deepest} deep.")
    if not parent.enabled:
        raise Refused(reason=f"Cannot create a project in a branch containing a disabled project: {parent.id}")
    return parent


@routes.head("/v3/projects/{project_id}", target=PROJECT, policy=Rule("identity:get_project", READ))
async def check_project(ctx: Ctx, project: Project) -> None:
    """200 or 404."""


@routes.get("/v3/projects/{project_id}", envelope="project", target=PROJECT, policy=Rule("identity:get_project", READ))
async def show_project(ctx: Ctx, project: Project, query: ProjectQuery) -> dict[str, Any]:
    view = project_view(ctx, project)
    ancestors = [] if project.is_domain else project.ancestors[1:]
    if query.parents_as_ids is not None:
        view["parents"] = _nested(list(reversed(ancestors)))
    async with ctx.db.read() as reader:
        if query.parents_as_list is not None:
            view["parents"] = [{"project": project_view(ctx, row)}
                               for row in await projects.by_ids(reader, set(ancestors))]
        if query.subtree_as_list is not None or query.subtree_as_ids is not None:
            below = await projects.below(reader, project)
            view["subtree"] = [{"project": project_view(ctx, row)} for row in below] \
                if query.subtree_as_list is not None else _tree(project, below)
    return view


def _nested(ids: list[str]) -> dict[str, Any] | None:
    return {ids[0]: _nested(ids[1:])} if ids else None


def _tree(project: Project, below: list[Project]) -> dict[str, Any] | None:
    branches = {row.id: _tree(row, below) for row in below if row.parent_id == project.id}
    return branches or None


@routes.patch("/v3/projects/{project_id}", envelope="project", target=PROJECT,
              policy=Rule("identity:update_project", WRITE))
async def update_project(ctx: Ctx, project: Project, body: dict[str, Any]) -> dict[str, Any]:
    for name in ("id", "domain_id", "parent_id", "is_domain"):
        same_or_refused(body, name, getattr(project, name))
    must_be_mutable("project", project, body)
    fields, extra = parsed(ProjectUpdate, {k: v for k, v in body.items()
                                           if k not in ("domain_id", "parent_id", "is_domain")})
    if fields.enabled is False and project.enabled and not project.is_domain:
        async with ctx.db.read() as reader:
            if any(row.enabled for row in await projects.below(reader, project)):
                raise Refused(
                    reason=f"Cannot disable project {project.id} since its subtree contains enabled projects.")
    kind = "domain" if project.is_domain else "project"
    return project_view(ctx, await apply_changes(ctx, project, given(fields), extra, f"{kind}:{project.id}"))



@routes.delete("/v3/projects/{project_id}", target=PROJECT, policy=Rule("identity:delete_project", WRITE))
async def delete_project(ctx: Ctx, project: Project) -> None:
    must_be_mutable("project", project)
    if project.is_domain:
        return await remove_domain(ctx, project)
    async with ctx.db.write() as tx:
        if await projects.below(tx, project):
            raise Refused(reason=f"Cannot delete the project {project.id} since it is not a leaf in the hierarchy. "
                                 "Use the cascade option if you want to delete a whole subtree.")
        await projects.remove(tx, [project.id])
        await ctx.app.announce(tx, f"project:{project.id}", revoke=True)
    return None


# -- tags ---------------------------------------------------------------------------------------------------------


@routes.get("/v3/projects/{project_id}/tags", target=PROJECT, policy=Rule("identity:list_project_tags", READ))
async def list_tags(ctx: Ctx, project: Project) -> dict[str, Any]:
    return {"tags": project.tags, "links": {"self": ctx.url_with(), "next": None, "previous": None}}


@routes.put("/v3/projects/{project_id}/tags", target=PROJECT, policy=Rule("identity:update_project_tags", MANAGE_TAGS))
async def replace_tags(ctx: Ctx, project: Project, body: dict[str, Any]) -> dict[str, Any]:
    wanted = must_be_unique(_convert(body.get("tags")))
    await _write_tags(ctx, project, wanted)
    return {"tags": wanted, "links": {"self": ctx.url_with(), "next": None, "previous": None}}


@routes.delete("/v3/projects/{project_id}/tags", target=PROJECT,
               policy=Rule("identity:delete_project_tags", MANAGE_TAGS))
async def remove_tags(ctx: Ctx, project: Project) -> None:
    await _write_tags(ctx, project, [])


@routes.head("/v3/projects/{project_id}/tags/{tag}", target=PROJECT, status=204,
             policy=Rule("identity:get_project_tag", READ))
@routes.get("/v3/projects/{project_id}/tags/{tag}", target=PROJECT, status=204,
            policy=Rule("identity:get_project_tag", READ))
async def check_tag(ctx: Ctx, project: Project, tag: str) -> None:
    if tag not in project.tags:
        raise Missing(kind="project tag", id=tag)


@routes.put("/v3/projects/{project_id}/tags/{tag}", target=PROJECT, status=201,
            policy=Rule("identity:create_project_tag", MANAGE_TAGS))
async def add_tag(ctx: Ctx, project: Project, tag: str) -> None:
    tags = _convert([*(t for t in project.tags if t != tag), tag])
    await _write_tags(ctx, project, tags)
    ctx.headers["location"] = ctx.url_with()


@routes.delete("/v3/projects/{project_id}/tags/{tag}", target=PROJECT,
               policy=Rule("identity:delete_project_tag", MANAGE_TAGS))
async def remove_tag(ctx: Ctx, project: Project, tag: str) -> None:
    if tag not in project.tags:
        raise Missing(kind="project tag", id=tag)
    await _write_tags(ctx, project, [t for t in project.tags if t != tag])


def _convert(found: Any) -> list[Tag]:
    try:
        return msgspec.convert(found, Tags)
    except msgspec.ValidationError as error:
        raise InvalidBody(reason=f"Invalid input for tags: {error}") from None


async def _write_tags(ctx: Ctx, project: Project, tags: list[str]) -> None:
    async with ctx.db.write() as tx:
        await projects.change(tx, project, tags=tags)
