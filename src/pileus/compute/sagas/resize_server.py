"""Resize and cold migration: a stopped guest moves to where its new flavor fits, and can be taken back until confirmed.

Where the new host refuses, the guest is what it was until the next best one is asked.

What the new host gives is claimed by the migration first; then, in one request, the server has that, and the migration
keeps for it what it had on the old host until the move is confirmed or taken back.
"""

from __future__ import annotations

import msgspec

from pileus.compute import guest_spec, nics, port_needs, scheduling, volumes
from pileus.compute.messages import EnsureNoGuest, FetchGuest
from pileus.compute.model import migrations, servers
from pileus.compute.model.servers import FlavorCopy, Moved, Server
from pileus.compute.model.states import Power, State
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.sagas import guests, placing
from pileus.compute.sagas.hosts import ask, ask_if_alive
from pileus.kit.saga import Saga, Turn, saga, step

FETCH_SECONDS = 3600.0


def as_flavor(server: Server, flavor: FlavorCopy) -> Server:
    return msgspec.structs.replace(server, flavor=flavor, flavor_id=flavor.id, vcpus=flavor.vcpus,
                                   memory_mb=flavor.memory_mb)


@saga("compute.resize_server")
class ResizeServer(Saga, kw_only=True):
    server_id: str
    migration_id: str
    flavor: FlavorCopy                # the new one
    old_flavor: FlavorCopy
    source: str
    state: State                      # the server was in
    elsewhere: bool = False           # it must leave its host
    asked_host: str | None = None
    candidates: dict[str, dict[str, float]] = {}
    choices: list[str] = []
    needs: list[PortNeed] = []
    share: Share | None = None
    held: dict[str, dict[str, int]] = {}      # claimed of the old host
    taken: dict[str, dict[str, int]] = {}     # claimed of the new one
    host: str = ""
    waiting_since: float = 0.0
    refusals: dict[str, str] = {}     # host -> why it did not take the server

    @property
    def _moves(self) -> bool:
        return bool(self.host) and self.host != self.source

    async def _wanted(self, turn: Turn) -> Server:
        """The server as it is going to be."""
        return as_flavor(await guests.server_of(turn, self.server_id), self.flavor)

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """The migration's row is written with the request; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)
        await migrations.end(turn.tx, self.migration_id, turn.services.clock(), "error")

    @step
    async def find_candidates(self, turn: Turn) -> None:
        wanted = await self._wanted(turn)
        self.needs = await port_needs.of_ports(turn.services, [nic.port_id for nic in wanted.nics])
        self.candidates = await scheduling.candidates(turn.services, wanted, self.asked_host, needs=self.needs)

    def _tried(self) -> tuple[str, ...]:
        return (self.source,) if self.elsewhere else ()

    @step
    async def choose_host(self, turn: Turn) -> None:
        await placing.choose(turn, self, await self._wanted(turn), self.asked_host, self._tried())

    @step
    async def claim(self, turn: Turn) -> None:
        await placing.claim_another(turn, self, await self._wanted(turn), self.migration_id, self._tried())
        self.held = await scheduling.claimed(turn.services, self.server_id)
        self.taken = await scheduling.claimed(turn.services, self.migration_id)

    @claim.undo
    async def release(self, turn: Turn) -> None:
        await placing.give_up_host(turn, self, self.server_id, self.migration_id)

    @step
    async def exchange_claims(self, turn: Turn) -> None:
        """At no moment is anything claimed twice, or not at all."""
        await scheduling.exchange(turn.services, await guests.server_of(turn, self.server_id),
                                  {self.server_id: self.taken, self.migration_id: self.held})

    @exchange_claims.undo
    async def exchange_back(self, turn: Turn) -> None:
        await scheduling.exchange(turn.services, await guests.server_of(turn, self.server_id),
                                  {self.server_id: self.held, self.migration_id: self.taken})

    @step(local=True)
    async def note_host(self, turn: Turn) -> None:
        await migrations.note(turn.tx, self.migration_id, turn.services.clock(), dest=self.host, status="migrating")

    @step(timeout=180)
    async def stop_guest(self, turn: Turn) -> None:
        await guests.stop(turn.services, await guests.server_of(turn, self.server_id))

    @stop_guest.undo
    async def start_again(self, turn: Turn) -> None:
        await guests.put_back(turn, self.server_id, self.state)

    @step(timeout=FETCH_SECONDS + 60)
    async def move_disks(self, turn: Turn) -> None:
        """The old host keeps its own until the move is confirmed."""
        if self._moves:
            spec = await guest_spec.build(turn.services, await self._wanted(turn))
            async with placing.at_host(turn, self):
                await ask(turn.services, FetchGuest(spec=spec, source=self.source), host=self.host,
                          seconds=FETCH_SECONDS)

    @move_disks.undo
    async def remove_disks(self, turn: Turn) -> None:
        if self._moves and not await ask_if_alive(
                turn.services, EnsureNoGuest(guest_id=self.server_id), host=self.host):
            turn.note(f"{self.host} is down and clears up when it is back")

    @step
    async def move_ports(self, turn: Turn) -> None:
        """Also where the host stays the same: it may give what the ports are promised in another way."""
        if self._moves or self.needs:
            await nics.move(turn.services, await guests.server_of(turn, self.server_id), self.host,
                            port_needs.profiles_of(self.needs, self.share))

    @move_ports.undo
    async def move_ports_back(self, turn: Turn) -> None:
        if self._moves or self.needs:
            await nics.move(turn.services, await guests.server_of(turn, self.server_id), self.source,
                            port_needs.profiles_of(self.needs, None))

    @step
    async def move_volumes(self, turn: Turn) -> None:
        if self._moves:
            await volumes.join_host(turn.services, self.server_id, self.host)

    @move_volumes.undo
    async def move_volumes_back(self, turn: Turn) -> None:
        if self._moves:
            await volumes.join_host(turn.services, self.server_id, self.source)

    @step(local=True)
    async def write_down(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        moved = Moved(migration_id=self.migration_id, flavor=self.old_flavor, host=self.source, state=self.state,
                      profiles=port_needs.profiles_of(self.needs, None))
        await servers.change(turn.tx, server, turn.services.clock(), host=self.host, place=None, moved=moved,
                             **guests.fields(as_flavor(server, self.flavor), FLAVOR_FIELDS))

    @write_down.undo
    async def write_back(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), host=self.source, moved=None,
                             **guests.fields(as_flavor(server, self.old_flavor), FLAVOR_FIELDS))

    @step(timeout=600)
    async def define_guest(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        async with placing.at_host(turn, self):
            await guests.define(turn.services, server)

    @define_guest.undo
    async def stop_new(self, turn: Turn) -> None:
        """Whatever became of it: on the same host it is the old one again, and off, before the rest is taken back."""
        if not self._moves:
            await guests.stop(turn.services, await guests.server_of(turn, self.server_id), soft=False)

    @step(timeout=600)
    async def await_ports(self, turn: Turn) -> None:
        await placing.await_ports(turn, self, self.server_id, self.host)

    @step
    async def run_guest(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        async with placing.at_host(turn, self):
            await guests.bring_to(turn.services, server, self.state)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        await servers.change(turn.tx, server, now, state=State.RESIZED, power=guests.POWERS[self.state],
                             launched_at=now, fault=None)
        await migrations.note(turn.tx, self.migration_id, now, status="finished")


FLAVOR_FIELDS = ("flavor", "flavor_id", "vcpus", "memory_mb")


@saga("compute.confirm_resize")
class ConfirmResize(Saga, kw_only=True):
    server_id: str
    moved: Moved

    @step(pivot=True)
    async def remove_old_guest(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        if server.host != self.moved.host and not await ask_if_alive(
                turn.services, EnsureNoGuest(guest_id=self.server_id), host=self.moved.host):
            turn.note(f"{self.moved.host} is down and clears up when it is back")

    @step
    async def release(self, turn: Turn) -> None:
        """What the migration kept of the old host."""
        await turn.services.placement.release(self.moved.migration_id)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        stopped = server.power == Power.SHUTDOWN
        await servers.change(turn.tx, server, now, state=State.STOPPED if stopped else State.ACTIVE, moved=None)
        await migrations.end(turn.tx, self.moved.migration_id, now, "confirmed")


@saga("compute.revert_resize")
class RevertResize(Saga, kw_only=True):
    server_id: str
    moved: Moved
    host: str                         # it is on now
    waiting_since: float = 0.0

    @step(pivot=True, timeout=180)
    async def remove_new_guest(self, turn: Turn) -> None:
        """On the same host there is but one, whose disks stay."""
        server = await guests.server_of(turn, self.server_id)
        if self.host == self.moved.host:
            await guests.stop(turn.services, server)
        elif not await ask_if_alive(turn.services, EnsureNoGuest(guest_id=self.server_id), host=self.host):
            turn.note(f"{self.host} is down and clears up when it is back")

    @step
    async def move_ports(self, turn: Turn) -> None:
        if self.host != self.moved.host or self.moved.profiles:
            await nics.move(turn.services, await guests.server_of(turn, self.server_id), self.moved.host,
                            self.moved.profiles)

    @step
    async def move_volumes(self, turn: Turn) -> None:
        if self.host != self.moved.host:
            await volumes.join_host(turn.services, self.server_id, self.moved.host)

    @step(local=True)
    async def write_down(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), host=self.moved.host,
                             **guests.fields(as_flavor(server, self.moved.flavor), FLAVOR_FIELDS))

    @step(timeout=600)
    async def define_guest(self, turn: Turn) -> None:
        await guests.define(turn.services, await guests.server_of(turn, self.server_id))

    @step(timeout=600)
    async def await_ports(self, turn: Turn) -> None:
        await placing.await_ports(turn, self, self.server_id, self.moved.host)

    @step
    async def run_guest(self, turn: Turn) -> None:
        await guests.bring_to(turn.services, await guests.server_of(turn, self.server_id), self.moved.state)

    @step
    async def take_back_claim(self, turn: Turn) -> None:
        await scheduling.take_back(turn.services, await guests.server_of(turn, self.server_id),
                                   self.moved.migration_id)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        await servers.change(turn.tx, server, now, state=self.moved.state, power=guests.POWERS[self.moved.state],
                             moved=None)
        await migrations.end(turn.tx, self.moved.migration_id, now, "reverted")
