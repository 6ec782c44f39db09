"""A guest's description as the arguments of QEMU; pure, so it can be read and tested without one."""

import json
import re
from pathlib import Path
from typing import Literal

import msgspec

from pileus.compute.drivers.base import DiskKind, GuestSpec, Nic
from pileus.compute.drivers.guest_folder import SCREEN
from pileus.compute.drivers.guest_volumes import device as volume_device
from pileus.compute.drivers.guest_volumes import device_id, node

ROOT_PORTS = 24
FIRST_SLOT = 2  # of the root complex; 0 is the host bridge
UEFI_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
UEFI_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
TAP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
DISK_BUSES = {"virtio": "virtio-blk-pci", "scsi": "scsi-hd"}
NIC_MODELS = {"virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139"}
ROOT_BUSES = {"q35": "pcie.0", "pc": "pci.0"}
SCREEN_PLACE = "0x1e"  # behind all other devices, on both machines
MACHINES = {"q35": "q35", "pc": "pc"}
FIRMWARES = ("bios", "uefi")

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


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What QEMU is started with beyond the guest's own description."""

    program: str
    accel: Literal["kvm", "tcg"]
    sockets: dict[str, int]  # name -> descriptor of a listening socket
    disks: tuple[DiskFile, ...]
    slots: dict[str, int]
    memory: int | None = None  # descriptor of what a suspended guest goes on from


def disk_names(spec: GuestSpec) -> list[str]:
    """A name for each of the guest's disks, in order: root, ephemeral0, ephemeral1, swap0, config0."""
    counts: dict[DiskKind, int] = {}
    names: list[str] = []
    for disk in spec.disks:
        count = counts.get(disk.kind, 0)
        counts[disk.kind] = count + 1
        if disk.kind in (DiskKind.ROOT, DiskKind.RESCUE) and count:
            raise BadSpec(f"a guest has one {disk.kind} disk only")
        alone = disk.kind in (DiskKind.ROOT, DiskKind.RESCUE)
        names.append(str(disk.kind) if alone else f"{disk.kind}{count}")
    return names


def must_be_possible(spec: GuestSpec) -> None:
    """Raise BadSpec for what no start could make good."""
    if spec.vcpus < 1 or spec.memory_mb < 1:
        raise BadSpec("a guest needs a processor and memory")
    for disk in spec.disks:
        from_image = disk.kind is DiskKind.ROOT and spec.image is not None or disk.kind is DiskKind.RESCUE
        if disk.size_mb < 1 and not from_image and disk.kind is not DiskKind.CONFIG:
            raise BadSpec(f"a {disk.kind} disk needs a size")
    for nic in spec.nics:
        if not TAP_NAME.fullmatch(nic.tap):
            raise BadSpec(f"{nic.tap!r} cannot be the name of a network interface")


def property_of(spec: GuestSpec, name: str, default: str, allowed: dict[str, str] | tuple[str, ...]) -> str:
    value = spec.image.properties.get(name, default) if spec.image else default
    if value not in allowed:
        raise BadSpec(f"image property {name}={value} is not supported by this host; {', '.join(allowed)} are")
    return value


def wants_uefi(spec: GuestSpec) -> bool:
    return property_of(spec, "hw_firmware_type", "bios", FIRMWARES) == "uefi"


def assign_slots(spec: GuestSpec, before: dict[str, int]) -> dict[str, int]:
    """A place on the bus for each device. One that had a place keeps it: guests name devices by their places."""
    wanted = [*(f"disk-{name}" for name in disk_names(spec)), *(f"nic-{nic.port_id}" for nic in spec.nics)]
    wanted += [device_id(volume.volume_id) for volume in spec.volumes]
    wanted += ["serial-bus", "random", "balloon"]
    if property_of(spec, "hw_disk_bus", "virtio", DISK_BUSES) == "scsi":
        wanted.append("scsi-bus")
    slots = {name: slot for name, slot in before.items() if name in wanted}
    if ("disk-rescue" in wanted) != ("disk-rescue" in before):
        slots.pop("disk-root", None)  # the first place is for the disk that the firmware finds first
    free = (slot for slot in range(ROOT_PORTS) if slot not in slots.values())
    for name in wanted:
        if name not in slots:
            slot = next(free, None)
            if slot is None:
                raise BadSpec(f"a guest has room for {ROOT_PORTS} devices and this one wants {len(wanted)}")
            slots[name] = slot
    return slots


def command(spec: GuestSpec, launch: Launch) -> list[str]:
    """The whole argument list. The guest is not let run; devices are all JSON, since QEMU makes those last."""
    arguments = [launch.program, "-name", f"guest={spec.name.replace(',', ',,')},debug-threads=on", "-uuid", spec.id]
    arguments += ["-S", "-no-shutdown", "-nodefaults", "-no-user-config", "-display", "none", "-sandbox", SANDBOX]
    arguments += ["-pidfile", "pid", "-msg", "timestamp=on"]
    arguments += machine(spec, launch)
    arguments += channels(launch)
    for disk in launch.disks:
        arguments += ["-blockdev", text(block_node(disk))]
    for volume in spec.volumes:
        arguments += ["-blockdev", text(node(volume))]
    for nic in spec.nics:
        arguments += ["-netdev", text(nic_backend(nic))]
    if launch.memory is not None:
        arguments += ["-incoming", f"fd:{launch.memory}"]
    arguments += ["-vnc", f"unix:{SCREEN}"]
    for device in devices(spec, launch):
        arguments += ["-device", text(device)]
    return arguments


def machine(spec: GuestSpec, launch: Launch) -> list[str]:
    kind = property_of(spec, "hw_machine_type", "q35", MACHINES)
    options = f"{kind},usb=off"
    firmware: list[str] = []
    if wants_uefi(spec):
        code: JsonObject = {"driver": "file", "filename": str(UEFI_CODE), "node-name": "uefi-code", "read-only": True}
        variables: JsonObject = {"driver": "file", "filename": "uefi-variables", "node-name": "uefi-variables"}
        firmware = ["-blockdev", text(code), "-blockdev", text(variables)]
        options += ",pflash0=uefi-code,pflash1=uefi-variables"
    if launch.accel == "kvm":
        accel = ["-accel", "kvm", "-cpu", "host"]
    else:
        # A larger buffer of translated code costs memory and gains small guests nothing.
        accel = ["-accel", f"tcg,tb-size={32 if spec.memory_mb <= 512 else 64}", "-cpu", "max"]
    serial = (spec.serial or spec.id).replace(",", ",,")
    # The product's name is what cloud-init knows an OpenStack cloud by.
    told = f"type=1,manufacturer=Pileus,product=OpenStack Nova,serial={serial},uuid={spec.id},family=Virtual Machine"
    arguments = ["-machine", options, *accel, "-smp", f"cpus={spec.vcpus},sockets=1,cores={spec.vcpus},threads=1"]
    arguments += ["-m", f"{spec.memory_mb}M", "-smbios", told, "-rtc", "base=utc", *firmware]
    image = spec.image
    if image is not None and image.kernel_path:
        line = image.properties.get("os_command_line", "root=/dev/vda console=tty0 console=ttyS0")
        arguments += ["-kernel", "kernel", "-append", line]
        if image.ramdisk_path:
            arguments += ["-initrd", "ramdisk"]
    return arguments


def channels(launch: Launch) -> list[str]:
    """Monitor, console and guest agent, each on a socket that listens already."""
    ends = {name: f"socket,id={name},fd={fd},server=on,wait=off" for name, fd in launch.sockets.items()}
    ends["console"] += ",logfile=console.log,logappend=on"
    arguments: list[str] = []
    for end in ends.values():
        arguments += ["-chardev", end]
    return [*arguments, "-mon", "chardev=monitor,mode=control"]


def block_node(disk: DiskFile) -> JsonObject:
    file: JsonObject = {"driver": "file", "filename": disk.file, "discard": "unmap"}
    node: JsonObject = {"driver": disk.format, "node-name": f"disk-{disk.name}", "file": file, "discard": "unmap"}
    if disk.read_only:
        node["read-only"] = True
        file["read-only"] = True
    return node


def devices(spec: GuestSpec, launch: Launch) -> list[JsonObject]:
    kind = property_of(spec, "hw_machine_type", "q35", MACHINES)
    found: list[JsonObject] = []
    if kind == "q35":
        found += [root_port(index) for index in range(ROOT_PORTS)]

    def placed(name: str, device: JsonObject) -> JsonObject:
        return device | {"id": name} | place(spec, launch.slots[name])

    bus = property_of(spec, "hw_disk_bus", "virtio", DISK_BUSES)
    if bus == "scsi":
        found.append(placed("scsi-bus", {"driver": "virtio-scsi-pci"}))
    for disk in launch.disks:
        name = f"disk-{disk.name}"
        device: JsonObject = {"driver": DISK_BUSES[bus], "drive": name, "serial": disk.name}
        if disk.boot_order is not None:
            # A kernel that is started directly has index 0.
            device["bootindex"] = disk.boot_order + 1
        found.append(device | {"id": name, "bus": "scsi-bus.0"} if bus == "scsi" else placed(name, device))
    found += [placed(device_id(each.volume_id), volume_device(each)) for each in spec.volumes]
    nic_model(spec)                # refused from the start, not when the first card comes
    found += [nic_device(spec, nic, launch.slots) for nic in spec.nics]
    found.append({"driver": "VGA", "id": "screen", "bus": ROOT_BUSES[kind], "addr": SCREEN_PLACE})
    found.append({"driver": "isa-serial", "chardev": "console", "id": "serial0"})
    found.append(placed("serial-bus", {"driver": "virtio-serial-pci"}))
    found.append({"driver": "virtserialport", "bus": "serial-bus.0", "chardev": "agent", "id": "agent-port",
                  "name": "org.qemu.guest_agent.0"})  # fmt: skip
    found.append(placed("random", {"driver": "virtio-rng-pci"}))
    found.append(placed("balloon", {"driver": "virtio-balloon-pci"}))
    return found


def place(spec: GuestSpec, slot: int) -> JsonObject:
    """Where on the bus a slot is."""
    if property_of(spec, "hw_machine_type", "q35", MACHINES) == "q35":
        return {"bus": f"port{slot}"}
    return {"bus": "pci.0", "addr": hex(FIRST_SLOT + slot)}


def nic_backend(nic: Nic) -> JsonObject:
    return {"type": "tap", "id": f"net-{nic.port_id}", "ifname": nic.tap, "script": "no", "downscript": "no"}


def nic_model(spec: GuestSpec) -> str:
    return NIC_MODELS[property_of(spec, "hw_vif_model", "virtio", NIC_MODELS)]


def nic_device(spec: GuestSpec, nic: Nic, slots: dict[str, int]) -> JsonObject:
    model = nic_model(spec)
    card: JsonObject = {"driver": model, "netdev": f"net-{nic.port_id}", "mac": nic.mac, "id": f"nic-{nic.port_id}"}
    if model == "virtio-net-pci":
        card["host_mtu"] = nic.mtu
    return card | place(spec, slots[f"nic-{nic.port_id}"])


def root_port(index: int) -> JsonObject:
    """Eight to a slot: hot-plugged devices each need a port that was there from the start."""
    port: JsonObject = {"driver": "pcie-root-port", "id": f"port{index}", "bus": "pcie.0", "port": 16 + index}
    port |= {"chassis": index + 1, "addr": f"{hex(FIRST_SLOT + index // 8)}.{index % 8}"}
    return port | {"multifunction": True} if index % 8 == 0 else port


def text(value: JsonObject) -> str:
    return json.dumps(value, separators=(",", ":"))
