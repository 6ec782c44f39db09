"""Groups of users."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity import feed, policies
from pileus.identity.api.fields import Id, Name64, Unset, same_or_refused
from pileus.identity.api.listing import given, merged, narrowed, page, parsed, views
from pileus.identity.api.users import check_references, domain_and_name, told
from pileus.identity.api.views import group_view
from pileus.identity.directory import changes
from pileus.identity.faults import Duplicate, Missing
from pileus.identity.model import users
from pileus.identity.model.tables import groups as table
from pileus.identity.model.tables import memberships
from pileus.identity.model.tables import users as user_table
from pileus.identity.model.users import Group, User
from pileus.kit import db
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

GROUP = Target(users.get_group, missing=Missing, facts=policies.group_facts, refuse=policies.nothing)
DELETED = Target(users.get_group, missing=Missing, facts=policies.group_facts, hidden=lambda row, caller: False)
READ, WRITE = policies.reader_of("group"), policies.writer_of("group")
IN_DOMAIN = "domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s"
READ_MEMBER = f"{policies.ANY_ADMIN} or {policies.SYSTEM_READER} or (role:reader and {IN_DOMAIN})"
WRITE_MEMBER = f"{policies.ANY_ADMIN} or (role:manager and {IN_DOMAIN})"
routes = Routes()


class GroupCreate(msgspec.Struct, kw_only=True):
    name: Name64
    domain_id: Id | None = None
    description: str | None = ""


class GroupUpdate(msgspec.Struct, kw_only=True):
    name: Name64 | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET


@routes.get("/v3/groups", envelope="groups", policy=Rule("identity:list_groups", policies.LISTER))
async def list_groups(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    found = narrowed(sa.select(table), query, {"name": table.c.name, "domain_id": table.c.domain_id})
    if ctx.caller.domain_id:
        found = found.where(table.c.domain_id == ctx.caller.domain_id)
    await ctx.app.directories.refresh_groups(*domain_and_name(ctx, query))
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, Group, query), group_view)


@routes.post("/v3/groups", envelope="group", status=201, policy=Rule("identity:create_group", WRITE), check=False)
async def create_group(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(GroupCreate, body)
    domain_id = fields.domain_id or ctx.caller.domain_id or "default"
    ctx.must_allow("identity:create_group", {"target.group.domain_id": domain_id})
    directory = await ctx.app.directories.writable(domain_id, "group_allow_create")
    if directory is not None:
        values = {"name": fields.name, "description": fields.description or ""} | extra
        return group_view(ctx, await changes.add_group(ctx.app, directory, values))
    group = Group(id=new_hex(), domain_id=domain_id, name=fields.name, description=fields.description or "",
                  extra=extra)
    try:
        async with ctx.db.write() as tx:
            await check_references(tx, domain_id, None)
            await db.add(tx, table, group)
    except db.Taken as error:
        raise Duplicate(kind="group", why=f"Duplicate entry found with name {fields.name}.") from error
    return group_view(ctx, group)


@routes.get("/v3/groups/{group_id}", envelope="group", target=GROUP, policy=Rule("identity:get_group", READ))
async def show_group(ctx: Ctx, group: Group) -> dict[str, Any]:
    return group_view(ctx, group)


@routes.patch("/v3/groups/{group_id}", envelope="group", target=GROUP, policy=Rule("identity:update_group", WRITE))
async def update_group(ctx: Ctx, group: Group, body: dict[str, Any]) -> dict[str, Any]:
    directory = await ctx.app.directories.writable(group.domain_id, "group_allow_update")
    for name in ("id", "domain_id"):
        same_or_refused(body, name, getattr(group, name))
    fields, extra = parsed(GroupUpdate, {key: value for key, value in body.items() if key != "domain_id"})
    values = given(fields)
    if "description" in values:
        values["description"] = values["description"] or ""
    if directory is not None:
        return group_view(ctx, await changes.change_group(ctx.app, directory, group, values | extra))
    if extra:
        values["extra"] = merged(group.extra, extra)
    try:
        async with ctx.db.write() as tx:
            return group_view(ctx, await db.change(tx, table, group, **values))
    except db.Taken as error:
        raise Duplicate(kind="group", why=f"Duplicate entry found with name {values['name']}.") from error


@routes.delete("/v3/groups/{group_id}", target=DELETED, policy=Rule("identity:delete_group", WRITE))
async def delete_group(ctx: Ctx, group: Group) -> None:
    directory = await ctx.app.directories.writable(group.domain_id, "group_allow_delete")
    if directory is not None:
        await changes.remove_group(ctx.app, directory, group)
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == group.id))
        await ctx.app.announce(tx, feed.EVERYTHING)


# -- members ------------------------------------------------------------------------------------------------------


@routes.get("/v3/groups/{group_id}/users", envelope="users", target=GROUP,
            policy=Rule("identity:list_users_in_group", READ))
async def list_members(ctx: Ctx, group: Group, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    await ctx.app.directories.refresh_members(group)
    found = sa.select(user_table).join(memberships, memberships.c.user_id == user_table.c.id)
    found = narrowed(found.where(memberships.c.group_id == group.id), query, {
        "name": user_table.c.name, "enabled": user_table.c.enabled})
    if ctx.caller.domain_id:
        found = found.where(user_table.c.domain_id == ctx.caller.domain_id)
    return await told(ctx, found, query)


async def _pair(ctx: Ctx, rule: str, group_id: str, user_id: str) -> tuple[Group, User]:
    """Both, if the caller may deal with both; strangers are not told which of them is there."""
    try:
        async with ctx.db.read() as reader:
            group, user = await users.get_group(reader, group_id), await users.get(reader, user_id)
    except Missing:
        ctx.must_allow(rule, {})
        raise
    ctx.must_allow(rule, policies.group_facts(group) | policies.user_facts(user))
    return group, user


@routes.head("/v3/groups/{group_id}/users/{user_id}", status=204, check=False,
             policy=Rule("identity:check_user_in_group", READ_MEMBER))
@routes.get("/v3/groups/{group_id}/users/{user_id}", status=204, check=False,
            policy=Rule("identity:check_user_in_group", READ_MEMBER))
async def check_member(ctx: Ctx, group_id: str, user_id: str) -> None:
    group, _ = await _pair(ctx, "identity:check_user_in_group", group_id, user_id)
    await ctx.app.directories.refresh_members(group)
    async with ctx.db.read() as reader:
        if not await users.is_member(reader, group_id, user_id):
            raise Missing(kind="user in group", id=user_id)


@routes.put("/v3/groups/{group_id}/users/{user_id}", status=204, check=False,
            policy=Rule("identity:add_user_to_group", WRITE_MEMBER))
async def add_member(ctx: Ctx, group_id: str, user_id: str) -> None:
    group, user = await _pair(ctx, "identity:add_user_to_group", group_id, user_id)
    directory = await ctx.app.directories.writable(group.domain_id, "group_allow_update")
    if directory is not None:
        await changes.join(ctx.app, directory, group, user)
    async with ctx.db.write() as tx:
        if not await users.is_member(tx, group_id, user_id):
            await tx.execute(memberships.insert().values(group_id=group_id, user_id=user_id))
            await ctx.app.announce(tx, f"user:{user_id}")


@routes.delete("/v3/groups/{group_id}/users/{user_id}", check=False,
               policy=Rule("identity:remove_user_from_group", WRITE_MEMBER))
async def remove_member(ctx: Ctx, group_id: str, user_id: str) -> None:
    group, user = await _pair(ctx, "identity:remove_user_from_group", group_id, user_id)
    directory = await ctx.app.directories.writable(group.domain_id, "group_allow_update")
    if directory is not None:
        await ctx.app.directories.refresh_members(group)
        async with ctx.db.read() as reader:
            if not await users.is_member(reader, group_id, user_id):
                raise Missing(kind="user in group", id=user_id)
        await changes.leave(ctx.app, directory, group, user)
    gone = memberships.delete().where(memberships.c.group_id == group_id, memberships.c.user_id == user_id)
    async with ctx.db.write() as tx:
        if not await db.update(tx, gone):
            raise Missing(kind="user in group", id=user_id)
        await ctx.app.announce(tx, f"user:{user_id}")
