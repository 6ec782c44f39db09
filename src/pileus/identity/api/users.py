"""Users: who can log in."""

from __future__ import annotations

import contextlib
import operator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.fields import Id, Name255, Options, Unset, same_or_refused
from pileus.identity.api.listing import given, merged, narrowed, page, parsed, views
from pileus.identity.api.projects import narrowed_projects
from pileus.identity.api.views import group_view, project_view, user_view
from pileus.identity.compliance import must_be_unlocked, must_differ, with_user_options
from pileus.identity.directory import changes
from pileus.identity.faults import Duplicate, InvalidBody, Missing, PasswordExpired
from pileus.identity.model import projects, roles, users
from pileus.identity.model.projects import Project
from pileus.identity.model.tables import groups as group_table
from pileus.identity.model.tables import memberships
from pileus.identity.model.tables import projects as project_table
from pileus.identity.model.tables import users as table
from pileus.identity.model.users import Group, User
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

USER = Target(users.get, missing=Missing, facts=policies.user_facts, refuse=policies.nothing)
READ = f"{policies.reader_of('user')} or {policies.OWNER}"
WRITE = policies.writer_of("user")
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
routes = Routes()


class UserCreate(msgspec.Struct, kw_only=True):
    name: Name255
    domain_id: Id | None = None
    password: Password | None = None
    enabled: bool = True
    default_project_id: Id | None = None
    options: Options = {}


class UserUpdate(msgspec.Struct, kw_only=True):
    name: Name255 | Unset = msgspec.UNSET
    password: Password | None | Unset = msgspec.UNSET
    enabled: bool | Unset = msgspec.UNSET
    default_project_id: Id | None | Unset = msgspec.UNSET
    options: Options | Unset = msgspec.UNSET


class PasswordChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    password: Password
    original_password: Password


@routes.get("/v3/users", envelope="users", policy=Rule("identity:list_users", policies.LISTER))
async def list_users(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(table), query, {
        "name": table.c.name, "domain_id": table.c.domain_id, "enabled": table.c.enabled})
    for wanted in query.get("password_expires_at", ()):
        found = found.where(_password_ends(wanted))
    if ctx.caller.domain_id:
        found = found.where(table.c.domain_id == ctx.caller.domain_id)
    await ctx.app.directories.refresh_users(*domain_and_name(ctx, query))
    return await told(ctx, found, query)


async def told(ctx: Ctx, found: sa.Select[Any], query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    async with ctx.db.read() as reader:
        rows, marker = await page(reader, found, table.c.id, User, query)
        return views(ctx, (await ctx.app.compliance.as_told(reader, rows), marker), user_view)


def domain_and_name(ctx: Ctx, query: dict[str, list[str]]) -> tuple[str | None, str | None]:
    """The domain a list is of, if it is of one, and the name looked for."""
    domain_id = query.get("domain_id", [None])[-1]
    return ctx.caller.domain_id or domain_id, query.get("name", [None])[-1]


COMPARED = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge, "eq": operator.eq,
            "neq": operator.ne}


def _password_ends(wanted: str) -> sa.ColumnElement[bool]:
    """As `lt:2027-01-25T08:00:00Z`; a time alone means that very moment."""
    how, _, text = wanted.partition(":")
    compare, text = (COMPARED[how], text) if how in COMPARED else (operator.eq, wanted)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidBody(reason=f"Invalid query: password_expires_at is no time: {text!r}.") from error
    seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return compare(table.c.password_expires_at, seconds)


async def check_references(conn: Connection, domain_id: str, default_project_id: str | None) -> None:
    domain = await projects.find(conn, domain_id)
    if domain is None or not domain.is_domain:
        raise Missing(kind="domain", id=domain_id)
    project = await projects.find(conn, default_project_id) if default_project_id else None
    if project is not None and project.is_domain:
        raise InvalidBody(reason=f"User's default project cannot be a domain: {default_project_id}.")


@routes.post("/v3/users", envelope="user", status=201, policy=Rule("identity:create_user", WRITE), check=False)
async def create_user(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(UserCreate, body)
    domain_id = fields.domain_id or ctx.caller.domain_id or "default"
    ctx.must_allow("identity:create_user", {"target.user.domain_id": fields.domain_id} if fields.domain_id else {})
    directory = await ctx.app.directories.writable(domain_id, "user_allow_create")
    now = ctx.clock()
    options = with_user_options({}, fields.options)
    if directory is not None:
        values = {"name": fields.name, "enabled": fields.enabled, "default_project_id": fields.default_project_id}
        async with ctx.db.read() as reader:
            await check_references(reader, domain_id, fields.default_project_id)
        return user_view(ctx, await changes.add_user(ctx.app, directory, values | extra, fields.password, options))
    secret = await ctx.app.compliance.set(fields.password, options) if fields.password else {}
    user = User(id=new_hex(), domain_id=domain_id, name=fields.name, enabled=fields.enabled, extra=extra,
                default_project_id=fields.default_project_id, options=options, created_at=now, **secret)
    try:
        async with ctx.db.write() as tx:
            await check_references(tx, domain_id, fields.default_project_id)
            await db.add(tx, table, user)
    except db.Taken as error:
        raise _taken(user.name, domain_id) from error
    return user_view(ctx, user)


def _taken(name: str, domain_id: str) -> Duplicate:
    return Duplicate(kind="user", why=f"Duplicate entry found with name {name} at domain ID {domain_id}.")


@routes.head("/v3/users/{user_id}", target=USER, policy=Rule("identity:get_user", READ))
async def check_user(ctx: Ctx, user: User) -> None:
    """200 or 404."""


@routes.get("/v3/users/{user_id}", envelope="user", target=USER, policy=Rule("identity:get_user", READ))
async def show_user(ctx: Ctx, user: User) -> dict[str, Any]:
    user = await ctx.app.directories.refreshed_user(user)
    async with ctx.db.read() as reader:
        return user_view(ctx, *await ctx.app.compliance.as_told(reader, [user]))


@routes.patch("/v3/users/{user_id}", envelope="user", target=USER, policy=Rule("identity:update_user", WRITE))
async def update_user(ctx: Ctx, user: User, body: dict[str, Any]) -> dict[str, Any]:
    directory = await ctx.app.directories.writable(user.domain_id, "user_allow_update")
    for name in ("id", "domain_id"):
        same_or_refused(body, name, getattr(user, name))
    fields, extra = parsed(UserUpdate, {key: value for key, value in body.items() if key != "domain_id"})
    values = given(fields)
    ends_tokens = values.get("enabled") is False or "password" in values
    if "options" in values:
        values["options"] = with_user_options(user.options, values["options"])
    if directory is not None:
        async with ctx.db.read() as reader:
            await check_references(reader, user.domain_id, values.get("default_project_id"))
        password, options = values.pop("password", None), values.pop("options", None)
        return user_view(ctx, await changes.change_user(
            ctx.app, directory, user, values | extra, password, options))
    if "password" in values:
        values |= await ctx.app.compliance.set(values.pop("password"), values.get("options", user.options))
    if extra:
        values["extra"] = merged(user.extra, extra)
    try:
        async with ctx.db.write() as tx:
            await check_references(tx, user.domain_id, values.get("default_project_id"))
            await ctx.app.announce(tx, f"user:{user.id}", revoke=ends_tokens)
            if "password_hash" in values:
                await ctx.app.compliance.remember(tx, user)
            if values.get("enabled"):
                await ctx.app.compliance.readmit(tx, user)
            changed = await db.change(tx, table, user, **values)
    except db.Taken as error:
        raise _taken(values["name"], user.domain_id) from error
    return user_view(ctx, changed)


@routes.delete("/v3/users/{user_id}", target=USER, policy=Rule("identity:delete_user", WRITE))
async def delete_user(ctx: Ctx, user: User) -> None:
    directory = await ctx.app.directories.writable(user.domain_id, "user_allow_delete")
    if directory is not None:
        await changes.remove_user(ctx.app, directory, user)
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == user.id))
        await ctx.app.announce(tx, f"user:{user.id}", revoke=True)


@routes.post("/v3/users/{user_id}/password", envelope="user", policy=None, status=204)
async def change_password(ctx: Ctx, user_id: str, body: PasswordChange) -> None:
    """Whoever knows the password may change it; no token is asked for, since it may have ended with the password."""
    async with ctx.db.read() as reader:
        user = await users.find(reader, user_id)
    if user is not None and await ctx.app.directories.of(user.domain_id) is not None:
        await changes.change_own_password(ctx.app, user, body.original_password, body.password)
        return
    compliance = ctx.app.compliance
    with contextlib.suppress(PasswordExpired):
        await compliance.verify(ctx.db, user, body.original_password)
    if user is None or not user.enabled:
        raise Unauthorized()
    must_be_unlocked(user)
    must_differ(body.original_password, body.password)
    await compliance.must_be_new(ctx.db, user, body.password)
    columns = await compliance.set(body.password, user.options, by_admin=False)
    async with ctx.db.write() as tx:
        await ctx.app.announce(tx, f"user:{user.id}", revoke=True)
        await compliance.remember(tx, user)
        await db.change(tx, table, user, **columns)


@routes.get("/v3/users/{user_id}/groups", envelope="groups", target=USER,
            policy=Rule("identity:list_groups_for_user", READ))
async def list_groups_of_user(ctx: Ctx, user: User, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    await ctx.app.directories.refreshed_user(user)
    found = sa.select(group_table).join(memberships, memberships.c.group_id == group_table.c.id)
    found = narrowed(found.where(memberships.c.user_id == user.id), query, {"name": group_table.c.name})
    if ctx.caller.domain_id and ctx.caller.user_id != user.id:
        found = found.where(group_table.c.domain_id == ctx.caller.domain_id)
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, group_table.c.id, Group, query), group_view)


@routes.get("/v3/users/{user_id}/projects", envelope="projects", target=USER,
            policy=Rule("identity:list_user_projects", READ))
async def list_projects_of_user(ctx: Ctx, user: User, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    async with ctx.db.read() as reader:
        found = sa.select(project_table).where(roles.reachable(await roles.of_user(reader, user.id)))
        found = narrowed_projects(found, query)
        return views(ctx, await page(reader, found, project_table.c.id, Project, query), project_view)
