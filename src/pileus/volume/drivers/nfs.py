"""Volumes as QCOW2 files on an NFS share. What the file driver does, once the share is mounted; sockets stay local."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from pileus.volume.drivers import qcow2
from pileus.volume.drivers.base import BackEndFacts, HeldVolume, VolumeFailed
from pileus.volume.drivers.daemon import Daemon
from pileus.volume.drivers.file import FileDriver
from pileus.volume.drivers.qcow2 import QemuImageFailed

MOUNT_SECONDS = 60.0
MOUNTS = Path("/proc/self/mountinfo")            # read of memory: it does not hang with a server that is gone


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """SERVER:/FOLDER, and how it is mounted; `command` gets the share and the place as two more words."""

    source: str
    options: str = ""
    command: Sequence[str] = ("mount", "-t", "nfs")

    def words(self, place: Path) -> list[str]:
        return [*self.command, *(("-o", self.options) if self.options else ()), self.source, str(place)]


class NfsDriver(FileDriver):
    """A share that is not mounted offers no room, and every call for one of its volumes is refused."""

    kind: ClassVar[str] = "nfs"

    def __init__(self, name: str, folder: Path, share: Share, run: Path, **more: Any):
        """`run`: a folder of this node; `more`: what the file driver takes beside its folder."""
        self.share, self.run, self._tidied = share, run.absolute(), False
        self._point = str(folder.parent.resolve() / folder.name)
        super().__init__(name, folder, **more)

    def _prepare(self) -> None:
        """A share that is there already is not touched yet: it may hang, and nobody is to wait for that now."""
        if self._mounted() is None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def _mounted(self) -> str | None:
        """What is mounted at the folder, by its type and source."""
        for line in reversed(MOUNTS.read_text().splitlines()):
            place, _, what = line.partition(" - ")
            if place.split()[4] == self._point:
                return what
        return None

    async def mount(self) -> str | None:
        """Have the share mounted. Already so, by us or by the operator: do nothing. Why it is not; None: it is."""
        found = self._mounted()
        if found is not None:
            kind, source, *_ = found.split()
            if kind.startswith("nfs") and source != self.share.source:
                return f"{source} is mounted at {self.folder}, not {self.share.source}"
        else:
            try:
                async with asyncio.timeout(MOUNT_SECONDS):
                    await qcow2.run(*self.share.words(self.folder))
            except TimeoutError:
                return f"{self.share.source} does not answer"
            except (QemuImageFailed, OSError) as error:
                return f"{self.share.source} cannot be mounted: {error}"
        if not self._tidied:
            await asyncio.to_thread(self._tidy)
            self._tidied = True
        return None

    def _place(self, volume_id: str) -> Path:
        if self._mounted() is None:
            raise VolumeFailed(volume_id, "found", f"{self.share.source} is not mounted")
        return super()._place(volume_id)

    def _daemon(self, volume_id: str) -> Daemon:
        return Daemon(self._place(volume_id), self.sockets / volume_id, self.run / volume_id)

    @property
    def _runs(self) -> Path:
        return self.run

    async def remove(self, volume_id: str) -> None:
        await super().remove(volume_id)
        await asyncio.to_thread(shutil.rmtree, self.run / volume_id, ignore_errors=True)

    async def held(self) -> list[HeldVolume]:
        if self._mounted() is None:
            raise VolumeFailed("", "listed", f"{self.share.source} is not mounted")
        return await super().held()

    async def facts(self) -> BackEndFacts:
        reason = await self.mount()
        if reason is None:
            return await super().facts()
        logging.getLogger(__name__).warning("%s", reason)
        return BackEndFacts(name=self.name, driver=self.kind, protocol="nbd", total_gb=0.0, free_gb=0.0,
                            over_subscription=self.over_subscription)
