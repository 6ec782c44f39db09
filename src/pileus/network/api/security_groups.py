"""/v2.0/security-groups and /v2.0/security-group-rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule as PolicyRule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, group_rules
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import GRANTED_SHOW, MEMBER
from pileus.network.api.shapes import (
    Changed,
    Created,
    Id,
    ProjectId,
    Standard,
    Text,
    app,
    check_revision,
    given,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import address_groups, base, quotas, rbac, statefulness
from pileus.network.model import security_groups as groups
from pileus.network.model.security_groups import Rule, SecurityGroup
from pileus.network.model.sides import shared_at_all, sides

routes = Routes()


class GroupCreate(Created, kw_only=True, forbid_unknown_fields=True):
    stateful: bool | UnsetType = UNSET


class GroupUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    stateful: bool | UnsetType = UNSET


class RuleCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    security_group_id: Id
    direction: Literal["ingress", "egress"]
    ethertype: str | None = "IPv4"
    protocol: str | int | None = None
    port_range_min: int | str | None = None
    port_range_max: int | str | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None
    description: Text | None = ""
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class RuleView(msgspec.Struct, kw_only=True):
    id: str
    project_id: str
    tenant_id: str
    security_group_id: str
    direction: str
    ethertype: str
    protocol: str | None
    port_range_min: int | None
    port_range_max: int | None
    remote_ip_prefix: str | None
    normalized_cidr: str | None
    remote_group_id: str | None
    remote_address_group_id: str | None
    description: str
    created_at: str
    updated_at: str
    revision_number: int
    tags: list[str] = []
    belongs_to_default_sg: bool = False


class GroupView(Standard, kw_only=True):
    stateful: bool
    shared: bool = False
    security_group_rules: list[RuleView]


def rule_view(row: Rule, tags: list[str], *, of_default: bool = False) -> RuleView:
    shown = standard(row, tags)
    del shown["name"]
    return RuleView(
        **shown, security_group_id=row.security_group_id, direction=row.direction, ethertype=row.ethertype,
        protocol=row.protocol, port_range_min=row.port_range_min, port_range_max=row.port_range_max,
        remote_ip_prefix=row.remote_ip_prefix, normalized_cidr=group_rules.normalized(row.remote_ip_prefix),
        remote_group_id=row.remote_group_id,
        remote_address_group_id=row.remote_address_group_id, belongs_to_default_sg=of_default)


def view(row: SecurityGroup, rules: Sequence[Rule], tags: dict[str, list[str]], shared: bool) -> GroupView:
    return GroupView(**standard(row, tags[row.id]), stateful=row.stateful, shared=shared, security_group_rules=[
        rule_view(rule, tags[rule.id], of_default=row.default_of is not None) for rule in rules])


async def views(conn: Connection, rows: Sequence[SecurityGroup]) -> list[GroupView]:
    return (await _viewed(conn, rows, ()))[0]


async def _viewed(
    conn: Connection, rows: Sequence[SecurityGroup], projects: Iterable[str],
) -> tuple[list[GroupView], set[str]]:
    """The views, and which of the projects have a default group."""
    ids = [row.id for row in rows]
    rules = await groups.rules_of(conn, ids)
    beside = await sides(conn, [*ids, *(rule.id for own in rules.values() for rule in own)],
                         shared=shared_at_all(ids), projects=projects)
    return [view(row, rules[row.id], beside.tags, row.id in beside.shared) for row in rows], beside.projects


def visible(ctx: Ctx, table: sa.Table, group_id: str = "id") -> sa.ColumnElement[bool] | None:
    mine = ctx.caller.project_id or ""
    return None if sees_all(ctx) else sa.or_(
        table.c.project_id == mine, table.c[group_id].in_(rbac.granted("security_group", mine)))


async def granted(reader: Connection, row: SecurityGroup, caller: Caller) -> bool:
    return await rbac.is_given(reader, "security_group", row.id, caller.project_id)


async def rule_granted(reader: Connection, row: Rule, caller: Caller) -> bool:
    return await rbac.is_given(reader, "security_group", row.security_group_id, caller.project_id)


def _is_shared(wanted: list[bool]) -> sa.ColumnElement[bool]:
    shared = groups.security_groups.c.id.in_(sa.select(rbac.policies.c.object_id).where(
        rbac.policies.c.object_type == "security_group"))
    return sa.or_(*(shared if one else sa.not_(shared) for one in wanted))


GROUP = Target(groups.get, missing=faults.GroupNotFound, granted=granted)
RULE = Target(groups.get_rule, missing=faults.RuleNotFound, granted=rule_granted)
GROUPS = Listing(collection="security_groups", table=groups.security_groups, row=SecurityGroup,
                 columns=listing.columns_of(groups.security_groups, "default_of"),
                 filters={"shared": lambda values: _is_shared([value.lower() in ("true", "1") for value in values])})
RULES = Listing(collection="security_group_rules", table=groups.rules, row=Rule,
                columns=listing.columns_of(groups.rules, "meaning", "name"))


def _looking(ctx: Ctx, query: Query) -> set[str]:
    """Projects whose default groups have to be there for who looks: the own one, and the one asked for."""
    asked = query.get("project_id", []) + query.get("tenant_id", []) if sees_all(ctx) else []
    return {project for project in [ctx.caller.project_id, *asked] if project}


async def _make_defaults(ctx: Ctx, projects: Iterable[str]) -> None:
    for project_id in sorted(projects):
        async with ctx.db.write() as tx:
            await groups.project(tx, project_id, ctx.clock())


@routes.get("/v2.0/security-groups", envelope="security_groups", policy=PolicyRule("get_security_group", GRANTED_SHOW))
async def list_groups(ctx: Ctx, query: Query) -> Page[GroupView]:
    wanted = _looking(ctx, query)
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, GROUPS, query, visible(ctx, groups.security_groups))
        shown, known = await _viewed(reader, found.rows, wanted)
    if wanted <= known:
        return Page(shown, extra=found.links)
    await _make_defaults(ctx, wanted - known)
    return await list_groups(ctx, query)


@routes.get("/v2.0/security-groups/{security_group_id}", envelope="security_group", target=GROUP,
            policy=PolicyRule("get_security_group", GRANTED_SHOW))
async def show_group(ctx: Ctx, group: SecurityGroup) -> GroupView:
    async with ctx.db.read() as reader:
        return (await views(reader, [group]))[0]


@routes.post("/v2.0/security-groups", envelope="security_group", bulk="security_groups", status=201,
             policy=PolicyRule("create_security_group", MEMBER))
async def create_groups(ctx: Ctx, body: list[GroupCreate]) -> list[GroupView]:
    now, owners, made = ctx.clock(), [owner(ctx, each) for each in body], []
    async with ctx.db.write() as tx:
        for project_id in sorted(set(owners)):
            await groups.project(tx, project_id, now)
            await quotas.must_have_room(
                tx, project_id, app(ctx).config.quotas, "security_group", owners.count(project_id))
        for each, project_id in zip(body, owners, strict=True):
            if each.name.lower() == "default":
                raise faults.DefaultGroupExists()
            group = SecurityGroup(
                id=new_uuid(), project_id=project_id, name=each.name, description=each.description or "",
                created_at=now, updated_at=now, stateful=each.stateful if each.stateful is not UNSET
                else await statefulness.of_project(tx, project_id))
            await db.add(tx, groups.security_groups, group)
            first = await groups.first_rules(tx, group, now)
            await quotas.must_have_room(tx, project_id, app(ctx).config.quotas, "security_group_rule", len(first))
            await db.add(tx, groups.rules, *first)
            made.append(group)
        app(ctx).changed(tx)
        return await views(tx, made)


@routes.put("/v2.0/security-groups/{security_group_id}", envelope="security_group", target=GROUP,
            policy=PolicyRule("update_security_group", MEMBER))
async def update_group(ctx: Ctx, group: SecurityGroup, body: GroupUpdate) -> GroupView:
    check_revision(ctx, group)
    values = texts(given(body))
    if group.default_of is not None and values.get("name", group.name) != group.name:
        raise faults.CannotUpdateDefault()
    if group.default_of is None and str(values.get("name", "")).lower() == "default":
        raise faults.DefaultGroupExists()
    async with ctx.db.write() as tx:
        if values.get("stateful", group.stateful) != group.stateful and await groups.is_used(tx, group.id):
            raise faults.GroupInUse(security_group_id=group.id)
        row = await base.change(tx, groups.security_groups, group, ctx.clock(), **values) if values else group
        app(ctx).changed(tx)
        return (await views(tx, [row]))[0]


@routes.delete("/v2.0/security-groups/{security_group_id}", target=GROUP,
               policy=PolicyRule("delete_security_group", MEMBER))
async def delete_group(ctx: Ctx, group: SecurityGroup) -> None:
    check_revision(ctx, group)
    if group.default_of is not None and not ctx.caller.is_admin:
        raise faults.CannotRemoveDefault()
    try:
        async with ctx.db.write() as tx:
            if group.default_of is not None:
                await tx.execute(groups.projects.delete().where(groups.projects.c.id == group.default_of))
            await rbac.forget(tx, group.id)
            await base.remove(tx, groups.security_groups, group.id)
            app(ctx).changed(tx)
    except db.Taken as error:
        raise faults.GroupInUse(security_group_id=group.id) from error


# -- rules ----------------------------------------------------------------------------------


@routes.get("/v2.0/security-group-rules", envelope="security_group_rules",
            policy=PolicyRule("get_security_group_rule", GRANTED_SHOW))
async def list_rules(ctx: Ctx, query: Query) -> Page[RuleView]:
    wanted = _looking(ctx, query)
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, RULES, query, visible(ctx, groups.rules, "security_group_id"))
        beside = await sides(reader, [row.id for row in found.rows], projects=wanted)
    if wanted <= beside.projects:
        return Page([rule_view(row, beside.tags[row.id]) for row in found.rows], extra=found.links)
    await _make_defaults(ctx, wanted - beside.projects)
    return await list_rules(ctx, query)


@routes.get("/v2.0/security-group-rules/{security_group_rule_id}", envelope="security_group_rule", target=RULE,
            policy=PolicyRule("get_security_group_rule", GRANTED_SHOW))
async def show_rule(ctx: Ctx, rule: Rule) -> RuleView:
    async with ctx.db.read() as reader:
        return rule_view(rule, (await base.tags_of(reader, [rule.id]))[rule.id])


@routes.post("/v2.0/security-group-rules", envelope="security_group_rule", bulk="security_group_rules", status=201,
             policy=PolicyRule("create_security_group_rule", MEMBER))
async def create_rules(ctx: Ctx, body: list[RuleCreate]) -> list[RuleView]:
    now, made = ctx.clock(), []
    async with ctx.db.write() as tx:
        known = await groups.by_ids(tx, {each.security_group_id for each in body})
        wanted = await groups.by_ids(tx, {each.remote_group_id for each in body if each.remote_group_id})
        await _must_have_address_groups(ctx, tx, {each.remote_address_group_id or "" for each in body} - {""})
        owners = [_group_of(ctx, known, each.security_group_id).project_id for each in body]
        for project_id in sorted(set(owners)):
            await groups.project(tx, project_id, now)
            await quotas.must_have_room(
                tx, project_id, app(ctx).config.quotas, "security_group_rule", owners.count(project_id))
        for each in body:
            if each.remote_group_id and each.remote_group_id not in wanted:
                raise faults.GroupNotFound(security_group_id=each.remote_group_id)
            rule = groups.new_rule(known[each.security_group_id], now, **_facts(each))
            await _must_be_new(tx, rule)
            await db.add(tx, groups.rules, rule)
            made.append(rule)
        for group_id in known:
            await base.bump(tx, groups.security_groups, group_id, now)
        app(ctx).changed(tx)
    return [rule_view(rule, []) for rule in made]


def _group_of(ctx: Ctx, known: dict[str, SecurityGroup], group_id: str) -> SecurityGroup:
    group = known.get(group_id)
    if group is None or not (sees_all(ctx) or group.project_id == ctx.caller.project_id):
        raise faults.GroupNotFound(security_group_id=group_id)
    return group


async def _must_have_address_groups(ctx: Ctx, tx: Connection, ids: set[str]) -> None:
    known = await address_groups.by_ids(tx, ids)
    shared = await rbac.given(tx, "address_group", known, ctx.caller.project_id)
    for group_id in sorted(ids):
        group = known.get(group_id)
        if group is None or not (sees_all(ctx) or group_id in shared
                                 or group.project_id == ctx.caller.project_id):
            raise faults.AddressGroupNotFound(address_group_id=group_id)


def _facts(body: RuleCreate) -> dict[str, Any]:
    plain = group_rules.checked(group_rules.Asked(
        ethertype=body.ethertype or "IPv4", protocol=body.protocol, port_min=body.port_range_min,
        port_max=body.port_range_max, prefix=body.remote_ip_prefix, group_id=body.remote_group_id,
        address_group_id=body.remote_address_group_id))
    return {"direction": body.direction, "description": body.description or "", **plain}


async def _must_be_new(tx: Connection, rule: Rule) -> None:
    """A rule that says the same as another one is refused, and the other one named."""
    query = sa.select(groups.rules.c.id).where(
        groups.rules.c.security_group_id == rule.security_group_id, groups.rules.c.meaning == rule.meaning)
    if (known := await db.scalar(tx, query)) is not None:
        raise faults.RuleExists(rule_id=known)


@routes.delete("/v2.0/security-group-rules/{security_group_rule_id}", target=RULE,
               policy=PolicyRule("delete_security_group_rule", MEMBER))
async def delete_rule(ctx: Ctx, rule: Rule) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, groups.rules, rule.id)
        await base.bump(tx, groups.security_groups, rule.security_group_id, ctx.clock())
        app(ctx).changed(tx)
