"""Volumes as thin logical volumes of one LVM group: snapshots and clones are the pool's, at no cost; served as files.

Names in the group: `volume-ID`, `held-ID.SNAPSHOT`, and `new-ID` and `old-ID` while something is made or replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from pileus.volume.drivers import luks, qcow2
from pileus.volume.drivers.base import BackEndFacts, HeldVolume, Key, Origin, VolumeFailed
from pileus.volume.drivers.daemon import Daemon
from pileus.volume.drivers.file import GIB, SCRATCH, FileDriver
from pileus.volume.drivers.qcow2 import QemuImageFailed

POOL = "pileus"
VOLUME, SNAPSHOT, NEW, OLD = "volume-", "held-", "new-", "old-"
PIECE, SECTOR = 4 << 20, 512
UDEV = Path("/run/udev/control")
# Without udev LVM makes the device files itself.
ALONE = ("--config", "activation { udev_sync = 0 udev_rules = 0 }")


class Lv(msgspec.Struct, frozen=True):
    name: str
    bytes: int
    data_percent: float

    @classmethod
    def told(cls, row: dict[str, str]) -> Self:
        return cls(row["lv_name"], int(row["lv_size"]), float(row["data_percent"] or 0))


class LvmDriver(FileDriver):
    """A group that is not there offers no room, and every call for one of its volumes is refused. `folder` is for what
    belongs to the node: sockets, pid files and what is not finished."""

    kind: ClassVar[str] = "lvm"

    def __init__(self, name: str, folder: Path, group: str, **more: Any):
        self.group, self._active = group, False
        self._config = () if UDEV.exists() else ALONE
        super().__init__(name, folder, **more)

    # -- the group --------------------------------------------------------------------------

    async def _lvm(self, *words: str) -> bytes:
        """What it prints. Raises QemuImageFailed with its words."""
        try:
            return await qcow2.run("lvm", words[0], *self._config, *words[1:])
        except FileNotFoundError as error:
            raise QemuImageFailed("LVM is not installed (Debian: lvm2)") from error

    async def _volumes(self) -> dict[str, Lv]:
        """By their names. Raises QemuImageFailed."""
        told = msgspec.json.decode(await self._lvm(
            "lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", "lv_name,lv_size,data_percent",
            self.group))
        return {row["lv_name"]: Lv.told(row) for row in told["report"][0]["lv"]}

    async def _pool(self) -> Lv:
        """Made of what is free in the group, if it is not there. What the group has is active from then on."""
        known = await self._volumes()
        if not self._active:
            await self._lvm("vgchange", "-q", "-ay", self.group)
            self._active = True
        if POOL not in known:
            await self._lvm("lvcreate", "-q", "-y", "--type", "thin-pool", "-l", "100%FREE", "-n", POOL, self.group)
            known = await self._volumes()
        return known[POOL]

    def _device(self, name: str) -> Path:
        return Path("/dev", self.group, name)

    def _disk(self, volume_id: str, wanted: str) -> Path:
        self._place(volume_id)
        disk = self._device(VOLUME + volume_id)
        if not disk.exists():
            raise VolumeFailed(volume_id, wanted, "there is no such volume")
        return disk

    def _moment(self, volume_id: str, snapshot_id: str) -> str:
        return f"{SNAPSHOT}{volume_id}.{snapshot_id}"

    def _daemon(self, volume_id: str) -> Daemon:
        disk = {"driver": "raw", "file": {"driver": "host_device", "filename": str(self._device(VOLUME + volume_id)),
                                          "discard": "unmap", "aio": "native", "cache": {"direct": True}}}
        return Daemon(self._place(volume_id), self.sockets / volume_id, disk=disk)

    # -- volumes ----------------------------------------------------------------------------

    async def ensure(self, volume_id: str, size_gb: int, origin: Origin | None = None, key: Key | None = None) -> None:
        if not self._device(VOLUME + volume_id).exists():
            self._place(volume_id)
            await self._do(volume_id, "created", self._create(volume_id, size_gb * GIB, origin, key))

    async def _create(self, volume_id: str, size: int, origin: Origin | None, key: Key | None) -> None:
        """Under another name until it is whole."""
        new = NEW + volume_id
        await self._pool()
        await self._drop(new)
        if origin is None:
            await self._lvm("lvcreate", "-q", "-y", "-T", f"{self.group}/{POOL}", "-V", f"{size}b", "-n", new)
            if key is not None:
                await self._encrypt(self._device(new), size, key)
        else:
            self._disk(origin.volume_id, "copied")
            source = VOLUME + origin.volume_id if origin.snapshot_id is None else self._moment(
                origin.volume_id, origin.snapshot_id)
            await self._copy_as(new, source)
            await self._at_least(new, size)
        await self._name(new, VOLUME + volume_id)

    async def _encrypt(self, device: Path, size: int, key: Key) -> None:
        scratch = self.folder / f"{uuid.uuid4()}{SCRATCH}"
        async with luks.created(scratch, size, key):
            await self._write(str(scratch), "raw", device)

    @staticmethod
    async def _write(source: str, disk_format: str, device: Path) -> None:
        """Over what is all zeros."""
        await qcow2.run("qemu-img", "convert", "-q", "-n", "--target-is-zero", "-f", disk_format, "-O", "raw", source,
                        str(device))
        await asyncio.to_thread(qcow2.flush, device)

    async def _copy_as(self, name: str, source: str) -> None:
        """At one moment; active as any other, and depending on nothing."""
        await self._lvm("lvcreate", "-q", "-y", "-s", "-kn", "-ay", "-n", name, f"{self.group}/{source}")

    async def _name(self, name: str, wanted: str) -> None:
        await self._lvm("lvrename", "-q", self.group, name, wanted)

    async def _drop(self, *names: str) -> None:
        known = await self._volumes()
        there = [f"{self.group}/{name}" for name in names if name in known]
        if there:
            await self._lvm("lvremove", "-q", "-y", "-f", *there)

    async def _at_least(self, name: str, size: int) -> None:
        if (await self._volumes())[name].bytes < size:
            await self._lvm("lvextend", "-q", "-L", f"{size}b", f"{self.group}/{name}")

    async def remove(self, volume_id: str) -> None:
        self._place(volume_id)
        await self._do(volume_id, "removed", self._remove(volume_id))

    async def _remove(self, volume_id: str) -> None:
        place = self._place(volume_id)
        if place.exists():
            await self._end(volume_id)
        of = [name for name in await self._volumes() if name.startswith(f"{SNAPSHOT}{volume_id}.")]
        await self._drop(VOLUME + volume_id, NEW + volume_id, OLD + volume_id, *of)
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)

    async def resize(self, volume_id: str, size_gb: int) -> None:
        self._disk(volume_id, "extended")
        await self._do(volume_id, "extended", self._extend(volume_id, size_gb * GIB))

    async def _extend(self, volume_id: str, size: int) -> None:
        """Said again, it tells the daemon again: the one before may have been killed in between."""
        await self._at_least(VOLUME + volume_id, size)
        daemon = self._daemon(volume_id)
        if daemon.pid() is not None:
            await self._grow(volume_id, daemon, (await self._volumes())[VOLUME + volume_id].bytes)

    async def ensure_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        self._disk(volume_id, "snapshot")
        if not self._device(self._moment(volume_id, snapshot_id)).exists():
            await self._do(volume_id, "snapshot", self._copy_as(
                self._moment(volume_id, snapshot_id), VOLUME + volume_id))

    async def remove_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        if self._device(VOLUME + volume_id).exists():
            await self._do(volume_id, "rid of a snapshot", self._drop(self._moment(volume_id, snapshot_id)))

    async def revert(self, volume_id: str, snapshot_id: str) -> None:
        await self._do(volume_id, "reverted", self._revert(volume_id, snapshot_id))

    async def _revert(self, volume_id: str, snapshot_id: str) -> None:
        volume, new, old = (name + volume_id for name in (VOLUME, NEW, OLD))
        known = await self._volumes()
        if volume not in known and new not in known:
            raise VolumeFailed(volume_id, "reverted", "there is no such volume")
        if volume in known:
            if self._daemon(volume_id).pid() is not None:
                raise VolumeFailed(volume_id, "reverted", "it is in use")
            if self._moment(volume_id, snapshot_id) not in known:
                raise VolumeFailed(volume_id, "reverted", f"there is no snapshot {snapshot_id}")
            await self._drop(new, old)
            await self._copy_as(new, self._moment(volume_id, snapshot_id))
            await self._at_least(new, known[volume].bytes)
            await self._name(volume, old)
        await self._name(new, volume)
        await self._drop(old)

    # -- what is in them --------------------------------------------------------------------

    def _header_at(self, volume_id: str) -> int:
        return luks.header_at(_beginning(self._disk(volume_id, "exported")))

    async def read(self, volume_id: str, snapshot_id: str | None = None) -> AsyncIterator[tuple[int, bytes]]:
        self._disk(volume_id, "read")
        moment = snapshot_id or f"read-{uuid.uuid4()}"
        try:
            if snapshot_id is None:
                await self.ensure_snapshot(volume_id, moment)
            device = self._device(self._moment(volume_id, moment))
            if not device.exists():
                raise VolumeFailed(volume_id, "read", f"there is no snapshot {snapshot_id}")
            end = await self._do(volume_id, "read", _end_of_data(device))
            with await asyncio.to_thread(device.open, "rb", 0) as file:
                for at in range(0, end, PIECE):
                    piece = await asyncio.to_thread(file.read, PIECE)
                    if piece.count(0) != len(piece):
                        yield at, piece
        finally:
            if snapshot_id is None:
                await self.remove_snapshot(volume_id, moment)

    async def _fill(self, volume_id: str, disk: Path, source: str, disk_format: str, key: Key | None) -> None:
        size = (await self._volumes())[VOLUME + volume_id].bytes
        beginning = await asyncio.to_thread(_beginning, disk)
        await self._must_fit(volume_id, source, disk_format, luks.room_in(beginning, size) if key else size)
        if key is not None:
            await luks.fill(source, disk_format, {"driver": "host_device", "filename": str(disk)},
                            luks.header_at(beginning), key)
            await asyncio.to_thread(qcow2.flush, disk)
            return
        await qcow2.run("blkdiscard", "-f", str(disk))            # thin volumes are zeros then
        await self._write(source, disk_format, disk)

    async def rename(self, volume_id: str, new_id: str) -> int:
        return await self._do(volume_id, "renamed", self._rename(volume_id, new_id))

    async def _rename(self, volume_id: str, new_id: str) -> int:
        """The volume last: until it is done, what is asked again is done again."""
        self._place(new_id)
        if not self._device(VOLUME + new_id).exists():
            self._disk(volume_id, "renamed")
            if self._daemon(volume_id).pid() is not None:
                raise VolumeFailed(volume_id, "renamed", "it is in use")
            for name in await self._volumes():
                if name.startswith(f"{SNAPSHOT}{volume_id}."):
                    await self._name(name, self._moment(new_id, name.partition(".")[2]))
            await self._name(VOLUME + volume_id, VOLUME + new_id)
        return -(-(await self._volumes())[VOLUME + new_id].bytes // GIB)

    # -- the back end -----------------------------------------------------------------------

    async def held(self) -> list[HeldVolume]:
        try:
            known = await self._volumes()
        except QemuImageFailed as error:
            raise VolumeFailed("", "listed", str(error)) from error
        of: dict[str, list[str]] = {}
        for name in sorted(known):
            if name.startswith(SNAPSHOT):
                volume_id, _, snapshot_id = name.removeprefix(SNAPSHOT).partition(".")
                of.setdefault(volume_id, []).append(snapshot_id)
        return [HeldVolume(id=name.removeprefix(VOLUME), size_gb=-(-lv.bytes // GIB),
                           snapshots=tuple(of.get(name.removeprefix(VOLUME), ())),
                           served=self._daemon(name.removeprefix(VOLUME)).wanted() is not None)
                for name, lv in sorted(known.items()) if name.startswith(VOLUME)]

    async def facts(self) -> BackEndFacts:
        total, free, lost = 0.0, 0.0, tuple[str, ...]()
        try:
            pool = await self._pool()
            total, free = pool.bytes / GIB, pool.bytes / GIB * (1 - pool.data_percent / 100)
            lost = await asyncio.to_thread(self._lost)
        except QemuImageFailed as error:
            logging.getLogger(__name__).warning("group %s cannot be used: %s", self.group, error)
        return BackEndFacts(name=self.name, driver=self.kind, protocol="nbd", total_gb=round(total, 2), lost=lost,
                            free_gb=round(free, 2), over_subscription=self.over_subscription)


async def _end_of_data(device: Path) -> int:
    """Behind the last byte that a thin volume has room for; the rest is zeros. Its status ends with how many sectors
    have some, and which is the last (Documentation/admin-guide/device-mapper/thin-provisioning.rst)."""
    last = (await qcow2.run("dmsetup", "status", str(device))).split()[-1]
    return 0 if last == b"-" else (int(last) + 1) * SECTOR


def _beginning(device: Path) -> bytes:
    with device.open("rb", 0) as file:
        return os.pread(file.fileno(), luks.BEGINNING, 0)
