"""What operating statuses follow from how members do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.load_balancer.model.rows import Listener, Member, Operating, Pool, Tree


def statuses(tree: Tree, answers: Mapping[str, bool]) -> dict[str, str]:
    """The operating status of every part by id. `answers`: whether a member that is watched answers; one that is not
    in there keeps its status, or is not known to answer yet."""
    watched = {monitor.pool_id for monitor in tree.monitors if monitor.admin_state_up}
    found: dict[str, str] = {}
    for member in tree.members:
        found[member.id] = _member(member, answers, watched=member.pool_id in watched)
    for monitor in tree.monitors:
        found[monitor.id] = Operating.ONLINE if monitor.admin_state_up else Operating.OFFLINE
    used = {listener.default_pool_id for listener in tree.listeners} | {
        policy.redirect_pool_id for policy in tree.policies}
    for pool in tree.pools:
        found[pool.id] = Operating.OFFLINE if pool.id not in used else _pool(
            pool, [found[member.id] for member in tree.members if member.pool_id == pool.id])
    for listener in tree.listeners:
        found[listener.id] = _listener(listener, found)
    for part in (*tree.policies, *tree.rules):
        found[part.id] = Operating.ONLINE if part.admin_state_up else Operating.OFFLINE
    found[tree.balancer.id] = _balancer(
        tree, [found[pool.id] for pool in tree.pools if found[pool.id] != Operating.OFFLINE])
    return found


def _member(member: Member, answers: Mapping[str, bool], *, watched: bool) -> str:
    if not member.admin_state_up:
        return Operating.OFFLINE
    if not watched:
        return Operating.NO_MONITOR if member.weight else Operating.DRAINING
    if member.id in answers:
        if not answers[member.id]:
            return Operating.ERROR
        return Operating.ONLINE if member.weight else Operating.DRAINING
    kept = (Operating.ONLINE, Operating.ERROR, Operating.DRAINING)
    return member.operating_status if member.operating_status in kept else Operating.OFFLINE


def _pool(pool: Pool, members: list[str]) -> str:
    if not pool.admin_state_up:
        return Operating.OFFLINE
    failed = members.count(Operating.ERROR)
    if failed and failed == len(members) - members.count(Operating.OFFLINE):
        return Operating.ERROR
    return Operating.DEGRADED if failed else Operating.ONLINE


def _listener(listener: Listener, found: Mapping[str, str]) -> str:
    if not listener.admin_state_up:
        return Operating.OFFLINE
    pool = found.get(listener.default_pool_id or "")
    return pool if pool in (Operating.DEGRADED, Operating.ERROR) else Operating.ONLINE


def _balancer(tree: Tree, pools: list[str]) -> str:
    if not tree.balancer.admin_state_up:
        return Operating.OFFLINE
    if pools and all(pool == Operating.ERROR for pool in pools):
        return Operating.ERROR
    return Operating.DEGRADED if {Operating.ERROR, Operating.DEGRADED} & set(pools) else Operating.ONLINE
