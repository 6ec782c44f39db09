"""/v2.0/qos: policies of how fast ports and floating IPs may send and get, and how their packets are marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.numbers import INT_MAX
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, policy_faults, promises
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import GRANTED_SHOW
from pileus.network.api.rbac_policies import must_be_spare
from pileus.network.api.shapes import (
    Changed,
    Created,
    Standard,
    app,
    check_revision,
    given,
    must_allow,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import base, qos, rbac
from pileus.network.model.qos import BANDWIDTH, DSCP, LEAST_BANDWIDTH, LEAST_PACKETS, PACKETS, QosPolicy, QosRule
from pileus.network.model.sides import sides

routes = Routes()
Positive = Annotated[int, msgspec.Meta(ge=1, le=INT_MAX)]
Burst = Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)]
Direction = Literal["ingress", "egress"]
MARKS = (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56)


class PolicyUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    shared: bool | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


class PolicyCreate(Created, kw_only=True, forbid_unknown_fields=True):
    shared: bool = False
    is_default: bool = False


class PolicyView(Standard, kw_only=True):
    shared: bool
    is_default: bool
    rules: list[dict[str, Any]]


def rule_view(row: QosRule) -> dict[str, Any]:
    named: dict[str, Any] = {"id": row.id, "qos_policy_id": row.policy_id}
    if row.kind == DSCP:
        return named | {"dscp_mark": row.most}
    if row.kind in (LEAST_BANDWIDTH, LEAST_PACKETS):
        return named | {f"min_{'kbps' if row.kind == LEAST_BANDWIDTH else 'kpps'}": row.most,
                        "direction": row.direction}
    unit = "kbps" if row.kind == BANDWIDTH else "kpps"
    burst = "max_burst_kbps" if row.kind == BANDWIDTH else "max_burst_kpps"
    return named | {f"max_{unit}": row.most, burst: row.burst, "direction": row.direction}


async def views(ctx: Ctx, conn: Connection, rows: Sequence[QosPolicy]) -> list[PolicyView]:
    ids = [row.id for row in rows]
    rules = await qos.rules_of(conn, ids)
    beside = await sides(conn, ids, shared=rbac.granted("qos_policy", ctx.caller.project_id).where(
        rbac.policies.c.object_id.in_(ids)))
    return [PolicyView(**standard(row, beside.tags[row.id]), shared=row.id in beside.shared,
                       is_default=row.default_of is not None, rules=[
                           rule_view(rule) | {"type": rule.kind} for rule in rules[row.id]]) for row in rows]


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    c, mine = qos.policies.c, ctx.caller.project_id or ""
    return None if sees_all(ctx) else sa.or_(c.project_id == mine, c.id.in_(rbac.granted("qos_policy", mine)))


async def granted(reader: Connection, row: QosPolicy, caller: Caller) -> bool:
    return await rbac.is_given(reader, "qos_policy", row.id, caller.project_id)


POLICY = Target(qos.get, missing=policy_faults.QosPolicyNotFound, granted=granted)
LISTING = Listing(collection="policies", table=qos.policies, row=QosPolicy,
                  columns=listing.columns_of(qos.policies, "default_of"),
                  filters={"is_default": lambda values: qos.policies.c.default_of.is_not(None)
                           if values[-1].lower() in ("true", "1") else qos.policies.c.default_of.is_(None),
                           "shared": lambda values: qos.policies.c.id.in_(rbac.granted("qos_policy", None))
                           if values[-1].lower() in ("true", "1")
                           else qos.policies.c.id.not_in(rbac.granted("qos_policy", None))})
ONE = "/v2.0/qos/policies/{policy_id}"


@routes.get("/v2.0/qos/policies", envelope="policies", policy=Rule("get_policy", GRANTED_SHOW))
async def list_policies(ctx: Ctx, query: Query) -> Page[PolicyView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(ctx, reader, found.rows), extra=found.links)


@routes.get(ONE, envelope="policy", target=POLICY, policy=Rule("get_policy", GRANTED_SHOW))
async def show_policy(ctx: Ctx, policy: QosPolicy) -> PolicyView:
    async with ctx.db.read() as reader:
        return (await views(ctx, reader, [policy]))[0]


@routes.post("/v2.0/qos/policies", envelope="policy", bulk="policies", status=201,
             policy=Rule("create_policy", ADMIN), check=False)
async def create_policies(ctx: Ctx, body: list[PolicyCreate]) -> list[PolicyView]:
    """What is wrong with a body is told to anybody."""
    must_allow(ctx, "create_policy")
    now, made = ctx.clock(), []
    async with ctx.db.write() as tx:
        for each in body:
            row = QosPolicy(id=new_uuid(), project_id=owner(ctx, each), name=each.name, created_at=now, updated_at=now,
                            description=each.description or "")
            await db.add(tx, qos.policies, row)
            made.append(await _settle(tx, row, PolicyUpdate(shared=each.shared, is_default=each.is_default), now))
        return await views(ctx, tx, made)


async def _settle(tx: Connection, row: QosPolicy, body: PolicyUpdate, now: float) -> QosPolicy:
    if body.shared is True:
        await rbac.share_with_all(tx, "qos_policy", row, rbac.SHARED, now)
    elif body.shared is False:
        c = rbac.policies.c
        everybodys = await db.one(tx, sa.select(rbac.policies).where(
            c.object_id == row.id, c.action == rbac.SHARED, c.target_project == rbac.EVERYBODY), rbac.RbacPolicy)
        if everybodys is not None:
            await must_be_spare(tx, everybodys, None)
        await rbac.share_no_more(tx, row.id, rbac.SHARED)
    wanted = row.default_of if body.is_default is UNSET else row.project_id if body.is_default else None
    if wanted == row.default_of:
        return row
    if wanted is not None and (other := await qos.default_for(tx, row.project_id)) is not None:
        raise policy_faults.QosDefaultExists(policy_id=other, project_id=row.project_id)
    try:
        return await base.change(tx, qos.policies, row, now, default_of=wanted)
    except db.Taken as error:
        raise db.Collision(str(error)) from error


@routes.put(ONE, envelope="policy", target=POLICY, policy=Rule("update_policy", ADMIN), check=False)
async def update_policy(ctx: Ctx, policy: QosPolicy, body: PolicyUpdate) -> PolicyView:
    async with ctx.db.read() as reader:
        if not (ctx.allows("get_policy", {"project_id": policy.project_id})
                or await granted(reader, policy, ctx.caller)):
            raise policy_faults.QosPolicyNotFound(policy_id=policy.id)
    must_allow(ctx, "update_policy", {"project_id": policy.project_id})
    check_revision(ctx, policy)
    values, now = texts(given(body)), ctx.clock()
    for name in ("shared", "is_default"):
        values.pop(name, None)
    async with ctx.db.write() as tx:
        row = await base.change(tx, qos.policies, policy, now, **values) if values else policy
        row = await _settle(tx, row, body, now)
        return (await views(ctx, tx, [row]))[0]


@routes.delete(ONE, target=POLICY, policy=Rule("delete_policy", ADMIN))
async def delete_policy(ctx: Ctx, policy: QosPolicy) -> None:
    check_revision(ctx, policy)
    try:
        async with ctx.db.write() as tx:
            await rbac.forget(tx, policy.id)
            await base.remove(tx, qos.policies, policy.id)
    except db.Taken as error:
        raise policy_faults.QosPolicyInUse(policy_id=policy.id) from error


async def may_change(ctx: Ctx, conn: Connection, before: str | None, after: str | None) -> None:
    """Whoever gives something another policy must see the new one; and the old one, which somebody else may have
    given it for good."""
    await must_have(ctx, conn, [after])
    try:
        await must_have(ctx, conn, [before])
    except policy_faults.QosPolicyNotFound:
        raise policy_faults.QosPolicyKept(policy_id=before) from None


async def must_have(ctx: Ctx, tx: Connection, ids: Iterable[str | None | UnsetType]) -> None:
    """The policies that something is to obey, which its owner must see."""
    for policy_id in sorted({each for each in ids if isinstance(each, str)}):
        policy = await qos.get(tx, policy_id)
        mine = sees_all(ctx) or policy.project_id == ctx.caller.project_id
        if not mine and not await rbac.is_given(tx, "qos_policy", policy.id, ctx.caller.project_id):
            raise policy_faults.QosPolicyNotFound(policy_id=policy_id)


# -- rules ----------------------------------------------------------------------------------


class BandwidthUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    max_kbps: Positive | UnsetType = UNSET
    max_burst_kbps: Burst | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET


class PacketsUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    max_kpps: Positive | UnsetType = UNSET
    max_burst_kpps: Burst | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET


class MarkUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    dscp_mark: int | UnsetType = UNSET


class LeastBandwidthUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    min_kbps: Positive | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET


class LeastPacketsUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of those hosts that count both directions as one, `any`."""

    min_kpps: Positive | UnsetType = UNSET
    direction: Literal["ingress", "egress", "any"] | UnsetType = UNSET


AnyUpdate = BandwidthUpdate | PacketsUpdate | MarkUpdate | LeastBandwidthUpdate | LeastPacketsUpdate
UPDATES: dict[str, type[AnyUpdate]] = {
    BANDWIDTH: BandwidthUpdate, PACKETS: PacketsUpdate, DSCP: MarkUpdate, LEAST_BANDWIDTH: LeastBandwidthUpdate,
    LEAST_PACKETS: LeastPacketsUpdate}
FIELDS = {"max_kbps": "most", "max_kpps": "most", "dscp_mark": "most", "max_burst_kbps": "burst",
          "max_burst_kpps": "burst", "direction": "direction", "min_kbps": "most", "min_kpps": "most"}


def _values(body: AnyUpdate) -> dict[str, Any]:
    values = {FIELDS[name]: value for name, value in given(body).items()}
    if isinstance(body, MarkUpdate) and body.dscp_mark is not UNSET and body.dscp_mark not in MARKS:
        raise faults.InvalidInput(reason=f"'{body.dscp_mark}' is not in {list(MARKS)}")
    return values


async def _make(ctx: Ctx, policy: QosPolicy, kind: str, body: AnyUpdate) -> dict[str, Any]:
    values, now = _values(body), ctx.clock()
    if "most" not in values:
        raise faults.InvalidInput(reason=f"a {kind} rule says how much")
    row = QosRule(id=new_uuid(), project_id=policy.project_id, created_at=now, updated_at=now, policy_id=policy.id,
                  kind=kind, **values)
    async with ctx.db.write() as tx:
        c = qos.rules.c
        same = sa.select(c.id).where(c.policy_id == policy.id, c.kind == kind, c.direction == row.direction)
        if await db.scalar(tx, same) is not None:
            raise policy_faults.QosRuleConflict(policy_id=policy.id, kind=kind)
        await promises.must_not_be_promised(tx, row)
        await _must_fit(tx, row)
        try:
            await db.add(tx, qos.rules, row)
        except db.Taken as error:
            raise db.Collision(str(error)) from error
        await base.bump(tx, qos.policies, policy.id, now)
        app(ctx).changed(tx)
    return rule_view(row)


async def _must_fit(tx: Connection, rule: QosRule) -> None:
    """No minimum of a policy is above the limit of its direction, and directions are not counted both ways."""
    for other in (await qos.rules_of(tx, [rule.policy_id]))[rule.policy_id]:
        if other.id == rule.id:
            continue
        limit, least = (rule, other) if rule.kind in qos.LEAST_OF else (other, rule)
        meets = least.kind == qos.LEAST_OF.get(limit.kind) and least.direction in (limit.direction, "any")
        if meets and least.most > limit.most:
            raise policy_faults.QosRuleTooMuch(kind=rule.kind, value=rule.most, policy_id=rule.policy_id,
                                               other=other.kind, most=other.most)
        if rule.kind == other.kind == LEAST_PACKETS and "any" in (rule.direction, other.direction):
            raise policy_faults.QosRuleConflict(policy_id=rule.policy_id, kind=rule.kind)


async def _change(ctx: Ctx, rule: QosRule, body: AnyUpdate) -> dict[str, Any]:
    values = _values(body)
    async with ctx.db.write() as tx:
        await promises.must_not_be_promised(tx, rule)
        await _must_fit(tx, msgspec.structs.replace(rule, **values))
        try:
            row = await base.change(tx, qos.rules, rule, ctx.clock(), **values)
        except db.Taken as error:
            raise policy_faults.QosRuleConflict(policy_id=rule.policy_id, kind=rule.kind) from error
        await base.bump(tx, qos.policies, rule.policy_id, ctx.clock())
        app(ctx).changed(tx)
    return rule_view(row)


def _of(kind: str, update: type[AnyUpdate]) -> None:
    """The five routes that rules of one kind have."""
    async def one(conn: Connection, policy_id: str, rule_id: str) -> QosRule:
        found = await qos.get_rule(conn, policy_id, rule_id)
        if found.kind != kind:
            raise policy_faults.QosRuleNotFound(policy_id=policy_id, rule_id=rule_id)
        return found

    async def rule_granted(reader: Connection, row: QosRule, caller: Caller) -> bool:
        return await rbac.is_given(reader, "qos_policy", row.policy_id, caller.project_id)
    target, name = Target(one, missing=policy_faults.QosRuleNotFound, granted=rule_granted), f"{kind}_rule"
    every, single = f"{ONE}/{kind}_rules", f"{ONE}/{kind}_rules/{{rule_id}}"
    columns = {"id": qos.rules.c.id, "direction": qos.rules.c.direction}
    rows = Listing(collection=f"{name}s", table=qos.rules, row=QosRule, columns=columns)

    @routes.get(every, envelope=f"{name}s", target=POLICY, policy=Rule(f"get_policy_{name}", GRANTED_SHOW))
    async def list_rules(ctx: Ctx, policy: QosPolicy, query: Query) -> Page[dict[str, Any]]:
        mine = sa.and_(qos.rules.c.policy_id == policy.id, qos.rules.c.kind == kind)
        async with ctx.db.read() as reader:
            found = await listing.fetch(ctx, reader, rows, query, mine)
            return Page([rule_view(row) for row in found.rows], extra=found.links)

    @routes.get(single, envelope=name, target=target, policy=Rule(f"get_policy_{name}", GRANTED_SHOW))
    async def show_rule(ctx: Ctx, rule: QosRule) -> dict[str, Any]:
        return rule_view(rule)

    async def create_rule(ctx: Ctx, policy: QosPolicy, body: AnyUpdate) -> dict[str, Any]:
        """Whoever may make no rules is told so, whichever policy they mean."""
        must_allow(ctx, may_create.name)
        return await _make(ctx, policy, kind, body)

    async def update_rule(ctx: Ctx, rule: QosRule, body: AnyUpdate) -> dict[str, Any]:
        return await _change(ctx, rule, body)
    create_rule.__annotations__["body"] = update_rule.__annotations__["body"] = update
    may_create, may_update = (Rule(f"{verb}_policy_{name}", ADMIN) for verb in ("create", "update"))
    routes.post(every, envelope=name, status=201, target=POLICY, policy=may_create, check=False)(create_rule)
    routes.put(single, envelope=name, target=target, policy=may_update)(update_rule)

    @routes.delete(single, target=target, policy=Rule(f"delete_policy_{name}", ADMIN))
    async def delete_rule(ctx: Ctx, rule: QosRule) -> None:
        await _remove(ctx, rule)


async def _remove(ctx: Ctx, rule: QosRule) -> None:
    async with ctx.db.write() as tx:
        await promises.must_not_be_promised(tx, rule)
        await base.remove(tx, qos.rules, rule.id)
        await base.bump(tx, qos.policies, rule.policy_id, ctx.clock())
        app(ctx).changed(tx)


for _kind, _update in UPDATES.items():
    _of(_kind, _update)


@routes.get("/v2.0/qos/rule-types", envelope="rule_types", policy=Rule("get_rule_type", ANYONE))
async def list_types(ctx: Ctx, query: Query) -> Page[dict[str, Any]]:
    """All of them are supported, and all of ours are."""
    unknown = [name for name in query if name not in ("type", "fields", "all_rules", "all_supported")]
    if unknown:
        raise faults.InvalidFilter(names=unknown)
    wanted = [kind for kind in qos.KINDS if not query.get("type") or kind in query["type"]]
    return Page([{"type": kind} for kind in wanted])


@routes.get("/v2.0/qos/rule-types/{kind}", envelope="rule_type", policy=Rule("get_rule_type", ANYONE))
async def show_type(ctx: Ctx, kind: str) -> dict[str, Any]:
    """What the engine makes of a type, and within which bounds; minima are for those who place ports."""
    if not sees_all(ctx):
        raise faults.PolicyNotAuthorized(rule="get_rule_type")
    if kind not in qos.KINDS:
        raise policy_faults.QosRuleTypeNotFound(kind=kind)
    return {"type": kind, "drivers": [{"name": app(ctx).config.engine, "supported_parameters": _parameters(kind)}]}


def _parameters(kind: str) -> list[dict[str, Any]]:
    if kind == DSCP:
        return [{"parameter_name": "dscp_mark", "parameter_type": "choices", "parameter_values": list(MARKS)}]
    directions = ["ingress", "egress", *(["any"] if kind == LEAST_PACKETS else [])]
    found: list[dict[str, Any]] = [
        {"parameter_name": "direction", "parameter_type": "choices", "parameter_values": directions}]
    for name in UPDATES[kind].__struct_fields__:
        if name != "direction":
            start = 0 if "burst" in name else 1
            found.append({"parameter_name": name, "parameter_type": "range",
                          "parameter_values": {"start": start, "end": INT_MAX}})
    return found


# -- rules by their own ids ------------------------------------------------------------------


def _alias(kind: str, update: type[AnyUpdate]) -> None:
    """A rule without its policy's id, as clients that were told only the rule's speak of it."""
    async def one(conn: Connection, rule_id: str) -> QosRule:
        return await qos.find_rule(conn, rule_id, kind)

    async def rule_granted(reader: Connection, row: QosRule, caller: Caller) -> bool:
        return await rbac.is_given(reader, "qos_policy", row.policy_id, caller.project_id)
    target, name = Target(one, missing=policy_faults.QosRuleUnknown, granted=rule_granted), f"alias_{kind}_rule"
    single = f"/v2.0/qos/alias_{kind}_rules/{{rule_id}}"

    @routes.get(single, envelope=name, target=target, policy=Rule(f"get_{name}", GRANTED_SHOW))
    async def show_rule(ctx: Ctx, rule: QosRule) -> dict[str, Any]:
        return rule_view(rule)

    async def update_rule(ctx: Ctx, rule: QosRule, body: AnyUpdate) -> dict[str, Any]:
        return await _change(ctx, rule, body)
    update_rule.__annotations__["body"] = update
    routes.put(single, envelope=name, target=target, policy=Rule(f"update_{name}", ADMIN))(update_rule)

    @routes.delete(single, target=target, policy=Rule(f"delete_{name}", ADMIN))
    async def delete_rule(ctx: Ctx, rule: QosRule) -> None:
        await _remove(ctx, rule)


for _kind in (BANDWIDTH, DSCP, LEAST_BANDWIDTH, LEAST_PACKETS):
    _alias(_kind, UPDATES[_kind])
