"""The end of a load balancer, with all that belongs to it."""

from __future__ import annotations

from pileus.kit.saga import Saga, Turn, saga, step
from pileus.load_balancer import carrying
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import LoadBalancer


@saga("load_balancer.delete_load_balancer")
class DeleteLoadBalancer(Saga, kw_only=True):
    balancer_id: str

    @step(local=True, pivot=True)
    async def accept(self, turn: Turn) -> None:
        """Whatever fails from here on is tried again: nobody wants half a load balancer."""

    @step(tries=1_000_000)
    async def leave_host(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            balancer = await rows.get(reader, LoadBalancer, self.balancer_id)
        if balancer.host and not await carrying.leave(turn.services, balancer.id, balancer.host):
            turn.note(f"{balancer.host} is down")

    @step(tries=1_000_000)
    async def remove_ports(self, turn: Turn) -> None:
        """The user's own port is only let go."""
        async with turn.services.db.read() as reader:
            balancer = await rows.get(reader, LoadBalancer, self.balancer_id)
            legs = await rows.legs_of(reader, balancer.id)
        if balancer.owns_port:
            await turn.services.network.ensure_no_port(balancer.vip_port_id)
        else:
            await turn.services.network.unbind_port(balancer.vip_port_id)
        for leg in legs:
            await turn.services.network.ensure_no_port(leg.id)

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        balancer = await rows.get(turn.tx, LoadBalancer, self.balancer_id)
        await turn.tx.execute(tables.legs.delete().where(tables.legs.c.load_balancer_id == balancer.id))
        for part in (await rows.tree(turn.tx, balancer)).parts():
            await rows.remove(turn.tx, type(part), [part.id])
