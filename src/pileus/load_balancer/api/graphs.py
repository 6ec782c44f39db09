"""A load balancer that is made with listeners, pools, members, monitors, policies and rules by one request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pileus.kit.db import Connection
from pileus.kit.web import Ctx
from pileus.load_balancer.api import health_monitors, l7policies, l7rules, listeners, members, pools, shapes
from pileus.load_balancer.api.listeners import ListenerGraph
from pileus.load_balancer.api.pools import PoolGraph
from pileus.load_balancer.api.shapes import DescribedChange
from pileus.load_balancer.faults import Invalid
from pileus.load_balancer.model import rows
from pileus.load_balancer.model.rows import LoadBalancer, Pool


class Graph(DescribedChange, kw_only=True, forbid_unknown_fields=True):
    """What may be made together with a load balancer."""

    listeners: list[ListenerGraph] | None = None
    pools: list[PoolGraph] | None = None

    @property
    def is_more(self) -> bool:
        return bool(self.listeners or self.pools)

    def every_pool(self) -> Iterator[PoolGraph]:
        yield from self.pools or ()
        for listener in self.listeners or ():
            used = [listener.default_pool, *(policy.redirect_pool for policy in listener.l7policies or ())]
            yield from (pool for pool in used if pool is not None)


async def networks_of(ctx: Ctx, graph: Graph) -> dict[str, str]:
    return await members.networks_of(ctx, [each for pool in graph.every_pool() for each in pool.members or ()])


async def add(ctx: Ctx, tx: Connection, graph: Graph, balancer: LoadBalancer, networks: Mapping[str, str]) -> None:
    """Pools first; listeners and policies may name one of them, or describe their own."""
    named: dict[str, Pool] = {}
    for each in graph.pools or ():
        pool = await _pool(ctx, tx, each, balancer, networks)
        if each.name and named.setdefault(each.name, pool) is not pool:
            raise Invalid(reason=f"Pool name {each.name} is used twice")

    async def used(said: PoolGraph | None) -> Pool | None:
        if said is None or said.protocol is not None:
            return None if said is None else await _pool(ctx, tx, said, balancer, networks)
        if not said.name or said.name not in named:
            raise Invalid(reason=f"Pool {said.name!r} is described nowhere")
        return named[said.name]

    for each in graph.listeners or ():
        row = listeners.new_listener(ctx, each, balancer)
        pool = await used(each.default_pool)
        if pool is not None:
            pools.must_speak(row.protocol, pool)
            row = msgspec.structs.replace(row, default_pool_id=pool.id)
        await listeners.add_listener(ctx, tx, row)
        for policy in each.l7policies or ():
            goal = await used(policy.redirect_pool)
            body = policy if goal is None else msgspec.structs.replace(policy, redirect_pool_id=goal.id)
            made = await l7policies.new_policy(ctx, tx, body, row)
            for rule in policy.rules or ():
                await shapes.add(ctx, tx, l7rules.new_rule(ctx, rule, made))


async def _pool(ctx: Ctx, tx: Connection, body: PoolGraph, balancer: LoadBalancer,
                networks: Mapping[str, str]) -> Pool:
    pool = pools.new_pool(ctx, body, balancer)
    await shapes.add(ctx, tx, pool)
    for each in body.members or ():
        await members.add_member(ctx, tx, members.new_member(ctx, each, pool, networks), pool)
    if body.healthmonitor is not None:
        await health_monitors.add_monitor(ctx, tx, health_monitors.new_monitor(ctx, body.healthmonitor, pool))
    return pool


async def shown(conn: Connection, balancer: LoadBalancer) -> dict[str, Any]:
    """What was made, in full."""
    tree = await rows.tree(conn, balancer)
    of_pools = await pools.views(conn, tree.pools)
    monitors = {row.pool_id: health_monitors.view(row) for row in tree.monitors}
    full = {view.id: _whole(view, members=[members.view(row) for row in tree.members if row.pool_id == view.id],
                            healthmonitor=monitors.get(view.id)) for view in of_pools}
    policies = {view.id: _whole(view, rules=[l7rules.view(row) for row in tree.rules if row.l7policy_id == view.id],
                                redirect_pool=full.get(view.redirect_pool_id or ""))
                for view in await l7policies.views(conn, tree.policies)}
    return {"pools": list(full.values()), "listeners": [
        _whole(view, default_pool=full.get(view.default_pool_id or ""),
               l7policies=[policies[ref.id] for ref in view.l7policies])
        for view in await listeners.views(conn, tree.listeners)]}


def _whole(view: msgspec.Struct, **parts: Any) -> dict[str, Any]:
    return msgspec.to_builtins(view) | {name: msgspec.to_builtins(part) for name, part in parts.items()}


