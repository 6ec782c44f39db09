"""What the load balancer service makes of the news from hosts."""

from __future__ import annotations

from typing import Any

from pileus.kit.bus import Handlers
from pileus.kit.db import Connection
from pileus.load_balancer import health
from pileus.load_balancer.drivers.base import Sight
from pileus.load_balancer.messages import BalancersSeen, HostSeen
from pileus.load_balancer.model import hosts, rows
from pileus.load_balancer.model.rows import PENDING, LoadBalancer
from pileus.load_balancer.model.tables import listeners
from pileus.load_balancer.runtime import LoadBalancers

handlers = Handlers()


@handlers.on(HostSeen)
async def host_seen(service: LoadBalancers, message: HostSeen) -> None:
    async with service.db.write() as tx:
        await hosts.seen(tx, message.host, service.clock(), message.unable)
        if message.fresh:
            tx.on_commit(lambda: service.reconcilers.wake("carried"))


@handlers.on(BalancersSeen)
async def balancers_seen(service: LoadBalancers, message: BalancersSeen) -> None:
    """Of one that a host should not have, or that is being changed, only what went through it counts."""
    for balancer_id, sight in message.sights.items():
        async with service.db.write() as tx:
            await _count(tx, sight)
            balancer = await rows.find(tx, LoadBalancer, balancer_id)
            if balancer is None or balancer.host != message.host or balancer.provisioning_status in PENDING:
                continue
            tree = await rows.tree(tx, balancer)
            found = health.statuses(tree, sight.members)
            for part in tree.parts():
                if part.operating_status != found[part.id]:
                    await rows.change(tx, part, operating_status=found[part.id])


async def _count(tx: Connection, sight: Sight) -> None:
    for listener_id, counted in sight.listeners.items():
        added: dict[str, Any] = {name: listeners.c[name] + getattr(counted, name) for name in (
            "bytes_in", "bytes_out", "total_connections", "request_errors") if getattr(counted, name)}
        await tx.execute(listeners.update().where(listeners.c.id == listener_id).values(
            active_connections=counted.active_connections, **added))
