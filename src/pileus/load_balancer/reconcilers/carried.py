"""Every host has what it should carry and nothing else; what a dead host carried goes to another one."""

from __future__ import annotations

import logging

from pileus.kit import db
from pileus.kit.bus import Failed, NobodyThere
from pileus.kit.clock import stamp
from pileus.kit.reconcile import reconciler
from pileus.load_balancer import carrying
from pileus.load_balancer.messages import EnsureBalancer, ListBalancers
from pileus.load_balancer.model import hosts, rows
from pileus.load_balancer.model.hosts import Host
from pileus.load_balancer.model.rows import LoadBalancer, Provisioning
from pileus.load_balancer.runtime import LoadBalancers
from pileus.load_balancer.sagas.apply_changes import ApplyChanges
from pileus.load_balancer.specs import device_of

log = logging.getLogger(__name__)
UNRECORDED_SECONDS = 600               # from a port to the record of whose it is


@reconciler(every=20)
async def carried(service: LoadBalancers) -> None:
    async with service.db.read() as reader:
        known = await hosts.every(reader)
        everything = await rows.where(reader, LoadBalancer)
    now = service.clock()
    for host in known:
        mine = [row for row in everything if row.host == host.id]
        if now - host.seen_at < service.config.host_dead_after:
            await _settle(service, host, mine)
        else:
            await _again(service, [row for row in mine if row.provisioning_status == Provisioning.ACTIVE], host.id)
    await _orphans(service, {row.id for row in everything})


async def _settle(service: LoadBalancers, host: Host, mine: list[LoadBalancer]) -> None:
    try:
        held: dict[str, str] = await service.bus.call(ListBalancers(), host=host.id)
        settled = [row for row in mine if row.provisioning_status == Provisioning.ACTIVE]
        ports = await service.network.port_details([device_of(row.id) for row in settled])
        await _again(service, [row for row in settled if row.vip_port_id not in {
            port.id for port in ports[device_of(row.id)]}])          # somebody deleted its port
        for row in settled:
            async with service.db.read() as reader:
                if await rows.find(reader, LoadBalancer, row.id) != row:
                    continue                                 # it is being changed, and whoever does that tells the host
                wanted = await carrying.spec(service, reader, row, ports[device_of(row.id)])
            if held.get(row.id) != wanted.digest:
                await service.bus.call(EnsureBalancer(spec=wanted), host=host.id)
        for balancer_id in sorted(held.keys() - {row.id for row in mine}):
            async with service.db.read() as reader:
                row = await rows.find(reader, LoadBalancer, balancer_id)
            if row is None or row.host != host.id:            # by now: it may have been made since we looked
                await carrying.leave(service, balancer_id, host.id)
    except NobodyThere as error:
        log.info("load balancers of host %s: %s", host.id, error)      # it tells when it is there
    except Failed as error:
        log.warning("load balancers of host %s: %s", host.id, error)


async def _again(service: LoadBalancers, lost: list[LoadBalancer], leave: str = "") -> None:
    """Made anew, if nobody changes them just now; elsewhere than on the host that they `leave`."""
    for row in lost:
        async with service.db.write() as tx:
            fresh = await rows.find(tx, LoadBalancer, row.id)
            if fresh is None or fresh != row:
                continue
            await rows.change(tx, fresh, provisioning_status=Provisioning.UPDATING, updated_at=service.clock())
            try:
                await service.sagas.start(tx, ApplyChanges(balancer_id=row.id, leave=leave), row.id)
            except db.Taken as error:
                raise db.Collision(str(error)) from error


async def _orphans(service: LoadBalancers, known: set[str]) -> None:
    """Ports of load balancers that were never recorded, for whoever made them was killed in between."""
    for port in await service.network.ports(device_owner=carrying.OWNER):
        balancer_id = port.device_id.removeprefix("lb-")
        async with service.db.read() as reader:
            if balancer_id in known or await rows.find(reader, LoadBalancer, balancer_id) is not None:
                continue
        if port.name.startswith(carrying.NAME) and port.created_at < stamp(service.clock() - UNRECORDED_SECONDS):
            await service.network.ensure_no_port(port.id)
