"""QEMU as a hypervisor, driven over QMP without a daemon: a folder for each guest, a guest for each process."""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar, Literal

import msgspec
from qemu.qmp import Message

from pileus.compute.drivers import host_facts
from pileus.compute.drivers.base import (
    Can,
    DiskKind,
    GuestFailed,
    GuestSeen,
    GuestSpec,
    GuestStopped,
    GuestVolume,
    HostFacts,
    Power,
)
from pileus.compute.drivers.config_drive import write_config_drive
from pileus.compute.drivers.disks import BadDisk, inspect, make_empty, make_overlay, make_swap, put_base
from pileus.compute.drivers.guest_folder import ID, GuestFolder, GuestState, guest_folders
from pileus.compute.drivers.guest_volumes import device_id, plug, unplug
from pileus.compute.drivers.qemu_command import (
    UEFI_CODE,
    UEFI_VARIABLES,
    BadSpec,
    DiskFile,
    Launch,
    assign_slots,
    command,
    disk_names,
    must_be_possible,
    place,
    wants_uefi,
)
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess, kill_stray
from pileus.compute.drivers.stops import Stops
from pileus.compute.drivers.taps import ensure_tap, remove_tap

PAUSED_STATUSES = {"paused", "prelaunch", "inmigrate", "postmigrate", "save-vm", "restore-vm", "finish-migrate"}
BAD_STATUSES = {
    "io-error": "a disk of its host is full or failed",
    "guest-panicked": "its kernel panicked",
    "internal-error": "QEMU met an internal error",
    "watchdog": "its watchdog ran out",
}
LOOK_SECONDS = 5.0
SHUT_DOWN = "shut down by the guest"


# A process that was killed just now may have left a child that has yet to become another program.
LOCK_SECONDS = 2.0


def locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class QemuSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One host. `namespace` is the network namespace its guests live in; None is that of this process."""

    instances: Path
    hostname: str
    namespace: Path | None = None
    virt_type: Literal["auto", "kvm", "tcg"] = "auto"
    program: str = "qemu-system-x86_64"


class HostInUse(Exception):
    """Another driver, of this process or another, has charge of these guests."""


class Guest:
    """What is known of a guest while this process lives. The lock is held while something is done to it."""

    def __init__(self, folder: GuestFolder) -> None:
        self.folder = folder
        self.lock = asyncio.Lock()
        self.process: QemuProcess | None = None
        self.watcher: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return self.folder.id


class QemuDriver:
    """The guests of one host. `on_step(guest id, step)` is called after each of: folder, disks, taps, started."""

    name: ClassVar[str] = "qemu"

    def __init__(
        self, settings: QemuSettings, *, on_step: Callable[[str, str], None] = lambda guest_id, step: None
    ) -> None:
        self.settings = settings
        self.accel: Literal["kvm", "tcg"] = (
            host_facts.acceleration() if settings.virt_type == "auto" else settings.virt_type
        )
        self.on_step = on_step
        self._guests: dict[str, Guest] = {}
        self._stops = Stops()
        self._version = ""
        settings.instances.mkdir(parents=True, exist_ok=True)
        self._lock = open(settings.instances / ".driver", "w")  # noqa: SIM115 - held until close
        give_up = time.monotonic() + LOCK_SECONDS
        while not locked(self._lock):
            if time.monotonic() > give_up:
                self._lock.close()
                raise HostInUse(f"another process has charge of the guests in {settings.instances}")
            time.sleep(0.01)

    @property
    def can(self) -> frozenset[Can]:
        uefi = {Can.BOOT_UEFI} if UEFI_CODE.exists() and UEFI_VARIABLES.exists() else set()
        return frozenset({Can.BOOT_KERNEL} | uefi)

    async def prepare(self, spec: GuestSpec) -> None:
        guest = self._guest(spec.id, "prepared")
        async with guest.lock:
            self._guests[spec.id] = guest  # also where a removal came first that this waited for
            with failing(spec.id, "prepared"):
                must_be_possible(spec)
                await self._adopt(guest)
                if guest.process is not None:
                    return
                if guest.folder.read() is None:
                    guest.folder.write(GuestState(spec=spec, slots=assign_slots(spec, {}), started=False))
                with self._work_on(guest) as lock:
                    await self._make_disks(guest.folder, spec, lock)

    async def ensure(self, spec: GuestSpec) -> GuestSeen:
        guest = self._guest(spec.id, "made")
        async with guest.lock:
            self._guests[spec.id] = guest  # also where a removal came first that this waited for
            with failing(spec.id, "made"):
                must_be_possible(spec)
                await self._adopt(guest)
                before = guest.folder.read()
                state = before or GuestState(spec=spec)
                slots = assign_slots(spec, state.slots)
                taps = list(dict.fromkeys([*state.taps, *(nic.tap for nic in spec.nics)]))
                state = msgspec.structs.replace(state, spec=spec, slots=slots, taps=taps)
                if state != before:
                    guest.folder.write(state)
                self.on_step(spec.id, "folder")
                if guest.process is None:
                    await self._start(guest, state)
                return await self._seen(guest)

    async def run(self, guest_id: str) -> GuestSeen:
        guest = self._guest(guest_id, "run")
        async with guest.lock:
            with failing(guest_id, "run"):
                state = self._state(guest)
                await self._adopt(guest)
                if guest.process is None:
                    state = self._state(guest)
                    raise QemuFailed(f"it is off: {state.stopped}" if state.stopped else "it is off")
                await guest.process.execute("cont")
                return await self._seen(guest)

    async def remove(self, guest_id: str) -> None:
        guest = self._guest(guest_id, "removed")
        async with guest.lock:
            if guest.folder.exists():
                with failing(guest_id, "removed"):
                    process, guest.process = guest.process, None
                    if process is not None:
                        await process.kill()
                    await kill_stray(guest.folder)
                    state = guest.folder.read()
                    for tap in state.taps if state else []:
                        await asyncio.to_thread(remove_tap, tap, self.settings.namespace)
                    await asyncio.to_thread(guest.folder.delete)
        self._guests.pop(guest_id, None)

    async def power(self, guest_id: str, wanted: Literal["on", "off"], *, soft_seconds: float = 0) -> GuestSeen:
        guest = self._guest(guest_id, f"powered {wanted}")
        async with guest.lock:
            with failing(guest_id, f"powered {wanted}"):
                self._state(guest)
                await self._adopt(guest)
                if wanted == "on":
                    await self._start_and_run(guest)
                elif guest.process is not None:
                    await self._ask_down(guest.process, soft_seconds)
                    await self._stop(guest, "")
                return await self._seen(guest)

    async def reboot(self, guest_id: str, *, hard: bool, soft_seconds: float = 60) -> GuestSeen:
        guest = self._guest(guest_id, "rebooted")
        async with guest.lock:
            with failing(guest_id, "rebooted"):
                self._state(guest)
                await self._adopt(guest)
                process = guest.process
                if process is not None and not hard and await self._ask_down(process, soft_seconds):
                    # The same QEMU starts over, so that taps keep their carrier.
                    await process.execute("system_reset")
                    process.shut_down.clear()
                    await process.execute("cont")
                else:
                    await self._stop(guest, "")
                    await self._start_and_run(guest)
                return await self._seen(guest)

    async def volumes(self, guest_id: str, wanted: tuple[GuestVolume, ...]) -> None:
        guest = self._guest(guest_id, "given volumes")
        async with guest.lock:
            with failing(guest_id, "given volumes"):
                state = self._state(guest)
                await self._adopt(guest)
                kept = {volume.volume_id for volume in wanted}
                gone = [each for each in state.spec.volumes if each.volume_id not in kept]
                spec = msgspec.structs.replace(state.spec, volumes=wanted)
                # What goes stays in the state until it is gone: its place on the bus is taken so long.
                both = msgspec.structs.replace(spec, volumes=(*wanted, *gone))
                state = msgspec.structs.replace(state, spec=both, slots=assign_slots(both, state.slots))
                guest.folder.write(state)
                if guest.process is not None:
                    for volume in wanted:
                        name = device_id(volume.volume_id)
                        await plug(guest.process, volume, place(spec, name, state.slots[name]))
                    for volume in gone:
                        await unplug(guest.process, volume.volume_id)
                guest.folder.write(msgspec.structs.replace(state, spec=spec, slots=assign_slots(spec, state.slots)))

    async def guests(self) -> list[GuestSeen]:
        folders = await asyncio.to_thread(guest_folders, self.settings.instances)
        guests = [self._guests.setdefault(folder.id, Guest(folder)) for folder in folders]
        seen = await asyncio.gather(*(self._look(guest) for guest in guests))
        # One that was removed meanwhile is no half-made one.
        return [one for guest, one in zip(guests, seen, strict=True) if guest.folder.exists()]

    async def console_log(self, guest_id: str, lines: int | None = None) -> bytes:
        guest = self._guest(guest_id, "read")
        with failing(guest_id, "read"):
            self._state(guest)
            return await asyncio.to_thread(guest.folder.console_log, lines)

    async def host_facts(self) -> HostFacts:
        if not self._version:
            self._version = await qemu_version(self.settings.program)
        total, free = host_facts.disk_gb(self.settings.instances)
        return HostFacts(
            hostname=self.settings.hostname,
            hypervisor_type="QEMU",
            hypervisor_version=self._version,
            vcpus=host_facts.vcpus(),
            memory_mb=host_facts.memory_mb(),
            disk_gb=total,
            disk_free_gb=free,
            accel=self.accel,
            cpu=host_facts.cpu_description(),
        )

    def events(self) -> AsyncIterator[GuestStopped]:
        return self._stops.read()

    async def close(self) -> None:
        for guest in self._guests.values():
            if guest.watcher is not None:
                guest.watcher.cancel()
                await asyncio.gather(guest.watcher, return_exceptions=True)
            if guest.process is not None:
                await guest.process.close()
        self._guests.clear()
        self._stops.close()
        self._lock.close()

    def _guest(self, guest_id: str, wanted: str) -> Guest:
        if not ID.fullmatch(guest_id):
            raise GuestFailed(guest_id, wanted, "its id is no plain name")
        return self._guests.setdefault(guest_id, Guest(GuestFolder(self.settings.instances / guest_id)))

    def _state(self, guest: Guest) -> GuestState:
        state = guest.folder.read()
        if state is None:
            self._guests.pop(guest.id, None)
            raise QemuFailed("no such guest on this host")
        return state

    async def _adopt(self, guest: Guest) -> None:
        """Find the guest's QEMU if one lives; afterwards `guest.process` is None only where none does."""
        process = guest.process
        if process is None:
            process = await QemuProcess.adopt(guest.folder)
            if process is None:
                state = guest.folder.read()
                if state is not None and state.started:
                    await self._stop(guest, guest.folder.qemu_complaint() or "QEMU ended while nobody watched")
                return
            self._take_charge(guest, process)
        if await process.down():
            await self._note_stop(guest, process)

    def _take_charge(self, guest: Guest, process: QemuProcess) -> None:
        guest.process = process
        process.on_event = lambda event: self._on_event(guest, event)
        guest.watcher = asyncio.create_task(self._watch(guest, process))

    async def _watch(self, guest: Guest, process: QemuProcess) -> None:
        """Wait for the guest to stop by itself. What is stopped by a call is dealt with by it, under the lock."""
        while guest.process is process:
            await process.stopped()
            async with guest.lock:
                if guest.process is process and (process.gone.is_set() or process.shut_down.is_set()):
                    await self._note_stop(guest, process)

    async def _note_stop(self, guest: Guest, process: QemuProcess) -> None:
        reason = process.ending() if process.gone.is_set() else SHUT_DOWN
        await self._stop(guest, reason)
        self._stops.add(GuestStopped(guest_id=guest.id, power=Power.OFF, reason=reason))

    async def _stop(self, guest: Guest, reason: str) -> None:
        process, guest.process = guest.process, None
        if process is not None:
            await process.quit()
        state = guest.folder.read()
        if state is not None and (state.started or state.stopped != reason):
            guest.folder.write(msgspec.structs.replace(state, started=False, stopped=reason))

    async def _ask_down(self, process: QemuProcess, seconds: float) -> bool:
        """Press the power button; whether the guest went down in time."""
        if seconds <= 0:
            return False
        if await process.status() != "running":
            return False
        await process.execute("system_powerdown")
        try:
            async with asyncio.timeout(seconds):
                await process.stopped()
        except TimeoutError:
            return False
        return not process.gone.is_set()

    def _on_event(self, guest: Guest, event: Message) -> None:
        data = event.get("data")
        if not isinstance(data, dict):
            return
        if event["event"] == "BLOCK_IO_ERROR" and data.get("action") == "stop":
            disk = data.get("node-name") or data.get("device") or "a disk"
            reason = f"{disk}: {data.get('reason', 'input or output failed')}"
            self._stops.add(GuestStopped(guest_id=guest.id, power=Power.PAUSED, reason=reason))

    async def _look(self, guest: Guest) -> GuestSeen:
        """The guest as it is; one that is being worked on, or does not answer, as far as can be told at once."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                if guest.lock.locked():
                    return await self._seen(guest)
                async with guest.lock:
                    await asyncio.to_thread(guest.folder.trim_console)
                    await self._adopt(guest)
                    return await self._seen(guest)
        except TimeoutError:
            return GuestSeen(id=guest.id, power=Power.PAUSED, reason="its QEMU does not answer")
        except (QemuFailed, OSError) as error:
            return GuestSeen(id=guest.id, power=Power.PAUSED, reason=f"its QEMU is in a bad way: {error}")

    async def _seen(self, guest: Guest) -> GuestSeen:
        state = guest.folder.read()
        name = state.spec.name if state else ""
        if guest.process is None:
            return GuestSeen(id=guest.id, name=name, power=Power.OFF, reason=state.stopped if state else "half-made")
        status = await guest.process.status()
        if status == "running":
            return GuestSeen(id=guest.id, name=name, power=Power.RUNNING)
        reason = "" if status in PAUSED_STATUSES else BAD_STATUSES.get(status, status)
        return GuestSeen(id=guest.id, name=name, power=Power.PAUSED, reason=reason)

    async def _start_and_run(self, guest: Guest) -> None:
        if guest.process is None:
            await self._start(guest, self._state(guest))
        assert guest.process is not None
        await guest.process.execute("cont")

    @contextmanager
    def _work_on(self, guest: Guest) -> Iterator[int]:
        """The folder's lock, which programs started on its files inherit."""
        lock = guest.folder.try_lock()
        if lock is None:
            raise QemuFailed("another process is at work on it")
        try:
            yield lock
        finally:
            os.close(lock)

    async def _start(self, guest: Guest, state: GuestState) -> None:
        with self._work_on(guest) as lock:
            await self._start_locked(guest, state, lock)

    async def _start_locked(self, guest: Guest, state: GuestState, lock: int) -> None:
        spec = state.spec
        disks = await self._make_disks(guest.folder, spec, lock)
        self.on_step(spec.id, "disks")
        wanted = {nic.tap for nic in spec.nics}
        for tap in state.taps:
            if tap not in wanted:
                await asyncio.to_thread(remove_tap, tap, self.settings.namespace)
        for nic in spec.nics:
            await asyncio.to_thread(ensure_tap, nic.tap, nic.mtu, self.settings.namespace)
        latest = msgspec.structs.replace(state, started=True, stopped="", taps=[nic.tap for nic in spec.nics])
        if latest != state:
            guest.folder.write(latest)
        self.on_step(spec.id, "taps")

        def arguments(sockets: dict[str, int]) -> list[str]:
            launch = Launch(
                program=self.settings.program, accel=self.accel, sockets=sockets, disks=disks, slots=state.slots
            )
            return command(spec, launch)

        process = await QemuProcess.start(guest.folder, lock, arguments, self.settings.namespace)
        self._take_charge(guest, process)
        self.on_step(spec.id, "started")

    async def _make_disks(self, folder: GuestFolder, spec: GuestSpec, lock: int) -> tuple[DiskFile, ...]:
        """Every file the guest starts from; what is there already stays as it is."""
        found: list[DiskFile] = []
        for name, disk in zip(disk_names(spec), spec.disks, strict=True):
            path = folder.path / f"disk-{name}"
            order = disk.boot_order
            if disk.kind is DiskKind.CONFIG:
                await asyncio.to_thread(write_config_drive, path, spec.config_drive)
                found.append(DiskFile(name=name, file=path.name, format="raw", read_only=True, boot_order=order))
                continue
            if disk.kind is DiskKind.SWAP:
                await asyncio.to_thread(make_swap, path, disk.size_mb)
                found.append(DiskFile(name=name, file=path.name, format="raw", boot_order=order))
                continue
            if disk.kind is DiskKind.ROOT and spec.image is not None:
                base = folder.path / "base"
                await asyncio.to_thread(put_base, base, Path(spec.image.path))
                await make_overlay(path, base, inspect(base, spec.image.disk_format), disk.size_mb, lock=lock)
            else:
                await make_empty(path, disk.size_mb, lock=lock)
            found.append(DiskFile(name=name, file=path.name, format="qcow2", boot_order=order))
        if spec.image is not None:
            for name, source in (("kernel", spec.image.kernel_path), ("ramdisk", spec.image.ramdisk_path)):
                if source:
                    await asyncio.to_thread(put_base, folder.path / name, Path(source))
        if wants_uefi(spec):
            if Can.BOOT_UEFI not in self.can:
                raise BadSpec("this host has no UEFI firmware (Debian package ovmf)")
            await asyncio.to_thread(copy_whole, UEFI_VARIABLES, folder.path / "uefi-variables")
        return tuple(found)


def copy_whole(source: Path, target: Path) -> None:
    """A copy that is there whole or not at all. Already there: do nothing."""
    if not target.exists():
        fresh = target.with_name(f"{target.name}.new")
        shutil.copyfile(source, fresh)
        fresh.replace(target)


@contextmanager
def failing(guest_id: str, wanted: str) -> Iterator[None]:
    """Whatever goes wrong with the machine is told as what went wrong with the guest."""
    try:
        yield
    except (BadDisk, BadSpec, QemuFailed) as error:
        raise GuestFailed(guest_id, wanted, str(error)) from error
    except OSError as error:
        place = f" ({os.path.basename(error.filename)})" if isinstance(error.filename, str) else ""
        raise GuestFailed(guest_id, wanted, f"{error.strerror or error}{place}") from error


async def qemu_version(program: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(program, "--version", stdout=asyncio.subprocess.PIPE)
    except FileNotFoundError:
        return ""
    printed, _ = await process.communicate()
    words = printed.decode(errors="replace").split()
    return words[3] if len(words) > 3 else ""
