"""What compute makes of the news from its hosts: they are there, what they have to give, which guests they hold."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from pileus.compute.drivers.base import GuestSeen
from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.messages import EnsureNoGuest, HostSeen
from pileus.compute.model import hosts, servers
from pileus.compute.model.hosts import Host
from pileus.compute.model.servers import Power, Seen, ServerFault, State
from pileus.compute.runtime import Compute
from pileus.compute.sagas.power_server import PowerServer, Wanted
from pileus.kit import db
from pileus.kit.bus import Handlers
from pileus.placement.client import Inventory

log = logging.getLogger(__name__)
handlers = Handlers()
SETTLED_SECONDS = 30.0          # news may be older than what was done since; younger rows are left alone


@handlers.on(HostSeen)
async def host_seen(compute: Compute, message: HostSeen) -> None:
    async with compute.db.write() as tx:
        before = await hosts.find(tx, message.host)
        host = await hosts.record_seen(tx, message.host, msgspec.to_builtins(message.facts), list(message.can),
                                       message.address, message.boot_id, compute.clock())
    await _publish(compute, host, message)
    restarted = before is not None and before.boot_id != message.boot_id
    await _compare_guests(compute, host, {guest.id: guest for guest in message.guests}, restarted=restarted)


async def _publish(compute: Compute, host: Host, message: HostSeen) -> None:
    """Tell placement what the host has, when that is news."""
    facts, config = message.facts, compute.config
    offered = {
        "VCPU": Inventory(total=facts.vcpus, allocation_ratio=config.cpu_overcommit, max_unit=facts.vcpus),
        "MEMORY_MB": Inventory(total=facts.memory_mb, allocation_ratio=config.memory_overcommit,
                               reserved=min(config.reserved_memory_mb, facts.memory_mb - 1), max_unit=facts.memory_mb),
        "DISK_GB": Inventory(total=facts.disk_gb, max_unit=facts.disk_gb)}
    digest = msgspec.json.encode([offered, sorted(message.can)])
    if compute.published.get(host.id) == digest:
        return
    await compute.placement.ensure_provider(host.id, host.name)
    await compute.placement.set_inventory(host.id, offered)
    await compute.placement.set_traits(host.id, [trait_of(ability) for ability in message.can])
    compute.published[host.id] = digest


def trait_of(ability: str) -> str:
    """A driver's optional ability as a trait of placement."""
    return "CUSTOM_" + ability.upper().replace("-", "_")


async def _compare_guests(compute: Compute, host: Host, guests: dict[str, GuestSeen], *, restarted: bool) -> None:
    """Bring what is written and what is there together; a server that a saga works on is left to that saga."""
    async with compute.db.read() as reader:
        rows = {seen.id: seen for seen in await servers.on_host(reader, host.name)}
    for guest_id in guests.keys() - rows.keys():
        log.info("guest of no server is removed", extra={"server": guest_id, "host": host.name})
        await compute.bus.cast(EnsureNoGuest(guest_id=guest_id), host=host.name)
    for seen in rows.values():
        settled = restarted or compute.clock() - seen.server.updated_at > SETTLED_SECONDS
        if seen.doing is None and settled:
            await _compare(compute, host, seen, guests.get(seen.id), restarted=restarted)


async def _compare(compute: Compute, host: Host, seen: Seen, guest: GuestSeen | None, *, restarted: bool) -> None:
    state = seen.server.state
    if guest is None:
        if state in (State.ACTIVE, State.STOPPED):
            await _change(compute, seen, state=State.ERROR, power=Power.NONE, fault=ServerFault(
                code=500, message=f"The guest is gone from host {host.name}.", created_at=compute.clock()))
    elif guest.power == GuestPower.OFF and state == State.ACTIVE:
        if restarted:
            await _power(compute, seen, Wanted.START)
        else:
            await _change(compute, seen, state=State.STOPPED, power=Power.SHUTDOWN)
    elif guest.power == GuestPower.RUNNING and state == State.STOPPED:
        await _power(compute, seen, Wanted.STOP)


async def _change(compute: Compute, seen: Seen, **values: Any) -> None:
    """Somebody may be faster; then the next sign of life looks again."""
    try:
        async with compute.db.write() as tx:
            await servers.change(tx, seen.server, compute.clock(), **values)
    except db.Stale:
        log.info("server changed meanwhile", extra={"server": seen.id})


async def _power(compute: Compute, seen: Seen, wanted: Wanted) -> None:
    try:
        async with compute.db.write() as tx:
            await compute.sagas.start(tx, PowerServer(server_id=seen.id, wanted=wanted), seen.id)
    except db.Taken:
        log.info("something else is done to the server already", extra={"server": seen.id})
