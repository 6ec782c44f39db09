"""Containers by libvirt: an image that holds a file system, and no kernel, is the root of an LXC domain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from pileus.compute.drivers.base import Can, Diagnostics, DiskKind, GuestSeen, GuestSpec, Nic, NicUse, Power
from pileus.compute.drivers.disks import qemu_img
from pileus.compute.drivers.guest_folder import CONSOLE_LOG, GuestState
from pileus.compute.drivers.libvirt import Domain, LibvirtDriver
from pileus.compute.drivers.libvirt_domain import Place
from pileus.compute.drivers.qemu_disks import raw_name
from pileus.compute.drivers.qemu_launch import BadSpec
from pileus.compute.drivers.virsh import LibvirtFailed

log = logging.getLogger(__name__)

PIECE = 65536
LONGEST = 63  # of the path of a file that becomes a loop device


class ContainerDriver(LibvirtDriver):
    """What a container has not, memory that could be kept, volumes, a screen, is refused with the reason."""

    undefine: ClassVar[tuple[str, ...]] = ()
    button: ClassVar[str] = "signal"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.raw_disks = True

    @property
    def can(self) -> frozenset[Can]:
        return frozenset({Can.HOTPLUG_PORT})

    def must_be_possible(self, spec: GuestSpec) -> None:
        super().must_be_possible(spec)
        if spec.volumes:
            raise BadSpec("a container has no volumes: this host cannot show it what is served over a network")
        if [disk.kind for disk in spec.disks] != [DiskKind.ROOT] or spec.image is None:
            raise BadSpec("a container has one disk, which is made of an image that holds a file system")

    async def remove(self, guest_id: str) -> None:
        await super().remove(guest_id)
        await asyncio.to_thread(self._link(guest_id).unlink, missing_ok=True)

    def _link(self, guest_id: str) -> Path:
        """To its disk: libvirt wants the path to be short."""
        return self.settings.sockets.parent / guest_id[:8]

    def _place(self, domain: Domain, slots: dict[str, int]) -> Place:
        return msgspec.structs.replace(super()._place(domain, slots), root=str(self._link(domain.id)))

    async def _plug(self, spec: GuestSpec, nic: Nic) -> None:
        """libvirt makes the two ends itself."""

    async def _begin(self, domain: Domain, state: GuestState) -> None:
        """A container cannot be started frozen: it runs until it is."""
        await asyncio.to_thread(self._frozen(domain).unlink, missing_ok=True)
        link = self._link(domain.id)
        if len(str(link)) > LONGEST:
            raise BadSpec(f"{link} is longer than {LONGEST} characters, which is all that libvirt takes")
        await asyncio.to_thread(link.unlink, missing_ok=True)
        await asyncio.to_thread(link.symlink_to, domain.folder.path.absolute() / raw_name(state.spec))
        await self.virsh.run("start", domain.id)
        await self.virsh.run("suspend", domain.id)

    async def _save(self, domain: Domain) -> None:
        raise LibvirtFailed("a container's memory cannot be kept")

    async def _copy(self, domain: Domain, state: GuestState, power: Power, into: Path) -> None:
        """Of the moment of the copying: it is frozen meanwhile, and what it wrote is written down."""
        ran = power is Power.RUNNING or self._frozen(domain).exists()
        try:
            if ran:
                await asyncio.to_thread(self._frozen(domain).touch)
                await self.virsh.run("suspend", domain.id)
            await asyncio.to_thread(os.sync)
            await asyncio.to_thread(into.unlink, missing_ok=True)
            await qemu_img("convert", "-q", "-U", "-f", "raw", "-O", "qcow2", raw_name(state.spec), str(into),
                           folder=domain.folder.path)  # fmt: skip
        finally:
            if ran:
                await self._let_go_on(domain)

    @staticmethod
    def _frozen(domain: Domain) -> Path:
        """There while it is frozen for a copy, so that one that a killed process left so is known."""
        return domain.folder.path / "frozen"

    async def _let_go_on(self, domain: Domain) -> None:
        await self._resume(domain)
        await asyncio.to_thread(self._frozen(domain).unlink, missing_ok=True)

    async def diagnostics(self, guest_id: str) -> Diagnostics:
        async with self._living(guest_id, "looked into") as (domain, state):
            seen = await self._seen(domain)
            used = await self.virsh.run("cpu-stats", guest_id, "--total")
            seconds = next((float(line.split()[1]) for line in used.splitlines() if "cpu_time" in line), 0.0)
            return Diagnostics(power=seen.power, memory_mb=state.spec.memory_mb, cpu_seconds=(seconds,), disks=(),
                               nics=tuple([await self._use_of(guest_id, nic) for nic in state.spec.nics]))  # fmt: skip

    async def _use_of(self, guest_id: str, nic: Nic) -> NicUse:
        """The end on the host is told of; what it receives the container has sent."""
        told = await self.virsh.run("domifstat", guest_id, nic.tap)
        found = {words[1]: int(words[2]) for line in told.splitlines() if len(words := line.split()) == 3}
        return NicUse(mac=nic.mac, rx_octets=found.get("tx_bytes", 0), rx_packets=found.get("tx_packets", 0),
                      tx_octets=found.get("rx_bytes", 0), tx_packets=found.get("rx_packets", 0))  # fmt: skip

    async def console(self, guest_id: str, kind: Literal["vnc", "serial"]) -> Path:
        async with self._living(guest_id, "shown"):
            raise LibvirtFailed("a container has no screen and no serial port")

    # -- what its console said: kept by a terminal until somebody reads it --------------------------

    async def guests(self) -> list[GuestSeen]:
        found = await super().guests()
        if any([await self._is_left_frozen(guest) for guest in found]):
            found = await super().guests()
        for guest in found:
            if guest.power is not Power.OFF:
                await self._keep_console(guest.id)
        return found

    async def _is_left_frozen(self, guest: GuestSeen) -> bool:
        """By a process that was killed while it copied; not any more, unless libvirt refuses."""
        domain = self._domains.get(guest.id)
        if domain is None or domain.lock.locked() or not self._frozen(domain).exists():
            return False
        async with domain.lock:
            try:
                await self._let_go_on(domain)
            except LibvirtFailed as error:
                log.warning("container %s stays frozen: %s", guest.id, error)
                return False
        return True

    async def console_log(self, guest_id: str, lines: int | None = None) -> bytes:
        await self._keep_console(guest_id)
        return await super().console_log(guest_id, lines)

    async def _keep_console(self, guest_id: str) -> None:
        """Read before the terminal is full, for the container would have to wait then."""
        domain = self._domains.get(guest_id)
        if domain is None:
            return
        try:
            terminal = (await self.virsh.run("ttyconsole", guest_id)).strip()
        except LibvirtFailed:  # it is off
            return
        if terminal:
            await asyncio.to_thread(append_all, Path(terminal), domain.folder.path / CONSOLE_LOG)


def append_all(terminal: Path, log: Path) -> None:
    """What the terminal has; nothing where it or the guest is gone."""
    with contextlib.suppress(OSError):
        source = os.open(terminal, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            while piece := os.read(source, PIECE):
                with open(log, "ab") as file:
                    file.write(piece)
        finally:
            os.close(source)
