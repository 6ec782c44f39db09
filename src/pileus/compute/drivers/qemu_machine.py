"""The machine of a QEMU guest as arguments: firmware, processors, memory and its nodes, TPM; pure."""

from __future__ import annotations

import json
from pathlib import Path

from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.hardware import Hardware
from pileus.compute.drivers.qemu_launch import BadSpec, JsonObject, Launch, hardware_of, is_q35

OVMF = Path("/usr/share/OVMF")
UEFI_CODE, UEFI_VARIABLES = OVMF / "OVMF_CODE_4M.fd", OVMF / "OVMF_VARS_4M.fd"
SECURE_CODE, SECURE_VARIABLES = OVMF / "OVMF_CODE_4M.ms.fd", OVMF / "OVMF_VARS_4M.ms.fd"
HUGE_PAGES = "/dev/hugepages"
MIB = 1 << 20


def text(value: JsonObject) -> str:
    return json.dumps(value, separators=(",", ":"))


def firmware_files(spec: GuestSpec) -> tuple[Path, Path] | None:
    """Code, and what its variables start as; None for a BIOS."""
    wanted = hardware_of(spec)
    if wanted.secure_boot:
        return SECURE_CODE, SECURE_VARIABLES
    return (UEFI_CODE, UEFI_VARIABLES) if wanted.uefi else None


def machine(spec: GuestSpec, launch: Launch) -> list[str]:
    wanted = hardware_of(spec)
    options, arguments = [wanted.machine, "usb=off"], []
    firmware = firmware_files(spec)
    if firmware is not None:
        code: JsonObject = {"driver": "file", "filename": str(firmware[0]), "node-name": "uefi-code", "read-only": True}
        variables: JsonObject = {"driver": "file", "filename": "uefi-variables", "node-name": "uefi-variables"}
        arguments += ["-blockdev", text(code), "-blockdev", text(variables)]
        options += ["pflash0=uefi-code", "pflash1=uefi-variables"]
    if wanted.secure_boot:
        # Variables may be written by the firmware alone, which runs in a mode of the processor of its own.
        options += ["smm=on"]
        arguments += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    if wanted.hpet is not None:
        options += [f"hpet={'on' if wanted.hpet else 'off'}"]
    memory, nodes = memory_of(spec, wanted, launch.cells)
    if memory and not wanted.numa:
        options += ["memory-backend=memory0"]
    accel, processor = processor_of(spec, launch, wanted)
    found = ["-machine", ",".join(options), "-accel", accel, "-cpu", processor, "-smp", shape(spec, wanted)]
    found += ["-m", f"{spec.memory_mb}M"]
    for backend in memory:
        found += ["-object", text(backend)]
    for node in nodes:
        found += ["-numa", node]
    if wanted.locked_memory:
        found += ["-overcommit", "mem-lock=on"]
    found += ["-smbios", smbios(spec), "-rtc", "base=localtime" if wanted.windows else "base=utc", *arguments]
    if wanted.boot_menu:
        found += ["-boot", "menu=on"]
    return [*found, *kernel(spec)]


def processor_of(spec: GuestSpec, launch: Launch, wanted: Hardware) -> tuple[str, str]:
    """(accelerator, processor)"""
    flags: list[str] = list(launch.cpu_flags)
    if launch.accel == "kvm":
        accel, model = "kvm", launch.cpu_model or "host"
        if wanted.hide_hypervisor:
            flags.append("kvm=off")
        if wanted.windows:
            flags += ["hv-relaxed", "hv-vapic", "hv-spinlocks=0x1fff", "hv-time"]
    else:
        # A larger buffer of translated code costs memory and gains small guests nothing.
        accel, model = f"tcg,tb-size={32 if spec.memory_mb <= 512 else 64}", launch.cpu_model or "max"
        if wanted.hide_hypervisor:
            flags += ["hypervisor=off", "tcg-cpuid=off"]
    if wanted.pmu is not None:
        flags.append(f"pmu={'on' if wanted.pmu else 'off'}")
    if wanted.physical_bits:
        flags.append("host-phys-bits=on" if wanted.physical_bits < 0 else f"phys-bits={wanted.physical_bits}")
    return accel, ",".join([model, *flags])


def shape(spec: GuestSpec, wanted: Hardware) -> str:
    if wanted.topology is None:
        return f"cpus={spec.vcpus},sockets=1,cores={spec.vcpus},threads=1"
    found = wanted.topology
    return f"cpus={spec.vcpus},sockets={found.sockets},cores={found.cores},threads={found.threads}"


def memory_of(spec: GuestSpec, wanted: Hardware, cells: dict[int, int]) -> tuple[list[JsonObject], list[str]]:
    """(backends, nodes); none where a guest has memory of the plain kind."""
    if not (wanted.numa or wanted.page_kb or cells):
        return [], []
    sizes = [node.memory_mb for node in wanted.numa] or [spec.memory_mb]
    backends: list[JsonObject] = []
    for number, size in enumerate(sizes):
        backend: JsonObject = {"qom-type": "memory-backend-ram", "id": f"memory{number}", "size": size * MIB}
        if wanted.page_kb:
            backend |= {"qom-type": "memory-backend-file", "mem-path": HUGE_PAGES, "share": True, "prealloc": True}
        if number in cells:
            backend |= {"host-nodes": [cells[number]], "policy": "bind"}
        backends.append(backend)
    nodes = [",".join([f"node,nodeid={number}", *(f"cpus={some}" for some in ranges(node.cpus)),
                       f"memdev=memory{number}"]) for number, node in enumerate(wanted.numa)]
    return backends, nodes


def ranges(numbers: tuple[int, ...]) -> list[str]:
    """0, 1, 2, 5 is 0-2 and 5."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [f"{first}-{last}" if first != last else str(first) for first, last in found]


def smbios(spec: GuestSpec) -> str:
    """The product's name is what cloud-init knows an OpenStack cloud by."""
    serial = (spec.serial or spec.id).replace(",", ",,")
    return f"type=1,manufacturer=Pileus,product=OpenStack Nova,serial={serial},uuid={spec.id},family=Virtual Machine"


def kernel(spec: GuestSpec) -> list[str]:
    image = spec.image
    if image is None or not image.kernel_path:
        return []
    line = image.properties.get("os_command_line", "root=/dev/vda console=tty0 console=ttyS0")
    ramdisk = ["-initrd", "ramdisk"] if image.ramdisk_path else []
    return ["-kernel", "kernel", "-append", line, *ramdisk]


def iommu(wanted: Hardware) -> JsonObject | None:
    if not wanted.iommu:
        return None
    kind = "intel" if wanted.iommu == "auto" else wanted.iommu
    if not is_q35(wanted) or kind == "smmuv3":
        raise BadSpec(f"an IOMMU of model {wanted.iommu} is not there on machine {wanted.machine}")
    if kind == "virtio":
        return {"driver": "virtio-iommu-pci", "id": "iommu", "bus": "pcie.0", "addr": "0x1d"}
    return {"driver": "intel-iommu", "id": "iommu", "caching-mode": True}
