"""The devices of a QEMU guest, each with its place on a bus; pure."""

from __future__ import annotations

from pileus.compute.drivers.base import DiskKind, GuestSpec, Nic
from pileus.compute.drivers.guest_volumes import device as volume_device
from pileus.compute.drivers.guest_volumes import device_id
from pileus.compute.drivers.hardware import Hardware
from pileus.compute.drivers.qemu_launch import (
    NIC_MODELS,
    SCREEN_MEMORY,
    SCREENS,
    SCSI_MODELS,
    BadSpec,
    DiskFile,
    JsonObject,
    Launch,
    bus_of,
    hardware_of,
    is_q35,
    one_of,
)
from pileus.compute.drivers.qemu_machine import iommu

ROOT_PORTS = 24
FIRST_SLOT = 2  # of the root complex; 0 is the host bridge
SCREEN_PLACE = "0x1e"  # behind all other devices, on both machines
SATA_PORTS, IDE_PLACES = 6, 4
MOST_QUEUES = 256
DRIVERS = {"virtio": "virtio-blk-pci", "scsi": "scsi-hd", "sata": "ide-hd", "ide": "ide-hd", "usb": "usb-storage"}
CDROMS = {"scsi": "scsi-cd", "sata": "ide-cd", "ide": "ide-cd", "usb": "usb-storage"}


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


def disk_buses(spec: GuestSpec) -> dict[str, str]:
    """The bus of each disk, by its name."""
    return {name: bus_of(spec, disk.kind) for name, disk in zip(disk_names(spec), spec.disks, strict=True)}


def assign_slots(spec: GuestSpec, before: dict[str, int]) -> dict[str, int]:
    """A place on the bus for each device. One that had a place keeps it: guests name devices by their places, the disk
    that they start from first, and volumes after all other disks; `volumes.free_device` counts on that."""
    hardware, used = hardware_of(spec), set(disk_buses(spec).values())
    disks, volumes = named_disks(spec)
    wanted = [*disks, *(f"nic-{nic.port_id}" for nic in spec.nics), *volumes]
    wanted += [f"device-{number}" for number in range(sum(hardware.devices.values()))]
    more = {"serial-bus": True, "random": hardware.random, "balloon": True, "scsi-bus": "scsi" in used,
            "sata-bus": "sata" in used and not is_q35(hardware), "usb-bus": "usb" in used or hardware.tablet == "usb",
            "tablet": hardware.tablet == "virtio", "watchdog": bool(hardware.watchdog)}  # fmt: skip
    wanted += [name for name, there in more.items() if there]
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


def named_disks(spec: GuestSpec) -> tuple[list[str], list[str]]:
    """The devices that guests call vda, vdb and so on, in the order of these names: those at their places before the
    network cards, and volumes."""
    volumes = {device_id(volume.volume_id): volume.boot_order is not None for volume in spec.volumes}
    local = [f"disk-{name}" for name, bus in disk_buses(spec).items() if bus == "virtio"]
    return [*(name for name, root in volumes.items() if root), *local], [n for n, root in volumes.items() if not root]


def in_order(spec: GuestSpec, slots: dict[str, int]) -> dict[str, int]:
    """The places that a guest which starts anew has: it names its disks by them, and volumes came and went in any
    order."""
    disks, volumes = named_disks(spec)
    names = disks + volumes
    return slots | dict(zip(names, sorted(slots[name] for name in names), strict=True))


def devices(spec: GuestSpec, launch: Launch) -> list[JsonObject]:
    wanted = hardware_of(spec)
    found = [root_port(index) for index in range(ROOT_PORTS)] if is_q35(wanted) else []
    if (unit := iommu(wanted)) is not None:
        found.insert(0, unit)

    def placed(name: str, device: JsonObject) -> JsonObject:
        return device | {"id": name} | place(spec, launch.slots[name])

    buses = {"scsi-bus": SCSI_MODELS.get(wanted.scsi_model, ""), "sata-bus": "ich9-ahci", "usb-bus": "qemu-xhci"}
    found += [placed(name, {"driver": driver}) for name, driver in buses.items() if name in launch.slots]
    found += disks(spec, launch)
    found += [placed(device_id(each.volume_id), volume_device(each)) for each in spec.volumes]
    one_of("network card", wanted.nic_model, NIC_MODELS)  # refused from the start, not when the first card comes
    found += [nic_device(spec, nic, launch.slots) for nic in spec.nics]
    found += screen(wanted)
    found.append(serial_port("console", "serial0"))
    found += [serial_port(name, name) for name in more_serial_ports(wanted)]
    found.append(placed("serial-bus", {"driver": "virtio-serial-pci"}))
    found.append({"driver": "virtserialport", "bus": "serial-bus.0", "chardev": "agent", "id": "agent-port",
                  "name": "org.qemu.guest_agent.0"})  # fmt: skip
    if wanted.random:
        found.append(placed("random", random_device(wanted)))
    found += [placed(f"device-{number}", {"driver": "vfio-pci", "host": address})
              for number, address in enumerate(launch.devices)]  # fmt: skip
    found.append(placed("balloon", {"driver": "virtio-balloon-pci"}))
    if wanted.tablet == "usb":
        found.append({"driver": "usb-tablet", "id": "tablet", "bus": "usb-bus.0"})
    if wanted.tablet == "virtio":
        found.append(placed("tablet", {"driver": "virtio-tablet-pci"}))
    if wanted.watchdog:
        found.append(placed("watchdog", {"driver": "i6300esb"}))
    if wanted.tpm:
        found.append({"driver": wanted.tpm, "tpmdev": "tpm0", "id": "tpm"})
    return found


def disks(spec: GuestSpec, launch: Launch) -> list[JsonObject]:
    buses = disk_buses(spec)
    hardware = hardware_of(spec)
    taken = {"sata": 0, "ide": 0}
    found: list[JsonObject] = []
    for disk in launch.disks:
        name, bus = f"disk-{disk.name}", buses[disk.name]
        if disk.cdrom and bus not in CDROMS:
            raise BadSpec(f"disk bus {bus} has no CD-ROMs")
        device: JsonObject = {"driver": (CDROMS if disk.cdrom else DRIVERS)[bus], "drive": top_node(disk)}
        device["serial"] = disk.name
        if disk.boot_order is not None:
            # A kernel that is started directly has index 0.
            device["bootindex"] = disk.boot_order + 1
        device["id"] = name
        if bus == "virtio":
            device |= packed(hardware) | place(spec, launch.slots[name])
        elif bus in ("scsi", "usb"):
            device["bus"] = f"{bus}-bus.0"
        else:
            device |= ata_place(hardware, bus, taken[bus])
            taken[bus] += 1
        found.append(device)
    return found


def packed(hardware: Hardware) -> JsonObject:
    return {"packed": True} if hardware.packed_ring else {}


def ata_place(hardware: Hardware, bus: str, number: int) -> JsonObject:
    """A SATA port each; two to a cable of IDE."""
    most = SATA_PORTS if bus == "sata" else IDE_PLACES
    if number >= most:
        raise BadSpec(f"a guest has room for {most} disks at {bus}")
    if bus == "ide":
        return {"bus": f"ide.{number // 2}", "unit": number % 2}
    return {"bus": f"ide.{number}" if is_q35(hardware) else f"sata-bus.{number}"}


def top_node(disk: DiskFile) -> str:
    return f"limited-{disk.name}" if disk.limited else f"disk-{disk.name}"


def screen(wanted: Hardware) -> list[JsonObject]:
    driver = SCREENS[wanted.video]
    if not driver:
        return []
    device: JsonObject = {"driver": driver, "id": "screen"}
    if wanted.video_memory_mb:
        device[SCREEN_MEMORY[wanted.video]] = wanted.video_memory_mb
    return [device | {"bus": "pcie.0" if is_q35(wanted) else "pci.0", "addr": SCREEN_PLACE}]


def random_device(wanted: Hardware) -> JsonObject:
    device: JsonObject = {"driver": "virtio-rng-pci"}
    if wanted.random_bytes:
        device |= {"max-bytes": wanted.random_bytes, "period": wanted.random_period_ms or 1000}
    return device


def serial_port(end: str, name: str) -> JsonObject:
    return {"driver": "isa-serial", "chardev": end, "id": name}


def more_serial_ports(wanted: Hardware) -> list[str]:
    """Beyond the first, which is the console."""
    return [f"serial{number}" for number in range(1, wanted.serial_ports)]


def place(spec: GuestSpec, slot: int) -> JsonObject:
    """Where on the bus a slot is."""
    if is_q35(hardware_of(spec)):
        return {"bus": f"port{slot}"}
    return {"bus": "pci.0", "addr": hex(FIRST_SLOT + slot)}


def queues_of(spec: GuestSpec) -> int:
    """How many pairs of queues a card has."""
    return min(spec.vcpus, MOST_QUEUES) if hardware_of(spec).multiqueue else 1


def nic_backend(spec: GuestSpec, nic: Nic) -> JsonObject:
    found: JsonObject = {"type": "tap", "id": f"net-{nic.port_id}", "ifname": nic.tap, "script": "no",
                         "downscript": "no"}  # fmt: skip
    return found | ({"queues": count} if (count := queues_of(spec)) > 1 else {})


def nic_device(spec: GuestSpec, nic: Nic, slots: dict[str, int]) -> JsonObject:
    wanted = hardware_of(spec)
    one_of("network card", wanted.nic_model, NIC_MODELS)
    model = NIC_MODELS[wanted.nic_model]
    card: JsonObject = {"driver": model, "netdev": f"net-{nic.port_id}", "mac": nic.mac, "id": f"nic-{nic.port_id}"}
    if model == "virtio-net-pci":
        card |= {"host_mtu": nic.mtu} | packed(wanted)
        if (count := queues_of(spec)) > 1:
            card |= {"mq": True, "vectors": 2 * count + 2}
    return card | place(spec, slots[f"nic-{nic.port_id}"])


def root_port(index: int) -> JsonObject:
    """Eight to a slot: hot-plugged devices each need a port that was there from the start."""
    port: JsonObject = {"driver": "pcie-root-port", "id": f"port{index}", "bus": "pcie.0", "port": 16 + index}
    port |= {"chassis": index + 1, "addr": f"{hex(FIRST_SLOT + index // 8)}.{index % 8}"}
    return port | {"multifunction": True} if index % 8 == 0 else port
