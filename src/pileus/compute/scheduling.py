"""Scheduling around the pure part: placement's candidates in, a claim out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from pileus.compute.model import groups, hosts, servers
from pileus.compute.model.hosts import Host
from pileus.compute.model.servers import Server
from pileus.compute.runtime import Compute
from pileus.compute.scheduler import GroupWish, HostState, Sifted, Verdict, Wish, select
from pileus.placement.client import Candidates, Conflict

MOST_CANDIDATES = 200             # more would not make a better choice, only bigger rows
Free = dict[str, dict[str, float]]  # provider id -> what is free of each resource class


def resources_of(server: Server) -> dict[str, int]:
    """What the server takes of each resource class. The volume that one boots from is on no host."""
    flavor = server.flavor
    disk = (flavor.disk_gb if server.image else 0) + flavor.ephemeral_gb + -(-flavor.swap_mb // 1024)
    found = {"VCPU": flavor.vcpus, "MEMORY_MB": flavor.memory_mb, "DISK_GB": disk}
    for key, value in flavor.extra_specs.items():
        if key.startswith("resources:") and value.isdigit():
            found[key.removeprefix("resources:")] = int(value)
    return {name: amount for name, amount in found.items() if amount}


def _required_traits(server: Server) -> list[str]:
    return [key.removeprefix("trait:") for key, value in server.flavor.extra_specs.items()
            if key.startswith("trait:") and value == "required"]


async def candidates(compute: Compute, server: Server) -> Free:
    """Providers that would take the server now."""
    return _free(await compute.placement.candidates(
        resources_of(server), required=_required_traits(server), limit=MOST_CANDIDATES))


def _free(found: Candidates) -> Free:
    return {provider: {name: float(stock.capacity - stock.used) for name, stock in summary.resources.items()}
            for provider, summary in found.summaries.items()}


async def choose(compute: Compute, server: Server, fitting: Free, asked_host: str | None,
                 tried: tuple[str, ...] = ()) -> Verdict:
    """Filter and weigh the fitting providers; when that leaves none, look at every host, to say why."""
    async with compute.db.read() as reader:
        known = await hosts.every(reader)
        load = await hosts.loads(reader)
        group = await _group(reader, server)
        same, different = await _hinted(reader, server, "same_host"), await _hinted(reader, server, "different_host")
    wish = Wish(resources=resources_of(server), zone=server.zone, host=asked_host, same_as=same,
                different_from=different, tried=tried, group=group)
    verdict = select([_state(compute, host, fitting[host.id], load) for host in known if host.id in fitting], wish)
    if verdict.hosts:
        return verdict
    some = _free(await compute.placement.candidates({"MEMORY_MB": 1}, limit=MOST_CANDIDATES))
    everyone = select([_state(compute, host, some.get(host.id, {}), load) for host in known], wish)
    if everyone.hosts:                 # only what placement alone looks at kept them out
        reason = f"none has the traits {', '.join(_required_traits(server))} and the resources free."
        last = Sifted(filter="Placement", hosts_in=len(known), hosts_out=0, why=reason)
        return Verdict(hosts=(), table=(*everyone.table, last))
    return everyone


def _state(compute: Compute, host: Host, free: dict[str, float], load: dict[str, int]) -> HostState:
    up = compute.clock() - host.seen_at < compute.config.host_silent_after and not host.forced_down
    return HostState(name=host.name, provider_id=host.id, zone=host.zone or compute.config.default_zone,
                     enabled=not host.disabled, up=up, reason=host.disabled_reason or "", free=free,
                     servers=load.get(host.name, 0))


async def _group(reader: Any, server: Server) -> GroupWish | None:
    """What the server's group asks, itself not counted."""
    if server.group_id is None:
        return None
    group = await groups.get(reader, server.group_id)
    others = [each for each in (await groups.members(reader, [group.id])).get(group.id, []) if each.id != server.id]
    return GroupWish(policy=group.policy, most_per_host=group.rules.get(groups.MOST_PER_HOST, 1),
                     hosts=dict(Counter(each.host for each in others if each.host)))


async def _hinted(reader: Any, server: Server, hint: str) -> tuple[str, ...]:
    """The hosts of the servers a scheduler hint names."""
    wanted = (server.hints or {}).get(hint) or []
    named = [wanted] if isinstance(wanted, str) else list(wanted)
    found = [await servers.find(reader, server_id) for server_id in named]
    return tuple(other.host for other in found if other is not None and other.host)


async def claim(compute: Compute, server: Server, host: str, consumer_id: str = "") -> bool:
    """Take the resources of `host` in placement, for the server or for its migration; False when it no longer has
    them."""
    async with compute.db.read() as reader:
        found = await hosts.find(reader, host)
    if found is None:
        return False
    try:
        await compute.placement.claim(consumer_id or server.id, {found.id: resources_of(server)},
                                      project_id=server.project_id, user_id=server.user_id,
                                      consumer_type="MIGRATION" if consumer_id not in ("", server.id) else "INSTANCE")
    except Conflict:
        return False
    return True


async def exchange(compute: Compute, server: Server, migration_id: str) -> None:
    """The server takes over what its migration has, and lets go of what it had."""
    await compute.placement.take_over(migration_id, server.id, project_id=server.project_id, user_id=server.user_id)


def as_note(verdict: Verdict) -> str:
    """The table as `pileus trace` keeps it on the event of the step."""
    return msgspec.json.encode(verdict).decode()
