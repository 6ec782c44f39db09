"""Scheduling around the pure part: placement's candidates in, a claim out."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pileus.compute import port_needs
from pileus.compute.asked_resources import Asked, asked_by, asked_of
from pileus.compute.faults import UnfitInterface
from pileus.compute.model import aggregates, groups, hosts, servers
from pileus.compute.model.hosts import Host, Used
from pileus.compute.model.servers import FlavorCopy, Server
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.runtime import Compute
from pileus.compute.scheduler import questions, topology
from pileus.compute.scheduler.choice import NO_VALID_HOST, Judged, Verdict, judge, select
from pileus.compute.scheduler.columns import Columns, HostState
from pileus.compute.scheduler.wishes import GroupWish, Wish
from pileus.kit.client import Refused
from pileus.kit.db import Connection
from pileus.kit.saga import Abort
from pileus.placement.client import Candidates, Conflict, Group, Resources, total

MOST_CANDIDATES = 200             # looked at first: a choice of some at random is nearly as good, and rows stay small
Free = dict[str, dict[str, float]]  # id of a host -> what is free of each resource class


def as_claim(flavor: FlavorCopy) -> dict[str, int]:
    """What a server of this flavor, and of an image that says nothing, takes of each resource class."""
    return asked_of(flavor, {}).total


async def candidates(compute: Compute, server: Server, asked_host: str | None = None, *,
                     most: int | None = MOST_CANDIDATES, needs: Sequence[PortNeed] = ()) -> Free:
    """Hosts that would take the server now, with what its ports need: the asked host if it does, else some of them."""
    tree = None if asked_host is None else hosts.stable_id(asked_host)
    return _free(await _offers(compute, port_needs.added(asked_by(server), needs), tree, most))


async def _offers(compute: Compute, asked: Asked, tree: str | None, most: int | None) -> Candidates:
    """Raises Abort for what placement knows nothing of, such as a trait that is none."""
    try:
        if asked.is_plain:
            plain = asked.plain
            return await compute.placement.candidates(
                plain.resources, required=plain.required, forbidden=plain.forbidden, in_tree=tree, limit=most)
        return await compute.placement.candidates_of_groups(
            asked.groups, policy=asked.policy, together=asked.together, in_tree=tree, limit=most)
    except Refused as error:
        if error.status != 400:
            raise
        raise Abort(f"{NO_VALID_HOST} Placement cannot be asked for what flavor and image say: {error.message}",
                     ) from error


async def share(compute: Compute, server: Server, host: str, needs: Sequence[PortNeed]) -> Share | None:
    """What the server, with ports that need this, would take of `host` now; None where it does not fit."""
    found = await _offers(compute, port_needs.added(asked_by(server), needs), hosts.stable_id(host), 1)
    return port_needs.share_of(found.requests[0], needs) if found.requests else None


def _free(found: Candidates) -> Free:
    """Of each host, with all providers of its tree."""
    free: Free = {}
    for provider, summary in found.summaries.items():
        of_host = free.setdefault(summary.root or provider, {})
        for name, stock in summary.resources.items():
            of_host[name] = of_host.get(name, 0.0) + stock.capacity - stock.used
    return free


async def choose(compute: Compute, server: Server, fitting: Free, asked_host: str | None,
                 tried: tuple[str, ...] = (), needs: Sequence[PortNeed] = ()) -> Verdict:
    """Filter and weigh the fitting providers; when that leaves none, look at every host: there may be more, and it
    says why."""
    async with compute.db.read() as reader:
        wish = await wish_of(compute, reader, server, asked_host, tried)
        wish = msgspec.structs.replace(wish, ports=tuple(need.sentence for need in needs))
        known = await hosts.named(reader, list(fitting))
        columns = Columns(await _states(compute, reader, known, fitting))
    verdict = select(columns, wish, compute.scheduler.weights)
    if verdict.hosts:
        return verdict
    return select(await everywhere(compute, server, needs), wish, compute.scheduler.weights)


async def everywhere(compute: Compute, server: Server, needs: Sequence[PortNeed] = ()) -> Columns:
    """All hosts, with what they have free and whether placement offers them for the server."""
    offered = await candidates(compute, server, most=None, needs=needs)
    free: Free = {}
    for name in asked_by(server).total:        # one that has nothing left of all of them is in none of the answers
        free |= _free(await _offers(compute, Asked(groups={"": Group(resources={name: 1})}), None, None))
    free |= offered
    async with compute.db.read() as reader:
        states = await _states(compute, reader, await hosts.every(reader), free)
    columns = compute.kept.in_step(states)
    columns.offer(offered)
    return columns


async def explain(compute: Compute, server: Server, asked_host: str | None) -> list[Judged]:
    """A dry run: what would be said of every host."""
    async with compute.db.read() as reader:
        wish = await wish_of(compute, reader, server, asked_host)
    return judge(await everywhere(compute, server), wish, compute.scheduler.weights)


async def _states(compute: Compute, reader: Connection, known: list[Host], free: Free) -> list[HostState]:
    names = [host.name for host in known] if len(known) <= MOST_CANDIDATES else None
    used, busy = await hosts.used(reader, names), await hosts.busy(reader, names)
    said = _metadata(await aggregates.every(reader))
    now, silent_after = compute.clock(), compute.config.host_silent_after
    nothing = Used()
    return [HostState(
        name=host.name, provider_id=host.id, zone=host.zone or compute.config.default_zone,
        enabled=not host.disabled, up=host.is_up(now, silent_after), reason=host.disabled_reason or "",
        free=free.get(host.id, {}), servers=used.get(host.name, nothing).servers,
        vcpus_used=used.get(host.name, nothing).vcpus, memory_mb_used=used.get(host.name, nothing).memory_mb,
        io_ops=busy.get(host.name, 0),
        failed_builds=host.failed_builds or 0, address=host.address, facts=host.facts,
        metadata=said.get(host.name, {})) for host in known]


def _metadata(found: list[aggregates.Aggregate]) -> dict[str, dict[str, tuple[str, ...]]]:
    """By host and key, the values of all aggregates it is in."""
    said: dict[str, dict[str, tuple[str, ...]]] = {}
    for each in found:
        for host in each.hosts:
            of_host = said.setdefault(host, {})
            for key, value in each.metadata.items():
                of_host[key] = (*of_host.get(key, ()), value)
    return said


async def wish_of(compute: Compute, reader: Connection, server: Server, asked_host: str | None,
                  tried: tuple[str, ...] = ()) -> Wish:
    hints, config, asked = server.hints or {}, compute.scheduler, asked_by(server)
    properties = server.image.properties if server.image else {}
    return Wish(
        resources=asked.total, nodes=topology.nodes_of(server.flavor, properties), zone=server.zone,
        host=asked_host, tried=tried,
        same_as=await _hinted(reader, hints, "same_host"),
        different_from=await _hinted(reader, hints, "different_host"), near=near(hints),
        query=questions.parse(hints["query"]) if hints.get("query") else None,
        group=await _group(reader, server), flavor=server.flavor.name, project_id=server.project_id,
        extra_specs=server.flavor.extra_specs, image_id=server.image_id,
        properties=properties, required=asked.plain.required, forbidden=asked.plain.forbidden,
        most_servers=config.max_servers_per_host, most_io_ops=config.max_io_ops_per_host,
        isolated_hosts=frozenset(config.isolated_hosts), isolated_images=frozenset(config.isolated_images))


async def _group(reader: Connection, server: Server) -> GroupWish | None:
    """What the server's group asks, itself not counted."""
    if server.group_id is None:
        return None
    group = await groups.get(reader, server.group_id)
    others = [each for each in (await groups.members(reader, [group.id])).get(group.id, []) if each.id != server.id]
    return GroupWish(policy=group.policy, most_per_host=group.rules.get(groups.MOST_PER_HOST, 1),
                     hosts=dict(Counter(host for each in others for host in each.hosts)))


async def _hinted(reader: Connection, hints: dict[str, Any], hint: str) -> tuple[str, ...]:
    """The hosts of the servers a scheduler hint names."""
    wanted = hints.get(hint) or []
    named = [wanted] if isinstance(wanted, str) else list(wanted)
    return tuple(sorted(await servers.hosts_of(reader, named))) if named else ()


def near(hints: dict[str, Any]) -> str | None:
    """The network of the hints build_near_host_ip and cidr; /24 without the latter. Raises ValueError."""
    address = hints.get("build_near_host_ip")
    if not address:
        return None
    return str(ipaddress.ip_network(f"{address}/{str(hints.get('cidr') or '24').removeprefix('/')}", strict=False))


async def promise(compute: Compute, server: Server, host: str) -> bool:
    """Whether the strict policy of the server's group lets it go to the host; if so, it is counted there from now on.

    Asked and written in the turn of the group, so that two of its servers are never both told so.
    """
    if server.group_id is None:
        return True
    async with compute.db.write() as tx:
        await groups.wait_turn(tx, server.group_id)
        wish = await _group(tx, server)
        if wish is None or not wish.allows(host):
            return False
        await groups.promise(tx, server.id, host)
    return True


async def claim_plain(compute: Compute, server: Server, host: str, consumer_id: str) -> bool:
    """As `claim`, of the host itself; False also where what is asked for is in groups."""
    async with compute.db.read() as reader:
        found = await hosts.find(reader, host)
    asked = asked_by(server)
    return found is not None and asked.is_plain and await claim(
        compute, server, consumer_id, Share(resources={found.id: asked.plain.resources}))


async def claim(compute: Compute, server: Server, consumer_id: str, taken: Share) -> bool:
    """Take this in placement, for the server or for its migration; False when its host no longer has it."""
    try:
        await compute.placement.claim(consumer_id, taken.resources, project_id=server.project_id,
                                      user_id=server.user_id,
                                      consumer_type="INSTANCE" if consumer_id == server.id else "MIGRATION")
    except Conflict:
        return False
    return True


async def more(compute: Compute, server: Server, needs: Sequence[PortNeed]) -> Share:
    """What the server's host would give to another port of it. Raises UnfitInterface."""
    host = server.host or ""
    found = await _offers(compute, port_needs.added(Asked(groups={}), needs), hosts.stable_id(host), 1)
    if not found.requests:
        raise UnfitInterface(server_id=server.id, host=host, wanted="; ".join(need.sentence for need in needs))
    return port_needs.share_of(found.requests[0], needs)


async def claimed(compute: Compute, consumer_id: str) -> dict[str, dict[str, int]]:
    """By a server, or by its migration."""
    return (await compute.placement.allocations(consumer_id)).resources


async def change_claim(compute: Compute, server: Server, before: Resources, more: Resources) -> None:
    """The server has what it had before and more, or less where that is negative. Already so: nothing. Raises Conflict
    when its host no longer has it."""
    await compute.placement.change_claim(server.id, total(before, more), project_id=server.project_id,
                                         user_id=server.user_id)


async def exchange(compute: Compute, server: Server, claims: Mapping[str, Resources]) -> None:
    """The server and its migration have just this of what they claim together. Already so: nothing."""
    await compute.placement.distribute(claims, project_id=server.project_id, user_id=server.user_id)


async def take_back(compute: Compute, server: Server, migration_id: str) -> None:
    """The server has again what its migration kept for it, and lets go of what it had."""
    await compute.placement.take_over(migration_id, server.id, project_id=server.project_id, user_id=server.user_id)


def as_note(verdict: Verdict) -> str:
    """The table as `pileus trace` keeps it on the event of the step."""
    return msgspec.json.encode(verdict).decode()
