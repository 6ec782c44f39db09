"""Everything that is done to a load balancer but its end: a host has it as its rows describe it, or it says why not."""

from __future__ import annotations

from pileus.kit import db
from pileus.kit.ids import new_uuid
from pileus.kit.saga import Abort, Saga, Turn, Wait, saga, step
from pileus.load_balancer import carrying, health
from pileus.load_balancer.messages import EnsureBalancer
from pileus.load_balancer.model import hosts, profiles, rows, tables
from pileus.load_balancer.model.rows import PENDING, LoadBalancer, Provisioning
from pileus.load_balancer.specs import device_of
from pileus.network.client import PortDetail

LOOK_SECONDS = 0.2
PATIENCE = 300                       # looks at ports that do not come up


@saga("load_balancer.apply_changes")
class ApplyChanges(Saga, kw_only=True):
    balancer_id: str
    leave: str = ""                  # the host it goes away from
    host: str = ""
    gone: list[str] = []             # ports that are needed no longer
    looks: int = 0

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        balancer = await rows.find(turn.tx, LoadBalancer, self.balancer_id)
        if balancer is None:
            return
        now = turn.services.clock()
        for part in (await rows.tree(turn.tx, balancer)).parts():
            if part.provisioning_status in PENDING:
                await rows.change(turn.tx, part, provisioning_status=Provisioning.ERROR, updated_at=now)

    @step(local=True)
    async def choose_host(self, turn: Turn) -> None:
        balancer = await rows.get(turn.tx, LoadBalancer, self.balancer_id)
        self.host = balancer.host or ""
        if not self.host or self.leave:
            among = await profiles.hosts_of_zone(turn.tx, balancer.availability_zone)
            try:
                self.host = await hosts.choose(
                    turn.tx, turn.services.clock(), dead_after=turn.services.config.host_dead_after, among=among,
                    without=self.leave)
            except hosts.NoHost as error:
                raise Abort(str(error)) from error
            await rows.change(turn.tx, balancer, host=self.host)

    @step(local=True)
    async def plan_ports(self, turn: Turn) -> None:
        """One in each network that members are said to be in, beside the VIP's own."""
        balancer = await rows.get(turn.tx, LoadBalancer, self.balancer_id)
        wanted = {member.network_id: member.subnet_id or "" for member in (await rows.tree(turn.tx, balancer)).members
                  if member.network_id not in (None, balancer.vip_network_id) and not member.is_going}
        have = {leg.network_id: leg for leg in await rows.legs_of(turn.tx, balancer.id)}
        self.gone = [leg.id for network_id, leg in have.items() if network_id not in wanted]
        await db.add(turn.tx, tables.legs, *(
            rows.Leg(id=new_uuid(), load_balancer_id=balancer.id, network_id=network_id, subnet_id=subnet_id)
            for network_id, subnet_id in wanted.items() if network_id is not None and network_id not in have))

    async def _now(self, turn: Turn) -> tuple[LoadBalancer, list[rows.Leg]]:
        async with turn.services.db.read() as reader:
            return (await rows.get(reader, LoadBalancer, self.balancer_id),
                    [leg for leg in await rows.legs_of(reader, self.balancer_id) if leg.id not in self.gone])

    @step
    async def leave_host(self, turn: Turn) -> None:
        """Two hosts must not answer for one address."""
        if self.leave and not await carrying.leave(turn.services, self.balancer_id, self.leave):
            turn.note(f"{self.leave} is down")

    @step
    async def bind_ports(self, turn: Turn) -> None:
        balancer, legs = await self._now(turn)
        await carrying.bind(turn.services, balancer, legs, self.host)

    @step
    async def configure(self, turn: Turn) -> None:
        balancer, _ = await self._now(turn)
        ports = await self._ports(turn)
        async with turn.services.db.read() as reader:
            wanted = await carrying.spec(turn.services, reader, balancer, ports)
        await carrying.ask(turn.services, EnsureBalancer(spec=wanted), host=self.host)

    async def _ports(self, turn: Turn) -> list[PortDetail]:
        device = device_of(self.balancer_id)
        found = (await turn.services.network.port_details([device]))[device]
        return [port for port in found if port.id not in self.gone]

    @step
    async def await_ports(self, turn: Turn) -> None:
        """Until the network has joined the cards."""
        down = [port.id for port in await self._ports(turn) if port.status != "ACTIVE"]
        if down:
            self.looks += 1
            if self.looks > PATIENCE:
                raise Abort(f"the network does not bring up port {', '.join(down)}")
            raise Wait(LOOK_SECONDS)

    @step(local=True, pivot=True)
    async def mark_active(self, turn: Turn) -> None:
        balancer = await rows.get(turn.tx, LoadBalancer, self.balancer_id)
        tree, now = await rows.tree(turn.tx, balancer), turn.services.clock()
        for part in tree.parts():
            if part.is_going:
                await rows.remove(turn.tx, type(part), [part.id])
        left = tree.without_what_goes()
        statuses = health.statuses(left, {})
        for part in left.parts():
            values = {name: value for name, value in (
                ("provisioning_status", Provisioning.ACTIVE), ("operating_status", statuses[part.id]))
                if getattr(part, name) != value}
            if values:
                await rows.change(turn.tx, part, updated_at=now, **values)

    @step
    async def remove_ports(self, turn: Turn) -> None:
        for port_id in self.gone:
            await turn.services.network.ensure_no_port(port_id)
        async with turn.services.db.write() as tx:
            await tx.execute(tables.legs.delete().where(tables.legs.c.id.in_(self.gone)))
