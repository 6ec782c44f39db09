"""Hosts without a hypervisor: as many as wanted in one process, with failures, delays and lies on demand."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from pileus.compute.drivers import host_facts
from pileus.compute.drivers.base import (
    Can,
    Diagnostics,
    DiskUse,
    GuestFailed,
    GuestSeen,
    GuestSpec,
    GuestStopped,
    GuestVolume,
    HostFacts,
    NicUse,
    Power,
    Wanted,
)
from pileus.compute.drivers.fake_console import FakeConsole
from pileus.compute.drivers.guest_folder import ID
from pileus.compute.drivers.hardware import HostCell
from pileus.compute.drivers.stops import Stops

CONSOLE_LINES = 200
SECTOR = 512


class Knobs(msgspec.Struct, kw_only=True):
    """How a fake host misbehaves. Calls are named as the driver's methods are; "*" is any of them."""

    fail: dict[str, str] = {}  # call -> reason: GuestFailed, before anything is done
    fail_late: dict[str, str] = {}  # call -> reason: GuestFailed, though all of it is done
    slow: dict[str, float] = {}  # call -> seconds it takes
    lie: dict[str, Power] = {}  # guest id -> the power state `guests` tells, whatever is so


class FakeGuest(msgspec.Struct, kw_only=True):
    """What is kept of a guest, in memory and in its file."""

    id: str
    name: str
    vcpus: int
    memory_mb: int
    power: Power
    reason: str = ""
    starts: int = 0  # times it began to run, for the console
    lives: int = 0  # times its hypervisor was started
    console: list[str] = []
    macs: list[str] = []  # of its network cards
    volumes: tuple[GuestVolume, ...] = ()
    root: int = 0  # which root disk it has
    memory_kept: bool = False
    disk: str = ""  # what somebody wrote on its root disk
    rescued: bool = False
    passwords: dict[str, str] = {}
    interrupts: int = 0
    devices: dict[str, int] = {}  # of its host, by alias

    def seen(self) -> GuestSeen:
        return GuestSeen(id=self.id, name=self.name, power=self.power, reason=self.reason)


def require_plain(spec: GuestSpec) -> None:
    """The id names a file. An image's path that is given has to be there, as with any driver; none has to be given."""
    if not ID.fullmatch(spec.id):
        raise GuestFailed(spec.id, "made", "its id is no plain name")
    if spec.image is not None and spec.image.path and not os.path.exists(spec.image.path):
        raise GuestFailed(spec.id, "made", f"image {spec.image.id} is not on this host")


class FakeDriver:
    """One fake host. With a folder, its guests outlive this process as those of a hypervisor would."""

    name: ClassVar[str] = "fake"

    def __init__(
        self,
        hostname: str,
        folder: Path | None = None,
        *,
        facts: HostFacts | None = None,
        knobs: Knobs | None = None,
        on_step: Callable[[str, str], None] = lambda guest_id, step: None,
    ) -> None:
        self.knobs = knobs or Knobs()
        self.facts = facts or HostFacts(
            hostname=hostname,
            hypervisor_type="fake",
            hypervisor_version="1.0",
            vcpus=64,
            memory_mb=256 * 1024,
            disk_gb=4096,
            disk_free_gb=4096,
            accel="none",
            cpu={"arch": "x86_64", "model": "fake", "vendor": "fake", "features": []},
            booted_at=host_facts.booted_at(),
            cells=(HostCell(number=0, cpus=64, memory_mb=256 * 1024),),
        )
        self.folder = folder
        self.on_step = on_step
        self.known: dict[str, FakeGuest] = {}
        self._stops = Stops()
        self._consoles: dict[str, FakeConsole] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.glob("*.json"):
                guest = msgspec.json.decode(path.read_bytes(), type=FakeGuest)
                self.known[guest.id] = guest

    @property
    def can(self) -> frozenset[Can]:
        return frozenset({Can.HOTPLUG_PORT, Can.RESCUE, Can.SUSPEND})

    async def prepare(self, spec: GuestSpec) -> None:
        await self._before("prepare", spec.id)
        require_plain(spec)
        if spec.id not in self.known:
            self._keep(self._made(spec))
        self._late("prepare", spec.id)

    async def ensure(self, spec: GuestSpec) -> GuestSeen:
        await self._before("ensure", spec.id)
        require_plain(spec)
        self.on_step(spec.id, "folder")
        self._must_have_devices(spec)
        guest = self.known.get(spec.id) or self._made(spec)
        guest.rescued = spec.rescue is not None
        if guest.root != spec.root:
            guest.root, guest.disk = spec.root, ""
        if guest.power in (Power.OFF, Power.SUSPENDED):
            guest.vcpus, guest.memory_mb = spec.vcpus, spec.memory_mb
            guest.devices = spec.hardware.devices if spec.hardware else {}
            guest.macs, guest.volumes = [nic.mac for nic in spec.nics], spec.volumes
            guest.power, guest.reason = Power.PAUSED, ""
            guest.lives += 1
        self._keep(guest)
        self.on_step(spec.id, "started")
        return self._after("ensure", guest)

    async def adjust(self, spec: GuestSpec) -> GuestSeen:
        await self._before("adjust", spec.id)
        guest = self._get(spec.id, "adjusted")
        guest.macs, guest.volumes = [nic.mac for nic in spec.nics], spec.volumes
        self._keep(guest)
        return self._after("adjust", guest)

    async def run(self, guest_id: str) -> GuestSeen:
        await self._before("run", guest_id)
        guest = self._get(guest_id, "run")
        if guest.power in (Power.OFF, Power.SUSPENDED):
            raise GuestFailed(guest_id, "run", f"it is off{f': {guest.reason}' if guest.reason else ''}")
        self._boot(guest, False)
        return self._after("run", guest)

    async def remove(self, guest_id: str) -> None:
        await self._before("remove", guest_id)
        self.known.pop(guest_id, None)
        if self.folder is not None:
            for path in (self._path(guest_id), self._path(guest_id).with_suffix(".new")):
                path.unlink(missing_ok=True)
        self._late("remove", guest_id)

    async def power(self, guest_id: str, wanted: Wanted, *, soft_seconds: float = 0) -> GuestSeen:
        await self._before("power", guest_id)
        guest = self._get(guest_id, f"powered {wanted}")
        if wanted == "on":
            self._boot(guest, guest.power is Power.OFF)
        elif wanted == "off":
            if guest.power is not Power.OFF:
                self._turn(guest, Power.OFF)
        elif guest.power is Power.OFF or guest.power is Power.SUSPENDED and wanted == "paused":
            raise GuestFailed(guest_id, wanted, "it is off")
        else:
            self._turn(guest, Power(wanted))
        return self._after("power", guest)

    async def reboot(self, guest_id: str, *, hard: bool, soft_seconds: float = 60) -> GuestSeen:
        await self._before("reboot", guest_id)
        guest = self._get(guest_id, "rebooted")
        self._boot(guest, True)
        return self._after("reboot", guest)

    async def guests(self) -> list[GuestSeen]:
        await self._before("guests", "any")
        told = (guest.seen() for guest in self.known.values())
        return [msgspec.structs.replace(seen, power=self.knobs.lie.get(seen.id, seen.power)) for seen in told]

    async def console_log(self, guest_id: str, lines: int | None = None) -> bytes:
        await self._before("console_log", guest_id)
        kept = self._get(guest_id, "read").console
        chosen = kept if lines is None else kept[-lines:] if lines > 0 else []
        return "".join(f"{line}\n" for line in chosen).encode()

    # -- disks --------------------------------------------------------------------------------

    async def snapshot(self, guest_id: str, into: Path) -> str:
        await self._before("snapshot", guest_id)
        guest = self._get(guest_id, "copied")
        await asyncio.to_thread(into.write_bytes, guest.disk.encode().ljust(SECTOR, b"\0"))
        self._late("snapshot", guest_id)
        return "raw"

    async def files(self, guest_id: str) -> dict[str, int]:
        await self._before("files", guest_id)
        return {"guest": len(self._moving(guest_id))}

    async def read(self, guest_id: str, name: str, offset: int, length: int) -> bytes:
        return self._moving(guest_id)[offset : offset + length]

    async def receive(self, spec: GuestSpec, name: str, offset: int, piece: bytes) -> None:
        await self._before("receive", spec.id)
        if spec.id not in self.known:
            whole = msgspec.json.decode(piece, type=FakeGuest)
            self._keep(msgspec.structs.replace(whole, power=Power.OFF, memory_kept=False))
        self._late("receive", spec.id)

    def _moving(self, guest_id: str) -> bytes:
        return msgspec.json.encode(self._get(guest_id, "moved"))

    # -- insides ------------------------------------------------------------------------------

    async def set_password(self, guest_id: str, user: str, password: str) -> None:
        await self._before("set_password", guest_id)
        guest = self._running(guest_id, "given a password")
        guest.passwords = guest.passwords | {user: password}
        self._keep(guest)

    async def interrupt(self, guest_id: str) -> None:
        await self._before("interrupt", guest_id)
        guest = self._running(guest_id, "interrupted")
        guest.interrupts += 1
        self._keep(guest)

    async def diagnostics(self, guest_id: str) -> Diagnostics:
        await self._before("diagnostics", guest_id)
        guest = self._running(guest_id, "looked into")
        return Diagnostics(
            power=guest.power, uptime=0, cpu_seconds=(0.0,) * guest.vcpus, memory_mb=guest.memory_mb, memory_used_mb=0,
            nics=tuple(NicUse(mac=mac, rx_octets=0, rx_packets=0, tx_octets=0, tx_packets=0) for mac in guest.macs),
            disks=(DiskUse(),),
        )  # fmt: skip

    async def console(self, guest_id: str, kind: Literal["vnc", "serial"]) -> Path:
        await self._before("console", guest_id)
        self._running(guest_id, "shown")
        if guest_id not in self._consoles:
            self._consoles[guest_id] = await FakeConsole.open(guest_id)
        return self._consoles[guest_id].path(kind)

    def _must_have_devices(self, spec: GuestSpec) -> None:
        for alias, count in (spec.hardware.devices if spec.hardware else {}).items():
            taken = sum(each.devices.get(alias, 0) for each in self.known.values() if each.id != spec.id)
            if taken + count > self.facts.devices.get(alias, 0):
                raise GuestFailed(spec.id, "started", f"{count} devices {alias} are wanted, and not so many are free")

    def _running(self, guest_id: str, wanted: str) -> FakeGuest:
        guest = self._get(guest_id, wanted)
        if guest.power in (Power.OFF, Power.SUSPENDED):
            raise GuestFailed(guest_id, wanted, "it is off")
        return guest

    async def host_facts(self) -> HostFacts:
        return self.facts

    def events(self) -> AsyncIterator[GuestStopped]:
        return self._stops.read()

    async def close(self) -> None:
        self._stops.close()
        for console in self._consoles.values():
            await console.close()
        self._consoles.clear()

    def stop_by_itself(self, guest_id: str, reason: str = "shut down by the guest") -> None:
        """What a guest does that powers itself off, or whose hypervisor crashes."""
        guest = self.known[guest_id]
        self._turn(guest, Power.OFF)
        guest.reason = reason
        self._keep(guest)
        self._stops.add(GuestStopped(guest_id=guest_id, power=Power.OFF, reason=reason))

    def write_console(self, guest_id: str, text: str) -> None:
        """Have the guest print something."""
        guest = self.known[guest_id]
        guest.console = list(deque([*guest.console, *text.splitlines()], maxlen=CONSOLE_LINES))
        self._keep(guest)

    def _boot(self, guest: FakeGuest, afresh: bool) -> None:
        """Let it run, from the start or where it was."""
        if not afresh and guest.power is Power.RUNNING:
            return
        begins = afresh or guest.power is Power.PAUSED and not guest.memory_kept
        guest.lives += guest.power is not Power.PAUSED
        self._turn(guest, Power.RUNNING)
        if begins:
            guest.starts += 1
            guest.memory_kept = True
            self.write_console(guest.id, f"fake guest {guest.name}: start {guest.starts}\n\n{guest.name} login:")

    def _turn(self, guest: FakeGuest, power: Power) -> None:
        guest.power, guest.reason = power, ""
        guest.memory_kept = guest.memory_kept and power is not Power.OFF
        self._keep(guest)

    @staticmethod
    def _made(spec: GuestSpec) -> FakeGuest:
        return FakeGuest(
            id=spec.id, name=spec.name, vcpus=spec.vcpus, memory_mb=spec.memory_mb, power=Power.OFF, root=spec.root,
            macs=[nic.mac for nic in spec.nics],
        )  # fmt: skip

    def _get(self, guest_id: str, wanted: str) -> FakeGuest:
        if guest_id not in self.known:
            raise GuestFailed(guest_id, wanted, "no such guest on this host")
        return self.known[guest_id]

    def _keep(self, guest: FakeGuest) -> None:
        self.known[guest.id] = guest
        if self.folder is not None:
            path = self._path(guest.id)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(guest))
            fresh.replace(path)

    def _path(self, guest_id: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{guest_id}.json"

    async def _before(self, call: str, guest_id: str) -> None:
        seconds = self.knobs.slow.get(call, self.knobs.slow.get("*", 0.0))
        if seconds:
            await asyncio.sleep(seconds)
        reason = self.knobs.fail.get(call, self.knobs.fail.get("*"))
        if reason is not None:
            raise GuestFailed(guest_id, call, reason)

    def _late(self, call: str, guest_id: str) -> None:
        reason = self.knobs.fail_late.get(call, self.knobs.fail_late.get("*"))
        if reason is not None:
            raise GuestFailed(guest_id, call, reason)

    def _after(self, call: str, guest: FakeGuest) -> GuestSeen:
        self._late(call, guest.id)
        return guest.seen()
