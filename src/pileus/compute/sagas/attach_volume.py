"""Attach a volume to a server that is there, or detach it; let its guest see that one has grown."""

from __future__ import annotations

from pileus.compute.model import servers
from pileus.compute.sagas import guests
from pileus.compute.volumes import VolumeWish
from pileus.kit.client import Refused
from pileus.kit.saga import Abort, Saga, Turn, saga, step


@saga("compute.attach_volume")
class AttachVolume(Saga, kw_only=True):
    """The volume service has the attachment already, which nobody else can have then."""

    server_id: str
    attachment_id: str
    wish: VolumeWish = VolumeWish()

    @step
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def let_go(self, turn: Turn) -> None:
        await turn.services.volume.detach(self.attachment_id)
        async with turn.services.db.write() as tx:
            await servers.set_action_message(tx, self.server_id, turn.request_id, turn.why)

    @step
    async def connect(self, turn: Turn) -> None:
        """A server that is on no host has it served when it is on one again."""
        server, volume = await guests.server_of(turn, self.server_id), turn.services.volume
        try:
            if server.host:
                await volume.connect(self.attachment_id, {**self.wish.connector, "host": server.host})
            else:
                await volume.keep(self.attachment_id, self.wish.connector)
        except Refused as error:
            if error.status == 404:
                raise Abort("The volume was detached meanwhile.") from error
            raise

    @step(timeout=120)
    async def plug(self, turn: Turn) -> None:
        await guests.adjust(turn, self.server_id)

    @plug.undo
    async def unplug(self, turn: Turn) -> None:
        await guests.adjust(turn, self.server_id, without=self.attachment_id)

    @step
    async def complete(self, turn: Turn) -> None:
        await turn.services.volume.complete(self.attachment_id)


@saga("compute.detach_volume")
class DetachVolume(Saga, kw_only=True):
    """The guest lets go first: what the volume service calls available is used by nobody."""

    server_id: str
    attachment_id: str

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)

    @step(timeout=120)
    async def unplug(self, turn: Turn) -> None:
        await guests.adjust(turn, self.server_id, without=self.attachment_id)

    @unplug.undo
    async def plug(self, turn: Turn) -> None:
        await guests.adjust(turn, self.server_id)

    @step(pivot=True)
    async def detach(self, turn: Turn) -> None:
        await turn.services.volume.detach(self.attachment_id)


@saga("compute.grow_volume")
class GrowVolume(Saga, kw_only=True):
    server_id: str
    volume_id: str

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)

    @step(timeout=120)
    async def grow(self, turn: Turn) -> None:
        """To the size it has now, which may be more than the one that was told of."""
        volume = await turn.services.volume.find(self.volume_id)
        if volume is not None:
            await guests.adjust(turn, self.server_id, grown={volume.id: volume.size})
