"""What compute makes of the news from its hosts: they are there, what they have to give, which guests they hold."""

from __future__ import annotations

import logging

import msgspec

from pileus.compute.asked_resources import PCI, THREADS, device_class
from pileus.compute.config import ComputeConfig
from pileus.compute.drivers.base import GuestSeen, HostFacts
from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.faults import ServerNotFound
from pileus.compute.messages import EnsureNoGuest, HostSeen, ListGuests
from pileus.compute.model import hosts, migrations, servers
from pileus.compute.model.hosts import Host
from pileus.compute.model.servers import Brief, Power, Seen, ServerAction, ServerFault, State
from pileus.compute.runtime import Compute
from pileus.compute.sagas.power_server import PowerServer, Wanted
from pileus.kit import context, db
from pileus.kit.bus import Handlers
from pileus.placement.client import Inventory

log = logging.getLogger(__name__)
handlers = Handlers()


@handlers.on(HostSeen)
async def host_seen(compute: Compute, message: HostSeen) -> None:
    guests = {guest.id: guest for guest in message.guests}
    async with compute.db.write() as tx:
        before = await hosts.find(tx, message.host)
        told = {"facts": message.facts, "can": message.can, "address": message.address, "boot_id": message.boot_id}
        host = await hosts.see_again(tx, before, message.host, told, compute.clock())
        if before is not None and before.boot_id != message.boot_id:
            await _run_again(compute, tx, host, guests)
    await _publish(compute, host, message)
    await _compare_guests(compute, host, guests)


async def _run_again(compute: Compute, tx: db.Connection, host: Host, guests: dict[str, GuestSeen]) -> None:
    """Start what ran when the host went down. In the transaction that notes its new boot: this is asked only once."""
    for seen in await servers.on_host(tx, host.name):
        guest = guests.get(seen.id)
        off = guest is not None and guest.power == GuestPower.OFF
        if off and seen.doing is None and seen.server.state == State.ACTIVE:
            await compute.sagas.start(tx, PowerServer(server_id=seen.id, wanted=Wanted.START), seen.id)


async def _publish(compute: Compute, host: Host, message: HostSeen) -> None:
    """Tell placement what the host has, when that is news."""
    offered, traits = offered_by(message.facts, compute.config), [trait_of(ability) for ability in message.can]
    if message.facts.threads:
        traits.append(THREADS)
    digest = msgspec.json.encode([offered, sorted(traits)])
    if compute.published.get(host.id) == digest:
        return
    await compute.placement.ensure_provider(host.id, host.name)
    for name in offered:
        if name.startswith(PCI):
            await compute.placement.ensure_class(name)
    await compute.placement.set_inventory(host.id, offered)
    await compute.placement.set_traits(host.id, traits)
    compute.published[host.id] = digest


def offered_by(facts: HostFacts, config: ComputeConfig) -> dict[str, Inventory]:
    """By resource class. Processors that are set aside are no others', and given out once."""
    shared = facts.vcpus - facts.dedicated_cpus
    offered = {
        "MEMORY_MB": Inventory(total=facts.memory_mb, allocation_ratio=config.memory_overcommit,
                               reserved=min(config.reserved_memory_mb, facts.memory_mb - 1), max_unit=facts.memory_mb),
        "DISK_GB": Inventory(total=facts.disk_gb, max_unit=facts.disk_gb)}
    if shared > 0:
        offered["VCPU"] = Inventory(total=shared, allocation_ratio=config.cpu_overcommit, max_unit=shared)
    alone = {"PCPU": facts.dedicated_cpus} | {device_class(alias): count for alias, count in facts.devices.items()}
    return offered | {name: Inventory(total=count, max_unit=count) for name, count in alone.items() if count}


def trait_of(ability: str) -> str:
    """A driver's optional ability as a trait of placement."""
    return "CUSTOM_" + ability.upper().replace("-", "_")


async def _compare_guests(compute: Compute, host: Host, told: dict[str, GuestSeen]) -> None:
    """Bring what is written and what is there together; a server that a saga works on is left to that saga."""
    async with compute.db.read() as reader:
        rows = {row.id: row for row in await servers.briefs(reader, host.name)}
        strange = told.keys() - rows.keys()
        if strange:
            strange -= await migrations.moving(reader, host.name)
    for guest_id in strange:
        log.info("guest of no server is removed", extra={"server": guest_id, "host": host.name})
        await compute.bus.cast(EnsureNoGuest(guest_id=guest_id), host=host.name)
    if not any(_differs(row, told.get(row.id)) for row in rows.values()):
        return
    # What was told may be older than the rows; what the host answers now is not.
    guests = {guest.id: guest for guest in await compute.bus.call(ListGuests(), host=host.name)}
    for row in rows.values():
        guest = guests.get(row.id)
        if _differs(row, guest):
            await _settle(compute, host, row, guest)


WHILE = {State.ACTIVE: GuestPower.RUNNING, State.RESCUED: GuestPower.RUNNING, State.STOPPED: GuestPower.OFF,
         State.PAUSED: GuestPower.PAUSED, State.SUSPENDED: GuestPower.SUSPENDED}


def _differs(row: Brief, guest: GuestSeen | None) -> bool:
    """Whether somebody has to see to it. A guest that is halted though it should run is left to who halted it."""
    state = row.state
    if row.saga is not None or state not in WHILE:
        return False
    if guest is None:
        return True
    return guest.power != WHILE[state] and (
        guest.power == GuestPower.OFF or guest.power == GuestPower.RUNNING and state == State.STOPPED)


async def _settle(compute: Compute, host: Host, row: Brief, guest: GuestSeen | None) -> None:
    """Unless somebody was faster: the server's row has to be what it was before the host was asked."""
    now = compute.clock()
    try:
        async with compute.db.write() as tx:
            latest = await servers.see(tx, row.id)
            if latest.doing is not None or latest.server.generation != row.generation:
                return
            if guest is None:
                await servers.change(tx, latest.server, now, state=State.ERROR, power=Power.NONE, fault=ServerFault(
                    code=500, message=f"The guest is gone from host {host.name}.", created_at=now))
            elif guest.power == GuestPower.OFF:
                await servers.change(tx, latest.server, now, state=State.STOPPED, power=Power.SHUTDOWN)
                await servers.record_action(tx, _stopped_by_itself(latest, guest, now))
            else:
                await compute.sagas.start(tx, PowerServer(server_id=row.id, wanted=Wanted.STOP), row.id)
    except (db.Stale, db.Taken, ServerNotFound):
        log.info("server changed meanwhile", extra={"server": row.id})


def _stopped_by_itself(seen: Seen, guest: GuestSeen, now: float) -> ServerAction:
    """So that users find the reason where they look for what happened to their server."""
    return ServerAction(
        server_id=seen.id, request_id=context.request_id.get(), action="stop", project_id=seen.project_id,
        user_id=seen.user_id, started_at=now, message=f"The guest stopped by itself: {guest.reason or 'it is off'}.")
