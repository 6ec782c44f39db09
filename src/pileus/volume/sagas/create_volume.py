"""Create: from an accepted request to a volume with its content."""

from __future__ import annotations

import msgspec

from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.kit.saga_engine import SUPERSEDED
from pileus.volume import scheduler
from pileus.volume.drivers.base import Origin
from pileus.volume.messages import EnsureNoVolume, EnsureVolume, FillFromImage, RestoreBackup
from pileus.volume.model import backups, notices, services, types, volumes
from pileus.volume.model.volumes import Status, Volume
from pileus.volume.sagas.nodes import ask, clear, key_of, tell_why

LONG = 3600.0


class Source(msgspec.Struct, kw_only=True, frozen=True):
    """What the volume begins as; nothing set is empty."""

    image_id: str | None = None
    image_format: str = "raw"
    encrypted: bool = False               # what is in the image is as a volume stores it
    volume_id: str | None = None          # alone: a clone of it
    snapshot_id: str | None = None        # what the back end knows the snapshot of volume_id by
    backup_id: str | None = None
    pool: str | None = None               # where the source is, which is where the volume has to go


@saga("volume.create_volume")
class CreateVolume(Saga, kw_only=True):
    volume_id: str
    source: Source = Source()
    zone: str | None = None
    same_host: list[str] = []             # pools
    other_host: list[str] = []
    host: str = ""                        # pool

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        volume = await volumes.find(turn.tx, self.volume_id)
        await self._release_backup(turn)
        if volume is None or turn.why == SUPERSEDED:
            return
        await volumes.change(turn.tx, volume, turn.services.clock(), status=Status.ERROR)
        no_room = turn.why.startswith(scheduler.NO_BACK_END)
        await tell_why(turn, "VOLUME", volume, action=notices.SCHEDULE if no_room else
                       notices.FROM_IMAGE if self.source.image_id else notices.CREATE,
                       detail="003" if no_room else "001")

    async def _release_backup(self, turn: Turn) -> None:
        """One that is being restored to this volume is no longer."""
        backup = await backups.find(turn.tx, self.source.backup_id) if self.source.backup_id else None
        if backup is not None and backup.restore_volume_id == self.volume_id:
            await backups.change(turn.tx, backup, turn.services.clock(), status="available", restore_volume_id=None)

    @step(local=True)
    async def choose_back_end(self, turn: Turn) -> None:
        """In the transaction that takes the room, so that nobody is promised the same."""
        volume = await volumes.get(turn.tx, self.volume_id)
        kind = await types.get(turn.tx, volume.type_id)
        same = [*self.same_host, *([self.source.pool] if self.source.pool else [])]
        verdict = scheduler.choose(
            scheduler.Request(size_gb=volume.size_gb, zone=self.zone, extra_specs=kind.extra_specs,
                              same_host=frozenset(same), other_host=frozenset(self.other_host),
                              volume=scheduler.told_of(volume), qos=await types.limits_of(turn.tx, kind)),
            await services.every(turn.tx, binary=services.VOLUME), await services.provisioned(turn.tx),
            turn.services.clock())
        if not verdict.pools:
            raise Abort(verdict.sentence)
        self.host = verdict.pools[0]
        row = next(row for row in await services.every(turn.tx, binary=services.VOLUME)
                   if scheduler.pool_of(row) == self.host)
        await volumes.change(turn.tx, volume, turn.services.clock(), host=self.host, zone=row.zone)

    async def _volume(self, turn: Turn) -> Volume:
        async with turn.services.db.read() as reader:
            return await volumes.get(reader, self.volume_id)

    @step(timeout=LONG)
    async def make_volume(self, turn: Turn) -> None:
        volume, source = await self._volume(turn), self.source
        origin = Origin(volume_id=source.volume_id, snapshot_id=source.snapshot_id) if source.volume_id else None
        key = await key_of(turn.services, volume) if origin is None else None
        await ask(turn.services, EnsureVolume(volume_id=volume.id, size_gb=volume.size_gb, origin=origin, key=key),
                  host=volume.back_end, seconds=LONG)

    @make_volume.undo
    async def remove_volume(self, turn: Turn) -> None:
        if self.host and not await clear(turn.services, EnsureNoVolume(volume_id=self.volume_id),
                                         host=self.host.partition("#")[0]):
            turn.note(f"{self.host} is down")

    @step(timeout=LONG)
    async def fill_volume(self, turn: Turn) -> None:
        """From an image or a backup; saying so twice is filling it twice."""
        volume, source = await self._volume(turn), self.source
        if source.image_id:
            key = None if source.encrypted else await key_of(turn.services, volume)
            await ask(turn.services, FillFromImage(
                volume_id=volume.id, image_id=source.image_id, disk_format=source.image_format, key=key),
                host=volume.back_end, seconds=LONG)
        elif source.backup_id:
            async with turn.services.db.read() as reader:
                backup = await backups.get(reader, source.backup_id)
                lineage = tuple(await backups.lineage(reader, backup))
            await ask(turn.services, RestoreBackup(volume_id=volume.id, lineage=lineage),
                      host=volume.back_end, seconds=LONG)

    @step(local=True)
    async def mark_available(self, turn: Turn) -> None:
        volume = await volumes.get(turn.tx, self.volume_id)
        await volumes.change(turn.tx, volume, turn.services.clock(), status=Status.AVAILABLE)
        await self._release_backup(turn)
