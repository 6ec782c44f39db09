"""QEMU as a hypervisor, driven over QMP without a daemon: a folder for each guest, a guest for each process."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import ClassVar, Literal

import msgspec
from qemu.qmp import Message

from pileus.compute.drivers import host_facts, qemu_insides, qemu_memory
from pileus.compute.drivers.base import (
    Can,
    Diagnostics,
    GuestFailed,
    GuestSeen,
    GuestSpec,
    GuestStopped,
    HostFacts,
    Power,
    Wanted,
)
from pileus.compute.drivers.guest_folder import CONSOLE, ID, SCREEN, GuestFolder, GuestState, guest_folders
from pileus.compute.drivers.qemu_devices import assign_slots, in_order
from pileus.compute.drivers.qemu_disks import copy_root, make_disks, moving_files, read_piece, write_piece
from pileus.compute.drivers.qemu_guest import Guest, failing, qemu_version, take_charge
from pileus.compute.drivers.qemu_launch import hardware_of, must_be_possible
from pileus.compute.drivers.qemu_machine import SECURE_CODE, UEFI_CODE
from pileus.compute.drivers.qemu_nics import adjust_nics, drop_tap
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess, kill_stray
from pileus.compute.drivers.qemu_snapshots import copy_while_running
from pileus.compute.drivers.qemu_start import QemuSettings, Start
from pileus.compute.drivers.qemu_volumes import adjust_volumes
from pileus.compute.drivers.stops import PRESS_SECONDS, Stops

PAUSED_STATUSES = {"paused", "prelaunch", "inmigrate", "postmigrate", "save-vm", "restore-vm", "finish-migrate"}
BAD_STATUSES = {
    "io-error": "a disk of its host is full or failed",
    "guest-panicked": "its kernel panicked",
    "internal-error": "QEMU met an internal error",
    "watchdog": "its watchdog ran out",
}
LOOK_SECONDS = 5.0
SHUT_DOWN = "shut down by the guest"


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
        self._starting = Start(settings, self.accel, on_step)
        self._guests: dict[str, Guest] = {}
        self._stops = Stops()
        self._version = ""
        settings.instances.mkdir(parents=True, exist_ok=True)
        self._lock = take_charge(settings.instances)

    @property
    def can(self) -> frozenset[Can]:
        found = {Can.BOOT_KERNEL, Can.HOTPLUG_PORT, Can.RESCUE, Can.SUSPEND}
        here = {Can.BOOT_UEFI: UEFI_CODE.exists(), Can.BOOT_SECURE: SECURE_CODE.exists(),
                Can.TPM: which("swtpm") is not None}  # fmt: skip
        return frozenset(found | {ability for ability, there in here.items() if there})

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
                    await make_disks(guest.folder, spec, lock, raw=self.settings.raw_disks)

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
                await self._restored(guest, guest.process)
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
                        await drop_tap(state.spec if state else None, tap, self.settings.namespace)
                    await asyncio.to_thread(guest.folder.delete)
        self._guests.pop(guest_id, None)

    async def power(self, guest_id: str, wanted: Wanted, *, soft_seconds: float = 0) -> GuestSeen:
        guest = self._guest(guest_id, f"powered {wanted}")
        async with guest.lock:
            with failing(guest_id, f"powered {wanted}" if wanted in ("on", "off") else wanted):
                state = self._state(guest)
                await self._adopt(guest)
                if wanted == "on":
                    await self._start_and_run(guest)
                elif wanted == "off":
                    if guest.process is not None:
                        await self._ask_down(guest.process, soft_seconds)
                        await self._stop(guest, "")
                    await asyncio.to_thread(guest.folder.forget_memory)
                elif guest.process is not None:
                    await self._halt(guest, guest.process, wanted)
                elif not (state.saved and wanted == "suspended"):
                    raise QemuFailed("it is off")
                return await self._seen(guest)

    async def _halt(self, guest: Guest, process: QemuProcess, wanted: Wanted) -> None:
        if wanted == "paused":
            if await process.status() == "running":
                await process.execute("stop")
            return
        await qemu_memory.save(process, guest.folder)
        guest.folder.write(msgspec.structs.replace(self._state(guest), saved=True))
        await self._stop(guest, "")

    async def reboot(self, guest_id: str, *, hard: bool, soft_seconds: float = 60) -> GuestSeen:
        guest = self._guest(guest_id, "rebooted")
        async with guest.lock:
            with failing(guest_id, "rebooted"):
                state = self._state(guest)
                await self._adopt(guest)
                process = guest.process
                down = process is not None and not hard and await self._ask_down(process, soft_seconds)
                if process is not None and down and in_order(state.spec, state.slots) == state.slots:
                    # The same QEMU starts over, so that taps keep their carrier.
                    await process.execute("system_reset")
                    process.shut_down.clear()
                    await process.execute("cont")
                else:
                    await self._stop(guest, "")
                    await asyncio.to_thread(guest.folder.forget_memory)
                    await self._start_and_run(guest)
                return await self._seen(guest)

    async def adjust(self, spec: GuestSpec) -> GuestSeen:
        guest = self._guest(spec.id, "given its cards and volumes")
        async with guest.lock:
            with failing(spec.id, "given its cards and volumes"):
                must_be_possible(spec)
                state = self._state(guest)
                await self._adopt(guest)
                await adjust_nics(guest, state, spec, self.settings.namespace)
                await adjust_volumes(guest, self._state(guest), spec, self.settings.certificates)
                return await self._seen(guest)

    async def snapshot(self, guest_id: str, into: Path) -> str:
        guest = self._guest(guest_id, "copied")
        async with guest.lock:
            with failing(guest_id, "copied"):
                state = self._state(guest)
                await self._adopt(guest)
                if guest.process is None:
                    await copy_root(guest.folder, state.spec, into)
                else:
                    await copy_while_running(guest.process, hardware_of(state.spec), into)
        return "qcow2"

    async def files(self, guest_id: str) -> dict[str, int]:
        guest = self._guest(guest_id, "moved")
        async with guest.lock:
            with failing(guest_id, "moved"):
                state = self._state(guest)
                await self._adopt(guest)
                if guest.process is not None:
                    raise QemuFailed("it is not off")
                return await asyncio.to_thread(moving_files, guest.folder, state.spec)

    async def read(self, guest_id: str, name: str, offset: int, length: int) -> bytes:
        guest = self._guest(guest_id, "moved")
        with failing(guest_id, "moved"):
            if name not in moving_files(guest.folder, self._state(guest).spec):
                raise QemuFailed(f"it has no file {name}")
            return await asyncio.to_thread(read_piece, guest.folder, name, offset, length)

    async def receive(self, spec: GuestSpec, name: str, offset: int, piece: bytes) -> None:
        guest = self._guest(spec.id, "moved")
        async with guest.lock:
            self._guests[spec.id] = guest
            with failing(spec.id, "moved"):
                if guest.folder.exists() and guest.folder.locked():
                    raise QemuFailed("it is not off")
                await asyncio.to_thread(write_piece, guest.folder, spec, name, offset, piece)

    async def set_password(self, guest_id: str, user: str, password: str) -> None:
        guest = self._guest(guest_id, "given a password")
        with failing(guest_id, "given a password"):
            await self._living(guest)
            await qemu_insides.set_password(guest.folder, user, password)

    async def interrupt(self, guest_id: str) -> None:
        guest = self._guest(guest_id, "interrupted")
        with failing(guest_id, "interrupted"):
            await (await self._living(guest)).execute("inject-nmi")

    async def diagnostics(self, guest_id: str) -> Diagnostics:
        guest = self._guest(guest_id, "looked into")
        with failing(guest_id, "looked into"):
            process, seen = await self._living(guest), await self._seen(guest)
            return await qemu_insides.diagnostics(
                process, self._state(guest).spec, seen.power, self.settings.namespace)  # fmt: skip

    async def console(self, guest_id: str, kind: Literal["vnc", "serial"]) -> Path:
        guest = self._guest(guest_id, "shown")
        with failing(guest_id, "shown"):
            await self._living(guest)
            return guest.folder.path / (SCREEN if kind == "vnc" else CONSOLE)

    async def _living(self, guest: Guest) -> QemuProcess:
        async with guest.lock:
            self._state(guest)
            await self._adopt(guest)
            if guest.process is None:
                raise QemuFailed("it is off")
            return guest.process

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
            booted_at=host_facts.booted_at(),
            dedicated_cpus=len(self.settings.dedicated_cpus & os.sched_getaffinity(0)),
            threads=host_facts.threads(),
            cells=await asyncio.to_thread(self._starting.shares.cells),
            devices={alias: len(found) for alias, found in host_facts.devices(self.settings.pci_devices).items()},
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
        # Why is written down first: only QEMU itself knows it, and we may end before it has.
        state = guest.folder.read()
        if state is not None and (state.started or state.stopped != reason):
            guest.folder.write(msgspec.structs.replace(state, started=False, stopped=reason))
        if guest.process is not None:
            await guest.process.quit()
        guest.process = None

    async def _ask_down(self, process: QemuProcess, seconds: float) -> bool:
        """Press the power button, again and again: a guest that boots hears none. Whether it went down in time."""
        if seconds <= 0 or await process.status() != "running":
            return False
        give_up = time.monotonic() + seconds
        while (left := give_up - time.monotonic()) > 0:
            if not (process.shut_down.is_set() or process.gone.is_set()):
                await process.execute("system_powerdown")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, PRESS_SECONDS)):
                    await process.stopped()
                    return not process.gone.is_set()
        return False

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
            power = Power.SUSPENDED if state is not None and state.saved else Power.OFF
            return GuestSeen(id=guest.id, name=name, power=power, reason=state.stopped if state else "half-made")
        status = await guest.process.status()
        if status == "running":
            return GuestSeen(id=guest.id, name=name, power=Power.RUNNING)
        reason = "" if status in PAUSED_STATUSES else BAD_STATUSES.get(status, status)
        return GuestSeen(id=guest.id, name=name, power=Power.PAUSED, reason=reason)

    async def _start_and_run(self, guest: Guest) -> None:
        if guest.process is None:
            await self._start(guest, self._state(guest))
        assert guest.process is not None
        await self._restored(guest, guest.process)
        await guest.process.execute("cont")

    async def _restored(self, guest: Guest, process: QemuProcess) -> None:
        """Its memory is its own again before it runs on: what is in the file must never be gone on from twice."""
        if self._state(guest).saved:
            await qemu_memory.restored(process)
            await asyncio.to_thread(guest.folder.forget_memory)

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
            self._take_charge(guest, await self._starting.start(guest.folder, state, lock))
            self.on_step(guest.id, "started")
            assert guest.process is not None
            await self._restored(guest, guest.process)
