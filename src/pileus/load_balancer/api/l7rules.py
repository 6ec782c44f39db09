"""/v2.0/lbaas/l7policies/{l7policy_id}/rules"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.load_balancer.api import lists, policies
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.shapes import (
    BASE,
    Changed,
    Created,
    PartView,
    Plain,
    add,
    alter,
    begin,
    changed,
    created,
    going,
    hidden_from_nobody,
    of_part,
    same,
    unsupported,
)
from pileus.load_balancer.faults import BadRule, Missing
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import Listener, Policy, Rule

routes = Routes()
RULES = Listing("rules", tables.rules, Rule)
PATH = f"{BASE}/l7policies/{{l7policy_id}}/rules"
Type = Literal["COOKIE", "FILE_TYPE", "HEADER", "HOST_NAME", "PATH", "SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT",
               "SSL_DN_FIELD"]
Compare = Literal["CONTAINS", "ENDS_WITH", "EQUAL_TO", "REGEX", "STARTS_WITH"]
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")              # of a header or a cookie


class RuleCreate(Created, kw_only=True, forbid_unknown_fields=True):
    type: Type
    compare_type: Compare
    value: Plain
    key: Plain | None = None
    invert: bool | None = False


class RuleUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    type: Type | UnsetType = UNSET
    compare_type: Compare | UnsetType = UNSET
    value: Plain | UnsetType = UNSET
    key: Plain | None | UnsetType = UNSET
    invert: bool | None | UnsetType = UNSET


class RuleView(PartView, kw_only=True):
    type: str
    compare_type: str
    value: str
    key: str | None
    invert: bool


def view(row: Rule) -> RuleView:
    return RuleView(**same(row, RuleView) | of_part(row))


async def get_policy(conn: Connection, l7policy_id: str) -> Policy:
    return await rows.get(conn, Policy, l7policy_id)


async def get_rule(conn: Connection, l7policy_id: str, l7rule_id: str) -> Rule:
    row = await rows.find(conn, Rule, l7rule_id)
    if row is None or row.l7policy_id != l7policy_id:
        raise Missing(what=Rule.title, id=l7rule_id)
    return row


POLICY = Target(get_policy, missing=Missing, hidden=hidden_from_nobody)
RULE = Target(get_rule, missing=Missing, hidden=hidden_from_nobody)


def checked(row: Rule) -> Rule:
    """Raises BadRule."""
    if row.type.startswith("SSL_"):
        raise unsupported(f"rules of type {row.type}, for no listener ends TLS")
    if row.type in ("COOKIE", "HEADER"):
        if not row.key or not NAME.fullmatch(row.key):
            raise BadRule(reason=f"a rule of type {row.type} needs a key that is a name, and {row.key!r} is none")
    elif row.key:
        raise BadRule(reason=f"a rule of type {row.type} has no key")
    if row.type == "FILE_TYPE" and row.compare_type not in ("EQUAL_TO", "REGEX"):
        raise BadRule(reason="a rule of type FILE_TYPE is compared by EQUAL_TO or REGEX")
    if row.compare_type == "REGEX":
        try:
            re.compile(row.value)
        except (re.error, RecursionError, OverflowError):
            raise BadRule(reason=f"{row.value} is no regular expression") from None
    elif not row.value:
        raise BadRule(reason="the value is empty")
    return row


def new_rule(ctx: Ctx, body: RuleCreate, policy: Policy) -> Rule:
    return checked(Rule(id=new_uuid(), **created(ctx, body, policy.project_id), l7policy_id=policy.id, type=body.type,
                        compare_type=body.compare_type, value=body.value, key=body.key or None,
                        invert=bool(body.invert)))


async def _begin(ctx: Ctx, tx: Connection, policy_id: str) -> Policy:
    policy = await rows.get(tx, Policy, policy_id)
    await begin(ctx, tx, (await rows.get(tx, Listener, policy.listener_id)).load_balancer_id)
    return policy


@routes.get(PATH, envelope="rules", target=POLICY, policy=policies.listed("l7rule"))
async def list_rules(ctx: Ctx, policy: Policy, query: Query) -> Page[RuleView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, RULES, query, tables.rules.c.l7policy_id == policy.id)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(f"{PATH}/{{l7rule_id}}", envelope="rule", target=RULE, policy=policies.read("l7rule"))
async def show_rule(ctx: Ctx, rule: Rule) -> RuleView:
    return view(rule)


@routes.post(PATH, envelope="rule", target=POLICY, status=201, policy=policies.write("l7rule", "post"))
async def create_rule(ctx: Ctx, policy: Policy, body: RuleCreate) -> RuleView:
    row = new_rule(ctx, body, policy)
    async with ctx.db.write() as tx:
        await _begin(ctx, tx, policy.id)
        await add(ctx, tx, row)
    return view(row)


@routes.put(f"{PATH}/{{l7rule_id}}", envelope="rule", target=RULE, policy=policies.write("l7rule", "put"))
async def update_rule(ctx: Ctx, rule: Rule, body: RuleUpdate) -> RuleView:
    values = changed(body)
    if values.get("invert", UNSET) is None:
        values["invert"] = False
    checked(msgspec.structs.replace(rule, **values))
    async with ctx.db.write() as tx:
        await _begin(ctx, tx, rule.l7policy_id)
        return view(await alter(ctx, tx, rule, values))


@routes.delete(f"{PATH}/{{l7rule_id}}", target=RULE, policy=policies.write("l7rule", "delete"))
async def delete_rule(ctx: Ctx, rule: Rule) -> None:
    async with ctx.db.write() as tx:
        await _begin(ctx, tx, rule.l7policy_id)
        await going(tx, await rows.get(tx, Rule, rule.id))
