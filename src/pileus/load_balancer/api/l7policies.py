"""/v2.0/lbaas/l7policies: what happens to requests of which all rules of a policy hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.load_balancer.api import lists, policies
from pileus.load_balancer.api.l7rules import RuleCreate
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.pools import PoolGraph, must_be_here, must_speak
from pileus.load_balancer.api.shapes import (
    BASE,
    DescribedChange,
    Id,
    PartView,
    Plain,
    Ref,
    add,
    alter,
    begin,
    changed,
    created,
    going,
    hidden_from_nobody,
    of_part,
    same,
)
from pileus.load_balancer.faults import Invalid, Missing, NoSuch
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import Listener, Policy, Rule

routes = Routes()
L7POLICIES = Listing("l7policies", tables.policies, Policy)
PATH = f"{BASE}/l7policies"
Action = Literal["REDIRECT_TO_POOL", "REDIRECT_TO_URL", "REDIRECT_PREFIX", "REJECT"]
Code = Literal[301, 302, 303, 307, 308]
LAST = 2**31 - 1                       # as a position: behind all others
Position = Annotated[int, msgspec.Meta(ge=1, le=LAST)]
# What each action goes to, by the field that tells it.
GOAL = {"REDIRECT_TO_POOL": "redirect_pool_id", "REDIRECT_TO_URL": "redirect_url", "REDIRECT_PREFIX": "redirect_prefix"}
GOALS = tuple(GOAL.values())


class PolicyCreate(DescribedChange, kw_only=True, forbid_unknown_fields=True):
    project_id: Id | None = None
    tenant_id: Id | None = None
    action: Action
    redirect_pool_id: Id | None = None
    redirect_url: Plain | None = None
    redirect_prefix: Plain | None = None
    redirect_http_code: Code | None = None
    position: Position | None = LAST


class PolicyOf(PolicyCreate, kw_only=True, forbid_unknown_fields=True):
    listener_id: Id


class PolicyGraph(PolicyCreate, kw_only=True, forbid_unknown_fields=True):
    """One that is made together with its load balancer."""

    redirect_pool: PoolGraph | None = None
    rules: list[RuleCreate] | None = None


class PolicyUpdate(DescribedChange, kw_only=True, forbid_unknown_fields=True):
    action: Action | UnsetType = UNSET
    redirect_pool_id: Id | None | UnsetType = UNSET
    redirect_url: Plain | None | UnsetType = UNSET
    redirect_prefix: Plain | None | UnsetType = UNSET
    redirect_http_code: Code | None | UnsetType = UNSET
    position: Position | None | UnsetType = UNSET


class PolicyView(PartView, kw_only=True):
    description: str
    listener_id: str
    action: str
    redirect_pool_id: str | None
    redirect_url: str | None
    redirect_prefix: str | None
    redirect_http_code: int | None
    position: int
    rules: list[Ref]


async def views(conn: Connection, found: list[Policy]) -> list[PolicyView]:
    of_policies = await rows.of(conn, Rule, "l7policy_id", [policy.id for policy in found])
    return [PolicyView(**same(policy, PolicyView) | of_part(policy) | {
        "description": policy.description or "",
        "rules": [Ref(rule.id) for rule in of_policies if rule.l7policy_id == policy.id]}) for policy in found]


async def get_policy(conn: Connection, l7policy_id: str) -> Policy:
    return await rows.get(conn, Policy, l7policy_id)


POLICY = Target(get_policy, missing=Missing, hidden=hidden_from_nobody)


def _goal(values: dict[str, Any]) -> dict[str, Any]:
    """Of an action and what it may go to, what it goes to and nothing else. Raises Invalid."""
    action = values["action"]
    goal = GOAL.get(action)
    if goal is not None and not values.get(goal):
        raise Invalid(reason=f"Missing attribute {goal} of an action {action}")
    url = values.get(goal) if goal in ("redirect_url", "redirect_prefix") else None
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc or " " in url):
        raise Invalid(reason=f"Invalid input for field/attribute {goal}. Value: '{url}'. Value should be a URL")
    code = (values.get("redirect_http_code") or 302) if url is not None else None
    return {name: values.get(name) if name == goal else None for name in GOALS} | {
        "action": action, "redirect_http_code": code}


async def new_policy(ctx: Ctx, tx: Connection, body: PolicyCreate, listener: Listener) -> Policy:
    """With its place among the others of the listener, which it moves back."""
    if listener.protocol not in ("HTTP", "TERMINATED_HTTPS"):
        raise Invalid(reason=f"L7 policies are for listeners that speak HTTP, not {listener.protocol}")
    goal = _goal({name: getattr(body, name) for name in (*GOALS, "action", "redirect_http_code")})
    if goal["redirect_pool_id"]:
        must_speak(listener.protocol, await must_be_here(tx, goal["redirect_pool_id"], listener.load_balancer_id))
    position = await _place(tx, listener.id, body.position or LAST)
    row = Policy(id=new_uuid(), **created(ctx, body, listener.project_id), description=body.description or "",
                 listener_id=listener.id, position=position, **goal)
    await add(ctx, tx, row)
    return row


async def _place(tx: Connection, listener_id: str, wanted: int, without: str = "") -> int:
    """Number the others anew, leaving free the place that is wanted, or the first behind them all."""
    others = sorted((row for row in await rows.of(tx, Policy, "listener_id", [listener_id])
                     if row.id != without and not row.is_going), key=lambda row: row.position)
    place = min(wanted, len(others) + 1)
    for number, row in enumerate(others, start=1):
        at = number if number < place else number + 1
        if row.position != at:
            await rows.change(tx, row, position=at)
    return place


@routes.get(PATH, envelope="l7policies", policy=policies.listed("l7policy"))
async def list_policies(ctx: Ctx, query: Query) -> Page[PolicyView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, L7POLICIES, query)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(f"{PATH}/{{l7policy_id}}", envelope="l7policy", target=POLICY, policy=policies.read("l7policy"))
async def show_policy(ctx: Ctx, policy: Policy) -> PolicyView:
    async with ctx.db.read() as reader:
        return (await views(reader, [policy]))[0]


POST = policies.write("l7policy", "post")


@routes.post(PATH, envelope="l7policy", status=201, policy=POST, check=False)
async def create_policy(ctx: Ctx, body: PolicyOf) -> PolicyView:
    async with ctx.db.write() as tx:
        listener = await rows.find(tx, Listener, body.listener_id)
        if listener is None:
            raise NoSuch(what=Listener.title, id=body.listener_id)
        ctx.must_allow(POST.name, {"project_id": listener.project_id})
        await begin(ctx, tx, listener.load_balancer_id)
        return (await views(tx, [await new_policy(ctx, tx, body, listener)]))[0]


@routes.put(f"{PATH}/{{l7policy_id}}", envelope="l7policy", target=POLICY, policy=policies.write("l7policy", "put"))
async def update_policy(ctx: Ctx, policy: Policy, body: PolicyUpdate) -> PolicyView:
    values = changed(body)
    said = {name: value for name, value in values.items() if name in GOALS and value is not None}
    if "action" not in values and len(said) == 1:                    # a goal says the action, as Octavia's does
        values["action"] = next(action for action, goal in GOAL.items() if goal in said)
    async with ctx.db.write() as tx:
        listener = await rows.get(tx, Listener, policy.listener_id)
        await begin(ctx, tx, listener.load_balancer_id)
        goal = _goal({name: getattr(policy, name) for name in (*GOALS, "action", "redirect_http_code")} | values)
        if goal["redirect_pool_id"]:
            must_speak(listener.protocol, await must_be_here(tx, goal["redirect_pool_id"], listener.load_balancer_id))
        if position := values.pop("position", None):
            values["position"] = await _place(tx, listener.id, position, policy.id)
        return (await views(tx, [await alter(ctx, tx, policy, values | goal)]))[0]


@routes.delete(f"{PATH}/{{l7policy_id}}", target=POLICY, policy=policies.write("l7policy", "delete"))
async def delete_policy(ctx: Ctx, policy: Policy) -> None:
    async with ctx.db.write() as tx:
        await begin(ctx, tx, (await rows.get(tx, Listener, policy.listener_id)).load_balancer_id)
        await let_go(tx, await rows.get(tx, Policy, policy.id))
        await _place(tx, policy.listener_id, LAST)


async def let_go(tx: Connection, policy: Policy) -> None:
    rules = await rows.of(tx, Rule, "l7policy_id", [policy.id])
    await going(tx, *(rule for rule in rules if not rule.is_going), policy)


