"""/v2.0/rbac-policies: who else may use a network, a security group, an address group or a subnet pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import UNSET

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import policy_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.shapes import Id, ProjectId, app, must_allow, owner, sees_all
from pileus.network.model import (
    address_groups,
    address_scopes,
    base,
    gateways,
    networks,
    ports,
    qos,
    quotas,
    rbac,
    routers,
    security_groups,
    subnets,
)
from pileus.network.model.rbac import EVERYBODY, EXTERNAL, SHARED, RbacPolicy

routes = Routes()
TABLES: Mapping[str, sa.Table] = {
    "network": networks.networks, "security_group": security_groups.security_groups,
    "address_group": address_groups.address_groups, "subnetpool": subnets.pools, "qos_policy": qos.policies,
    "address_scope": address_scopes.scopes}
COLUMNS = {("network", SHARED): "shared", ("network", EXTERNAL): "external", ("subnetpool", SHARED): "shared",
           ("address_scope", SHARED): "shared"}
TargetProject = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class RbacCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    object_type: Literal["network", "security_group", "address_group", "subnetpool", "qos_policy", "address_scope"]
    object_id: Id
    action: Literal["access_as_shared", "access_as_external"]
    target_project: TargetProject = msgspec.field(name="target_tenant")
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class RbacUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    target_project: TargetProject = msgspec.field(name="target_tenant")


class RbacView(msgspec.Struct, kw_only=True):
    id: str
    project_id: str
    tenant_id: str
    object_type: str
    object_id: str
    action: str
    target_project: str = msgspec.field(name="target_tenant")


def view(row: RbacPolicy) -> RbacView:
    return RbacView(id=row.id, project_id=row.project_id, tenant_id=row.project_id, object_type=row.object_type,
                    object_id=row.object_id, action=row.action, target_project=row.target_project)


POLICY = Target(rbac.get, missing=policy_faults.RbacPolicyNotFound)
LISTING = Listing(collection="rbac_policies", table=rbac.policies, row=RbacPolicy,
                  columns=listing.columns_of(rbac.policies, "name", "description", target_project="target_tenant"))
ONE = "/v2.0/rbac-policies/{rbac_policy_id}"


@routes.get("/v2.0/rbac-policies", envelope="rbac_policies", policy=Rule("get_rbac_policy", READER))
async def list_policies(ctx: Ctx, query: Query) -> Page[RbacView]:
    mine = None if sees_all(ctx) else rbac.policies.c.project_id == (ctx.caller.project_id or "")
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, mine)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(ONE, envelope="rbac_policy", target=POLICY, policy=Rule("get_rbac_policy", READER))
async def show_policy(ctx: Ctx, policy: RbacPolicy) -> RbacView:
    return view(policy)


@routes.post("/v2.0/rbac-policies", envelope="rbac_policy", bulk="rbac_policies", status=201,
             policy=Rule("create_rbac_policy", MEMBER))
async def create_policies(ctx: Ctx, body: list[RbacCreate]) -> list[RbacView]:
    """Only of what is one's own; with everybody, only administrators share."""
    now, made = ctx.clock(), []
    for each in body:
        _may_target(ctx, "create_rbac_policy", each.target_project)
        if each.action == EXTERNAL and each.object_type != "network":
            raise policy_faults.InvalidRbacAction(action=each.action, object_type=each.object_type)
    async with ctx.db.write() as tx:
        for each in body:
            table = TABLES[each.object_type]
            query = sa.select(table.c.project_id).where(table.c.id == each.object_id).with_for_update()
            project_id = await db.scalar(tx, query)
            await _must_own(ctx, tx, each, project_id)
            await _must_see_scope(tx, each, project_id or "")
            mine = owner(ctx, each)
            await security_groups.project(tx, mine, now)
            await quotas.must_have_room(tx, mine, app(ctx).config.quotas, "rbac_policy")
            row = RbacPolicy(
                id=new_uuid(), project_id=mine, created_at=now, updated_at=now, object_type=each.object_type,
                object_id=each.object_id, action=each.action, target_project=each.target_project)
            await _add(tx, row)
            await _mirror(tx, row, now)
            made.append(row)
        app(ctx).changed(tx)
    return [view(row) for row in made]


async def _must_own(ctx: Ctx, tx: Connection, body: RbacCreate, project_id: str | None) -> None:
    if project_id is not None and (sees_all(ctx) or project_id == ctx.caller.project_id):
        return
    if project_id is not None and await rbac.is_given(tx, body.object_type, body.object_id, ctx.caller.project_id):
        raise policy_faults.RbacForeignObject()
    raise policy_faults.RbacObjectNotFound(object_type=body.object_type, object_id=body.object_id)


async def _must_see_scope(tx: Connection, body: RbacCreate, project_id: str) -> None:
    """A pool goes to those only who may use the address scope it is in."""
    if body.object_type != "subnetpool":
        return
    scope_id = await db.scalar(tx, sa.select(subnets.pools.c.address_scope_id).where(
        subnets.pools.c.id == body.object_id))
    if scope_id is None:
        return
    scope = await address_scopes.get(tx, scope_id)
    if body.target_project in (scope.project_id, project_id):
        return
    target = None if body.target_project == EVERYBODY else body.target_project
    if not await rbac.is_given(tx, "address_scope", scope_id, target):
        raise policy_faults.RbacScopeUnseen(target=body.target_project, address_scope_id=scope_id)


def _may_target(ctx: Ctx, verb: str, target: str) -> None:
    if target == EVERYBODY:
        must_allow(ctx, f"{verb}:target_tenant")


async def _add(tx: Connection, row: RbacPolicy) -> None:
    c = rbac.policies.c
    same = sa.select(c.id).where(
        c.object_id == row.object_id, c.action == row.action, c.target_project == row.target_project)
    if await db.scalar(tx, same) is not None:
        raise policy_faults.RbacPolicyExists()
    await db.add(tx, rbac.policies, row)


async def _mirror(tx: Connection, row: RbacPolicy, now: float) -> None:
    """The columns that say that a thing is shared with all, or external to anybody."""
    column = COLUMNS.get((row.object_type, row.action))
    if column is None:
        return
    c, table = rbac.policies.c, TABLES[row.object_type]
    query = sa.select(c.id).where(c.object_id == row.object_id, c.action == row.action)
    if row.action == SHARED:
        query = query.where(c.target_project == EVERYBODY)
    wanted = await db.scalar(tx, query.limit(1)) is not None
    other = table.c[column] != wanted
    await db.update(tx, table.update().where(table.c.id == row.object_id, other).values(
        {column: wanted, "generation": table.c.generation + 1, "updated_at": now}))


@routes.put(ONE, envelope="rbac_policy", target=POLICY, policy=Rule("update_rbac_policy", MEMBER))
async def update_policy(ctx: Ctx, policy: RbacPolicy, body: RbacUpdate) -> RbacView:
    _may_target(ctx, "update_rbac_policy", body.target_project)
    now = ctx.clock()
    async with ctx.db.write() as tx:
        if body.target_project != policy.target_project:
            if body.target_project != EVERYBODY:
                keeps = policy.object_type == "network"          # what a network's new target uses may stay
                await must_be_spare(tx, policy, body.target_project if keeps else None)
            try:
                policy = await base.change(tx, rbac.policies, policy, now, target_project=body.target_project)
            except db.Taken as error:
                raise policy_faults.RbacPolicyExists() from error
            await _mirror(tx, policy, now)
            app(ctx).changed(tx)
    return view(policy)


@routes.delete(ONE, target=POLICY, policy=Rule("delete_rbac_policy", MEMBER))
async def delete_policy(ctx: Ctx, policy: RbacPolicy) -> None:
    async with ctx.db.write() as tx:
        await must_be_spare(tx, policy, None)
        await base.remove(tx, rbac.policies, policy.id)
        await _mirror(tx, policy, ctx.clock())
        app(ctx).changed(tx)


async def must_be_spare(tx: Connection, policy: RbacPolicy, except_for: str | None) -> None:
    """Nobody who could use the thing by this policy only does so now; of a QoS policy shared with all, not its owner
    either."""
    table = TABLES[policy.object_type]
    owner_id = await db.scalar(tx, sa.select(table.c.project_id).where(table.c.id == policy.object_id))
    c = rbac.policies.c
    others = await db.scalars(tx, sa.select(c.target_project).where(
        c.object_id == policy.object_id, c.action == policy.action, c.id != policy.id))
    if EVERYBODY in others:
        return
    for users in _users(policy):
        query = users
        if policy.object_type != "qos_policy" or policy.target_project != EVERYBODY:
            query = query.where(_project(users) != owner_id)
        if policy.target_project != EVERYBODY:
            query = query.where(_project(users) == policy.target_project)
        query = query.where(_project(users).not_in([*others, *filter(None, [except_for])]))
        if await db.scalar(tx, query.limit(1)) is not None:
            raise policy_faults.RbacPolicyInUse(object_id=policy.object_id)


def _project(users: sa.Select[Any]) -> sa.ColumnElement[str]:
    return next(iter(users.selected_columns))


def _users(policy: RbacPolicy) -> list[sa.Select[Any]]:
    """The projects of what uses the thing."""
    thing = policy.object_id
    port, member, floating, router = ports.ports.c, ports.port_groups.c, routers.floating_ips.c, routers.routers.c
    if policy.object_type == "network" and policy.action == EXTERNAL:
        return [sa.select(floating.project_id).where(floating.floating_network_id == thing),
                sa.select(router.project_id).where(gateways.on_network(thing))]
    if policy.object_type == "network":
        return [sa.select(port.project_id).where(
            port.network_id == thing, port.project_id != "", ~port.device_owner.like("network:%"))]
    if policy.object_type == "security_group":
        return [sa.select(port.project_id).join(ports.port_groups, member.port_id == port.id).where(
            member.security_group_id == thing)]
    if policy.object_type == "address_group":
        rule = security_groups.rules.c
        return [sa.select(rule.project_id).where(rule.remote_address_group_id == thing)]
    if policy.object_type == "qos_policy":
        obeying = (networks.networks.c, port, floating, router)
        return [sa.select(one.project_id).where(one.qos_policy_id == thing) for one in obeying]
    if policy.object_type == "address_scope":
        pool = subnets.pools.c
        return [sa.select(pool.project_id).where(pool.address_scope_id == thing)]
    subnet = subnets.subnets.c
    return [sa.select(subnet.project_id).where(subnet.subnetpool_id == thing)]
