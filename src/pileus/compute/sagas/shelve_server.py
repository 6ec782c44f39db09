"""Shelve: the server becomes an image and leaves its host. Unshelve: a host is found, and it comes back from it."""

from __future__ import annotations

from pileus.compute import guest_spec, nics, port_needs, scheduling, volumes
from pileus.compute.messages import EnsureImage, EnsureNoGuest
from pileus.compute.model import hosts, servers
from pileus.compute.model.servers import ImageFacts, Shelved
from pileus.compute.model.states import Power, State
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.sagas import guests, images, placing
from pileus.compute.sagas.hosts import ask, ask_if_alive
from pileus.compute.sagas.images import NewImage
from pileus.kit.saga import Saga, Turn, saga, step
from pileus.kit.saga_engine import SUPERSEDED


@saga("compute.shelve_server")
class ShelveServer(Saga, kw_only=True):
    server_id: str
    image: NewImage | None            # None: it boots from a volume, which stays as it is
    state: State                      # the server was in

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)

    @step
    async def make_image(self, turn: Turn) -> None:
        if self.image is not None:
            await images.ensure(turn.services, await guests.server_of(turn, self.server_id), self.image)

    @make_image.undo
    async def remove_image(self, turn: Turn) -> None:
        if self.image is not None:
            await turn.services.image.remove(self.image.id)

    @step(timeout=180)
    async def stop_guest(self, turn: Turn) -> None:
        await guests.stop(turn.services, await guests.server_of(turn, self.server_id))

    @stop_guest.undo
    async def start_again(self, turn: Turn) -> None:
        await guests.put_back(turn, self.server_id, self.state)

    @step(timeout=images.SAVE_SECONDS + 60)
    async def save(self, turn: Turn) -> None:
        if self.image is not None:
            await images.save(turn.services, await guests.server_of(turn, self.server_id), self.image.id)

    @step(local=True, pivot=True)
    async def mark_shelved(self, turn: Turn) -> None:
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        shelved = Shelved(image_id=self.image.id if self.image else "", state=self.state, at=now)
        await servers.change(turn.tx, server, now, state=State.SHELVED, power=Power.SHUTDOWN, shelved=shelved)

    @step
    async def remove_guest(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        if server.host and not await ask_if_alive(
                turn.services, EnsureNoGuest(guest_id=self.server_id), host=server.host):
            turn.note(f"{server.host} is down and clears up when it is back")

    @step
    async def leave_ports(self, turn: Turn) -> None:
        await nics.leave_host(turn.services, await guests.server_of(turn, self.server_id))

    @step
    async def leave_volumes(self, turn: Turn) -> None:
        await volumes.leave_host(turn.services, self.server_id)

    @step
    async def release(self, turn: Turn) -> None:
        await turn.services.placement.release(self.server_id)

    @step(local=True)
    async def mark_offloaded(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), state=State.OFFLOADED, power=Power.SHUTDOWN,
                             host=None)


@saga("compute.unshelve_server")
class UnshelveServer(Saga, kw_only=True):
    server_id: str
    image_id: str                     # empty: it boots from a volume
    state: State                      # it comes to
    asked_host: str | None = None
    candidates: dict[str, dict[str, float]] = {}
    choices: list[str] = []
    needs: list[PortNeed] = []
    share: Share | None = None
    host: str = ""
    waiting_since: float = 0.0
    refusals: dict[str, str] = {}     # host -> why it did not take the server

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)

    @step
    async def find_candidates(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        self.needs = await port_needs.of_ports(turn.services, [nic.port_id for nic in server.nics])
        self.candidates = await scheduling.candidates(turn.services, server, self.asked_host, needs=self.needs)

    @step
    async def choose_host(self, turn: Turn) -> None:
        await placing.choose(turn, self, await guests.server_of(turn, self.server_id), self.asked_host)

    @step
    async def claim(self, turn: Turn) -> None:
        await placing.claim_another(turn, self, await guests.server_of(turn, self.server_id), self.server_id)

    @claim.undo
    async def release(self, turn: Turn) -> None:
        await placing.give_up_host(turn, self, self.server_id, self.server_id)

    @step(local=True)
    async def bind_host(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), host=self.host, place=None)

    @bind_host.undo
    async def unbind_host(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), host=None)
        if self.host in self.refusals and turn.why != SUPERSEDED:
            await hosts.note_build(turn.tx, self.host, failed=True)

    @step
    async def bind_ports(self, turn: Turn) -> None:
        await nics.move(turn.services, await guests.server_of(turn, self.server_id), self.host,
                        port_needs.profiles_of(self.needs, self.share))

    @bind_ports.undo
    async def leave_ports(self, turn: Turn) -> None:
        await nics.leave_host(turn.services, await guests.server_of(turn, self.server_id))

    @step
    async def connect_volumes(self, turn: Turn) -> None:
        await volumes.join_anew(turn.services, await guests.server_of(turn, self.server_id), self.host)

    @connect_volumes.undo
    async def leave_volumes(self, turn: Turn) -> None:
        await volumes.leave_host(turn.services, self.server_id)

    async def _image(self, turn: Turn) -> ImageFacts | None:
        server = await guests.server_of(turn, self.server_id)
        return await images.facts(turn.services, server, self.image_id) if self.image_id else None

    @step(timeout=600)
    async def fetch_image(self, turn: Turn) -> None:
        facts = await self._image(turn)
        if facts is not None:
            async with placing.at_host(turn, self):
                await ask(turn.services, EnsureImage(image=guest_spec.as_image(facts)), host=self.host, seconds=590)

    @step(timeout=600)
    async def define_guest(self, turn: Turn) -> None:
        server, image = await guests.server_of(turn, self.server_id), await self._image(turn)
        async with placing.at_host(turn, self):
            await guests.define(turn.services, server, image=image)

    @define_guest.undo
    async def remove_guest(self, turn: Turn) -> None:
        if self.host and not await ask_if_alive(turn.services, EnsureNoGuest(guest_id=self.server_id), host=self.host):
            turn.note(f"{self.host} is down and clears up when it is back")

    @step(timeout=600)
    async def await_ports(self, turn: Turn) -> None:
        await placing.await_ports(turn, self, self.server_id, self.host)

    @step
    async def run_guest(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        async with placing.at_host(turn, self):
            await guests.bring_to(turn.services, server, self.state)

    @step(local=True, pivot=True)
    async def mark(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), state=self.state,
                             power=guests.POWERS[self.state], shelved=None, fault=None)
        await hosts.note_build(turn.tx, self.host, failed=False)

    @step
    async def remove_image(self, turn: Turn) -> None:
        if self.image_id:
            await turn.services.image.remove(self.image_id)
