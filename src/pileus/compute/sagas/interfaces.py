"""Network cards of a server that is there: one more, or one less."""

from __future__ import annotations

from pileus.compute import nics
from pileus.compute.model import servers
from pileus.compute.model.servers import Nic
from pileus.compute.nics import NicWish
from pileus.compute.sagas import guests
from pileus.kit.client import Refused
from pileus.kit.saga import Abort, Saga, Turn, saga, step


@saga("compute.attach_interface")
class AttachInterface(Saga, kw_only=True):
    server_id: str
    wish: NicWish

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
    async def make_port(self, turn: Turn) -> None:
        """Its id was chosen before: nothing can be orphaned."""
        server = await guests.server_of(turn, self.server_id)
        if server.host is None and not self.wish.given:
            raise Abort(f"Instance {self.server_id} is on no host.")
        try:
            (nic,) = await nics.ensure(turn.services, server, [self.wish], server.host or "")
        except Refused as error:
            if error.status in (400, 403, 404, 409):
                raise Abort(error.message) from error
            raise
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

    @step(pivot=True)
    async def remove_port(self, turn: Turn) -> None:
        await nics.remove_one(turn.services, self.nic)
