"""Delete: the content first, then the row."""

from __future__ import annotations

from pileus.kit import db
from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.volume.messages import EnsureNoVolume
from pileus.volume.model import snapshots, volumes
from pileus.volume.model.volumes import Status
from pileus.volume.sagas.nodes import ask


@saga("volume.delete_volume")
class DeleteVolume(Saga, kw_only=True):
    volume_id: str
    cascade: bool = False

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        volume = await volumes.find(turn.tx, self.volume_id)
        if volume is not None:
            await volumes.change(turn.tx, volume, turn.services.clock(), status=Status.ERROR_DELETING)

    @step(timeout=600)
    async def remove_content(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            volume = await volumes.find(reader, self.volume_id)
            dependent = volume is not None and not self.cascade and await volumes.has_snapshots(reader, volume.id)
        if dependent:
            raise Abort(f"Volume {self.volume_id} still has snapshots.")
        if volume is not None and volume.host:
            await ask(turn.services, EnsureNoVolume(volume_id=volume.id), host=volume.back_end, seconds=590)

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        if self.cascade:
            for snapshot in await snapshots.of_volume(turn.tx, self.volume_id):
                await snapshots.remove(turn.tx, snapshot.id)
        try:
            await volumes.remove(turn.tx, self.volume_id)
        except db.Taken as error:
            raise Abort(f"Something still depends on volume {self.volume_id}: {error}") from error
