"""Make and delete snapshots."""

from __future__ import annotations

from pileus.kit.saga import Saga, Turn, saga, step
from pileus.volume.messages import EnsureNoSnapshot, EnsureSnapshot
from pileus.volume.model import notices, snapshots, volumes
from pileus.volume.sagas.nodes import ask, clear, tell_why


@saga("volume.create_snapshot")
class CreateSnapshot(Saga, kw_only=True):
    snapshot_id: str
    volume_id: str
    host: str                                  # of the back end

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        snapshot = await snapshots.find(turn.tx, self.snapshot_id)
        if snapshot is not None:
            await snapshots.change(turn.tx, snapshot, turn.services.clock(), status="error")
            await tell_why(turn, "VOLUME_SNAPSHOT", snapshot, action=notices.SNAPSHOT)

    @step(timeout=600)
    async def make_snapshot(self, turn: Turn) -> None:
        await ask(turn.services, EnsureSnapshot(volume_id=self.volume_id, snapshot_id=self.snapshot_id),
                  host=self.host, seconds=590)

    @make_snapshot.undo
    async def remove_snapshot(self, turn: Turn) -> None:
        await clear(turn.services, EnsureNoSnapshot(volume_id=self.volume_id, snapshot_id=self.snapshot_id),
                    host=self.host)

    @step(local=True)
    async def mark_available(self, turn: Turn) -> None:
        snapshot = await snapshots.get(turn.tx, self.snapshot_id)
        await snapshots.change(turn.tx, snapshot, turn.services.clock(), status="available", progress=100)


@saga("volume.delete_snapshot")
class DeleteSnapshot(Saga, kw_only=True):
    snapshot_id: str

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        snapshot = await snapshots.find(turn.tx, self.snapshot_id)
        if snapshot is not None:
            await snapshots.change(turn.tx, snapshot, turn.services.clock(), status="error_deleting")

    @step(timeout=600)
    async def remove_content(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            snapshot = await snapshots.find(reader, self.snapshot_id)
            volume = await volumes.find(reader, snapshot.volume_id) if snapshot else None
        if snapshot is not None and volume is not None and volume.host:
            await ask(turn.services, EnsureNoSnapshot(volume_id=volume.id, snapshot_id=snapshot.data_id),
                      host=volume.back_end, seconds=590)

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        await snapshots.remove(turn.tx, self.snapshot_id)
