"""What conductors do with the words of hosts: note who is there, and what became of ports, routers, floating IPs."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.bus import Handlers
from pileus.kit.client import Refused, Unreachable
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.network.engine.records import State, Status
from pileus.network.messages import HostSeen, PortsReported
from pileus.network.model import gateways
from pileus.network.model import hosts as host_model
from pileus.network.model.base import chunks, rows
from pileus.network.model.hosts import Host, hosts
from pileus.network.model.ports import ACTIVE, DHCP, DOWN, ERROR, ports
from pileus.network.model.routers import Router, floating_ips, interfaces, routers

if TYPE_CHECKING:
    from pileus.network.runtime import Network

log = logging.getLogger(__name__)
handlers = Handlers()
SHOWN = {State.UP: ACTIVE, State.DOWN: DOWN, State.ERROR: ERROR}
EVENTS = {ACTIVE: "network-vif-plugged", DOWN: "network-vif-unplugged"}


@handlers.on(HostSeen)
async def host_seen(network: Network, message: HostSeen) -> None:
    now = network.clock()
    if network.has.get(message.host) != message.has:
        network.has[message.host] = message.has
        network.reconcilers.wake("guarantees")
    async with network.db.write() as tx:
        known = await host_model.find(tx, message.host)
        if known is None:
            await _add(tx, message, now)
        else:
            values: dict[str, Any] = {"seen_at": now, "confirmed": message.seq, "error": message.error[:255],
                                      "underlay_ip": message.underlay_ip, "started_at": message.started_at}
            if message.seq > known.seq:                  # it outlived our database: begin behind its last number
                values |= {"seq": message.seq, "digest": ""}
            await db.update(tx, hosts.update().where(hosts.c.name == message.host).values(**values))
        if known is None or known.underlay_ip != message.underlay_ip or (
                now - known.seen_at >= network.config.host_dead_after):
            network.changed(tx)
        elif not known.seq == known.confirmed == message.seq:        # it may need its slice, which is as it was
            tx.on_commit(lambda: network.reconcilers.wake("slices"))


async def _add(tx: Connection, message: HostSeen, now: float) -> None:
    try:
        await db.add(tx, hosts, Host(
            name=message.host, id=new_uuid(), underlay_ip=message.underlay_ip, created_at=now,
            started_at=message.started_at, seen_at=now, seq=max(message.seq, 0), confirmed=message.seq))
    except db.Taken as error:
        raise db.Collision(f"{message.host} is being added") from error


@handlers.on(PortsReported)
async def ports_reported(network: Network, message: PortsReported) -> bool:
    """Only what is said of the present revision by the host in charge counts; the rest is said again in time."""
    told: dict[str, dict[str, Status]] = defaultdict(dict)
    for status in message.statuses:
        told[status.kind][status.id] = status
    async with network.db.write() as tx:
        changed = await _ports(tx, message.host, told["port"])
        await _routers(tx, message.host, told["router"])
        await _floating_ips(tx, message.host, told["floating_ip"])
        if any(status.state == State.UP for status in told["slice"].values()):
            await _services(tx, message.host)
    if changed and network.compute is not None:
        try:
            await network.compute.external_events(changed)
        except (Refused, Unreachable) as error:
            log.warning("compute was not told of %d ports and has to look itself: %s", len(changed), error)
    return True


async def _ports(tx: Connection, host: str, told: dict[str, Status]) -> list[dict[str, str]]:
    """The events compute is told: which of its ports came up or went down."""
    router_here = sa.select(interfaces.c.port_id).join(routers, routers.c.id == interfaces.c.router_id).where(
        routers.c.host == host)
    c = ports.c
    events, ids = [], defaultdict(list)
    for part in chunks(sorted(told)):
        query = sa.select(c.id, c.generation, c.status, c.device_owner, c.device_id).where(
            c.id.in_(part), sa.or_(c.host == host, c.id.in_(router_here))).order_by(c.id).with_for_update()
        for port_id, generation, status, owner, device_id in await rows(tx, query):
            new = SHOWN[told[port_id].state]
            if told[port_id].revision != generation or new == status:
                continue
            ids[new].append(port_id)
            if owner.startswith("compute:") and device_id and new in EVENTS:
                events.append({"name": EVENTS[new], "server_uuid": device_id, "tag": port_id, "status": "completed"})
    for status, changed in ids.items():
        for part in chunks(changed):
            await tx.execute(ports.update().where(c.id.in_(part)).values(status=status))
    return events


async def _routers(tx: Connection, host: str, told: dict[str, Status]) -> None:
    """An engine speaks of a router as a whole; its gateways' ports are up when it is."""
    for status in told.values():
        state = SHOWN[status.state]
        here = sa.and_(routers.c.id == status.id, routers.c.host == host)
        await tx.execute(routers.update().where(here).values(status=ERROR if state == ERROR else ACTIVE))
        row = await db.one(tx, sa.select(routers).where(here, routers.c.generation == status.revision), Router)
        ways = [] if row is None else [way.port_id for way in await gateways.of_router(tx, row)]
        if ways:
            await tx.execute(ports.update().where(ports.c.id.in_(ways)).values(status=state))


async def _floating_ips(tx: Connection, host: str, told: dict[str, Status]) -> None:
    here = sa.select(routers.c.id).where(routers.c.host == host)
    for status in told.values():
        await tx.execute(floating_ips.update().where(
            floating_ips.c.id == status.id, floating_ips.c.generation == status.revision,
            floating_ips.c.router_id.in_(here)).values(status=SHOWN[status.state]))


_GUESTS = ports.alias()
_SERVED_ON = sa.select(ports.c.id).where(
    ports.c.device_owner == DHCP, ports.c.status != ACTIVE, ports.c.admin_state_up,
    ports.c.network_id.in_(sa.select(_GUESTS.c.network_id).where(_GUESTS.c.host == sa.bindparam("of_host"))))


async def _services(tx: Connection, host: str) -> None:
    """DHCP is served on each host that has guests of the network, and is up as soon as one such host is done."""
    waiting = await db.scalars(tx, _SERVED_ON, of_host=host)
    for part in chunks(waiting):
        await tx.execute(ports.update().where(ports.c.id.in_(part)).values(status=ACTIVE))
