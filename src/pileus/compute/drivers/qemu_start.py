"""The start of a QEMU guest: disks, taps, a TPM of its own, processors and pages of the host, then QEMU itself."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import msgspec

from pileus.compute.drivers import host_facts
from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.disks import MIB
from pileus.compute.drivers.guest_folder import MEMORY, GuestFolder, GuestState
from pileus.compute.drivers.host_shares import HostShares, Share
from pileus.compute.drivers.qemu_command import command
from pileus.compute.drivers.qemu_devices import in_order
from pileus.compute.drivers.qemu_disks import TPM, make_disks
from pileus.compute.drivers.qemu_launch import BadSpec, Launch, hardware_of
from pileus.compute.drivers.qemu_machine import HUGE_PAGES
from pileus.compute.drivers.qemu_nics import drop_tap, make_tap
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess, children

Accel = Literal["kvm", "tcg"]
PAGES = Path("/sys/kernel/mm/hugepages")
TPM_LOG = "tpm.log"


class QemuSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One host. `namespace` is the network namespace its guests live in; None is that of this process."""

    instances: Path
    hostname: str
    namespace: Path | None = None
    virt_type: Literal["auto", "kvm", "tcg"] = "auto"
    program: str = "qemu-system-x86_64"
    cpu_model: str = ""  # the best the accelerator has, if empty
    cpu_flags: tuple[str, ...] = ()
    dedicated_cpus: frozenset[int] = frozenset()  # of the host, for guests that want processors of their own
    nodes: Path = host_facts.NODES
    pci_devices: dict[str, list[str]] = {}  # by alias: addresses or kinds of what can be passed through
    certificates: Path | None = None  # of the host, by which servers get at volumes of others
    raw_disks: bool = False  # root disks are raw copies of their images, not qcow2 files over them


class Start:
    """How guests of a host are started."""

    def __init__(
        self, settings: QemuSettings, accel: Accel, on_step: Callable[[str, str], None]
    ) -> None:
        self.settings, self.on_step = settings, on_step
        self.accel: Accel = accel
        self.shares = HostShares(settings.instances, settings.dedicated_cpus, settings.nodes)

    async def start(self, folder: GuestFolder, state: GuestState, lock: int) -> QemuProcess:
        """A QEMU that does not run its guest yet. Raises QemuFailed, BadSpec, BadDisk, OSError."""
        spec, settings = state.spec, self.settings
        must_have_pages(spec)
        disks = await make_disks(folder, spec, lock, raw=settings.raw_disks)
        self.on_step(spec.id, "disks")
        wanted = {nic.tap for nic in spec.nics}
        for tap in state.taps:
            if tap not in wanted:
                await drop_tap(spec, tap, settings.namespace)
        for nic in spec.nics:
            await make_tap(spec, nic, settings.namespace)
        taps = [nic.tap for nic in spec.nics]
        # Chosen and written down at once: another guest's start must not see them free in between.
        slots = state.slots if state.saved else in_order(spec, state.slots)
        share = self.shares.of(folder.id, state)
        latest = msgspec.structs.replace(
            state, started=True, stopped="", taps=taps, slots=slots, pins=share.pins, cells=share.cells,
            devices=self.devices(folder, state))  # fmt: skip
        if latest != state:
            folder.write(latest)
        self.on_step(spec.id, "taps")
        with ExitStack() as held:
            keep, memory, tpm = [lock], None, None
            if state.saved:
                memory = os.open(folder.path / MEMORY, os.O_RDONLY | os.O_CLOEXEC)
                held.callback(os.close, memory)
                keep.append(memory)
            if hardware_of(spec).tpm:
                connection = held.enter_context(start_tpm(folder))
                tpm = connection.fileno()
                keep.append(tpm)

            def arguments(sockets: dict[str, int]) -> list[str]:
                return command(spec, Launch(
                    program=settings.program, accel=self.accel, sockets=sockets, disks=disks, slots=slots,
                    devices=tuple(latest.devices), memory=memory, tpm=tpm, cells=share.cells,
                    cpu_model=settings.cpu_model, cpu_flags=settings.cpu_flags,
                    certificates=settings.certificates))  # fmt: skip

            process = await QemuProcess.start(folder, keep, arguments, settings.namespace)
        if share.pins or share.floating:
            await pin(process, share)
        return process

    def devices(self, folder: GuestFolder, state: GuestState) -> list[str]:
        """The addresses of the host's devices that the guest gets, and no other guest has."""
        wanted = hardware_of(state.spec).devices
        if not wanted:
            return []
        here, chosen = host_facts.devices(self.settings.pci_devices), list[str]()
        taken = {address for other in self.shares.others(folder.id) for address in other.devices}
        for alias, count in wanted.items():
            free = [address for address in here.get(alias, []) if address not in taken]
            free.sort(key=lambda address: address not in state.devices)  # those it had before come first
            if len(free) < count:
                raise BadSpec(f"{count} devices {alias} of the host are wanted, and {len(free)} are free")
            chosen += free[:count]
            taken |= set(chosen)
        return chosen


async def pin(process: QemuProcess, share: Share) -> None:
    """Each thread that is a processor of the guest stays on its processor of the host, or on those of its node."""
    told = await process.execute("query-cpus-fast")
    assert isinstance(told, list)
    allowed = share.floating | {mine: (theirs,) for mine, theirs in share.pins.items()}
    try:
        for each in told:
            if theirs := allowed.get(int(each["cpu-index"])):
                os.sched_setaffinity(int(each["thread-id"]), theirs)
    except OSError as error:
        await process.kill()
        raise QemuFailed(f"a processor could not be pinned: {error.strerror}") from error


def must_have_pages(spec: GuestSpec) -> None:
    """Raise BadSpec where the host has not as many large pages free as the guest needs."""
    wanted = hardware_of(spec).page_kb
    if not wanted:
        return
    sizes = {int(path.name.removeprefix("hugepages-").removesuffix("kB")): path for path in PAGES.glob("hugepages-*kB")}
    mounted = mounted_page_kb()
    if mounted is None or wanted not in (-1, mounted) or mounted not in sizes:
        told = "large" if wanted < 0 else f"{wanted} KiB"
        raise BadSpec(f"Page size {told} is not supported by the host.")
    free = int((sizes[mounted] / "free_hugepages").read_text())
    if free * mounted < spec.memory_mb * (MIB >> 10):
        raise BadSpec(f"the host has {free} pages of {mounted} KiB free, and its memory needs more")


def mounted_page_kb() -> int | None:
    """The size of the pages that files at the usual place consist of; None where that is no such place."""
    if f" {HUGE_PAGES} hugetlbfs " not in Path("/proc/self/mounts").read_text():
        return None
    return os.statvfs(HUGE_PAGES).f_bsize >> 10


def start_tpm(folder: GuestFolder) -> socket.socket:
    """Our end of a connection to a TPM of the guest's own, whose state is a file in its folder. It lives as long as
    somebody has this end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    words = ["swtpm", "socket", "--tpm2", "--tpmstate", f"backend-uri=file://{folder.path.absolute() / TPM}",
             "--ctrl", f"type=unixio,clientfd={theirs.fileno()}", "--terminate",
             "--log", f"file={TPM_LOG},level=1"]  # fmt: skip
    try:
        with theirs:
            children.add(subprocess.Popen(
                words, cwd=folder.path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True))  # fmt: skip
    except FileNotFoundError as error:
        ours.close()
        raise BadSpec("this host has no TPM for guests (Debian package swtpm)") from error
    return ours
