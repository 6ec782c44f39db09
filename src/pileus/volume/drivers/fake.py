"""Pretends to keep volumes: blocks in memory, remembered in one small file per volume. For clouds of fake hosts."""

from __future__ import annotations

import asyncio
import errno
import os
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import ClassVar

import msgspec

from pileus.volume.drivers.base import (
    BackEndFacts,
    Export,
    ExportOptions,
    HeldVolume,
    Key,
    Mirror,
    Origin,
    VolumeFailed,
)

BLOCK = 1 << 16
GIB = 1 << 30
SUFFIX = ".volume"
FAR, PORT = "192.0.2.1", 10809        # where servers of other hosts are told to look
Blocks = dict[int, bytes]               # number of a block -> what is in it, if that is not all zeros

_DRIVERS: weakref.WeakValueDictionary[Path, FakeDriver] = weakref.WeakValueDictionary()      # whom mirrors write to


class FakeVolume(msgspec.Struct, kw_only=True):
    size_gb: int
    blocks: Blocks = {}
    snapshots: dict[str, Blocks] = {}
    encrypted: bool = False
    export: ExportOptions | None = None
    away: bool = False                      # written to at another back end alone
    lost: bool = False                      # whoever served it has died


class FakeDriver:
    """`fail` is asked before each call: (what, volume id) -> why it fails, or None."""

    kind: ClassVar[str] = "fake"

    def __init__(self, name: str, folder: Path, *, sockets: Path | None = None, total_gb: float = 1 << 20,
                 over_subscription: float = 1.0):
        self.sockets = sockets or folder
        self.name, self.folder, self.total_gb, self.over_subscription = name, folder, total_gb, over_subscription
        self.fail: Callable[[str, str], str | None] = lambda what, volume_id: None
        folder.mkdir(parents=True, exist_ok=True)
        self.known = {path.stem: msgspec.msgpack.decode(path.read_bytes(), type=FakeVolume)
                         for path in folder.glob(f"*{SUFFIX}")}
        _DRIVERS[folder] = self

    def _check(self, what: str, volume_id: str) -> None:
        if (reason := self.fail(what, volume_id)) is not None:
            raise VolumeFailed(volume_id, what, reason)

    def _get(self, what: str, volume_id: str) -> FakeVolume:
        self._check(what, volume_id)
        if volume_id not in self.known:
            raise VolumeFailed(volume_id, what, "there is no such volume")
        return self.known[volume_id]

    def _keep(self, volume_id: str) -> None:
        path = self.folder / f"{volume_id}{SUFFIX}"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.msgpack.encode(self.known[volume_id]))
        fresh.replace(path)

    def _content(self, what: str, volume_id: str, snapshot_id: str | None) -> Blocks:
        volume = self._get(what, volume_id)
        if snapshot_id is None:
            return volume.blocks
        if snapshot_id not in volume.snapshots:
            raise VolumeFailed(volume_id, what, f"there is no snapshot {snapshot_id}")
        return volume.snapshots[snapshot_id]

    async def ensure(self, volume_id: str, size_gb: int, origin: Origin | None = None, key: Key | None = None) -> None:
        self._check("created", volume_id)
        if volume_id not in self.known:
            blocks = self._content("copied", origin.volume_id, origin.snapshot_id) if origin else {}
            encrypted = self.known[origin.volume_id].encrypted if origin else key is not None
            self.known[volume_id] = FakeVolume(size_gb=size_gb, blocks=dict(blocks), encrypted=encrypted)
            self._keep(volume_id)

    async def remove(self, volume_id: str) -> None:
        self._check("removed", volume_id)
        if self.known.pop(volume_id, None) is not None:
            (self.folder / f"{volume_id}{SUFFIX}").unlink(missing_ok=True)

    async def resize(self, volume_id: str, size_gb: int) -> None:
        volume = self._get("extended", volume_id)
        volume.size_gb = max(size_gb, volume.size_gb)
        self._keep(volume_id)

    async def ensure_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        volume = self._get("snapshot", volume_id)
        volume.snapshots.setdefault(snapshot_id, dict(volume.blocks))
        self._keep(volume_id)

    async def remove_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        self._check("rid of a snapshot", volume_id)
        volume = self.known.get(volume_id)
        if volume is not None and volume.snapshots.pop(snapshot_id, None) is not None:
            self._keep(volume_id)

    async def revert(self, volume_id: str, snapshot_id: str) -> None:
        blocks = self._content("reverted", volume_id, snapshot_id)
        volume = self.known[volume_id]
        if volume.export is not None:
            raise VolumeFailed(volume_id, "reverted", "it is in use")
        volume.blocks = dict(blocks)
        self._keep(volume_id)

    async def export(self, volume_id: str, options: ExportOptions | None, key: Key | None = None) -> Export | None:
        if options is None and volume_id not in self.known:
            return None
        volume = self._get("exported", volume_id)
        self._must_have(volume, volume_id, key, options is not None and options.encrypted)
        if volume.away and options is not None and options.mirror is None:
            raise VolumeFailed(volume_id, "exported", "another back end has it by now")
        in_step = options is not None and options.mirror is not None and self._mirror(volume, volume_id, options.mirror)
        volume.export, volume.lost = options, False
        self._keep(volume_id)
        place = self.folder if options is not None and options.aside else self.sockets
        if options is None:
            return None
        found = Export(socket=f"{place}/{volume_id}.nbd", name=volume_id, in_step=in_step)
        return msgspec.structs.replace(found, address=FAR, port=PORT) if options.beyond else found

    @staticmethod
    def _mirror(volume: FakeVolume, volume_id: str, mirror: Mirror) -> bool:
        """In step when asked again, as with what takes a while."""
        begun = volume.export is not None and volume.export.mirror is not None
        if begun and not volume.away:
            other = _DRIVERS[Path(mirror.to.socket).parent]
            other.known[volume_id].blocks = dict(volume.blocks)
            other._keep(volume_id)
            volume.away = mirror.alone
        return begun

    def write(self, volume_id: str, number: int, block: bytes) -> None:
        """As a guest does."""
        self._get("written to", volume_id).blocks[number] = block
        self._keep(volume_id)

    async def read(self, volume_id: str, snapshot_id: str | None = None) -> AsyncIterator[tuple[int, bytes]]:
        blocks = self._content("read", volume_id, snapshot_id)
        for number in sorted(blocks):
            yield number * BLOCK, blocks[number]

    @staticmethod
    def _must_have(volume: FakeVolume, volume_id: str, key: Key | None, wanted: bool) -> None:
        if wanted and (key is None or not volume.encrypted):
            raise VolumeFailed(volume_id, "opened", "its key is needed")

    async def fill(self, volume_id: str, source: str, disk_format: str, key: Key | None = None) -> None:
        volume = self._get("filled", volume_id)
        self._must_have(volume, volume_id, key, key is not None)
        if source.startswith("nbd"):
            other = self._beside(Path(source.partition("socket=")[2]))
            volume.blocks = dict(other.blocks)
        else:
            volume.blocks = await asyncio.to_thread(_blocks_of, Path(source), volume.size_gb * GIB, volume_id)
        self._keep(volume_id)

    @staticmethod
    def _beside(socket: Path) -> FakeVolume:
        return msgspec.msgpack.decode(socket.with_suffix(SUFFIX).read_bytes(), type=FakeVolume)

    async def rename(self, volume_id: str, new_id: str) -> int:
        if new_id not in self.known:
            self.known[new_id] = self._get("renamed", volume_id)
            self._keep(new_id)
            await self.remove(volume_id)
        return self.known[new_id].size_gb

    async def held(self) -> list[HeldVolume]:
        return [HeldVolume(id=volume_id, size_gb=volume.size_gb, snapshots=tuple(volume.snapshots),
                           served=volume.export is not None)
                for volume_id, volume in self.known.items()]

    async def facts(self) -> BackEndFacts:
        used = sum(volume.size_gb for volume in self.known.values())
        return BackEndFacts(name=self.name, driver=self.kind, protocol="nbd", total_gb=self.total_gb,
                            free_gb=self.total_gb - used, over_subscription=self.over_subscription,
                            lost=tuple(sorted(each for each, volume in self.known.items() if volume.lost)))


def _blocks_of(path: Path, most: int, volume_id: str) -> Blocks:
    found: Blocks = {}
    if path.stat().st_size > most:
        raise VolumeFailed(volume_id, "filled", "the image is larger than the volume")
    with path.open("rb") as file:
        for number in _written(file.fileno()):
            piece = os.pread(file.fileno(), BLOCK, number * BLOCK)
            if piece.count(0) != len(piece):
                found[number] = piece
    return found


def _written(file: int) -> Iterator[int]:
    """The numbers of the blocks that are not in a hole of the file."""
    end, at = os.fstat(file).st_size, 0
    while at < end:
        try:
            at = os.lseek(file, at, os.SEEK_DATA)
        except OSError as refused:
            if refused.errno == errno.ENXIO:                     # nothing but a hole up to the end
                return
            raise
        until = os.lseek(file, at, os.SEEK_HOLE)
        yield from range(at // BLOCK, -(-until // BLOCK))
        at = -(-until // BLOCK) * BLOCK
