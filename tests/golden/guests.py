"""Guests of several kinds, as each driver tells its hypervisor of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, GuestVolume, Image, Nic
from pileus.compute.drivers.host_shares import Share
from pileus.compute.drivers.libvirt_domain import Kind, Place, domain_xml
from pileus.compute.drivers.qemu_command import command
from pileus.compute.drivers.qemu_devices import assign_slots, disk_names
from pileus.compute.drivers.qemu_launch import DiskFile, Launch, hardware_of
from pileus.compute.hardware import hardware_of as resolved

VCPUS, MEMORY_MB = 4, 512
# What image and flavor say, by what it is about.
MACHINES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "plain": ({}, {}),
    "modern": ({"hw_firmware_type": "uefi", "os_secure_boot": "required", "hw_disk_bus": "scsi", "os_type": "windows",
                "hw_video_model": "virtio", "hw_pointer_model": "usbtablet", "hw_watchdog_action": "poweroff",
                "hw_serial_port_count": "2"},
               {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb", "hw:cpu_sockets": "2", "hw:serial_port_count": "2",
                "hw:viommu_model": "intel", "hw:pmu": "false", "hw:hide_hypervisor_id": "true"}),
    "old": ({"hw_machine_type": "pc", "hw_disk_bus": "ide", "hw_vif_model": "e1000", "hw_video_model": "cirrus",
             "hw_time_hpet": "true"}, {"hw:boot_menu": "true", "hw_rng:allowed": "false"}),
    "divided": ({}, {"hw:numa_nodes": "2", "hw:numa_cpus.0": "0,2,3", "hw:numa_mem.0": "384", "hw:numa_cpus.1": "1",
                     "hw:numa_mem.1": "128", "hw:mem_page_size": "large", "hw:locked_memory": "true",
                     "hw:vif_multiqueue_enabled": "true", "hw:virtio_packed_ring": "true",
                     "hw:maxphysaddr_mode": "passthrough"}),
    "limited": ({}, {"quota:disk_total_iops_sec": "100", "quota:disk_read_bytes_sec": "1000000",
                     "quota:disk_read_bytes_sec_max": "2000000", "quota:disk_read_bytes_sec_max_length": "3",
                     "hw_rng:rate_bytes": "1024", "hw_rng:rate_period": "100"}),
}


def guest(name: str, *, disk_format: str = "qcow2") -> GuestSpec:
    image, flavor = MACHINES[name]
    disks = (Disk(kind=DiskKind.ROOT, size_mb=1024, boot_order=1), Disk(kind=DiskKind.SWAP, size_mb=64),
             Disk(kind=DiskKind.CONFIG))
    return GuestSpec(
        id="2b3c0c1e-4d1a-4a0e-9f0b-6f3a5b9c7d01", name=f"{name}, guest", vcpus=VCPUS, memory_mb=MEMORY_MB,
        image=Image(id="1a", disk_format=disk_format, path="/cache/1a", properties=image), disks=disks,
        nics=(Nic(port_id="p1", mac="fa:16:3e:00:00:01", tap="tap1", mtu=1450),),
        volumes=() if name != "plain" else (
            GuestVolume(volume_id="7c5", socket="/volumes/7c5", export="7c5"),
            GuestVolume(volume_id="8d6", address="192.0.2.7", port=50000, export="8d6")),
        hardware=resolved(image, flavor, vcpus=VCPUS, memory_mb=MEMORY_MB))


def installing() -> GuestSpec:
    """From a CD-ROM, with a kernel besides."""
    spec = guest("plain", disk_format="iso")
    assert spec.image is not None
    image = msgspec.structs.replace(spec.image, kernel_path="/cache/k", ramdisk_path="/cache/r",
                                    properties={"os_command_line": "root=/dev/vda, quiet"})
    return msgspec.structs.replace(spec, image=image, volumes=(), disks=(
        Disk(kind=DiskKind.ROOT, size_mb=1024, boot_order=1), Disk(kind=DiskKind.CDROM, boot_order=2)))


def guests() -> dict[str, GuestSpec]:
    return {name: guest(name) for name in MACHINES} | {"installing": installing()}


def launch_of(spec: GuestSpec) -> Launch:
    limited = bool(hardware_of(spec).disk_limits)
    files = tuple(
        DiskFile(name=name, file=f"disk-{name}", format="qcow2" if disk.kind is DiskKind.ROOT else "raw",
                 cdrom=disk.kind is DiskKind.CDROM, read_only=disk.kind in (DiskKind.CDROM, DiskKind.CONFIG),
                 boot_order=disk.boot_order, limited=limited and disk.kind in (DiskKind.ROOT, DiskKind.SWAP))
        for name, disk in zip(disk_names(spec), spec.disks, strict=True))
    return Launch(program="qemu", accel="kvm" if spec.name.startswith("modern") else "tcg", disks=files,
                  sockets={"monitor": 10, "console": 11, "agent": 12}, slots=assign_slots(spec, {}),
                  cells={0: 1, 1: 0} if "divided" in spec.name else {}, tpm=13 if hardware_of(spec).tpm else None,
                  certificates=Path("/hosts/one"))


def domains() -> dict[str, str]:
    """Every machine as libvirt has it with QEMU, and one as each of the others has it."""
    found = {f"{name}": domain_xml(spec, place_of(spec, "kvm" if name == "modern" else "qemu"))
             for name, spec in guests().items()}
    others: tuple[Kind, ...] = ("lxc", "xen", "vmware", "hyperv")
    plain = msgspec.structs.replace(guest("plain"), volumes=())
    return found | {f"plain, as {kind}": domain_xml(plain, place_of(plain, kind)) for kind in others}


def place_of(spec: GuestSpec, kind: Kind) -> Place:
    share = Share(cells={0: 1, 1: 0}, pins={0: 2, 1: 3}, floating={2: (4, 5, 7), 3: (4, 5, 7)})
    return Place(kind=kind, folder="/guests/one", sockets="/run/one", disks=launch_of(spec).disks,
                 share=share if "divided" in spec.name else Share(), slots=assign_slots(spec, {}),
                 root="/run/one/root" if kind == "lxc" else "")


def libvirt_text() -> str:
    """Root ports are left out: every q35 machine has the same."""
    return "".join(f"== {name}\n" + "".join(
        line for line in text.splitlines(keepends=True) if "pcie-root-port" not in line)
        for name, text in domains().items())


def qemu_text() -> str:
    """An option to a line. Root ports are left out: every q35 machine has the same."""
    lines: list[str] = []
    for name, spec in guests().items():
        lines.append(f"== {name}")
        for word in command(spec, launch_of(spec)):
            if word.startswith("-") and not word.startswith("-1"):
                lines.append(word)
            else:
                lines[-1] += f" {word}"
    return "\n".join(line for line in lines if "pcie-root-port" not in line) + "\n"
