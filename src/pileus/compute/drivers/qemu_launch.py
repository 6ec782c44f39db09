"""What the parts of QEMU's command line share: the start of a guest, and its hardware as this host has it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from pileus.compute.drivers.base import DiskKind, GuestSpec
from pileus.compute.drivers.hardware import Hardware
from pileus.compute.hardware import BadHardware
from pileus.compute.hardware import hardware_of as resolved

TAP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
MACHINE = re.compile(r"q35|pc|pc-q35-[0-9.]+|pc-i440fx-[0-9.]+")
MOST_SERIAL_PORTS = 4
DISK_BUSES = ("virtio", "scsi", "sata", "ide", "usb")
SCSI_MODELS = {"virtio-scsi": "virtio-scsi-pci", "lsilogic": "lsi53c895a", "lsisas1068": "mptsas1068",
               "lsisas1078": "megasas", "vmpvscsi": "pvscsi"}  # fmt: skip
NIC_MODELS = {"virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139",
              "pcnet": "pcnet", "ne2k_pci": "ne2k_pci", "vmxnet3": "vmxnet3"}  # fmt: skip
SCREENS = {"vga": "VGA", "cirrus": "cirrus-vga", "vmvga": "vmware-svga", "virtio": "virtio-vga",
           "bochs": "bochs-display", "none": ""}  # fmt: skip
SCREEN_MEMORY = {"vga": "vgamem_mb", "vmvga": "vgamem_mb"}

JsonObject = dict[str, object]


class BadSpec(Exception):
    """The guest asks for what this host cannot make; the message says what."""


class DiskFile(msgspec.Struct, frozen=True, kw_only=True):
    """A disk as the command line names it; `name` is unique in the guest and stays the same for its life."""

    name: str
    file: str  # relative to the guest's folder
    format: str
    read_only: bool = False
    boot_order: int | None = None
    cdrom: bool = False
    limited: bool = False  # by what the flavor allows


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What QEMU is started with beyond the guest's own description."""

    program: str
    accel: Literal["kvm", "tcg"]
    sockets: dict[str, int]  # name -> descriptor of a listening socket
    disks: tuple[DiskFile, ...]
    slots: dict[str, int]
    devices: tuple[str, ...] = ()  # addresses of the host's that are passed through
    cells: dict[int, int] = {}  # its NUMA node -> the host's that its memory comes from
    memory: int | None = None  # descriptor of what a suspended guest goes on from
    tpm: int | None = None  # descriptor of the connection to its TPM
    cpu_model: str = ""  # the accelerator's best if empty
    cpu_flags: tuple[str, ...] = ()
    certificates: Path | None = None  # of the host, for volumes of others


def hardware_of(spec: GuestSpec) -> Hardware:
    """As it came, or as its image says where it came from an older conductor. Raises BadSpec."""
    if spec.hardware is not None:
        return spec.hardware
    try:
        return resolved(spec.image.properties if spec.image else {}, {}, vcpus=spec.vcpus, memory_mb=spec.memory_mb)
    except BadHardware as error:
        raise BadSpec(str(error)) from error


def is_q35(wanted: Hardware) -> bool:
    return "q35" in wanted.machine


def cdrom_bus(wanted: Hardware) -> str:
    return wanted.cdrom_bus or ("sata" if is_q35(wanted) else "ide")


def bus_of(spec: GuestSpec, kind: DiskKind) -> str:
    wanted = hardware_of(spec)
    if kind is DiskKind.CDROM or kind is DiskKind.RESCUE and wanted.rescue_cdrom:
        return cdrom_bus(wanted)
    return wanted.rescue_bus or wanted.disk_bus if kind is DiskKind.RESCUE else wanted.disk_bus


def must_be_possible(spec: GuestSpec) -> None:
    """Raise BadSpec for what no start could make good."""
    if spec.vcpus < 1 or spec.memory_mb < 1:
        raise BadSpec("a guest needs a processor and memory")
    for disk in spec.disks:
        from_image = disk.kind is DiskKind.ROOT and spec.image is not None or disk.kind in (
            DiskKind.RESCUE, DiskKind.CDROM)  # fmt: skip
        if disk.size_mb < 1 and not from_image and disk.kind is not DiskKind.CONFIG:
            raise BadSpec(f"a {disk.kind} disk needs a size")
    for nic in spec.nics:
        if not TAP_NAME.fullmatch(nic.tap):
            raise BadSpec(f"{nic.tap!r} cannot be the name of a network interface")
    must_be_here(spec)


def one_of(what: str, value: str, allowed: object) -> None:
    assert isinstance(allowed, dict | tuple)
    if value not in allowed:
        raise BadSpec(f"{what} {value} is not supported by this host; {', '.join(allowed)} are")


def must_be_here(spec: GuestSpec) -> None:
    """Raise BadSpec for hardware that QEMU on a PC does not have."""
    wanted = hardware_of(spec)
    if wanted.impossible:
        raise BadSpec(f"this host has no {', '.join(wanted.impossible)}")
    if not MACHINE.fullmatch(wanted.machine):
        raise BadSpec(f"machine {wanted.machine} is not supported by this host; q35 and pc are, or a version of them")
    for disk in spec.disks:
        bus = bus_of(spec, disk.kind)
        one_of("disk bus", bus, DISK_BUSES)
        if bus == "ide" and is_q35(wanted):
            raise BadSpec("a machine of type q35 has no IDE disks; sata is what it has")
    one_of("SCSI controller", wanted.scsi_model, SCSI_MODELS)
    one_of("network card", wanted.nic_model, NIC_MODELS)
    one_of("video card", wanted.video, SCREENS)
    if wanted.video_memory_mb and wanted.video not in SCREEN_MEMORY:
        raise BadSpec(f"the memory of video card {wanted.video} cannot be chosen")
    if wanted.serial_ports > MOST_SERIAL_PORTS:
        raise BadSpec(f"Maximum number of serial port exceeds {MOST_SERIAL_PORTS} for qemu")
    if wanted.secure_boot and not is_q35(wanted):
        raise BadSpec("secure boot needs a machine of type q35")
    if wanted.tpm and wanted.tpm_version != "2.0":
        raise BadSpec("a TPM here is of version 2.0")
    if wanted.cpu_share is not None:
        raise BadSpec("Requested CPU control policy not supported by host: processors are shared equally by all guests")
