"""Network cards of a server that is there: one more, or one less."""

from __future__ import annotations

from pileus.compute import nics, port_needs, scheduling
from pileus.compute.faults import PolicyOfNetwork
from pileus.compute.model import servers
from pileus.compute.model.servers import Nic
from pileus.compute.nics import NicWish
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.sagas import guests
from pileus.kit.client import Refused
from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.placement.client import Conflict


@saga("compute.attach_interface")
class AttachInterface(Saga, kw_only=True):
    server_id: str
    wish: NicWish
    needs: list[PortNeed] = []                   # of the port
    share: Share | None = None                   # of the host, chosen for it
    before: dict[str, dict[str, int]] = {}       # what the server had claimed

    @step
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def let_go(self, turn: Turn) -> None:
        """The port is there since the request was answered, even where this never had its turn."""
        await nics.remove(turn.services, [self.wish])
        async with turn.services.db.write() as tx:
            await servers.set_action_message(tx, self.server_id, turn.request_id, turn.why)

    @step
    async def note_claim(self, turn: Turn) -> None:
        """Before it becomes more, so that doing that twice is doing it once."""
        if self.share is not None:
            self.before = await scheduling.claimed(turn.services, self.server_id)

    @step
    async def claim(self, turn: Turn) -> None:
        if self.share is not None:
            server = await guests.server_of(turn, self.server_id)
            try:
                await scheduling.change_claim(turn.services, server, self.before, self.share.resources)
            except Conflict as error:
                raise Abort(str(error)) from error

    @claim.undo
    async def release(self, turn: Turn) -> None:
        if self.share is not None:
            await scheduling.change_claim(
                turn.services, await guests.server_of(turn, self.server_id), self.before, {})

    @step
    async def make_port(self, turn: Turn) -> None:
        """Its id was chosen before: nothing can be orphaned."""
        server = await guests.server_of(turn, self.server_id)
        if server.host is None and not self.wish.given:
            raise Abort(f"Instance {self.server_id} is on no host.")
        try:
            made = await nics.ensure(turn.services, server, [self.wish], server.host or "",
                                     port_needs.profiles_of(self.needs, self.share))
            (nic,) = made.nics
        except Refused as error:
            if error.status in (400, 403, 404, 409):
                raise Abort(error.message) from error
            raise
        except PolicyOfNetwork as error:
            raise Abort(str(error)) from error
        others = tuple(each for each in server.nics if each.port_id != nic.port_id)
        async with turn.services.db.write() as tx:
            await servers.change(tx, await servers.get(tx, self.server_id), turn.services.clock(), nics=(*others, nic))

    @make_port.undo
    async def remove_port(self, turn: Turn) -> None:
        await nics.remove(turn.services, [self.wish])
        await forget(turn, self.server_id, self.wish.port_id)

    @step(timeout=120)
    async def plug(self, turn: Turn) -> None:
        await guests.adjust(turn, self.server_id)

    @plug.undo
    async def unplug(self, turn: Turn) -> None:
        await forget(turn, self.server_id, self.wish.port_id)
        await guests.adjust(turn, self.server_id)


async def forget(turn: Turn, server_id: str, port_id: str) -> None:
    async with turn.services.db.write() as tx:
        server = await servers.get(tx, server_id)
        left = tuple(nic for nic in server.nics if nic.port_id != port_id)
        if left != server.nics:
            await servers.change(tx, server, turn.services.clock(), nics=left)


@saga("compute.detach_interface")
class DetachInterface(Saga, kw_only=True):
    server_id: str
    nic: Nic
    before: tuple[Nic, ...] = ()
    gives_back: dict[str, dict[str, int]] = {}   # what the port was given by the host
    claimed: dict[str, dict[str, int]] = {}      # what the server had claimed

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        self.before = (await servers.get(turn.tx, self.server_id)).nics

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)

    @step(local=True)
    async def forget_nic(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        left = tuple(nic for nic in server.nics if nic.port_id != self.nic.port_id)
        await servers.change(turn.tx, server, turn.services.clock(), nics=left)

    @forget_nic.undo
    async def remember_nic(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), nics=self.before)

    @step(timeout=120)
    async def unplug(self, turn: Turn) -> None:
        await guests.adjust(turn, self.server_id)

    @unplug.undo
    async def plug(self, turn: Turn) -> None:
        async with turn.services.db.write() as tx:
            server = await servers.get(tx, self.server_id)
            if server.nics != self.before:
                await servers.change(tx, server, turn.services.clock(), nics=self.before)
        await guests.adjust(turn, self.server_id)

    @step
    async def count_share(self, turn: Turn) -> None:
        """What the port was given by the host, while it can still tell."""
        port = await turn.services.network.show_port(self.nic.port_id)
        self.gives_back = port_needs.resources_at(port) if port is not None else {}
        if self.gives_back:
            self.claimed = await scheduling.claimed(turn.services, self.server_id)

    @step(pivot=True)
    async def remove_port(self, turn: Turn) -> None:
        await nics.remove_one(turn.services, self.nic)

    @step
    async def detach_interface(self, turn: Turn) -> None:
        """What the host gave; named like the event by which clients know upstream that all is done."""
        if self.gives_back:
            less = {provider: {name: -amount for name, amount in amounts.items()}
                    for provider, amounts in self.gives_back.items()}
            await scheduling.change_claim(
                turn.services, await guests.server_of(turn, self.server_id), self.claimed, less)
