"""os-server-groups: policies that keep servers together or apart."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import versions
from pileus.compute.api.room import kept_limits
from pileus.compute.api.values import BIGGEST, MOST, whole
from pileus.compute.faults import GroupNotFound, QuotaExceeded
from pileus.compute.model import groups, quotas
from pileus.compute.model.groups import ANTI, MOST_PER_HOST, Group, Member
from pileus.compute.model.tables import groups as table
from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

routes = Routes()
ALL, ONE = "/v2.1/os-server-groups", "/v2.1/os-server-groups/{group_id}"
GROUP = Target(groups.get, missing=GroupNotFound)
ALL_PROJECTS = Rule("os_compute_api:os-server-groups:index:all_projects", ADMIN)
RULES = (ALL_PROJECTS,)
Hard = Literal["affinity", "anti-affinity"]
Policy = Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


def _rule(name: str, check: str = PROJECT_MEMBER) -> Rule:
    return Rule(f"os_compute_api:os-server-groups:{name}", check)


class Rules(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    most_per_host: int | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}$")] | UnsetType = msgspec.field(
        name=MOST_PER_HOST, default=UNSET)


class GroupCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    policies: Annotated[Annotated[list[Policy], msgspec.Meta(min_length=1, max_length=1)] | UnsetType,
                        until(versions.GROUP_POLICY)] = UNSET
    policy: Annotated[Policy | UnsetType, since(versions.GROUP_POLICY)] = UNSET
    rules: Annotated[Rules | UnsetType, since(versions.GROUP_POLICY)] = UNSET


class GroupView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    members: list[str]
    policies: Annotated[list[str], until(versions.GROUP_POLICY)]
    metadata: Annotated[dict[str, str], until(versions.GROUP_POLICY)]
    project_id: Annotated[str, since(versions.GROUP_OWNER)]
    user_id: Annotated[str, since(versions.GROUP_OWNER)]
    policy: Annotated[str, since(versions.GROUP_POLICY)]
    rules: Annotated[dict[str, int], since(versions.GROUP_POLICY)]


def view(group: Group, members: list[Member]) -> GroupView:
    return GroupView(id=group.id, name=group.name, members=[each.id for each in members], policies=[group.policy],
                     metadata={}, project_id=group.project_id, user_id=group.user_id, policy=group.policy,
                     rules=group.rules)


class GroupQuery(msgspec.Struct, kw_only=True):
    all_projects: str | None = None
    limit: int | None = None
    offset: Annotated[int, msgspec.Meta(le=BIGGEST)] = 0


@routes.get(ALL, envelope="server_groups", policy=_rule("index", PROJECT_READER), strict=versions.STRICT_QUERIES)
async def list_groups(ctx: Ctx, query: GroupQuery) -> Page[GroupView]:
    everyone = query.all_projects is not None and ctx.allows(ALL_PROJECTS.name)
    if (query.limit or 0) < 0 or query.offset < 0:
        raise BadRequest(reason="Invalid input for query parameters limit or offset.")
    async with ctx.db.read() as reader:
        limit = MOST if query.limit is None else min(query.limit, MOST)
        found = await groups.page(reader, None if everyone else ctx.caller.project_id, limit=limit,
                                  offset=query.offset)
        members = await groups.members(reader, [group.id for group in found])
    return Page([view(group, members.get(group.id, [])) for group in found])


def _rules(body: GroupCreate, policy: str) -> dict[str, int]:
    if body.rules is UNSET or body.rules.most_per_host is UNSET:
        return {}
    if policy != ANTI:
        raise BadRequest(reason="Only anti-affinity policy supports rules.")
    return {MOST_PER_HOST: whole(body.rules.most_per_host, MOST_PER_HOST, 1)}


@routes.post(ALL, status=200, envelope="server_group", policy=_rule("create"))
async def create_group(ctx: Ctx, body: GroupCreate) -> GroupView:
    asked = body.policies[0] if isinstance(body.policies, list) else body.policy
    if asked is UNSET:
        raise BadRequest(reason="Invalid input for field/attribute server_group. A policy is needed.")
    if asked.startswith("soft-") and ctx.version < versions.SOFT_POLICIES:
        raise BadRequest(reason=f"Invalid input for field/attribute policies. '{asked}' is not known before 2.15.")
    if not body.name.strip() or body.name != body.name.strip():
        raise BadRequest(reason=f"Invalid input for field/attribute name. Value: {body.name}.")
    group = Group(id=new_uuid(), project_id=ctx.caller.project_id or "", user_id=ctx.caller.user_id, name=body.name,
                  policy=asked, rules=_rules(body, asked), created_at=ctx.clock())
    kept = await kept_limits(ctx, group.project_id)
    async with ctx.db.write() as tx:
        await quotas.take_turn(tx, group.project_id)
        limit = (await quotas.limits(tx, ctx.app.config, group.project_id, kept=kept))["server_groups"]
        used = await groups.count(tx, group.project_id)
        if limit != quotas.UNLIMITED and used >= limit:
            raise QuotaExceeded(resource="server_groups", wanted=1, used=used, limit=limit)
        await db.add(tx, table, group)
    return view(group, [])


@routes.get(ONE, envelope="server_group", target=GROUP, policy=_rule("show", PROJECT_READER))
async def show_group(ctx: Ctx, group: Group) -> GroupView:
    async with ctx.db.read() as reader:
        found = await groups.members(reader, [group.id])
    return view(group, found.get(group.id, []))


@routes.delete(ONE, target=GROUP, policy=_rule("delete"))
async def delete_group(ctx: Ctx, group: Group) -> None:
    async with ctx.db.write() as tx:
        await groups.remove(tx, group.id)


async def group_of_hint(conn: Any, ctx: Ctx, hints: dict[str, Any]) -> str | None:
    """The group that a new server is to be in, which has to be its project's."""
    wanted = hints.get("group")
    if wanted is None:
        return None
    if isinstance(wanted, list):
        wanted = wanted[0] if wanted else ""
    try:
        group = await groups.get(conn, str(wanted))
    except GroupNotFound:
        raise BadRequest(reason=f"Instance group {wanted} could not be found.") from None
    if group.project_id != ctx.caller.project_id:
        raise BadRequest(reason=f"Instance group {wanted} could not be found.")
    return group.id


async def room_in_group(tx: Any, group_id: str, limit: int, low: int, high: int) -> int:
    """How many servers fit into the group, at least `low`; in the turn of its project. Raises QuotaExceeded."""
    if limit == quotas.UNLIMITED:
        return high
    used = await groups.count_members(tx, group_id)
    if limit - used < low:
        raise QuotaExceeded(resource="server_group_members", wanted=low, used=used, limit=limit)
    return min(high, limit - used)
