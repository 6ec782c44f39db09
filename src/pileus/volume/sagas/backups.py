"""Make, restore and delete backups."""

from __future__ import annotations

from pileus.kit import db
from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.volume.messages import EnsureNoBackup, EnsureNoSnapshot, EnsureSnapshot, RestoreBackup, WriteBackup
from pileus.volume.model import backups, keys, notices, volumes
from pileus.volume.model.backups import Backup
from pileus.volume.model.keys import KeyUnusable
from pileus.volume.model.tables import backups as backup_table
from pileus.volume.model.volumes import Status, Volume
from pileus.volume.sagas.nodes import ask, clear, tell_why

LONG = 3600.0


@saga("volume.create_backup")
class CreateBackup(Saga, kw_only=True):
    """Of a snapshot: one that is there, or one that is made for as long as it takes."""

    backup_id: str
    volume_id: str
    host: str                                  # of the back end
    status: str | None = None                  # of the volume before; None: it is left as it is
    snapshot_id: str | None = None             # what the back end knows it by
    object_count: int = 0

    @property
    def source(self) -> str:
        return self.snapshot_id or self.backup_id

    async def _release_volume(self, turn: Turn) -> None:
        volume = await volumes.find(turn.tx, self.volume_id)
        if self.status is not None and volume is not None:
            await volumes.change(turn.tx, volume, turn.services.clock(), status=self.status,
                                 previous_status=Status.BACKING_UP)

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        await self._release_volume(turn)
        backup = await backups.get(turn.tx, self.backup_id)
        await backups.change(turn.tx, backup, turn.services.clock(), status="error", fail_reason=turn.why)
        await tell_why(turn, "VOLUME_BACKUP", backup, action=notices.BACKUP)

    @step(timeout=600)
    async def freeze(self, turn: Turn) -> None:
        if self.snapshot_id is None:
            await ask(turn.services, EnsureSnapshot(volume_id=self.volume_id, snapshot_id=self.backup_id),
                      host=self.host, seconds=590)

    @freeze.undo
    async def thaw(self, turn: Turn) -> None:
        if self.snapshot_id is None:
            await clear(turn.services, EnsureNoSnapshot(volume_id=self.volume_id, snapshot_id=self.backup_id),
                        host=self.host)

    @step(timeout=LONG)
    async def write(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            backup = await backups.get(reader, self.backup_id)
        done = await ask(turn.services, WriteBackup(
            backup_id=backup.id, volume_id=self.volume_id, snapshot_id=self.source, size_gb=backup.size_gb,
            parent_id=backup.parent_id), host=self.host, seconds=LONG)
        self.object_count = done.object_count

    @write.undo
    async def remove(self, turn: Turn) -> None:
        await clear(turn.services, EnsureNoBackup(backup_id=self.backup_id), host=self.host)

    @step
    async def remove_snapshot(self, turn: Turn) -> None:
        if self.snapshot_id is None:
            await ask(turn.services, EnsureNoSnapshot(volume_id=self.volume_id, snapshot_id=self.backup_id),
                      host=self.host)

    @step(local=True)
    async def mark_available(self, turn: Turn) -> None:
        await self._release_volume(turn)
        backup = await backups.get(turn.tx, self.backup_id)
        await backups.change(turn.tx, backup, turn.services.clock(), status="available",
                             object_count=self.object_count)


@saga("volume.restore_backup")
class Restore(Saga, kw_only=True):
    backup_id: str
    volume_id: str

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        await self._finish(turn, Status.ERROR_RESTORING)
        backup = await backups.get(turn.tx, self.backup_id)
        await tell_why(turn, "VOLUME_BACKUP", backup, action=notices.RESTORE)

    async def _finish(self, turn: Turn, status: str) -> None:
        now, volume = turn.services.clock(), await volumes.find(turn.tx, self.volume_id)
        backup = await backups.get(turn.tx, self.backup_id)
        if volume is not None:
            new_key = status == Status.AVAILABLE and backup.encryption_key_id is not None
            more = {"encryption_key_id": await self._take_key(turn, volume, backup)} if new_key else {}
            await volumes.change(turn.tx, volume, now, status=status, **more)
        await backups.change(turn.tx, backup, now, status="available", restore_volume_id=None)

    async def _take_key(self, turn: Turn, volume: Volume, backup: Backup) -> str:
        """What was restored is read with the key it was written with."""
        try:
            found = await keys.make(turn.tx, turn.services.box, like=backup.encryption_key_id)
        except KeyUnusable as error:
            raise Abort(str(error)) from error
        await keys.remove(turn.tx, volume.encryption_key_id)
        return found

    @step(timeout=LONG)
    async def restore(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            volume = await volumes.get(reader, self.volume_id)
            lineage = tuple(await backups.lineage(reader, await backups.get(reader, self.backup_id)))
        if not lineage:
            raise Abort(f"Backup {self.backup_id} holds nothing.")
        await ask(turn.services, RestoreBackup(volume_id=volume.id, lineage=lineage), host=volume.back_end,
                  seconds=LONG)

    @step(local=True)
    async def mark_available(self, turn: Turn) -> None:
        await self._finish(turn, Status.AVAILABLE)


@saga("volume.delete_backup")
class DeleteBackup(Saga, kw_only=True):
    backup_id: str
    host: str

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        backup = await backups.get(turn.tx, self.backup_id)
        await backups.change(turn.tx, backup, turn.services.clock(), status="error_deleting", fail_reason=turn.why)

    @step
    async def remove_content(self, turn: Turn) -> None:
        await ask(turn.services, EnsureNoBackup(backup_id=self.backup_id), host=self.host)

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        backup = await backups.find(turn.tx, self.backup_id)
        await keys.remove(turn.tx, backup.encryption_key_id if backup else None)
        try:
            await turn.tx.execute(backup_table.delete().where(backup_table.c.id == self.backup_id))
        except db.Taken as error:
            raise Abort(f"Other backups still depend on {self.backup_id}.") from error
