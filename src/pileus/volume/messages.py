"""What the parts of the volume service say to each other: commands to back ends, news from them."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from pileus.kit.bus import Message
from pileus.volume.drivers.base import BackEndFacts, Export, ExportOptions, HeldVolume, Key, Origin

NODE, CONDUCTOR = "volume.node", "volume.conductor"


class EnsureVolume(Message, kw_only=True, frozen=True):
    """Have the volume, empty or as a copy of one of the same back end; encrypted, where it has a key."""

    topic: ClassVar[str] = NODE
    volume_id: str
    size_gb: int
    origin: Origin | None = None
    key: Key | None = None


class EnsureNoVolume(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    volume_id: str


class ResizeVolume(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    volume_id: str
    size_gb: int


class EnsureSnapshot(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    volume_id: str
    snapshot_id: str


class EnsureNoSnapshot(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    volume_id: str
    snapshot_id: str


class RevertVolume(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    volume_id: str
    snapshot_id: str


class ExportVolume(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    reply: ClassVar[type] = Export
    volume_id: str
    options: ExportOptions = ExportOptions()
    key: Key | None = None


class EnsureNoExport(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    volume_id: str


class FillFromImage(Message, kw_only=True, frozen=True):
    """Give the volume the content of an image."""

    topic: ClassVar[str] = NODE
    volume_id: str
    image_id: str
    disk_format: str
    key: Key | None = None


class FillFromExport(Message, kw_only=True, frozen=True):
    """Give the volume the content of one that another back end serves."""

    topic: ClassVar[str] = NODE
    volume_id: str
    export: Export


class UploadVolume(Message, kw_only=True, frozen=True):
    """Upload the volume's content to an image that waits for it."""

    topic: ClassVar[str] = NODE
    volume_id: str
    image_id: str
    disk_format: str = "raw"


class RenameVolume(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    reply: ClassVar[type] = int
    volume_id: str
    new_id: str


class ListVolumes(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    reply: ClassVar[Any] = tuple[HeldVolume, ...]


class BackupWritten(msgspec.Struct, frozen=True, kw_only=True):
    object_count: int
    stored_bytes: int


class WriteBackup(Message, kw_only=True, frozen=True):
    """Have a backup of the volume's content, or of a snapshot's: all of it, or what differs from `parent_id`."""

    topic: ClassVar[str] = NODE
    reply: ClassVar[type] = BackupWritten
    backup_id: str
    volume_id: str
    size_gb: int
    snapshot_id: str | None = None
    parent_id: str | None = None


class RestoreBackup(Message, kw_only=True, frozen=True):
    """Give the volume the content of a backup; `lineage` are the backups it needs, the full one first."""

    topic: ClassVar[str] = NODE
    volume_id: str
    lineage: tuple[str, ...]


class EnsureNoBackup(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = NODE
    backup_id: str


class ShowLogLevels(Message, kw_only=True, frozen=True):
    """How much the loggers whose names begin so tell."""

    topic: ClassVar[str] = NODE
    reply: ClassVar[Any] = dict[str, str]
    prefix: str = ""


class SetLogLevel(Message, kw_only=True, frozen=True):
    """Have the loggers whose names begin so tell as much, until the process ends."""

    topic: ClassVar[str] = NODE
    prefix: str = ""
    level: str = "INFO"


class BackEndSeen(Message, kw_only=True, frozen=True):
    """A sign of life: what the back end has to give. `host` is NODE@BACK_END; `lost` are volumes that it should serve,
    and whoever did that has died."""

    topic: ClassVar[str] = CONDUCTOR
    host: str
    zone: str
    facts: BackEndFacts
    lost: tuple[str, ...] = ()
