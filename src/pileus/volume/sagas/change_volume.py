"""Work on a volume that is there: extend, revert, upload to an image, fill anew, manage."""

from __future__ import annotations

from typing import Any

from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.volume import attaching
from pileus.volume.messages import (
    FillFromImage,
    RenameVolume,
    ResizeVolume,
    RevertVolume,
    UploadVolume,
)
from pileus.volume.model import attachments, notices, volumes
from pileus.volume.model.volumes import Status, Volume
from pileus.volume.sagas.nodes import ask, key_of, tell_why

LONG = 3600.0


async def volume_of(turn: Turn, volume_id: str) -> Volume:
    async with turn.services.db.read() as reader:
        return await volumes.get(reader, volume_id)


async def set_volume(turn: Turn, volume_id: str, **values: Any) -> Volume:
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
        volume = await set_volume(turn, self.volume_id, status=self.status if attached else Status.ERROR_EXTENDING)
        await tell_why(turn, "VOLUME", volume, action=notices.EXTEND)

    @step(timeout=600)
    async def resize(self, turn: Turn) -> None:
        volume = await volume_of(turn, self.volume_id)
        await ask(turn.services, ResizeVolume(volume_id=volume.id, size_gb=self.size_gb), host=volume.back_end,
                  seconds=590)

    @step(local=True, pivot=True)
    async def mark(self, turn: Turn) -> None:
        await set_volume(turn, self.volume_id, status=self.status, size_gb=self.size_gb)

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
        await set_volume(turn, self.volume_id, status=Status.ERROR)

    @step(timeout=LONG)
    async def revert(self, turn: Turn) -> None:
        volume = await volume_of(turn, self.volume_id)
        await ask(turn.services, RevertVolume(volume_id=volume.id, snapshot_id=self.snapshot_id),
                  host=volume.back_end, seconds=LONG)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await set_volume(turn, self.volume_id, status=Status.AVAILABLE)


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
        volume = await set_volume(turn, self.volume_id, status=self.status)
        await tell_why(turn, "VOLUME", volume, action=notices.UPLOAD)

    @step(timeout=LONG)
    async def upload(self, turn: Turn) -> None:
        volume = await volume_of(turn, self.volume_id)
        await ask(turn.services, UploadVolume(volume_id=volume.id, image_id=self.image_id,
                                              disk_format=self.disk_format), host=volume.back_end, seconds=LONG)

    @upload.undo
    async def remove_image(self, turn: Turn) -> None:
        await turn.services.image.remove(self.image_id)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await set_volume(turn, self.volume_id, status=self.status)


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
        volume = await set_volume(turn, self.volume_id, status=Status.ERROR)
        await tell_why(turn, "VOLUME", volume, action=notices.FROM_IMAGE)

    @step(timeout=LONG)
    async def fill_volume(self, turn: Turn) -> None:
        volume = await volume_of(turn, self.volume_id)
        await ask(turn.services, FillFromImage(
            volume_id=volume.id, image_id=self.image_id, disk_format=self.disk_format,
            key=await key_of(turn.services, volume)), host=volume.back_end, seconds=LONG)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await set_volume(turn, self.volume_id, status=Status.AVAILABLE, image_metadata=self.image_metadata)
        await attaching.settle(turn.tx, self.volume_id, turn.services.clock())


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
        await set_volume(turn, self.volume_id, status=Status.ERROR_MANAGING)

    @step
    async def rename(self, turn: Turn) -> None:
        volume = await volume_of(turn, self.volume_id)
        self.size_gb = await ask(turn.services, RenameVolume(volume_id=self.reference, new_id=volume.id),
                                 host=volume.back_end)

    @rename.undo
    async def rename_back(self, turn: Turn) -> None:
        volume = await volume_of(turn, self.volume_id)
        await clear_name(turn, volume, self.reference)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        await set_volume(turn, self.volume_id, status=Status.AVAILABLE, size_gb=self.size_gb)


async def clear_name(turn: Turn, volume: Volume, reference: str) -> None:
    """Where it was not renamed yet there is nothing to be named back."""
    try:
        await ask(turn.services, RenameVolume(volume_id=volume.id, new_id=reference), host=volume.back_end)
    except Abort as error:
        turn.note(str(error))
