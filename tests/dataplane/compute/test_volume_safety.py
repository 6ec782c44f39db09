"""What a guest's disk has acknowledged is there, whatever dies; snapshots and backups are of one moment."""

import os
import select
import signal
import struct
import uuid
from pathlib import Path

from boot_sectors import FIRST_SECTOR, SLOTS, counting_sector, told
from test_guest_boots import until

from pileus.compute.drivers.base import GuestSpec, GuestVolume
from pileus.compute.drivers.guest_folder import GuestFolder
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.volume.agent.backup_store import BackupStore
from pileus.volume.drivers.base import ExportOptions, Origin
from pileus.volume.drivers.daemon import Daemon
from pileus.volume.drivers.file import FileDriver

GIB, ENOUGH = 1 << 30, 200


class Counting:
    """A guest that boots from a volume and writes numbers to it; all its parts can be killed at once."""

    def __init__(self, folder: Path, settings: QemuSettings):
        self.settings, self.folder = settings, folder
        self.volumes, self.driver = FileDriver("here", folder / "volumes"), QemuDriver(settings)
        self.spec = GuestSpec(id=str(uuid.uuid4()), name="web", vcpus=1, memory_mb=32)

    async def boot(self) -> None:
        image = self.folder / "image"
        image.write_bytes(counting_sector())
        await self.volumes.ensure("v", 1)
        await self.volumes.fill("v", str(image), "raw")
        export = await self.volumes.export("v", ExportOptions())
        assert export is not None
        volume = GuestVolume(volume_id="v", socket=export.socket, export=export.name, boot_order=1)
        self.spec = GuestSpec(id=self.spec.id, name="web", vcpus=1, memory_mb=32, disks=(), volumes=(volume,))
        await self.driver.ensure(self.spec)
        await self.driver.run(self.spec.id)

    async def writes(self, more: int = ENOUGH) -> None:
        wanted = await self.acknowledged() + more

        async def written() -> bool:
            return await self.acknowledged() >= wanted

        await until(written, "the guest's writes")

    async def acknowledged(self) -> int:
        return told(await self.driver.console_log(self.spec.id))

    def kill_all(self) -> None:
        pids = GuestFolder(self.settings.instances / self.spec.id).pid(), Daemon(self.volumes.folder / "v").pid()
        ends = [os.pidfd_open(pid) for pid in pids if pid is not None]
        assert len(ends) == 2
        for end in ends:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        for end in ends:
            assert select.select([end], [], [], 10)[0]
            os.close(end)

    async def remove(self) -> None:
        await self.driver.remove(self.spec.id)
        await self.driver.close()
        for held in await self.volumes.held():
            await self.volumes.remove(held.id)


async def content(volumes: FileDriver, volume_id: str, snapshot_id: str | None = None) -> dict[int, bytes]:
    return {offset: piece async for offset, piece in volumes.read(volume_id, snapshot_id)}


async def numbers(volumes: FileDriver, volume_id: str, snapshot_id: str | None = None) -> list[int]:
    """What is in each of the guest's sectors."""
    disk = bytearray(4 << 20)
    for offset, piece in (await content(volumes, volume_id, snapshot_id)).items():
        disk[offset:offset + len(piece)] = piece
    return [struct.unpack_from("<H", disk, (FIRST_SECTOR + slot) * 512)[0] for slot in range(SLOTS)]


def of_one_moment(last: int) -> list[int]:
    """What the guest's sectors hold when it has just written `last`."""
    return [max(last - (last - slot) % SLOTS, 0) for slot in range(SLOTS)]


async def test_what_was_acknowledged_is_there(tmp_path: Path, settings: QemuSettings) -> None:
    guest = Counting(tmp_path, settings)
    try:
        await guest.boot()
        await guest.writes()
        for name in ("first", "second"):
            await guest.volumes.ensure_snapshot("v", name)
            await guest.writes(50)
        guest.kill_all()
        last = await guest.acknowledged()
        after = FileDriver("here", guest.volumes.folder)
        found = max(await numbers(after, "v"))
        assert last <= found <= last + 1                   # the one that was under way may have come to be
        assert await numbers(after, "v") == of_one_moment(found)

        firsts, seconds = [await numbers(after, "v", name) for name in ("first", "second")]
        assert firsts == of_one_moment(max(firsts)) and seconds == of_one_moment(max(seconds))
        assert ENOUGH <= max(firsts) < max(seconds) < found

        backups = BackupStore(tmp_path / "backups")
        await backups.write("full", after.read("v", "first"), GIB, None)
        await backups.write("increment", after.read("v", "second"), GIB, "full")
        for lineage, name in ((("full",), "first"), (("full", "increment"), "second")):
            await backups.restore(lineage, tmp_path / "restored")
            await after.ensure(name, 1)
            await after.fill(name, str(tmp_path / "restored"), "raw")
            await after.ensure(f"of-{name}", 1, Origin(volume_id="v", snapshot_id=name))
            assert await content(after, name) == await content(after, "v", name) == await content(after, f"of-{name}")
    finally:
        await guest.remove()
