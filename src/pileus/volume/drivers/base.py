"""What the volume service needs of storage: twelve calls that each name a wanted end, so that repeating is harmless."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar, Literal, Protocol

import msgspec


class VolumeFailed(Exception):
    """A volume could not be brought to what was wanted; `reason` is plain text for the one who wanted it."""

    def __init__(self, volume_id: str, wanted: str, reason: str) -> None:
        super().__init__(f"Volume {volume_id} could not be {wanted}: {reason}")
        self.volume_id, self.wanted, self.reason = volume_id, wanted, reason


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A volume of the same back end, or a snapshot of it, that a new volume begins as."""

    volume_id: str
    snapshot_id: str | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What an encrypted volume is read and written with. Never written down by a back end."""

    secret: str
    algorithm: str = "aes-256"
    luks: Literal[1, 2] = 1              # of the device that is made; later its header tells

    def __repr__(self) -> str:
        return "Key(…)"


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Where a volume is to be had: an NBD server's socket, and the export's name there; for servers of other hosts an
    address and a port, with TLS."""

    socket: str
    name: str
    in_step: bool = False                # what it is mirrored to has all of it
    address: str = ""
    port: int = 0

    @property
    def uri(self) -> str:
        if not self.address:
            return f"nbd+unix:///{self.name}?socket={self.socket}"
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"nbds://{host}:{self.port}/{self.name}"


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """An export as large as the volume that gets what the volume holds, and what is written to it meanwhile."""

    to: Export
    alone: bool = False                  # once in step, for good: all is there, and nothing is written here any more


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    read_only: bool = False
    encrypted: bool = False              # inside: what is served is plain
    header_at: int = 0                   # in what is encrypted; the driver finds out
    limits: dict[str, int] = {}          # total_iops_sec, write_bytes_sec_max …: what `qos.limits_of` makes
    beyond: bool = False                 # for servers of other hosts as well
    aside: bool = False                  # for another back end, not at the socket where servers look for the volume
    mirror: Mirror | None = None


class HeldVolume(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    size_gb: int
    snapshots: tuple[str, ...] = ()
    served: bool = False


class BackEndFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a back end has to give."""

    name: str
    driver: str
    protocol: str
    total_gb: float
    free_gb: float
    over_subscription: float = 1.0
    multiattach: bool = True
    qos: bool = True
    filter_function: str | None = None             # an expression that must be true of a volume that is to be here
    goodness_function: str | None = None           # and one of how well it would be, from 0 to 100
    lost: tuple[str, ...] = ()                     # volumes that are to be served, and whoever did that has died


class VolumeDriver(Protocol):
    """The interface. One volume is never asked for two things at once; different volumes are.

    Every call may be made again after any crash. An unknown volume is VolumeFailed unless the call says otherwise.
    """

    kind: ClassVar[str]
    name: str

    async def ensure(self, volume_id: str, size_gb: int, origin: Origin | None = None, key: Key | None = None) -> None:
        """Have the volume, empty or with the content of its origin. One with a key is encrypted, and a little smaller
        inside; a copy is as its origin is. Already there: do nothing. Raises VolumeFailed; nothing half made stays
        under its id."""
        ...

    async def remove(self, volume_id: str) -> None:
        """Stop its export and delete it with its snapshots. Unknown volume: do nothing."""
        ...

    async def resize(self, volume_id: str, size_gb: int) -> None:
        """Make it larger, also while it is exported and in use. Already as large: do nothing. Raises VolumeFailed."""
        ...

    async def ensure_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Have the snapshot, of the content as it is now. Already there: do nothing. Raises VolumeFailed."""
        ...

    async def remove_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Unknown snapshot or volume: do nothing."""
        ...

    async def revert(self, volume_id: str, snapshot_id: str) -> None:
        """Give the volume, which must not be exported, the content of the snapshot. Raises VolumeFailed."""
        ...

    async def export(self, volume_id: str, options: ExportOptions | None, key: Key | None = None) -> Export | None:
        """Have it served, as `options` say; None ends that. It is served on when this process ends; already served
        otherwise: that changes, and who uses it comes back to the same socket, which back ends of a node share. Asked
        again while it is mirrored, it tells when that is in step. Raises VolumeFailed: also for one that is written to
        elsewhere alone, unless asked for just that."""
        ...

    def read(self, volume_id: str, snapshot_id: str | None = None) -> AsyncIterator[tuple[int, bytes]]:
        """Its content as it is stored, or that of a snapshot: (offset, bytes) in ascending order, without what is all
        zeros."""
        ...

    async def fill(self, volume_id: str, source: str, disk_format: str, key: Key | None = None) -> None:
        """Give the volume, which must not be in use, the content of a disk image: the path of a file, or an NBD URI.

        Said twice is filled twice. Raises VolumeFailed, also for an image that is larger than the volume.
        """
        ...

    async def rename(self, volume_id: str, new_id: str) -> int:
        """Know the volume by another id; its size in GiB. Already so: do nothing. Raises VolumeFailed."""
        ...

    async def held(self) -> list[HeldVolume]:
        """Every volume of this back end."""
        ...

    async def facts(self) -> BackEndFacts:
        """What it has to give. Raises nothing."""
        ...
