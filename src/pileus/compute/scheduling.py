"""Scheduling around the pure part: placement's candidates in, a claim out."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.compute import port_needs
from pileus.compute.faults import UnfitInterface
from pileus.compute.model import aggregates, groups, hosts, servers
from pileus.compute.model.hosts import Host, Used
from pileus.compute.model.servers import FlavorCopy, Server
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.runtime import Compute
from pileus.compute.scheduler import questions
from pileus.compute.scheduler.choice import Judged, Verdict, judge, select
from pileus.compute.scheduler.columns import Columns, HostState
from pileus.compute.scheduler.wishes import GroupWish, Wish
from pileus.kit.db import Connection
from pileus.placement.client import Candidates, Conflict, Resources, total

MOST_CANDIDATES = 200             # looked at first: a choice of some at random is nearly as good, and rows stay small
Free = dict[str, dict[str, float]]  # provider id -> what is free of each resource class


def resources_of(server: Server) -> dict[str, int]:
    """What the server takes of each resource class. The volume that one boots from is on no host."""
    return as_claim(server.flavor, has_root_disk=server.image is not None)


def as_claim(flavor: FlavorCopy, *, has_root_disk: bool = True) -> dict[str, int]:
    disk = (flavor.disk_gb if has_root_disk else 0) + flavor.ephemeral_gb + -(-flavor.swap_mb // 1024)
    found = {"VCPU": flavor.vcpus, "MEMORY_MB": flavor.memory_mb, "DISK_GB": disk}
    for key, value in flavor.extra_specs.items():
        if key.startswith("resources:") and value.isdigit():
            found[key.removeprefix("resources:")] = int(value)
    return {name: amount for name, amount in found.items() if amount}


def traits_of(server: Server, wanted: str) -> tuple[str, ...]:
    """What flavor and image say of traits; `wanted`: required or forbidden."""
    said = (server.image.properties if server.image else {}) | server.flavor.extra_specs
    return tuple(sorted(key.removeprefix("trait:") for key, value in said.items()
                        if key.startswith("trait:") and value == wanted))


async def candidates(compute: Compute, server: Server, asked_host: str | None = None, *,
                     most: int | None = MOST_CANDIDATES, needs: Sequence[PortNeed] = ()) -> Free:
    """Providers that would take the server now: the asked host if it does, else some of them."""
    tree = None if asked_host is None else hosts.stable_id(asked_host)
    return _free(await _offers(compute, server, tree, most, needs))


async def _offers(compute: Compute, server: Server, tree: str | None, most: int | None,
                  needs: Sequence[PortNeed]) -> Candidates:
    return await compute.placement.candidates(
        resources_of(server), required=traits_of(server, "required"), forbidden=traits_of(server, "forbidden"),
        in_tree=tree, limit=most, parts=port_needs.parts_of(needs))


async def share(compute: Compute, server: Server, host: str, needs: Sequence[PortNeed]) -> Share | None:
    """What the server, with ports that need this, would take of `host` now; None where it does not fit."""
    found = await _offers(compute, server, hosts.stable_id(host), 1, needs)
    return port_needs.share_of(found.requests[0], needs) if found.requests else None


def _free(found: Candidates) -> Free:
    return {provider: {name: float(stock.capacity - stock.used) for name, stock in summary.resources.items()}
            for provider, summary in found.summaries.items()}


async def choose(compute: Compute, server: Server, fitting: Free, asked_host: str | None,
                 tried: tuple[str, ...] = (), needs: Sequence[PortNeed] = ()) -> Verdict:
    """Filter and weigh the fitting providers; when that leaves none, look at every host: there may be more, and it
    says why."""
    async with compute.db.read() as reader:
        wish = await wish_of(compute, reader, server, asked_host, tried)
        wish = msgspec.structs.replace(wish, ports=tuple(need.sentence for need in needs))
        known = await hosts.named(reader, list(fitting))
        columns = Columns(await _states(compute, reader, known, fitting, None))
    verdict = select(columns, wish, compute.scheduler.weights)
    if verdict.hosts:
        return verdict
    return select(await everywhere(compute, server, needs), wish, compute.scheduler.weights)


async def everywhere(compute: Compute, server: Server, needs: Sequence[PortNeed] = ()) -> Columns:
    """All hosts, with what they have free and whether placement offers them for the server."""
    offered = await candidates(compute, server, most=None, needs=needs)
    free: Free = {}
    for name in resources_of(server):          # one that has nothing left of all of them is in none of the answers
        free |= _free(await compute.placement.candidates({name: 1}))
    free |= offered
    async with compute.db.read() as reader:
        return Columns(await _states(compute, reader, await hosts.every(reader), free, offered))


async def explain(compute: Compute, server: Server, asked_host: str | None) -> list[Judged]:
    """A dry run: what would be said of every host."""
    async with compute.db.read() as reader:
        wish = await wish_of(compute, reader, server, asked_host)
    return judge(await everywhere(compute, server), wish, compute.scheduler.weights)


async def _states(compute: Compute, reader: Connection, known: list[Host], free: Free,
                  offered: Free | None) -> list[HostState]:
    """`offered`: where it is None, all of them are."""
    names = [host.name for host in known] if len(known) <= MOST_CANDIDATES else None
    used, busy = await hosts.used(reader, names), await hosts.busy(reader, names)
    said = _metadata(await aggregates.every(reader))
    now, silent_after = compute.clock(), compute.config.host_silent_after
    nothing = Used()
    return [HostState(
        name=host.name, provider_id=host.id, zone=host.zone or compute.config.default_zone,
        enabled=not host.disabled, up=host.is_up(now, silent_after), reason=host.disabled_reason or "",
        free=free.get(host.id, {}), offered=offered is None or host.id in offered,
        servers=used.get(host.name, nothing).servers, vcpus_used=used.get(host.name, nothing).vcpus,
        memory_mb_used=used.get(host.name, nothing).memory_mb, io_ops=busy.get(host.name, 0),
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
    hints, config = server.hints or {}, compute.scheduler
    return Wish(
        resources=resources_of(server), zone=server.zone, host=asked_host, tried=tried,
        same_as=await _hinted(reader, hints, "same_host"),
        different_from=await _hinted(reader, hints, "different_host"), near=near(hints),
        query=questions.parse(hints["query"]) if hints.get("query") else None,
        group=await _group(reader, server), flavor=server.flavor.name, project_id=server.project_id,
        extra_specs=server.flavor.extra_specs, image_id=server.image_id,
        properties=server.image.properties if server.image else {},
        required=traits_of(server, "required"), forbidden=traits_of(server, "forbidden"),
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


async def claim(compute: Compute, server: Server, host: str, consumer_id: str = "",
                taken: Share | None = None) -> bool:
    """Take the resources of `host` in placement, or what was chosen of it and below it, for the server or for its
    migration; False when it no longer has them."""
    async with compute.db.read() as reader:
        found = await hosts.find(reader, host)
    if found is None:
        return False
    try:
        await compute.placement.claim(consumer_id or server.id,
                                      taken.resources if taken else {found.id: resources_of(server)},
                                      project_id=server.project_id, user_id=server.user_id,
                                      consumer_type="MIGRATION" if consumer_id not in ("", server.id) else "INSTANCE")
    except Conflict:
        return False
    return True


async def more(compute: Compute, server: Server, needs: Sequence[PortNeed]) -> Share:
    """What the server's host would give to another port of it. Raises UnfitInterface."""
    host = server.host or ""
    found = await compute.placement.candidates({}, in_tree=hosts.stable_id(host), limit=1,
                                               parts=port_needs.parts_of(needs))
    if not found.requests:
        raise UnfitInterface(server_id=server.id, host=host, wanted="; ".join(need.sentence for need in needs))
    return port_needs.share_of(found.requests[0], needs)


async def claimed(compute: Compute, server: Server) -> dict[str, dict[str, int]]:
    return (await compute.placement.allocations(server.id)).resources


async def change_claim(compute: Compute, server: Server, before: Resources, more: Resources) -> None:
    """The server has what it had before and more, or less where that is negative. Already so: nothing. Raises Conflict
    when its host no longer has it."""
    await compute.placement.change_claim(server.id, total(before, more), project_id=server.project_id,
                                         user_id=server.user_id)


async def exchange(compute: Compute, server: Server, migration_id: str) -> None:
    """The server takes over what its migration has, and lets go of what it had."""
    await compute.placement.take_over(migration_id, server.id, project_id=server.project_id, user_id=server.user_id)


def as_note(verdict: Verdict) -> str:
    """The table as `pileus trace` keeps it on the event of the step."""
    return msgspec.json.encode(verdict).decode()
