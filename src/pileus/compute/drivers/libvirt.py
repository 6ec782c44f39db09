"""libvirt as a hypervisor: the same description and the same guest folders as QEMU's driver, domains instead of
processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from pileus.compute.drivers import libvirt_insides
from pileus.compute.drivers.base import (
    Can,
    Diagnostics,
    GuestFailed,
    GuestSeen,
    GuestSpec,
    GuestStopped,
    HostFacts,
    HostFailed,
    Nic,
    Power,
    Wanted,
)
from pileus.compute.drivers.guest_folder import CONSOLE, ID, MEMORY, SCREEN, GuestFolder, GuestState, guest_folders
from pileus.compute.drivers.host_shares import HostShares
from pileus.compute.drivers.libvirt_daemon import DaemonFailed, ensure_daemon
from pileus.compute.drivers.libvirt_devices import adjust_devices
from pileus.compute.drivers.libvirt_domain import Place, domain_xml
from pileus.compute.drivers.libvirt_host import Domain, LibvirtSettings, facts_of
from pileus.compute.drivers.qemu_devices import assign_slots, in_order
from pileus.compute.drivers.qemu_disks import copy_root, make_disks, moving_files, read_piece, write_piece
from pileus.compute.drivers.qemu_guest import failing, take_charge
from pileus.compute.drivers.qemu_launch import must_be_possible
from pileus.compute.drivers.qemu_machine import UEFI_CODE
from pileus.compute.drivers.qemu_nics import drop_tap, make_tap
from pileus.compute.drivers.qemu_process import QemuFailed
from pileus.compute.drivers.stops import PRESS_SECONDS, Stops
from pileus.compute.drivers.virsh import DomainState, LibvirtFailed, Virsh

DOMAIN = "domain.xml"
POLL_SECONDS = 0.2
WITHOUT_SECONDS = 1.0  # of libvirt, before it is looked for again
ENDED = "its domain ended"
HOWS = {"Shutdown": "shut down by the guest", "Crashed": "its QEMU ended", "Failed": "its QEMU ended"}
OFF = DomainState(Power.OFF)
log = logging.getLogger(__name__)


class LibvirtDriver:
    """The guests of one host. `on_step(guest id, step)` is called after each of: folder, disks, taps, started."""

    name: ClassVar[str] = "libvirt"
    undefine: ClassVar[tuple[str, ...]] = ("--managed-save", "--keep-nvram")  # what goes with a domain, and what not
    button: ClassVar[str] = "acpi"  # how a guest is asked to power itself off

    def __init__(
        self, settings: LibvirtSettings, *, on_step: Callable[[str, str], None] = lambda guest_id, step: None
    ) -> None:
        self.settings, self.on_step = settings, on_step
        self.virsh = Virsh(settings.uri, self._revive if settings.daemon is not None else None)
        self._reviving = asyncio.Lock()
        self._shares = HostShares(settings.instances, settings.dedicated_cpus, settings.nodes)
        self._domains: dict[str, Domain] = {}
        self._stops = Stops()
        self._watcher: asyncio.Task[None] | None = None
        self._version = ""
        self.raw_disks = settings.raw_disks
        for folder in (settings.instances, settings.sockets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = take_charge(settings.instances)

    @property
    def can(self) -> frozenset[Can]:
        uefi = {Can.BOOT_UEFI} if UEFI_CODE.exists() else set()
        return frozenset({Can.BOOT_KERNEL, Can.HOTPLUG_PORT, Can.RESCUE, Can.SUSPEND} | uefi)

    def must_be_possible(self, spec: GuestSpec) -> None:
        """Raises BadSpec."""
        must_be_possible(spec)

    # -- making and removing --------------------------------------------------------------------

    async def prepare(self, spec: GuestSpec) -> None:
        async with self._working(spec.id, "prepared") as domain:
            self.must_be_possible(spec)
            if await self._power(domain) is not Power.OFF:
                return
            if domain.folder.read() is None:
                domain.folder.write(GuestState(spec=spec, slots=assign_slots(spec, {}), started=False))
            with self._work_on(domain) as lock:
                await make_disks(domain.folder, spec, lock, raw=self.raw_disks)

    async def ensure(self, spec: GuestSpec) -> GuestSeen:
        async with self._working(spec.id, "made") as domain:
            self.must_be_possible(spec)
            before = domain.folder.read()
            state = before or GuestState(spec=spec, started=False)
            taps = list(dict.fromkeys([*state.taps, *(nic.tap for nic in spec.nics)]))
            state = msgspec.structs.replace(state, spec=spec, slots=assign_slots(spec, state.slots), taps=taps)
            if state != before:
                domain.folder.write(state)
            self.on_step(spec.id, "folder")
            if await self._power(domain) is Power.OFF:
                await self._start(domain, state)
            return await self._seen(domain)

    async def remove(self, guest_id: str) -> None:
        async with self._working(guest_id, "removed") as domain:
            if domain.folder.exists():
                state = domain.folder.read()
                if state is not None:
                    domain.folder.write(msgspec.structs.replace(state, started=False))
                states = await self.virsh.states(guest_id)
                if guest_id in states:
                    await self._destroy(guest_id)
                    await self.virsh.run("undefine", guest_id, *self.undefine)
                for tap in state.taps if state else []:
                    await drop_tap(state.spec if state else None, tap, self.settings.namespace)
                await asyncio.to_thread(shutil.rmtree, self._sockets(guest_id), ignore_errors=True)
                await asyncio.to_thread(domain.folder.delete)
        self._domains.pop(guest_id, None)

    async def _start(self, domain: Domain, state: GuestState) -> None:
        spec = state.spec
        with self._work_on(domain) as lock:
            disks = await make_disks(domain.folder, spec, lock, raw=self.raw_disks)
        self.on_step(spec.id, "disks")
        wanted = {nic.tap for nic in spec.nics}
        for tap in state.taps:
            if tap not in wanted:
                await drop_tap(spec, tap, self.settings.namespace)
        for nic in spec.nics:
            await self._plug(spec, nic)
        slots = state.slots if state.saved else in_order(spec, state.slots)
        share = self._shares.of(spec.id, state)
        latest = msgspec.structs.replace(
            state, started=True, stopped="", taps=[nic.tap for nic in spec.nics], slots=slots, pins=share.pins,
            cells=share.cells)  # fmt: skip
        if latest != state:
            domain.folder.write(latest)
        self.on_step(spec.id, "taps")
        sockets = self._sockets(spec.id)
        await asyncio.to_thread(sockets.mkdir, mode=0o700, exist_ok=True)
        place = msgspec.structs.replace(self._place(domain, slots), sockets=str(sockets), disks=disks, share=share)
        path = domain.folder.path / DOMAIN
        await asyncio.to_thread(path.write_text, domain_xml(spec, place))
        await self.virsh.run("define", str(path))
        await self._begin(domain, state)
        self.on_step(spec.id, "started")

    def _place(self, domain: Domain, slots: dict[str, int]) -> Place:
        return Place(kind=self.settings.kind, folder=str(domain.folder.path.absolute()), slots=slots,
                     limited_by_tap=True)  # fmt: skip

    async def _plug(self, spec: GuestSpec, nic: Nic) -> None:
        await make_tap(spec, nic, self.settings.namespace)

    async def _begin(self, domain: Domain, state: GuestState) -> None:
        """A defined domain, or the memory that was kept of it, that does not run yet."""
        words = ("restore", str(domain.folder.path / MEMORY)) if state.saved else ("start", domain.id)
        await self.virsh.run(*words, "--paused")

    # -- power ----------------------------------------------------------------------------------

    async def run(self, guest_id: str) -> GuestSeen:
        async with self._known(guest_id, "run") as (domain, state):
            if await self._power(domain) is Power.OFF:
                raise QemuFailed(f"it is off: {state.stopped}" if state.stopped else "it is off")
            await self._resume(domain)
            return await self._seen(domain)

    async def power(self, guest_id: str, wanted: Wanted, *, soft_seconds: float = 0) -> GuestSeen:
        told = f"powered {wanted}" if wanted in ("on", "off") else wanted
        async with self._known(guest_id, told) as (domain, state):
            power = await self._power(domain)
            if wanted == "on":
                await self._start_and_run(domain, power)
            elif wanted == "off":
                if power is not Power.OFF:
                    await self._ask_down(domain, soft_seconds)
                    await self._stop(domain, "")
                await asyncio.to_thread(domain.folder.forget_memory)
            elif power is Power.OFF:
                if not (state.saved and wanted == "suspended"):
                    raise QemuFailed("it is off")
            elif wanted == "suspended":
                await self._save(domain)
            elif power is Power.RUNNING:
                await self.virsh.run("suspend", guest_id)
            return await self._seen(domain)

    async def reboot(self, guest_id: str, *, hard: bool, soft_seconds: float = 60) -> GuestSeen:
        async with self._known(guest_id, "rebooted") as (domain, _):
            if not hard and await self._power(domain) is not Power.OFF:
                await self._ask_down(domain, soft_seconds)
            await self._stop(domain, "")
            await asyncio.to_thread(domain.folder.forget_memory)
            await self._start_and_run(domain, Power.OFF)
            return await self._seen(domain)

    async def _start_and_run(self, domain: Domain, power: Power) -> None:
        if power is Power.OFF:
            await self._start(domain, self._state(domain))
        await self._resume(domain)

    async def _resume(self, domain: Domain) -> None:
        """What is in the file must never be gone on from twice."""
        await asyncio.to_thread(domain.folder.forget_memory)
        if await self._power(domain) is Power.PAUSED:
            await self.virsh.run("resume", domain.id)

    async def _save(self, domain: Domain) -> None:
        """Written before libvirt does it: should we be killed meanwhile, the file is there or the domain lives."""
        fresh = domain.folder.path / f"{MEMORY}.new"
        state = self._state(domain)
        domain.folder.write(msgspec.structs.replace(state, started=False))
        try:
            await self.virsh.run("save", domain.id, str(fresh), "--paused", seconds=600)
        except LibvirtFailed:
            domain.folder.write(state)
            raise
        await asyncio.to_thread(fresh.replace, domain.folder.path / MEMORY)
        domain.folder.write(msgspec.structs.replace(state, started=False, saved=True, stopped=""))

    async def _stop(self, domain: Domain, reason: str) -> None:
        """Written first: what is stopped on request is no news."""
        state = domain.folder.read()
        if state is not None and (state.started or state.stopped != reason):
            domain.folder.write(msgspec.structs.replace(state, started=False, stopped=reason))
        await self._destroy(domain.id)

    async def _destroy(self, guest_id: str) -> None:
        try:
            await self.virsh.run("destroy", guest_id)
        except LibvirtFailed as error:
            if "domain is not running" not in str(error) and "failed to get domain" not in str(error):
                raise

    async def _ask_down(self, domain: Domain, seconds: float) -> None:
        """Press the power button, again and again, and wait that long."""
        if seconds <= 0 or await self._power(domain) is not Power.RUNNING:
            return
        domain.folder.write(msgspec.structs.replace(self._state(domain), started=False))
        give_up = time.monotonic() + seconds
        while (await self._domain_state(domain.id)).power is not Power.OFF and (left := give_up - time.monotonic()) > 0:
            await self.virsh.run("shutdown", domain.id, "--mode", self.button)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, PRESS_SECONDS)):
                    await self._until_off(domain.id)

    async def _until_off(self, guest_id: str) -> None:
        """Its state is asked for, since news of it may be lost together with libvirt."""
        for _ in itertools.count():
            if (await self._domain_state(guest_id)).power is Power.OFF:
                return
            await asyncio.sleep(POLL_SECONDS)

    # -- devices and disks ----------------------------------------------------------------------

    async def adjust(self, spec: GuestSpec) -> GuestSeen:
        """libvirt has no way to tell a domain that lives of a volume's new size."""
        async with self._known(spec.id, "given its cards and volumes") as (domain, state):
            self.must_be_possible(spec)
            changed = msgspec.structs.replace(state.spec, nics=spec.nics, volumes=spec.volumes)
            await self._change(domain, state, changed)
            if any(volume.size_gb for volume in spec.volumes) and await self._power(domain) is not Power.OFF:
                raise LibvirtFailed("it sees how large a volume has grown when it is started anew")
            return await self._seen(domain)

    async def _change(self, domain: Domain, before: GuestState, spec: GuestSpec) -> None:
        """Live where it lives; its domain is made anew whenever it starts."""
        taps = list(dict.fromkeys([*before.taps, *(nic.tap for nic in spec.nics)]))
        state = msgspec.structs.replace(before, spec=spec, slots=assign_slots(spec, before.slots), taps=taps)
        domain.folder.write(state)
        if await self._power(domain) is not Power.OFF:
            await adjust_devices(self.virsh, spec, self._place(domain, state.slots), lambda nic: self._plug(spec, nic))
        wanted = [nic.tap for nic in spec.nics]
        for tap in taps:
            if tap not in wanted:
                await drop_tap(spec, tap, self.settings.namespace)
        domain.folder.write(msgspec.structs.replace(state, taps=wanted))

    async def snapshot(self, guest_id: str, into: Path) -> str:
        async with self._known(guest_id, "copied") as (domain, state):
            power = await self._power(domain)
            if power is Power.OFF:
                await copy_root(domain.folder, state.spec, into)
            else:
                await self._copy(domain, state, power, into)
        return "qcow2"

    async def _copy(self, domain: Domain, state: GuestState, power: Power, into: Path) -> None:
        """The root disk of a domain that lives."""
        await libvirt_insides.copy_while_running(self.virsh, state.spec, domain.folder.path / DOMAIN, into)

    async def files(self, guest_id: str) -> dict[str, int]:
        async with self._known(guest_id, "moved") as (domain, state):
            if await self._power(domain) is not Power.OFF:
                raise QemuFailed("it is not off")
            return await asyncio.to_thread(moving_files, domain.folder, state.spec)

    async def read(self, guest_id: str, name: str, offset: int, length: int) -> bytes:
        domain = self._domain(guest_id, "moved")
        with failing(guest_id, "moved"):
            if name not in moving_files(domain.folder, self._state(domain).spec):
                raise QemuFailed(f"it has no file {name}")
            return await asyncio.to_thread(read_piece, domain.folder, name, offset, length)

    async def receive(self, spec: GuestSpec, name: str, offset: int, piece: bytes) -> None:
        async with self._working(spec.id, "moved") as domain:
            if await self._power(domain) is not Power.OFF:
                raise QemuFailed("it is not off")
            await asyncio.to_thread(write_piece, domain.folder, spec, name, offset, piece)

    # -- what goes on inside --------------------------------------------------------------------

    async def set_password(self, guest_id: str, user: str, password: str) -> None:
        async with self._living(guest_id, "given a password"):
            await libvirt_insides.set_password(self.virsh, guest_id, user, password)

    async def interrupt(self, guest_id: str) -> None:
        async with self._living(guest_id, "interrupted"):
            await self.virsh.run("inject-nmi", guest_id)

    async def diagnostics(self, guest_id: str) -> Diagnostics:
        async with self._living(guest_id, "looked into") as (domain, state):
            seen = await self._seen(domain)
            return await libvirt_insides.diagnostics(self.virsh, state.spec, seen.power)

    async def console(self, guest_id: str, kind: Literal["vnc", "serial"]) -> Path:
        async with self._living(guest_id, "shown"):
            return self._sockets(guest_id) / (SCREEN if kind == "vnc" else CONSOLE)

    async def console_log(self, guest_id: str, lines: int | None = None) -> bytes:
        domain = self._domain(guest_id, "read")
        with failing(guest_id, "read"):
            self._state(domain)
            return await asyncio.to_thread(domain.folder.console_log, lines)

    # -- the host -------------------------------------------------------------------------------

    async def guests(self) -> list[GuestSeen]:
        self._watch()
        folders = await asyncio.to_thread(guest_folders, self.settings.instances)
        domains = [self._domains.setdefault(folder.id, Domain(folder)) for folder in folders]
        found: list[GuestSeen] = []
        try:
            states = await self.virsh.states()
            for domain in domains:
                if domain.lock.locked():
                    found.append(self._told(domain, states.get(domain.id, OFF)))
                else:
                    async with domain.lock:
                        found.append(await self._seen(domain))
        except LibvirtFailed as error:
            raise HostFailed(str(error)) from error
        return [seen for domain, seen in zip(domains, found, strict=True) if domain.folder.exists()]

    async def host_facts(self) -> HostFacts:
        if not self._version:
            with contextlib.suppress(LibvirtFailed):
                told = await self.virsh.run("version")
                self._version = next((line.rpartition(" ")[2] for line in told.splitlines()
                                      if line.startswith("Running hypervisor")), "")  # fmt: skip
        return await asyncio.to_thread(facts_of, self.settings, self._version, self._shares)

    def events(self) -> AsyncIterator[GuestStopped]:
        return self._stops.read()

    async def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        self._domains.clear()
        self._stops.close()
        self._lock.close()

    # -- its own --------------------------------------------------------------------------------

    async def _revive(self) -> None:
        """Raises LibvirtFailed."""
        assert self.settings.daemon is not None
        try:
            async with self._reviving:
                scheme = self.settings.uri.partition(":")[0]
                await asyncio.to_thread(ensure_daemon, self.settings.daemon, self.settings.namespace, scheme)
        except DaemonFailed as error:
            raise LibvirtFailed(str(error)) from error

    def _watch(self) -> None:
        if self._watcher is None and not self._lock.closed:
            self._watcher = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        """What libvirt tells of, again after it was gone for a while."""
        while True:
            try:
                async with contextlib.aclosing(self.virsh.events()) as events:
                    async for name, what, how in events:
                        await self._heard(name, what, how)
                await asyncio.sleep(WITHOUT_SECONDS)
                await self.guests()                          # what stopped meanwhile is told of
            except (LibvirtFailed, HostFailed) as error:
                log.warning("libvirt tells of nothing: %s", error, extra={"host": self.settings.hostname})
                await asyncio.sleep(WITHOUT_SECONDS)

    async def _heard(self, name: str, what: str, how: str) -> None:
        domain = self._domains.get(name)
        if domain is not None and what in ("Stopped", "Crashed"):
            async with domain.lock:
                state = domain.folder.read()
                if state is not None and state.started:
                    await self._power(domain, HOWS.get(how, ENDED))
        elif domain is not None and (what, how) == ("Suspended", "I/O Error"):
            self._stops.add(GuestStopped(guest_id=name, power=Power.PAUSED, reason="a disk of its host failed"))

    def _domain(self, guest_id: str, wanted: str) -> Domain:
        if not ID.fullmatch(guest_id):
            raise GuestFailed(guest_id, wanted, "its id is no plain name")
        self._watch()
        return self._domains.setdefault(guest_id, Domain(GuestFolder(self.settings.instances / guest_id)))

    @contextlib.asynccontextmanager
    async def _working(self, guest_id: str, wanted: str) -> AsyncIterator[Domain]:
        domain = self._domain(guest_id, wanted)
        async with domain.lock:
            self._domains[guest_id] = domain  # also where a removal came first that this waited for
            with failing(guest_id, wanted):
                yield domain

    @contextlib.asynccontextmanager
    async def _known(self, guest_id: str, wanted: str) -> AsyncIterator[tuple[Domain, GuestState]]:
        async with self._working(guest_id, wanted) as domain:
            yield domain, self._state(domain)

    @contextlib.asynccontextmanager
    async def _living(self, guest_id: str, wanted: str) -> AsyncIterator[tuple[Domain, GuestState]]:
        async with self._known(guest_id, wanted) as (domain, state):
            if await self._power(domain) is Power.OFF:
                raise QemuFailed("it is off")
            yield domain, state

    def _state(self, domain: Domain) -> GuestState:
        state = domain.folder.read()
        if state is None:
            self._domains.pop(domain.id, None)
            raise QemuFailed("no such guest on this host")
        return state

    async def _domain_state(self, guest_id: str) -> DomainState:
        return (await self.virsh.states(guest_id)).get(guest_id, OFF)

    async def _power(self, domain: Domain, how: str = ENDED) -> Power:
        """What it is; one that stopped by itself meanwhile is noted and told of. Under its lock."""
        power = (await self._domain_state(domain.id)).power
        state = domain.folder.read()
        if power is Power.OFF and state is not None and state.started:
            domain.folder.write(msgspec.structs.replace(state, started=False, stopped=how))
            self._stops.add(GuestStopped(guest_id=domain.id, power=Power.OFF, reason=how))
        return power

    async def _seen(self, domain: Domain) -> GuestSeen:
        await self._power(domain)
        return self._told(domain, await self._domain_state(domain.id))

    def _told(self, domain: Domain, found: DomainState) -> GuestSeen:
        state = domain.folder.read()
        name = state.spec.name if state else ""
        if found.power is not Power.OFF:
            return GuestSeen(id=domain.id, name=name, power=found.power, reason=found.reason)
        power = Power.SUSPENDED if state is not None and state.saved else Power.OFF
        return GuestSeen(id=domain.id, name=name, power=power, reason=state.stopped if state else "half-made")

    def _sockets(self, guest_id: str) -> Path:
        return self.settings.sockets / guest_id[:8]

    @contextmanager
    def _work_on(self, domain: Domain) -> Iterator[int]:
        """The folder's lock, which programs started on its files inherit."""
        lock = domain.folder.try_lock()
        if lock is None:
            raise QemuFailed("another process is at work on it")
        try:
            yield lock
        finally:
            os.close(lock)
