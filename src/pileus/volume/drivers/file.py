"""Volumes as QCOW2 files, one folder each; snapshots inside the file; served over NBD by a qemu-storage-daemon each.

A clone is a file of its own, so nothing depends on another volume's and no chain has to be flattened; where the file
system can, they share what they have in common.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from pileus.volume.drivers import luks, mirroring, qcow2
from pileus.volume.drivers.base import BackEndFacts, Export, ExportOptions, HeldVolume, Key, Origin, VolumeFailed
from pileus.volume.drivers.daemon import DISK, STATE, Daemon
from pileus.volume.drivers.doors import Door, Street
from pileus.volume.drivers.processes import DaemonFailed
from pileus.volume.drivers.qcow2 import QemuImageFailed

T = TypeVar("T")
GIB, PIECE = 1 << 30, 1 << 20
NEW, SCRATCH = ".new", ".scratch"
# Of images: others name further files, which a stranger's image must not make us read.
FORMATS = qcow2.IMAGE_FORMATS | dict.fromkeys(("iso", "ami", "ari", "aki", "luks"), "raw")


class FileDriver:
    kind: ClassVar[str] = "file"

    def __init__(self, name: str, folder: Path, *, sockets: Path | None = None, over_subscription: float = 1.0,
                 street: Street | None = None):
        """`sockets`: a folder that the back ends of a node share, where servers find whoever serves a volume; `street`:
        where servers of other hosts do, if they can."""
        self.name, self.folder, self.over_subscription = name, folder.absolute(), over_subscription
        self.street = street
        self.sockets = (sockets or folder / ".sockets").absolute()
        self._prepare()

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._tidy()

    def _tidy(self) -> None:
        for half in (*self.folder.glob(f"*{NEW}"), *self.folder.glob(f"*{SCRATCH}")):
            shutil.rmtree(half) if half.is_dir() else half.unlink()

    def _place(self, volume_id: str) -> Path:
        if "/" in volume_id or volume_id.startswith("."):
            raise VolumeFailed(volume_id, "found", "that is no id")
        return self.folder / volume_id

    def _disk(self, volume_id: str, wanted: str) -> Path:
        disk = self._place(volume_id) / DISK
        if not disk.exists():
            raise VolumeFailed(volume_id, wanted, "there is no such volume")
        return disk

    def _daemon(self, volume_id: str) -> Daemon:
        return Daemon(self._place(volume_id), self.sockets / volume_id)

    def _door(self, volume_id: str) -> Door | None:
        return Door(self._daemon(volume_id).run, self.street) if self.street else None

    async def _do(self, volume_id: str, wanted: str, work: Awaitable[T]) -> T:
        try:
            return await work
        except (QemuImageFailed, DaemonFailed, OSError) as error:
            if isinstance(error, DaemonFailed) and error.unsettled:
                raise
            raise VolumeFailed(volume_id, wanted, str(error)) from error

    async def ensure(self, volume_id: str, size_gb: int, origin: Origin | None = None, key: Key | None = None) -> None:
        place = self._place(volume_id)
        if not (place / DISK).exists():
            await self._do(volume_id, "created", self._create(volume_id, size_gb * GIB, origin, key))

    async def _create(self, volume_id: str, size: int, origin: Origin | None, key: Key | None) -> None:
        half = self.folder / f"{volume_id}{NEW}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        try:
            if origin is None and key is not None:
                async with luks.created(half / "luks", size, key):
                    await qcow2.convert(str(half / "luks"), "raw", half / DISK)
                await qcow2.run("qemu-img", "resize", "-q", "-f", "qcow2", str(half / DISK), str(size))
            elif origin is None:
                await qcow2.create(half / DISK, size)
            else:
                await self._copy(origin, volume_id, half / DISK)
                if qcow2.header(half / DISK).size < size:
                    await qcow2.run("qemu-img", "resize", "-q", "-f", "qcow2", str(half / DISK), str(size))
            half.rename(self._place(volume_id))
        finally:
            await asyncio.to_thread(shutil.rmtree, half, ignore_errors=True)

    async def _copy(self, origin: Origin, volume_id: str, target: Path) -> None:
        """A volume that is written to is copied as it was at one moment."""
        source = self._disk(origin.volume_id, "copied")
        moment = origin.snapshot_id or f"clone-{volume_id}"
        try:
            if origin.snapshot_id is None:
                await self.ensure_snapshot(origin.volume_id, moment)
            await qcow2.clone(source, target, snapshot=moment)
        finally:
            if origin.snapshot_id is None:
                await self.remove_snapshot(origin.volume_id, moment)

    async def remove(self, volume_id: str) -> None:
        place = self._place(volume_id)
        if place.exists():
            await self._do(volume_id, "removed", self._end(volume_id))
            await self._do(volume_id, "removed", asyncio.to_thread(shutil.rmtree, place))

    async def resize(self, volume_id: str, size_gb: int) -> None:
        disk, size = self._disk(volume_id, "extended"), size_gb * GIB
        if qcow2.header(disk).size >= size:
            return
        daemon = self._daemon(volume_id)
        if daemon.pid() is not None:
            await self._do(volume_id, "extended", self._grow(volume_id, daemon, size))
        else:
            await self._do(volume_id, "extended",
                           qcow2.run("qemu-img", "resize", "-q", "-f", "qcow2", str(disk), str(size)))

    async def _grow(self, volume_id: str, daemon: Daemon, size: int) -> None:
        await daemon.change(("block_resize", {"node-name": "disk", "size": size}), volume_id, unserved=True)
        door = self._door(volume_id)
        if door is not None:
            await door.open_again(daemon.export(volume_id))

    async def ensure_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        disk, daemon = self._disk(volume_id, "snapshot"), self._daemon(volume_id)
        if snapshot_id in qcow2.header(disk).snapshots:
            return
        if daemon.pid() is not None:
            await self._do(volume_id, "snapshot", daemon.change(
                ("blockdev-snapshot-internal-sync", {"device": "disk", "name": snapshot_id}), volume_id))
        else:
            await self._do(volume_id, "snapshot", qcow2.run("qemu-img", "snapshot", "-q", "-c", snapshot_id, str(disk)))

    async def remove_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        disk, daemon = self._place(volume_id) / DISK, self._daemon(volume_id)
        if not disk.exists() or snapshot_id not in qcow2.header(disk).snapshots:
            return
        wanted = "rid of a snapshot"
        if daemon.pid() is not None:
            await self._do(volume_id, wanted, daemon.change(
                ("blockdev-snapshot-delete-internal-sync", {"device": "disk", "name": snapshot_id}), volume_id))
        else:
            await self._do(volume_id, wanted, qcow2.run("qemu-img", "snapshot", "-q", "-d", snapshot_id, str(disk)))

    async def revert(self, volume_id: str, snapshot_id: str) -> None:
        disk = self._disk(volume_id, "reverted")
        if self._daemon(volume_id).pid() is not None:
            raise VolumeFailed(volume_id, "reverted", "it is in use")
        if snapshot_id not in qcow2.header(disk).snapshots:
            raise VolumeFailed(volume_id, "reverted", f"there is no snapshot {snapshot_id}")
        await self._do(volume_id, "reverted", qcow2.run("qemu-img", "snapshot", "-q", "-a", snapshot_id, str(disk)))

    async def export(self, volume_id: str, options: ExportOptions | None, key: Key | None = None) -> Export | None:
        if options is None:
            await self._do(volume_id, "served no longer", self._end(volume_id))
            return None
        self._disk(volume_id, "exported")
        return await self._do(volume_id, "exported", self._export(volume_id, options, key))

    async def _export(self, volume_id: str, options: ExportOptions, key: Key | None) -> Export:
        daemon = self._daemon(volume_id)
        if options.encrypted:
            options = msgspec.structs.replace(options, header_at=self._header_at(volume_id))
        options, beyond = msgspec.structs.replace(options, beyond=False), options.beyond
        export = await daemon.ensure(options, volume_id, key)
        if options.mirror is not None:
            return await mirroring.follow(daemon, export, options, key)
        if not beyond:
            return export
        door = self._door(volume_id)
        if door is None:
            raise DaemonFailed("other hosts do not reach it")
        return await door.open(export, read_only=options.read_only)

    def _header_at(self, volume_id: str) -> int:
        return luks.header_at(qcow2.beginning(self._disk(volume_id, "exported"), luks.BEGINNING))

    async def _end(self, volume_id: str) -> None:
        door = self._door(volume_id)
        if door is not None:
            await door.close()
        await self._daemon(volume_id).end()

    async def read(self, volume_id: str, snapshot_id: str | None = None) -> AsyncIterator[tuple[int, bytes]]:
        disk = self._disk(volume_id, "read")
        scratch = self.folder / f"{uuid.uuid4()}{SCRATCH}"
        moment = snapshot_id or f"read-{scratch.stem}"
        try:
            if snapshot_id is None:
                await self.ensure_snapshot(volume_id, moment)
            await self._do(volume_id, "read", qcow2.convert(str(disk), "qcow2", scratch, snapshot=moment,
                                                            target_format="raw"))
            for offset, length in await asyncio.to_thread(_data, scratch):
                with scratch.open("rb") as file:
                    file.seek(offset)
                    for at in range(offset, offset + length, PIECE):
                        yield at, await asyncio.to_thread(file.read, min(PIECE, offset + length - at))
        finally:
            scratch.unlink(missing_ok=True)
            if snapshot_id is None:
                await self.remove_snapshot(volume_id, moment)

    async def fill(self, volume_id: str, source: str, disk_format: str, key: Key | None = None) -> None:
        disk = self._disk(volume_id, "filled")
        if self._daemon(volume_id).pid() is not None:
            raise VolumeFailed(volume_id, "filled", "it is in use")
        if disk_format not in FORMATS:
            raise VolumeFailed(volume_id, "filled", f"images of format {disk_format} cannot be read")
        await self._do(volume_id, "filled", self._fill(volume_id, disk, source, FORMATS[disk_format], key))

    async def _fill(self, volume_id: str, disk: Path, source: str, disk_format: str, key: Key | None) -> None:
        now, beginning = qcow2.header(disk), qcow2.beginning(disk, luks.BEGINNING)
        await self._must_fit(volume_id, source, disk_format, luks.room_in(beginning, now.size) if key else now.size)
        if key is not None:
            device = {"driver": "qcow2", "file.driver": "file", "file.filename": str(disk)}
            await luks.fill(source, disk_format, device, luks.header_at(beginning), key)
            await asyncio.to_thread(qcow2.flush, disk)
            return
        if now.snapshots:
            await qcow2.overwrite(source, disk_format, disk, now.size)
            return
        fresh = disk.with_suffix(NEW)
        try:
            await qcow2.convert(source, disk_format, fresh)
            await qcow2.run("qemu-img", "resize", "-q", "-f", "qcow2", str(fresh), str(now.size))
            fresh.replace(disk)
        finally:
            fresh.unlink(missing_ok=True)

    @staticmethod
    async def _must_fit(volume_id: str, source: str, disk_format: str, room: int) -> None:
        found = await qcow2.info(source, disk_format)
        if qcow2.refers_elsewhere(found):
            raise VolumeFailed(volume_id, "filled", "the image refers to other files")
        if found["virtual-size"] > room:
            raise VolumeFailed(volume_id, "filled", f"the image of {found['virtual-size']} bytes is larger than the "
                                                    f"volume")

    async def rename(self, volume_id: str, new_id: str) -> int:
        if not (self._place(new_id) / DISK).exists():
            self._disk(volume_id, "renamed")
            if self._daemon(volume_id).pid() is not None:
                raise VolumeFailed(volume_id, "renamed", "it is in use")
            self._place(volume_id).rename(self._place(new_id))
        return -(-qcow2.header(self._disk(new_id, "renamed")).size // GIB)

    async def held(self) -> list[HeldVolume]:
        return await asyncio.to_thread(self._held)

    def _held(self) -> list[HeldVolume]:
        found = []
        for disk in sorted(self.folder.glob(f"*/{DISK}")):
            if not disk.parent.name.endswith(NEW):
                head = qcow2.header(disk)
                found.append(HeldVolume(id=disk.parent.name, size_gb=-(-head.size // GIB), snapshots=head.snapshots,
                                        served=self._daemon(disk.parent.name).wanted() is not None))
        return found

    async def facts(self) -> BackEndFacts:
        return await asyncio.to_thread(self._facts)

    @property
    def _runs(self) -> Path:
        """Where volumes have what belongs to this node: a folder each."""
        return self.folder

    def _lost(self) -> tuple[str, ...]:
        return tuple(sorted(path.parent.name for path in self._runs.glob(f"*/{STATE}") if self._is_lost(
            path.parent.name)))

    def _is_lost(self, volume_id: str) -> bool:
        daemon, door = self._daemon(volume_id), self._door(volume_id)
        return daemon.pid() is None and not daemon.is_away or door is not None and door.is_lost

    def _facts(self) -> BackEndFacts:
        space = os.statvfs(self.folder)
        return BackEndFacts(
            name=self.name, driver=self.kind, protocol="nbd", over_subscription=self.over_subscription,
            lost=self._lost(), total_gb=round(space.f_blocks * space.f_frsize / GIB, 2),
            free_gb=round(space.f_bavail * space.f_frsize / GIB, 2))


def _data(path: Path) -> list[tuple[int, int]]:
    """(offset, length) of what is not a hole."""
    found: list[tuple[int, int]] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:                          # nothing but a hole is left
                return found
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            found.append((begin, at - begin))
    return found
