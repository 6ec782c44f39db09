"""A guest's description as the domain XML of libvirt; pure, so it can be read and held against libvirt's own schema."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from typing import Literal

import msgspec

from pileus.compute.drivers.base import GuestSpec, GuestVolume, Nic
from pileus.compute.drivers.guest_volumes import device_id
from pileus.compute.drivers.hardware import Hardware, NetworkLimit
from pileus.compute.drivers.host_shares import Share
from pileus.compute.drivers.qemu_devices import disk_buses
from pileus.compute.drivers.qemu_launch import BadSpec, DiskFile, hardware_of, is_q35
from pileus.compute.drivers.qemu_machine import firmware_files, ranges

Kind = Literal["qemu", "kvm", "lxc", "xen", "vmware", "hyperv"]
EMULATED = ("qemu", "kvm")
ROOT_PORTS = 24
VOLUMES_THREAD = 1  # of volumes: their requests do not wait for emulated processors
PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}
SCSI = {"lsisas1078": "lsisas1078", "lsisas1068": "lsisas1068", "lsilogic": "lsilogic", "vmpvscsi": "vmpvscsi",
        "virtio-scsi": "virtio-scsi"}  # fmt: skip
LIMITS = {f"{way}-{what}": f"{way}_{what}_sec" for way in ("read", "write", "total") for what in ("bytes", "iops")}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The host's part of a domain."""

    kind: Kind = "qemu"
    folder: str  # of the guest
    sockets: str = ""  # a folder with a short path
    root: str = ""  # the path of a container's only disk
    disks: tuple[DiskFile, ...] = ()
    cpu_model: str = ""
    cpu_flags: tuple[str, ...] = ()
    share: Share = Share()
    slots: dict[str, int] = {}  # device -> its root port, on machines that have them
    limited_by_tap: bool = False  # what goes over cards is held to its limits by us


def add(parent: xml.Element, tag: str, text: object = None, **attributes: object) -> xml.Element:
    """Names that are words of Python come with a _ behind."""
    found = xml.SubElement(parent, tag, {name.rstrip("_"): str(value) for name, value in attributes.items()
                                         if value is not None})  # fmt: skip
    if text is not None:
        found.text = str(text)
    return found


def domain_xml(spec: GuestSpec, place: Place) -> str:
    """Raises BadSpec for what such a host cannot have."""
    wanted = hardware_of(spec)
    if wanted.devices:
        raise BadSpec(f"this host passes no devices through, and {', '.join(wanted.devices)} are wanted")
    root = xml.Element("domain", {"type": place.kind})
    add(root, "name", spec.id)  # names of guests are not unique
    add(root, "uuid", spec.id)
    add(root, "title", spec.name.replace("\n", " "))
    add(root, "memory", spec.memory_mb, unit="MiB")
    add(root, "vcpu", spec.vcpus)
    if place.kind in EMULATED:
        add(root, "iothreads", VOLUMES_THREAD)  # their number, and the number of the only one
        emulated(root, spec, wanted, place)
    elif place.kind == "lxc":
        contained(root)
    else:
        operating_system = add(root, "os")
        add(operating_system, "type", "hvm")
    if place.kind == "xen":
        for name in ("acpi", "apic"):
            add(features_of(root), name)
    tune(root, wanted, place)
    add_devices(add(root, "devices"), spec, wanted, place)
    xml.indent(root)
    return xml.tostring(root, encoding="unicode") + "\n"


def features_of(root: xml.Element) -> xml.Element:
    found = root.find("features")
    return found if found is not None else add(root, "features")


def contained(root: xml.Element) -> None:
    system = add(root, "os")
    add(system, "type", "exe")
    add(system, "init", "/sbin/init")


def emulated(root: xml.Element, spec: GuestSpec, wanted: Hardware, place: Place) -> None:
    memory_backing(root, wanted)
    boot(root, spec, wanted, place)
    info = add(root, "sysinfo", type="smbios")
    system = add(info, "system")
    for name, value in (("manufacturer", "Pileus"), ("product", "OpenStack Nova"), ("serial", spec.serial or spec.id),
                        ("uuid", spec.id), ("family", "Virtual Machine")):  # fmt: skip
        add(system, "entry", value, name=name)
    features = features_of(root)
    add(features, "acpi")
    add(features, "apic")
    if wanted.windows and place.kind == "kvm":
        hyperv = add(features, "hyperv")
        for name in ("relaxed", "vapic"):
            add(hyperv, name, state="on")
        add(hyperv, "spinlocks", state="on", retries=8191)
    if wanted.hide_hypervisor:
        add(add(features, "kvm"), "hidden", state="on")
    if wanted.pmu is not None:
        add(features, "pmu", state="on" if wanted.pmu else "off")
    if wanted.secure_boot:
        add(features, "smm", state="on")
    processor(root, spec, wanted, place)
    clock = add(root, "clock", offset="localtime" if wanted.windows else "utc")
    if wanted.hpet is not None:
        add(clock, "timer", name="hpet", present="yes" if wanted.hpet else "no")
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        add(root, event, action)


def memory_backing(root: xml.Element, wanted: Hardware) -> None:
    if not (wanted.page_kb or wanted.locked_memory):
        return
    backing = add(root, "memoryBacking")
    if wanted.page_kb:
        pages = add(backing, "hugepages")
        if wanted.page_kb > 0:
            add(pages, "page", size=wanted.page_kb, unit="KiB")
    if wanted.locked_memory:
        add(backing, "locked")


def boot(root: xml.Element, spec: GuestSpec, wanted: Hardware, place: Place) -> None:
    system = add(root, "os")
    add(system, "type", "hvm", arch="x86_64", machine=wanted.machine)
    if (firmware := firmware_files(spec)) is not None:
        secure = "yes" if wanted.secure_boot else "no"
        add(system, "loader", firmware[0], readonly="yes", secure=secure, type="pflash")
        add(system, "nvram", f"{place.folder}/uefi-variables")
    image = spec.image
    if image is not None and image.kernel_path:
        add(system, "kernel", f"{place.folder}/kernel")
        if image.ramdisk_path:
            add(system, "initrd", f"{place.folder}/ramdisk")
        add(system, "cmdline", image.properties.get("os_command_line", "root=/dev/vda console=tty0 console=ttyS0"))
    if wanted.boot_menu:
        add(system, "bootmenu", enable="yes")
    add(system, "smbios", mode="sysinfo")


def processor(root: xml.Element, spec: GuestSpec, wanted: Hardware, place: Place) -> None:
    if place.cpu_model:
        cpu = add(root, "cpu", mode="custom", match="exact", check="none")
        add(cpu, "model", place.cpu_model, fallback="forbid")
    else:
        cpu = add(root, "cpu", mode="host-passthrough" if place.kind == "kvm" else "maximum", check="none")
    shape = wanted.topology
    sockets, cores, threads = (shape.sockets, shape.cores, shape.threads) if shape else (1, spec.vcpus, 1)
    add(cpu, "topology", sockets=sockets, cores=cores, threads=threads)
    if wanted.physical_bits:
        bits = wanted.physical_bits
        add(cpu, "maxphysaddr", mode="passthrough" if bits < 0 else "emulate", bits=None if bits < 0 else bits)
    for flag in place.cpu_flags:
        add(cpu, "feature", policy="disable" if flag.startswith("-") else "require", name=flag.lstrip("+-"))
    if wanted.numa:
        numa = add(cpu, "numa")
        for number, node in enumerate(wanted.numa):
            add(numa, "cell", id=number, cpus=",".join(ranges(node.cpus)), memory=node.memory_mb, unit="MiB",
                memAccess="shared" if wanted.page_kb else None)  # fmt: skip


def tune(root: xml.Element, wanted: Hardware, place: Place) -> None:
    parts, allowed = wanted.cpu_share, place.share.floating | {
        mine: (theirs,) for mine, theirs in place.share.pins.items()}  # fmt: skip
    if parts is not None or allowed:
        tuned = add(root, "cputune")
        for name in ("shares", "period", "quota"):
            if parts is not None and (value := getattr(parts, name)):
                add(tuned, name, value)
        for mine, theirs in sorted(allowed.items()):
            add(tuned, "vcpupin", vcpu=mine, cpuset=",".join(ranges(theirs)))
    if place.share.cells:
        nodes = add(root, "numatune")
        for mine, cell in place.share.cells.items():
            if wanted.numa:
                add(nodes, "memnode", cellid=mine, mode="strict", nodeset=cell)
            else:
                add(nodes, "memory", mode="strict", nodeset=cell)


def add_devices(devices: xml.Element, spec: GuestSpec, wanted: Hardware, place: Place) -> None:
    if place.kind == "lxc":
        root = add(devices, "filesystem", type="file", accessmode="passthrough")
        add(root, "driver", type="loop", format="raw")
        add(root, "source", file=place.root)
        add(root, "target", dir="/")
    else:
        add_disks(devices, spec, place)
    for nic in spec.nics:
        devices.append(interface(spec, nic, place))
    if place.kind not in EMULATED:
        add(devices, "console", type="pty")
        return
    add_controllers(devices, spec, wanted, place)
    for number in range(wanted.serial_ports):
        add_serial(devices, number, place)
    agent = add(devices, "channel", type="unix")
    add(agent, "source", mode="bind", path=f"{place.sockets}/agent")
    add(agent, "target", type="virtio", name="org.qemu.guest_agent.0")
    if wanted.tablet:
        seat(add(devices, "input", type="tablet", bus=wanted.tablet), wanted, place, "tablet")
    if wanted.tpm:
        tpm = add(devices, "tpm", model=wanted.tpm)
        add(tpm, "backend", type="emulator", version=wanted.tpm_version)
    screen(devices, wanted, place)
    seat(add(devices, "memballoon", model="virtio"), wanted, place, "balloon")
    if wanted.random:
        device = add(devices, "rng", model="virtio")
        if wanted.random_bytes:
            add(device, "rate", period=wanted.random_period_ms or None, bytes=wanted.random_bytes)
        add(device, "backend", "/dev/urandom", model="random")
        seat(device, wanted, place, "random")
    if wanted.watchdog:
        add(devices, "watchdog", model="i6300esb", action=wanted.watchdog)
    if wanted.iommu:
        add_iommu(devices, wanted)


def add_iommu(devices: xml.Element, wanted: Hardware) -> None:
    model = "intel" if wanted.iommu == "auto" else wanted.iommu
    if not is_q35(wanted):
        raise BadSpec(f"an IOMMU of model {wanted.iommu} is not there on machine {wanted.machine}")
    unit = add(devices, "iommu", model=model)
    if model == "intel":
        add(unit, "driver", caching_mode="on")


def seat(device: xml.Element, wanted: Hardware, place: Place, name: str) -> None:
    """At its root port. A device keeps it for its life; a guest knows it by that."""
    slot = place.slots.get(name)
    if slot is not None and is_q35(wanted):
        add(device, "address", type="pci", domain="0x0000", bus=f"0x{slot + 1:02x}", slot="0x00", function="0x0")


def add_controllers(devices: xml.Element, spec: GuestSpec, wanted: Hardware, place: Place) -> None:
    """Root ports from the start: a device that comes later needs one that is free."""
    buses = set(disk_buses(spec).values())
    if is_q35(wanted):
        for number in range(1, ROOT_PORTS + 1):
            add(devices, "controller", type="pci", model="pcie-root-port", index=number)
    if "scsi" in buses:
        controller = add(devices, "controller", type="scsi", index=0, model=SCSI[wanted.scsi_model])
        seat(controller, wanted, place, "scsi-bus")
    usb = "usb" in buses or wanted.tablet == "usb"
    controller = add(devices, "controller", type="usb", index=0, model="qemu-xhci" if usb else "none")
    seat(controller, wanted, place, "usb-bus")
    seat(add(devices, "controller", type="virtio-serial", index=0), wanted, place, "serial-bus")


def add_serial(devices: xml.Element, number: int, place: Place) -> None:
    """The first one is the console, with all that was ever written to it."""
    port = add(devices, "serial", type="unix")
    add(port, "source", mode="bind", path=f"{place.sockets}/{f'serial{number}' if number else 'console'}")
    if not number:
        add(port, "log", file=f"{place.folder}/console.log", append="on")
    add(port, "target", port=number)


def screen(devices: xml.Element, wanted: Hardware, place: Place) -> None:
    graphics = add(devices, "graphics", type="vnc")
    add(graphics, "listen", type="socket", socket=f"{place.sockets}/screen")
    video = add(devices, "video")
    memory = wanted.video_memory_mb * 1024 or None
    add(video, "model", type=wanted.video, vram=memory)


def add_disks(devices: xml.Element, spec: GuestSpec, place: Place) -> None:
    counts: dict[str, int] = {}
    buses = disk_buses(spec)
    for disk in place.disks:
        bus = buses[disk.name] if place.kind in EMULATED else "ide" if place.kind == "vmware" else "scsi"
        target = target_of(bus, counts)
        devices.append(disk_element(spec, disk, bus, target, place))
    for volume in spec.volumes:
        devices.append(volume_element(spec, volume, target_of("virtio", counts), place))


def target_of(bus: str, counts: dict[str, int]) -> str:
    prefix = PREFIXES[bus]
    number = counts.get(prefix, 0)
    counts[prefix] = number + 1
    return f"{prefix}{'abcdefghijklmnopqrstuvwxyz'[number]}"


def disk_element(spec: GuestSpec, disk: DiskFile, bus: str, target: str, place: Place) -> xml.Element:
    found = xml.Element("disk", {"type": "file", "device": "cdrom" if disk.cdrom else "disk"})
    if place.kind in EMULATED:
        add(found, "driver", name="qemu", type=disk.format, discard="unmap")
    file = f"{place.folder}/{disk.file}"
    add(found, "source", file=f"[pileus] {spec.id}/{disk.file}.vmdk" if place.kind == "vmware" else file)
    add(found, "target", dev=target, bus=bus)
    if disk.limited and place.kind in EMULATED:
        tuned = add(found, "iotune")
        for name, limit in hardware_of(spec).disk_limits.items():
            word = LIMITS[name]
            for ending, value in (("", limit.rate), ("_max", limit.burst), ("_max_length", limit.burst_seconds)):
                if value:
                    add(tuned, word + ending, value)
    if disk.read_only:
        add(found, "readonly")
    add(found, "serial", disk.name)
    if disk.boot_order is not None and place.kind in EMULATED:
        add(found, "boot", order=disk.boot_order + 1)
    if place.kind in EMULATED:
        seat(found, hardware_of(spec), place, f"disk-{disk.name}")
    return found


def volume_element(spec: GuestSpec, volume: GuestVolume, target: str, place: Place) -> xml.Element:
    found = xml.Element("disk", {"type": "network", "device": "disk"})
    add(found, "driver", name="qemu", type="raw", discard="unmap", iothread=VOLUMES_THREAD)
    if volume.address:
        source = add(found, "source", protocol="nbd", name=volume.export, tls="yes")
        add(source, "host", name=volume.address, port=volume.port)
    else:
        source = add(found, "source", protocol="nbd", name=volume.export)
        add(source, "host", transport="unix", socket=volume.socket)
    add(found, "target", dev=target, bus="virtio")
    if volume.read_only:
        add(found, "readonly")
    add(found, "serial", volume.volume_id)
    if volume.boot_order is not None:
        add(found, "boot", order=volume.boot_order + 1)
    seat(found, hardware_of(spec), place, device_id(volume.volume_id))
    return found


def interface(spec: GuestSpec, nic: Nic, place: Place) -> xml.Element:
    """On a tap of ours, which libvirt only opens; a container's has the same name, and libvirt makes it; elsewhere on a
    bridge that has the name."""
    wanted = hardware_of(spec)
    ours = place.kind in EMULATED or place.kind == "lxc"
    found = xml.Element("interface", {"type": "ethernet" if ours else "bridge"})
    add(found, "mac", address=nic.mac)
    if not ours:
        add(found, "source", bridge=nic.tap)
        return found
    if place.kind == "lxc":
        add(found, "target", dev=nic.tap)
        return found
    add(found, "target", dev=nic.tap, managed="no")
    add(found, "model", type=wanted.nic_model)
    if wanted.nic_model == "virtio":
        queues = min(spec.vcpus, 256) if wanted.multiqueue else None
        add(found, "driver", name="qemu", queues=queues, packed="on" if wanted.packed_ring else None)
    add(found, "mtu", size=nic.mtu)
    seat(found, wanted, place, f"nic-{nic.port_id}")
    if not place.limited_by_tap and (wanted.inbound or wanted.outbound):
        bandwidth = add(found, "bandwidth")
        for way, limit in (("inbound", wanted.inbound), ("outbound", wanted.outbound)):
            if limit is not None:
                limited(bandwidth, way, limit)
    return found


def limited(bandwidth: xml.Element, way: str, limit: NetworkLimit) -> None:
    add(bandwidth, way, average=limit.average, peak=limit.peak or None, burst=limit.burst or None)
