"""Hosts for the guest driver suite: one class for each driver, all with the same questions to ask of them."""

import asyncio
import base64
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from pileus.compute.drivers import host_facts
from pileus.compute.drivers.base import Disk, DiskKind, GuestDriver, GuestSpec, GuestStopped, Image, Nic, Power
from pileus.compute.drivers.fake import FakeDriver
from pileus.compute.drivers.guest_folder import GuestFolder
from pileus.compute.drivers.libvirt import LibvirtDriver
from pileus.compute.drivers.libvirt_containers import ContainerDriver
from pileus.compute.drivers.libvirt_daemon import ensure_daemon
from pileus.compute.drivers.libvirt_domain import Kind
from pileus.compute.drivers.libvirt_host import LibvirtSettings
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.compute.drivers.taps import in_namespace

CHILD = Path(__file__).with_name("guest_child.py")
GREETING = b"the guest has started"
WAIT_SECONDS = 30.0


def boot_sector(*, goes_off: bool = False, deaf: bool = False) -> bytes:
    """An operating system in one sector: says a line on the serial port, then waits for the power button.

    `goes_off`: powers itself off at once instead. `deaf`: does not listen to the power button.
    """
    ports = {"serial": 0x3F8, "pm_status": 0x600, "pm_enable": 0x602, "pm_control": 0x604}
    head = b"\xfc\x31\xc0\x8e\xd8"  # cld; xor ax,ax; mov ds,ax
    enable = b"\xba" + struct.pack("<H", ports["pm_enable"]) + b"\xb8\x00\x01\xef"  # mov dx; mov ax,0x100; out dx,ax
    put = b"\xba" + struct.pack("<H", ports["serial"])
    # print: lodsb; test al,al; jz done; mov dx,serial; out dx,al; jmp print
    show = b"\xac\x84\xc0\x74\x06" + put + b"\xee\xeb\xf5"
    off = b"\xba" + struct.pack("<H", ports["pm_control"]) + b"\xb8\x00\x20\xef"
    rest = b"\xf4\xeb\xfd"  # hlt; jmp back
    # wait: sti; hlt; mov dx,status; in ax,dx; test ah,1; jz wait
    wait = b"\xfb\xf4\xba" + struct.pack("<H", ports["pm_status"]) + b"\xed\xf6\xc4\x01\x74\xf4"
    tail = off + rest if goes_off else rest if deaf else wait + off + rest
    before = head + enable
    text = GREETING + b"\r\n\0"
    at = 0x7C00 + len(before) + 3 + len(show) + len(tail)
    code = before + b"\xbe" + struct.pack("<H", at) + show + tail + text  # mov si,text
    return code.ljust(510, b"\0") + b"\x55\xaa"


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for something to become so, within a bound."""
    ends = time.monotonic() + WAIT_SECONDS
    while not await holds():
        assert time.monotonic() < ends, f"not within {WAIT_SECONDS:.0f} s: {what}"
        await asyncio.sleep(0.02)


class Host(ABC):
    """A place for drivers to be made in, one after the other, as processes of ours come and go."""

    kind: str
    steps: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drivers: list[GuestDriver] = []

    @abstractmethod
    def make(self) -> GuestDriver:
        """A driver of this host."""

    @abstractmethod
    def spec(self, system: bytes | None = None) -> GuestSpec:
        """A new guest that can be made here."""

    @abstractmethod
    def life(self, driver: GuestDriver, guest_id: str) -> int | None:
        """What changes when a guest is started anew, and only then; None if it is not started."""

    @abstractmethod
    def crash(self, driver: GuestDriver, guest_id: str) -> None:
        """Have the guest's hypervisor die."""

    @abstractmethod
    def goes_off(self) -> bytes | None:
        """A system that powers itself off."""

    @abstractmethod
    def leftovers(self, *specs: GuestSpec) -> list[str]:
        """All there is on the machine of these guests."""

    def from_copy(self, spec: GuestSpec, path: Path, disk_format: str) -> GuestSpec:
        """A new guest whose image is a copy of the disk of another."""
        image = Image(id=str(uuid.uuid4()), disk_format=disk_format, path=str(path))
        return msgspec.structs.replace(spec, id=str(uuid.uuid4()), image=image, nics=(), root=0)

    @abstractmethod
    def beside(self) -> "Host":
        """Another host, of the same kind."""

    def settings(self) -> dict[str, str]:
        return {"kind": self.kind, "folder": str(self.folder)}

    def driver(self) -> GuestDriver:
        driver = self.make()
        self.drivers.append(driver)
        return driver

    async def in_killed_process(self, spec: GuestSpec, *calls: str, at: str = "") -> None:
        """Let another process make the calls, and kill it: at a step, or after the last call."""
        task = self.settings() | {"spec": base64.b64encode(msgspec.msgpack.encode(spec)).decode()}
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(CHILD), json.dumps(task | {"calls": ",".join(calls), "at": at}),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, complaint = await child.communicate()
        assert child.returncode == -signal.SIGKILL, complaint.decode()

    async def clean(self) -> None:
        """After a test, however it ended: no guests and no open handles."""
        for driver in self.drivers:
            await driver.close()
        last = self.make()
        for guest in await last.guests():
            await last.remove(guest.id)
        await last.close()


class FakeHost(Host):
    kind = "fake"
    steps = ("folder", "started")

    def beside(self) -> "FakeHost":
        return FakeHost(self.folder.with_name("other"))

    def make(self) -> FakeDriver:
        return FakeDriver("host-1", self.folder)

    def spec(self, system: bytes | None = None) -> GuestSpec:
        return GuestSpec(id=str(uuid.uuid4()), name="web", vcpus=1, memory_mb=64)

    def life(self, driver: GuestDriver, guest_id: str) -> int | None:
        assert isinstance(driver, FakeDriver)
        guest = driver.known[guest_id]
        return guest.lives if guest.power not in ("off", "suspended") else None

    def crash(self, driver: GuestDriver, guest_id: str) -> None:
        assert isinstance(driver, FakeDriver)
        driver.stop_by_itself(guest_id, "the fake hypervisor crashed")

    def goes_off(self) -> bytes | None:
        return None

    def leftovers(self, *specs: GuestSpec) -> list[str]:
        return [path.name for path in self.folder.iterdir()]


class QemuHost(Host):
    """Guests of one sector in a network namespace, kept in a folder whose path no socket address can hold."""

    kind = "qemu"
    steps = ("folder", "disks", "taps", "started")

    def __init__(self, folder: Path, namespace: Path) -> None:
        super().__init__(folder / ("a-long-name-" * 10) / "instances")
        self.dedicated: frozenset[int] = frozenset()
        self.nodes = host_facts.NODES
        self.images = folder
        self.namespace = namespace

    def settings(self) -> dict[str, str]:
        return super().settings() | {"namespace": str(self.namespace)}

    def beside(self) -> "QemuHost":
        other = self.images / "other"
        other.mkdir()
        return QemuHost(other, self.namespace)

    def make(self) -> GuestDriver:
        return QemuDriver(QemuSettings(
            instances=self.folder, hostname="host-1", namespace=self.namespace, dedicated_cpus=self.dedicated,
            nodes=self.nodes))  # fmt: skip

    def spec(self, system: bytes | None = None) -> GuestSpec:
        guest_id = str(uuid.uuid4())
        path = self.images / f"image-{guest_id}"
        path.write_bytes((system or boot_sector()).ljust(1 << 20, b"\0"))
        tap = f"tap{guest_id[:8]}"
        return GuestSpec(
            id=guest_id,
            name="web",
            vcpus=1,
            memory_mb=64,
            image=Image(id=str(uuid.uuid4()), disk_format="raw", path=str(path)),
            disks=(Disk(kind=DiskKind.ROOT, size_mb=2, boot_order=0), Disk(kind=DiskKind.CONFIG)),
            nics=(Nic(port_id=str(uuid.uuid4()), mac="fa:16:3e:00:00:01", tap=tap, mtu=1450),),
            config_drive={"openstack/latest/meta_data.json": b"{}"},
        )

    def life(self, driver: GuestDriver, guest_id: str) -> int | None:
        folder = GuestFolder(self.folder / guest_id)
        return folder.pid() if folder.locked() else None

    def crash(self, driver: GuestDriver, guest_id: str) -> None:
        pid = self.life(driver, guest_id)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def goes_off(self) -> bytes | None:
        return boot_sector(goes_off=True)

    def leftovers(self, *specs: GuestSpec) -> list[str]:
        found = [entry.name for entry in self.folder.iterdir() if not entry.name.startswith(".")]
        interfaces = in_namespace(self.namespace, lambda: Path("/proc/thread-self/net/dev").read_text())
        found += [nic.tap for spec in specs for nic in spec.nics if f"{nic.tap}:" in interfaces]
        return found + [f"process {pid}" for spec in specs for pid in processes_with(spec.id)]


class LibvirtHost(QemuHost):
    """The same guests as domains of a libvirtd of our own."""

    kind = "libvirt"
    scheme = "qemu"

    def __init__(self, folder: Path, namespace: Path, daemon: Path) -> None:
        super().__init__(folder, namespace)
        self.folder = folder / "instances"
        self.daemon = daemon
        self.uri = ensure_daemon(daemon, namespace, self.scheme)

    def settings(self) -> dict[str, str]:
        return super().settings() | {"uri": self.uri, "sockets": str(self.daemon / "sockets")}

    def beside(self) -> "LibvirtHost":
        other = self.images / "other"
        other.mkdir()
        return LibvirtHost(other, self.namespace, self.daemon)

    def make(self) -> GuestDriver:
        return LibvirtDriver(self.libvirt_settings("qemu"))

    def libvirt_settings(self, kind: Kind) -> LibvirtSettings:
        return LibvirtSettings(
            instances=self.folder, sockets=self.daemon / "sockets", hostname="host-1", uri=self.uri, kind=kind,
            namespace=self.namespace, dedicated_cpus=self.dedicated, nodes=self.nodes)  # fmt: skip

    def life(self, driver: GuestDriver, guest_id: str) -> int | None:
        """The number of its QEMU."""
        return next((pid for pid in processes_with(guest_id) if "qemu" in os.readlink(f"/proc/{pid}/exe")), None)


INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo the guest has started
%s
while :; do /bin/busybox sleep 1 & wait; done
"""


class ContainerHost(LibvirtHost):
    """Containers of a file system with one program, on a libvirtd of our own."""

    kind = "containers"
    scheme = "lxc"

    def make(self) -> GuestDriver:
        return ContainerDriver(self.libvirt_settings("lxc"))

    def beside(self) -> "ContainerHost":
        other = self.images / "other"
        other.mkdir()
        return ContainerHost(other, self.namespace, self.daemon)

    def spec(self, system: bytes | None = None) -> GuestSpec:
        spec = super().spec()
        assert spec.image is not None
        root = self.images / f"root-{spec.id}"
        for folder in ("sbin", "bin", "dev", "proc", "sys"):
            (root / folder).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin")
        init = root / "sbin" / "init"
        init.write_text(INIT % (system or b"trap exit TERM").decode())
        init.chmod(0o755)
        path = Path(spec.image.path)
        path.unlink()
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(path), "8M"], check=True)
        return msgspec.structs.replace(spec, disks=(Disk(kind=DiskKind.ROOT, size_mb=8),), config_drive={})

    def goes_off(self) -> bytes | None:
        return b"/bin/busybox sleep 1; exit"

    def life(self, driver: GuestDriver, guest_id: str) -> int | None:
        """The number of the process that keeps it."""
        return next((pid for pid in processes_with(guest_id) if "libvirt_lxc" in os.readlink(f"/proc/{pid}/exe")), None)


def processes_with(word: str) -> list[int]:
    """Living processes that have the word in their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def add_namespace(name: str) -> Path:
    subprocess.run(["ip", "netns", "add", name], check=True)
    return Path("/run/netns") / name


def remove_namespace(name: str) -> None:
    subprocess.run(["ip", "netns", "del", name], check=True)


async def power_of(driver: GuestDriver, guest_id: str) -> Power | None:
    return next((guest.power for guest in await driver.guests() if guest.id == guest_id), None)


async def started_times(driver: GuestDriver, spec: GuestSpec, times: int) -> None:
    """Wait until the guest has greeted that often."""
    greeting = GREETING if driver.name != "fake" else b"start"

    async def greeted() -> bool:
        return (await driver.console_log(spec.id)).count(greeting) >= times

    await until(greeted, f"{times} greetings on the console")


async def next_stop(driver: GuestDriver) -> GuestStopped:
    async with asyncio.timeout(30):
        return await anext(aiter(driver.events()))
