"""Boot: from an accepted request to a running guest. Steps 4 to 16 of the life of a request; 1 to 3 are the API's.

Where a host refuses, what was done on it is undone down to the claim, and the boot goes forward again from there with
the next host. What is not of the host (ports, volumes) stays the server's meanwhile.
"""

from __future__ import annotations

from pileus.compute import guest_spec, nics, port_needs, scheduling, volumes
from pileus.compute.faults import PolicyOfNetwork
from pileus.compute.messages import EnsureDisks, EnsureGuest, EnsureImage, EnsureNoGuest, RunGuest
from pileus.compute.model import hosts, servers
from pileus.compute.model.servers import Power, Server, ServerFault, State
from pileus.compute.nics import NicWish
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.runtime import Compute
from pileus.compute.sagas import placing
from pileus.compute.sagas.hosts import ask, ask_if_alive
from pileus.compute.volumes import VolumeWish
from pileus.kit.bus import Message
from pileus.kit.client import Refused
from pileus.kit.saga import Abort, Saga, Turn, Wait, saga, step
from pileus.kit.saga_engine import SUPERSEDED


@saga("compute.boot_server")
class BootServer(Saga, kw_only=True):
    server_id: str
    wishes: list[NicWish] = []
    admin_password: str | None = None
    asked_host: str | None = None
    volumes: list[VolumeWish] = []
    candidates: dict[str, dict[str, float]] = {}  # provider id -> what is free of each resource class
    choices: list[str] = []                      # hosts, the best first
    needs: list[PortNeed] = []                   # of ports that were given
    share: Share | None = None                   # what was chosen for them
    host: str = ""
    at_host: bool = False                        # what is left to do is the host's, until it waits for ports
    waiting_since: float = 0.0
    refusals: dict[str, str] = {}                # host -> why it did not take the server
    keeps: bool = False                          # there are ports and volumes from an attempt that went before

    async def _ask(self, turn: Turn, message: Message, seconds: float = 60.0) -> None:
        async with placing.at_host(turn, self):
            await ask(turn.services, message, host=self.host, seconds=seconds)

    async def _server(self, turn: Turn) -> Server:
        async with turn.services.db.read() as reader:
            return await servers.get(reader, self.server_id)

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        self.admin_password = None
        server = await servers.get(turn.tx, self.server_id)
        now = turn.services.clock()
        fault = ServerFault(code=500, message=turn.why, created_at=now, details="\n".join(
            f"{host}: {reason}" for host, reason in self.refusals.items()))
        if turn.why == SUPERSEDED:                # a delete follows; there is nobody to tell
            fault = None
        await servers.change(turn.tx, server, now, state=State.ERROR, power=Power.NONE, fault=fault, host=None,
                             place=None)

    @step
    async def find_candidates(self, turn: Turn) -> None:
        self.needs = await port_needs.of_ports(turn.services, [wish.port_id for wish in self.wishes if wish.given])
        server = await self._server(turn)
        self.candidates = await scheduling.candidates(turn.services, server, self.asked_host, needs=self.needs)
        if not self.candidates:
            placing.await_first_host(turn, server)

    @find_candidates.undo
    async def remove_all(self, turn: Turn) -> None:
        """What was kept for another attempt, and volumes that were made for this server alone."""
        if self.keeps:
            await volumes.release(turn.services, self.server_id)
            await self._remove_ports(turn)
        for wish in self.volumes:
            if wish.delete_on_termination and wish.create is not None and wish.volume_id:
                await volumes.remove_volume(turn.services, wish.volume_id)

    @step
    async def choose_host(self, turn: Turn) -> None:
        await placing.choose(turn, self, await self._server(turn), self.asked_host)

    @step
    async def claim(self, turn: Turn) -> None:
        self.at_host = False
        await placing.claim_another(turn, self, await self._server(turn), self.server_id)

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
        at_fault = self.host in self.refusals or self.at_host and not self.waiting_since
        if at_fault and turn.why != SUPERSEDED:
            await hosts.note_build(turn.tx, self.host, failed=True)

    @step
    async def make_ports(self, turn: Turn) -> None:
        """Ids were chosen before their ports: nothing can be orphaned."""
        try:
            found = await nics.ensure(turn.services, await self._server(turn), self.wishes, self.host,
                                      port_needs.profiles_of(self.needs, self.share))
        except Refused as error:
            if error.status in (400, 403, 404, 409):
                raise Abort(error.message) from error
            raise
        except PolicyOfNetwork as error:
            raise Abort(str(error)) from error
        async with turn.services.db.write() as tx:
            await self._remember(turn.services, tx, found)

    async def _remember(self, compute: Compute, tx, found: nics.Made) -> None:
        """Its security groups are those of its ports; one without any is to have what was asked for."""
        server = await servers.get(tx, self.server_id)
        groups = found.groups if found.nics else server.security_groups
        if (server.nics, server.security_groups) != (found.nics, groups):
            await servers.change(tx, server, compute.clock(), nics=found.nics, security_groups=groups)

    @make_ports.undo
    async def unmake_ports(self, turn: Turn) -> None:
        """For another attempt they stay, with their addresses, and are on no host."""
        if placing.tries_another(turn.services, self):
            self.keeps = True
            await nics.leave_host(turn.services, await self._server(turn))
        else:
            await self._remove_ports(turn)

    async def _remove_ports(self, turn: Turn) -> None:
        await nics.remove(turn.services, self.wishes)
        async with turn.services.db.write() as tx:
            await self._remember(turn.services, tx, nics.Made())

    @step(timeout=600)
    async def attach_volumes(self, turn: Turn) -> None:
        """One that is there for this server already is not asked for again. Waits for what is still being made."""
        held = {each.volume_id: each for each in await turn.services.volume.attachments(self.server_id)} \
            if self.volumes else {}
        for wish in self.volumes:
            await volumes.attach(turn.services, self.server_id, self.host, wish, held.get(wish.volume_id or ""))
        self.at_host = True

    @attach_volumes.undo
    async def release_volumes(self, turn: Turn) -> None:
        """For another attempt they stay reserved, and are served to nobody."""
        if placing.tries_another(turn.services, self):
            self.keeps = True
            await volumes.leave_host(turn.services, self.server_id)
        else:
            await volumes.release(turn.services, self.server_id)

    @step(timeout=600)
    async def fetch_image(self, turn: Turn) -> None:
        image = guest_spec.image_of(await self._server(turn))
        if image is not None:
            await self._ask(turn, EnsureImage(image=image), 590)

    @step(timeout=600)
    async def make_disks(self, turn: Turn) -> None:
        spec = await guest_spec.build(turn.services, await self._server(turn), admin_password=self.admin_password)
        await self._ask(turn, EnsureDisks(spec=spec), 590)

    @make_disks.undo
    async def remove_guest(self, turn: Turn) -> None:
        """All the host keeps of it: disks, definition, interfaces."""
        if self.host and not await ask_if_alive(turn.services, EnsureNoGuest(guest_id=self.server_id), host=self.host):
            turn.note(f"{self.host} is down and clears up when it is back")

    @step(timeout=600)
    async def define_guest(self, turn: Turn) -> None:
        """Defined, its interfaces plugged, and paused: no packet leaves before the network is ready for it."""
        spec = await guest_spec.build(turn.services, await self._server(turn), admin_password=self.admin_password)
        await self._ask(turn, EnsureGuest(spec=spec), 590)

    @step(timeout=600)
    async def await_ports(self, turn: Turn) -> None:
        try:
            await placing.await_ports(turn, self, self.server_id, self.host)
        except Wait:
            await self.define_guest.do(self, turn)    # its host may have lost it, and its interfaces, meanwhile
            raise

    @step
    async def run_guest(self, turn: Turn) -> None:
        await self._ask(turn, RunGuest(guest_id=self.server_id))

    @step(local=True)
    async def mark_active(self, turn: Turn) -> None:
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        self.admin_password = None
        await servers.change(turn.tx, server, now, state=State.ACTIVE, power=Power.RUNNING,
                             launched_at=server.launched_at or now, fault=None)
        await hosts.note_build(turn.tx, self.host, failed=False)
