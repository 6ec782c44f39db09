"""What compute needs of a hypervisor: calls that each name a wanted end, so that repeating one is harmless."""

from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import msgspec

from pileus.compute.drivers.hardware import Hardware, HostCell


class Can(StrEnum):
    """Optional abilities. Placement publishes them as traits; routes refuse what no host can."""

    BOOT_UEFI = "boot-uefi"
    BOOT_SECURE = "boot-secure"
    TPM = "tpm"
    BOOT_KERNEL = "boot-kernel"
    HOTPLUG_PORT = "hotplug-port"
    HOTPLUG_VOLUME = "hotplug-volume"
    MIGRATE_LIVE = "migrate-live"
    RESCUE = "rescue"
    SUSPEND = "suspend"


NO_AGENT = "no guest agent answers in it"


class GuestFailed(Exception):
    """A guest could not be brought to what was wanted; `reason` is plain text for the one who wanted it."""

    def __init__(self, guest_id: str, wanted: str, reason: str) -> None:
        super().__init__(f"Guest {guest_id} could not be {wanted}: {reason}")
        self.guest_id = guest_id
        self.wanted = wanted
        self.reason = reason


class HostFailed(Exception):
    """The host's hypervisor does not tell of itself; the message says why."""


class DiskKind(StrEnum):
    ROOT = "root"
    EPHEMERAL = "ephemeral"
    SWAP = "swap"
    CONFIG = "config"
    RESCUE = "rescue"
    CDROM = "cdrom"  # the image itself, as it is, which nothing is written to


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk the guest is to have, in the order it sees them. Where it lies on the host is the driver's business."""

    kind: DiskKind
    size_mb: int = 0  # root: 0 is as large as the image; config: not used
    boot_order: int | None = None  # the firmware tries the lowest first


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What the root disk starts as. Paths are the host's and filled in there, from its image cache."""

    id: str
    disk_format: str  # raw, qcow2, iso, ami
    sha512: str = ""
    path: str = ""
    kernel_id: str | None = None
    kernel_path: str = ""
    ramdisk_id: str | None = None
    ramdisk_path: str = ""
    properties: dict[str, str] = {}  # os_command_line; of an older conductor also what `hardware` says now


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A network card; `tap` is the name of its interface on the host, made down and left to the network engine."""

    port_id: str
    mac: str
    tap: str
    mtu: int = 1500


class GuestVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume the guest is to have: an NBD export on a unix socket of the host, or with TLS at a port of another one.
    The guest sees its id as serial. `size_gb` is given where it has grown since the guest got it."""

    volume_id: str
    socket: str = ""
    export: str
    address: str = ""
    port: int = 0
    read_only: bool = False
    boot_order: int | None = None
    size_gb: int | None = None


class GuestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All a host has to know of a guest. Travels in messages."""

    id: str
    name: str
    vcpus: int
    memory_mb: int
    image: Image | None = None
    disks: tuple[Disk, ...] = (Disk(kind=DiskKind.ROOT),)
    nics: tuple[Nic, ...] = ()
    config_drive: dict[str, bytes] = {}  # file name -> content; made only where `disks` has a config disk
    volumes: tuple[GuestVolume, ...] = ()
    serial: str = ""  # what the guest's firmware tells as serial number; the id if empty
    root: int = 0  # which root disk: under another number it is made anew from the image, and the older one goes
    rescue: Image | None = None  # what a rescue disk starts as, where `disks` has one
    hardware: Hardware | None = None  # None: what the properties of the image say
    config_drive_format: Literal["iso9660", "vfat"] = "iso9660"


class Power(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"
    SUSPENDED = "suspended"  # not running, with its memory kept in a file


Wanted = Literal["on", "off", "paused", "suspended"]


class GuestSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A guest as it is. `reason` says why it is paused or off where that was not asked for."""

    id: str
    name: str = ""
    power: Power
    reason: str = ""


class GuestStopped(msgspec.Struct, frozen=True, kw_only=True):
    """A guest that ran and does so no more, without having been told to by us."""

    guest_id: str
    power: Power
    reason: str


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host has to give, all of it, used or not."""

    hostname: str
    hypervisor_type: str
    hypervisor_version: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    disk_free_gb: int
    accel: Literal["kvm", "tcg", "none"]
    cpu: dict[str, str | list[str]] = {}  # vendor, model, arch, features
    booted_at: float | None = None  # in seconds since the epoch
    dedicated_cpus: int = 0  # of the vcpus: those set aside for guests that want their own
    threads: bool = False  # its processors are threads that share a core
    cells: tuple[HostCell, ...] = ()
    devices: dict[str, int] = {}  # that can be passed through, by alias


class NicUse(msgspec.Struct, frozen=True, kw_only=True):
    """What went over a network card since the guest was started."""

    mac: str
    rx_octets: int | None = None
    rx_packets: int | None = None
    tx_octets: int | None = None
    tx_packets: int | None = None


class DiskUse(msgspec.Struct, frozen=True, kw_only=True):
    read_bytes: int = 0
    read_requests: int = 0
    write_bytes: int = 0
    write_requests: int = 0
    errors: int = 0


class Diagnostics(msgspec.Struct, frozen=True, kw_only=True):
    """What a guest does right now, as far as its hypervisor knows."""

    power: Power
    uptime: int | None = None  # seconds
    cpu_seconds: tuple[float, ...] = ()  # of each processor
    memory_mb: int = 0
    memory_used_mb: int | None = None
    nics: tuple[NicUse, ...] = ()
    disks: tuple[DiskUse, ...] = ()


class GuestDisks(Protocol):
    """The part of the interface that is about what is on a guest's disks."""

    async def snapshot(self, guest_id: str, into: Path) -> str:
        """Write the root disk, as it is at one moment, into a new file that needs no other; its format.

        A guest that runs goes on running. What is at `into` is written over. Raises GuestFailed.
        """
        ...

    async def files(self, guest_id: str) -> dict[str, int]:
        """The names and sizes of the files another host needs to have this guest; one that is off, or suspended."""
        ...

    async def read(self, guest_id: str, name: str, offset: int, length: int) -> bytes:
        """A piece of one of those files; shorter, or empty, at its end. Raises GuestFailed."""
        ...

    async def receive(self, spec: GuestSpec, name: str, offset: int, piece: bytes) -> None:
        """Write a piece of a file of a guest that is to come here, and is off. Written again: nothing more."""
        ...


class GuestInsides(Protocol):
    """The part of the interface that is about what goes on in a guest that runs."""

    async def set_password(self, guest_id: str, user: str, password: str) -> None:
        """Through the agent in the guest. Raises GuestFailed where none answers."""
        ...

    async def interrupt(self, guest_id: str) -> None:
        """Send the interrupt that makes a kernel dump its memory, or do what else it is set to do."""
        ...

    async def diagnostics(self, guest_id: str) -> Diagnostics:
        """Raises GuestFailed for one that is off."""
        ...

    async def console(self, guest_id: str, kind: Literal["vnc", "serial"]) -> Path:
        """The socket its screen, or its serial port, is at. Raises GuestFailed for one that is off."""
        ...


class GuestDriver(GuestDisks, GuestInsides, Protocol):
    """The interface. One guest is never asked for two things at once; different guests are.

    Every call may be made again after any crash, of the caller, of the driver's process or of the host.
    An unknown guest is GuestFailed unless the call says otherwise.
    """

    name: ClassVar[str]

    @property
    def can(self) -> frozenset[Can]:
        """What this host is able to do beyond the calls below."""
        ...

    async def prepare(self, spec: GuestSpec) -> None:
        """Make the guest's disks, without anything that runs. Already so: do nothing. Raises GuestFailed; what was
        made until then goes with `remove`."""
        ...

    async def ensure(self, spec: GuestSpec) -> GuestSeen:
        """Bring about disks, taps and a guest started but paused, ready to run.

        Already so: one that is paused or running stays as it is, and a changed spec takes effect when it next
        starts; one that is off is started, paused. Raises GuestFailed; what was made until then goes with `remove`.
        """
        ...

    async def adjust(self, spec: GuestSpec) -> GuestSeen:
        """Give the guest the network cards and volumes that `spec` names, and no other: at once if it runs, else when
        it starts.

        Already so: do nothing. Raises GuestFailed, also where a guest does not let go of one; ask again then.
        """
        ...

    async def run(self, guest_id: str) -> GuestSeen:
        """Let a paused guest run. Already running: do nothing. Raises GuestFailed, also for one that is off."""
        ...

    async def remove(self, guest_id: str) -> None:
        """Stop the guest at once and delete all the host keeps of it. Unknown guest: do nothing."""
        ...

    async def power(self, guest_id: str, wanted: Wanted, *, soft_seconds: float = 0) -> GuestSeen:
        """Bring the guest to running, off, paused or suspended; with `soft_seconds`, off asks it politely first and
        waits that long. On lets a suspended one go on where it was; off lets go of its memory.

        Already so: do nothing. Raises GuestFailed, also for pausing or suspending one that is off.
        """
        ...

    async def reboot(self, guest_id: str, *, hard: bool, soft_seconds: float = 60) -> GuestSeen:
        """Restart the guest; hard, or when it did not go down in time, as a new start from its latest spec.

        One that is off is started. Said twice is rebooted twice. Raises GuestFailed.
        """
        ...

    async def guests(self) -> list[GuestSeen]:
        """Every guest of ours on this host, running or not, half-made ones too: what reconciliation believes.

        Takes charge of guests that an earlier process of ours left running. Raises nothing for a guest in a bad way.
        """
        ...

    async def console_log(self, guest_id: str, lines: int | None = None) -> bytes:
        """The last lines the guest wrote to its serial console, or all that is kept. Never started: empty."""
        ...

    async def host_facts(self) -> HostFacts:
        """What this host has to give. Raises nothing."""
        ...

    def events(self) -> AsyncIterator[GuestStopped]:
        """Guests that stopped by themselves, as it happens, until `close`. For one reader; `guests` is the truth."""
        ...

    async def close(self) -> None:
        """Let go of handles; guests keep running. Already closed: do nothing."""
        ...
