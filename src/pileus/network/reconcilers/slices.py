"""Every host is told what the database says: renders all slices, sends those their hosts have not confirmed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.reconcile import reconciler
from pileus.network.engine.records import Records, Slice, Snapshot
from pileus.network.engine.slices import render
from pileus.network.messages import ApplySlice
from pileus.network.model import hosts as host_model
from pileus.network.model.base import chunks, rows
from pileus.network.model.hosts import Host, hosts
from pileus.network.model.ports import ACTIVE, DHCP, ports
from pileus.network.model.routers import interfaces, routers
from pileus.network.rendering import read_records

if TYPE_CHECKING:
    from pileus.network.runtime import Network

GATHER = 0.01                # seconds in which further changes join the same rendering
REST = 3.0                   # between renderings, in times of what the last one took: a stream of changes may not
MOST_REST = 1.0              # make a conductor do little else; seconds


@reconciler(every=15.0)
async def slices(network: Network) -> None:
    last = network.rendered
    resting = last.at + min(REST * last.took, MOST_REST) - time.monotonic()
    await asyncio.sleep(max(GATHER, resting))
    await place_routers(network)
    known, wanted = await _wanted(network)
    for host in known:
        if is_alive(network, host):
            await _settle(network, host, *wanted[host.name])


async def _wanted(network: Network) -> tuple[list[Host], dict[str, tuple[Slice, str]]]:
    """The hosts with their slices: those of the last time where nothing was changed since."""
    last, change, began = network.rendered, network.changes, time.monotonic()
    async with network.db.read() as reader:
        known = await host_model.every(reader)
        places = tuple((host.name, host.underlay_ip) for host in known)
        if last.fits(change, places, began):
            return known, last.slices
        found = await read_records(reader, known, last.known, dns_domain=network.config.dns_domain)
    last.slices = await asyncio.to_thread(_rendered, found)
    last.change, last.hosts, last.at = change, places, time.monotonic()
    last.took = last.at - began
    return known, last.slices


def is_alive(network: Network, host: Host) -> bool:
    return network.clock() - host.seen_at < network.config.host_dead_after


def _rendered(found: Records) -> dict[str, tuple[Slice, str]]:
    return {name: (one, hashlib.sha256(msgspec.msgpack.encode(one)).hexdigest()) for name, one in render(found).items()}


async def _settle(network: Network, host: Host, wanted: Slice, digest: str) -> None:
    """A new slice gets the next number; whoever numbers it first sends it, the other one renders again."""
    seq = host.seq
    if digest != host.digest:
        async with network.db.write() as tx:
            if not await db.update(tx, hosts.update().where(hosts.c.name == host.name, hosts.c.seq == host.seq).values(
                    seq=host.seq + 1, digest=digest)):
                network.reconcilers.wake("slices")
                return
        seq += 1
    elif host.confirmed == host.seq:
        await _finish_resting_legs(network, host.name)
        return
    before = network.sent.get(host.name)
    if before is not None and before[0] == seq and time.monotonic() - before[1] < network.resend_after:
        return
    network.sent[host.name] = (seq, time.monotonic())
    network.reconcilers.wake("slices", after=network.resend_after)       # confirmed by then, or sent again
    await network.bus.cast(ApplySlice(snapshot=Snapshot(seq=seq, slice=wanted)), host=host.name)


_LEGS_OF_RESTING = sa.select(ports.c.id).join(interfaces, interfaces.c.port_id == ports.c.id).join(
    routers, routers.c.id == interfaces.c.router_id).where(
        routers.c.host == sa.bindparam("of_host"), ~routers.c.admin_state_up, ports.c.status != ACTIVE)
_GUESTS = ports.alias()
_SERVED_NOWHERE = sa.select(ports.c.id).where(
    ports.c.device_owner == DHCP, ports.c.status != ACTIVE, ports.c.admin_state_up,
    ports.c.network_id.not_in(sa.select(_GUESTS.c.network_id).where(_GUESTS.c.host != "")))


async def _finish_resting_legs(network: Network, host: str) -> None:
    """A router that is administratively down has no legs on its host, and DHCP of a network without guests is served
    nowhere. Once the host has made its slice so, all that was wanted of their ports is done; no engine will ever speak
    of them."""
    async with network.db.read() as reader:
        waiting = [*await db.scalars(reader, _LEGS_OF_RESTING, of_host=host),
                   *await db.scalars(reader, _SERVED_NOWHERE)]
    if waiting:
        async with network.db.write() as tx:
            for part in chunks(waiting):
                await tx.execute(ports.update().where(ports.c.id.in_(part)).values(status=ACTIVE))


async def place_routers(network: Network) -> None:
    """Routers live where they are as long as that host does and may have any; homeless ones go where the fewest are,
    but for those that were sent away from everywhere (their host is "")."""
    async with network.db.read() as reader:
        off = await host_model.switched_off(reader)
        known = await host_model.every(reader)
        barred = {host.name for host in known if off & {host.id, host.part(host_model.ROUTERS)}}
        alive = [host.name for host in known if is_alive(network, host) and host.name not in barred]
        query = sa.select(routers.c.id, routers.c.host).order_by(routers.c.created_at, routers.c.id)
        places = {router_id: host for router_id, host in await rows(reader, query)}
    homeless = [router_id for router_id, host in places.items()
                if host not in ("", *alive) and (alive or host in barred)]
    if not homeless:
        return
    load = Counter(places.values())
    async with network.db.write() as tx:
        for router_id in homeless:
            chosen = min(alive, key=lambda name: (load[name], name), default=None)
            old = places[router_id]
            same = routers.c.host.is_(None) if old is None else routers.c.host == old
            load[chosen] += await db.update(
                tx, routers.update().where(routers.c.id == router_id, same).values(host=chosen))
    network.changes += 1
