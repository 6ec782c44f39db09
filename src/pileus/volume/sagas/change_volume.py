"""Work on a volume that is there: extend, revert, upload to an image, move to another type or back end, manage."""

from __future__ import annotations

from typing import Any

from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.volume import attaching, scheduler
from pileus.volume.drivers.base import ExportOptions
from pileus.volume.messages import (
    EnsureNoExport,
    EnsureNoVolume,
    EnsureVolume,
    ExportVolume,
    FillFromExport,
    FillFromImage,
    RenameVolume,
    ResizeVolume,
    RevertVolume,
    UploadVolume,
)
from pileus.volume.model import attachments, notices, services, types, volumes
from pileus.volume.model.volumes import Status, Volume
from pileus.volume.sagas.nodes import ask, clear, key_of, tell_why

LONG = 3600.0


async def _volume(turn: Turn, volume_id: str) -> Volume:
    async with turn.services.db.read() as reader:
        return await volumes.get(reader, volume_id)


async def _set(turn: Turn, volume_id: str, **values: Any) -> Volume:
    return await volumes.change(turn.tx, await volumes.get(turn.tx, volume_id), turn.services.clock(), **values)


@saga("volume.extend_volume")
class ExtendVolume(Saga, kw_only=True):
    volume_id: str
    size_gb: int
    status: str                                # before

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        attached = self.status == Status.IN_USE
        volume = await _set(turn, self.volume_id, status=self.status if attached else Status.ERROR_EXTENDING)
        await tell_why(turn, "VOLUME", volume, action=notices.EXTEND)

    @step(timeout=600)
    async def resize(self, turn: Turn) -> None:
        volume = await _volume(turn, self.volume_id)
        await ask(turn.services, ResizeVolume(volume_id=volume.id, size_gb=self.size_gb), host=volume.back_end,
                  seconds=590)

    @step(local=True, pivot=True)
    async def mark(self, turn: Turn) -> None:
        await _set(turn, self.volume_id, status=self.status, size_gb=self.size_gb)

    @step
    async def tell_servers(self, turn: Turn) -> None:
        """Their hosts let the guests see the new size."""
        async with turn.services.db.read() as reader:
            found = await attachments.of_volume(reader, self.volume_id)
        await turn.services.compute.external_events([
            {"name": "volume-extended", "server_uuid": each.server_id, "tag": self.volume_id}
            for each in found if each.server_id])


@saga("volume.revert_volume")
class Revert(Saga, kw_only=True):
    volume_id: str
    snapshot_id: str                           # what the back end knows it by
    size_gb: int

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        await _set(turn, self.volume_id, status=Status.ERROR)

    @step(timeout=LONG)
    async def revert(self, turn: Turn) -> None:
        volume = await _volume(turn, self.volume_id)
        await ask(turn.services, RevertVolume(volume_id=volume.id, snapshot_id=self.snapshot_id),
                  host=volume.back_end, seconds=LONG)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await _set(turn, self.volume_id, status=Status.AVAILABLE)


@saga("volume.upload_volume")
class Upload(Saga, kw_only=True):
    volume_id: str
    image_id: str
    status: str                                # before
    disk_format: str = "raw"

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_back(self, turn: Turn) -> None:
        volume = await _set(turn, self.volume_id, status=self.status)
        await tell_why(turn, "VOLUME", volume, action=notices.UPLOAD)

    @step(timeout=LONG)
    async def upload(self, turn: Turn) -> None:
        volume = await _volume(turn, self.volume_id)
        await ask(turn.services, UploadVolume(volume_id=volume.id, image_id=self.image_id,
                                              disk_format=self.disk_format), host=volume.back_end, seconds=LONG)

    @upload.undo
    async def remove_image(self, turn: Turn) -> None:
        await turn.services.image.remove(self.image_id)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await _set(turn, self.volume_id, status=self.status)


@saga("volume.reimage_volume")
class Reimage(Saga, kw_only=True):
    volume_id: str
    image_id: str
    disk_format: str
    image_metadata: dict[str, str] = {}

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        volume = await _set(turn, self.volume_id, status=Status.ERROR)
        await tell_why(turn, "VOLUME", volume, action=notices.FROM_IMAGE)

    @step(timeout=LONG)
    async def fill_volume(self, turn: Turn) -> None:
        volume = await _volume(turn, self.volume_id)
        await ask(turn.services, FillFromImage(
            volume_id=volume.id, image_id=self.image_id, disk_format=self.disk_format,
            key=await key_of(turn.services, volume)), host=volume.back_end, seconds=LONG)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await _set(turn, self.volume_id, status=Status.AVAILABLE, image_metadata=self.image_metadata)
        await attaching.settle(turn.tx, self.volume_id, turn.services.clock())


@saga("volume.move_volume")
class Move(Saga, kw_only=True):
    """To another type, to another back end, or both."""

    volume_id: str
    type_id: str
    status: str                                # before
    may_copy: bool = True                      # to another back end
    asked_pool: str | None = None
    old_pool: str = ""
    pool: str = ""                             # empty: it stays where it is

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_back(self, turn: Turn) -> None:
        volume = await _set(turn, self.volume_id, status=self.status,
                            migration_status="error" if self.asked_pool else None)
        await tell_why(turn, "VOLUME", volume, action=notices.SCHEDULE)

    @step(local=True)
    async def choose_back_end(self, turn: Turn) -> None:
        volume = await volumes.get(turn.tx, self.volume_id)
        kind = await types.get(turn.tx, self.type_id)
        wanted = scheduler.Request(
            size_gb=0, extra_specs=kind.extra_specs,
            same_host=frozenset([self.asked_pool] if self.asked_pool else []))
        verdict = scheduler.choose(wanted, await services.every(turn.tx, binary=services.VOLUME),
                                   await services.provisioned(turn.tx), turn.services.clock())
        self.old_pool = volume.host or ""
        if not verdict.pools:
            raise Abort(verdict.sentence)
        if self.old_pool not in verdict.pools:
            if not self.may_copy:
                raise Abort(f"Retype requires migration but is not allowed. {verdict.refused}")
            if self.status != Status.AVAILABLE or await volumes.has_snapshots(turn.tx, volume.id):
                raise Abort("Only a volume that is neither attached nor has snapshots can move to another back end.")
            self.pool = verdict.pools[0]

    @step(timeout=LONG)
    async def copy(self, turn: Turn) -> None:
        """Over NBD, read-only at the old place."""
        if not self.pool:
            return
        volume, there = await _volume(turn, self.volume_id), self.pool.partition("#")[0]
        here = self.old_pool.partition("#")[0]
        export = await ask(turn.services, ExportVolume(volume_id=volume.id, options=ExportOptions(read_only=True)),
                           host=here)
        await ask(turn.services, EnsureVolume(volume_id=volume.id, size_gb=volume.size_gb), host=there, seconds=600)
        await ask(turn.services, FillFromExport(volume_id=volume.id, export=export), host=there, seconds=LONG)

    @copy.undo
    async def remove_copy(self, turn: Turn) -> None:
        if self.pool:
            await clear(turn.services, EnsureNoVolume(volume_id=self.volume_id), host=self.pool.partition("#")[0])
            await clear(turn.services, EnsureNoExport(volume_id=self.volume_id), host=self.old_pool.partition("#")[0])

    @step(local=True, pivot=True)
    async def mark(self, turn: Turn) -> None:
        volume = await volumes.get(turn.tx, self.volume_id)
        kind = await types.get(turn.tx, self.type_id)
        await volumes.change(turn.tx, volume, turn.services.clock(), type_id=kind.id, status=self.status,
                             host=self.pool or volume.host, multiattach=kind.multiattach,
                             migration_status="success" if self.pool else volume.migration_status)

    @step
    async def remove_old(self, turn: Turn) -> None:
        if self.pool:
            await ask(turn.services, EnsureNoVolume(volume_id=self.volume_id), host=self.old_pool.partition("#")[0])


@saga("volume.manage_volume")
class Manage(Saga, kw_only=True):
    """Take charge of content that a back end already holds."""

    volume_id: str
    reference: str                             # what the back end knows it by
    size_gb: int = 0

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        await _set(turn, self.volume_id, status=Status.ERROR_MANAGING)

    @step
    async def rename(self, turn: Turn) -> None:
        volume = await _volume(turn, self.volume_id)
        self.size_gb = await ask(turn.services, RenameVolume(volume_id=self.reference, new_id=volume.id),
                                 host=volume.back_end)

    @rename.undo
    async def rename_back(self, turn: Turn) -> None:
        volume = await _volume(turn, self.volume_id)
        await clear_name(turn, volume, self.reference)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await _set(turn, self.volume_id, status=Status.AVAILABLE, size_gb=self.size_gb)


async def clear_name(turn: Turn, volume: Volume, reference: str) -> None:
    """Where it was not renamed yet there is nothing to be named back."""
    try:
        await ask(turn.services, RenameVolume(volume_id=volume.id, new_id=reference), host=volume.back_end)
    except Abort as error:
        turn.note(str(error))
