"""From the properties of an image and the extra specs of a flavor to the machine a guest is to have; pure.

What is nonsense, or against what the flavor allows, is refused in the words clients know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pileus.compute import extra_specs
from pileus.compute.api.values import TRUE
from pileus.compute.asked_resources import devices_of
from pileus.compute.drivers.hardware import CpuShare, Hardware, Limit, NetworkLimit
from pileus.compute.guest_topology import BadHardware, numa_nodes, page_size, pinned_cpus, topology_of

Words = Mapping[str, str]
# What upstream's images may say; what a host makes of it is its driver's business.
BUSES = "fdc ide lxc sata scsi uml usb virtio xen"
WORDS = {
    "hw_cdrom_bus": BUSES, "hw_disk_bus": BUSES, "hw_rescue_bus": BUSES, "hw_rescue_device": "cdrom disk floppy",
    "hw_firmware_type": "bios uefi", "hw_input_bus": "usb virtio", "hw_pointer_model": "ps2mouse usbtablet",
    "hw_rng_model": "virtio", "hw_tpm_model": "tpm-tis tpm-crb", "hw_tpm_version": "1.2 2.0",
    "hw_scsi_model": "auto buslogic ibmvscsi lsilogic lsisas1068 lsisas1078 virtio-scsi vmpvscsi",
    "hw_video_model": "bochs cirrus gop none qxl vga virtio vmvga xen",
    "hw_vif_model": "e1000 e1000e igb lan9118 ne2k_pci netfront pcnet rtl8139 spapr-vlan virtio vmxnet3 VirtualE1000 "
                    "VirtualE1000e VirtualPCNet32 VirtualSriovEthernetCard VirtualVmxnet VirtualVmxnet3",
    "hw_watchdog_action": "disabled none pause poweroff reset", "hw_viommu_model": "auto intel smmuv3 virtio",
    "hw_cpu_policy": "dedicated mixed shared", "hw_cpu_thread_policy": "isolate prefer require",
    "hw_maxphysaddr_mode": "emulate passthrough", "hw_mem_encryption_model": "amd-sev amd-sev-es",
    "os_secure_boot": "disabled optional required", "img_config_drive": "mandatory optional",
    "hw_pci_numa_affinity_policy": "legacy preferred required socket",
    "hw_emulator_threads_policy": "isolate share", "hw_boot_mode": "bios uefi",
}
NUMBERS = (*(f"hw_cpu_{most}{part}" for most in ("", "max_") for part in ("sockets", "cores", "threads")),
           "hw_numa_nodes", "hw_serial_port_count", "hw_video_ram", "hw_maxphysaddr_bits")
OURS = re.compile(r"(hw|quota|os|hw_rng|hw_video|pci_passthrough):")
IMPOSSIBLE = ("accel:device_profile", "hw:pmem", "hw:mem_encryption", "hw:cpu_realtime")
COMMON_SCSI = {"auto": "virtio-scsi"}


def must_be_sound(properties: Words, flavor: Words) -> None:
    """Raise BadHardware for values no host of any kind has. Flavors of before 2.86 may say anything."""
    for name, value in flavor.items():
        if OURS.match(name) and (wrong := extra_specs.wrong_with(name, value)):
            raise BadHardware(f"Validation failed; {wrong}")
    for name, allowed in WORDS.items():
        value = properties.get(name)
        if value is not None and value not in allowed.split():
            raise BadHardware(f"Invalid image metadata. Error: Field value {value} is invalid")
    for name in (*NUMBERS, *(name for name in properties if name.startswith("hw_numa_mem."))):
        value = properties.get(name)
        if value is not None and not re.fullmatch(r"\s*[+-]?[0-9]{1,40}\s*", value):
            raise BadHardware(f"Invalid image metadata. Error: invalid literal for int() with base 10: '{value}'")


class Asked:
    """What image and flavor say of one thing."""

    def __init__(self, image: Words, flavor: Words) -> None:
        self.image, self.flavor = image, flavor

    def either(self, name: str, default: str = "", *, prefix: str = "hw") -> str:
        """Both may say it, not two different things."""
        ours, theirs = self.image.get(f"{prefix}_{name}"), self.flavor.get(f"{prefix}:{name}")
        if ours is not None and theirs is not None and ours.lower() != theirs.lower():
            raise BadHardware(f"Conflicting values for {prefix}_{name} found in the flavor ({theirs}) and the image "
                              f"({ours}).")
        return ours or theirs or default

    def image_first(self, name: str, default: str = "") -> str:
        """The image has the last word."""
        return self.image.get(f"hw_{name}") or self.flavor.get(f"hw:{name}") or default

    def switch(self, value: str) -> bool:
        return value.strip().lower() in TRUE


def hardware_of(image: Words, flavor: Words, *, vcpus: int, memory_mb: int) -> Hardware:
    """Raises BadHardware, in words for the one who asked."""
    must_be_sound(image, flavor)
    asked = Asked(image, flavor)
    uefi, secure = _firmware(asked)
    nodes = numa_nodes(image, flavor, vcpus=vcpus, memory_mb=memory_mb)
    inbound, outbound = (_network_limit(flavor, way) for way in ("inbound", "outbound"))
    scsi = image.get("hw_scsi_model", "virtio-scsi")
    action = asked.image_first("watchdog_action", "disabled")
    hpet = image.get("hw_time_hpet")
    pmu = asked.either("pmu")
    return Hardware(
        machine=image.get("hw_machine_type") or "q35", uefi=uefi, secure_boot=secure,
        tpm=_tpm(asked), tpm_version=asked.either("tpm_version", "2.0"), iommu=asked.either("viommu_model"),
        disk_bus=image.get("hw_disk_bus", "virtio"), scsi_model=COMMON_SCSI.get(scsi, scsi),
        cdrom_bus=image.get("hw_cdrom_bus", ""), rescue_bus=image.get("hw_rescue_bus", ""),
        rescue_cdrom=image.get("hw_rescue_device") == "cdrom",
        nic_model=image.get("hw_vif_model", "virtio"),
        multiqueue=asked.switch(asked.either("vif_multiqueue_enabled")) and vcpus > 1,
        packed_ring=asked.switch(asked.either("virtio_packed_ring")),
        video=image.get("hw_video_model", "vga"), video_memory_mb=_video_memory(asked), tablet=_tablet(image),
        random=asked.switch(flavor.get("hw_rng:allowed", "true")),
        random_bytes=_count(flavor, "hw_rng:rate_bytes"), random_period_ms=_count(flavor, "hw_rng:rate_period"),
        watchdog="" if action == "disabled" else action,
        agent=asked.switch(image.get("hw_qemu_guest_agent", "")),
        quiesce=asked.switch(image.get("os_require_quiesce", "")), serial_ports=_serial_ports(asked),
        boot_menu=asked.switch(asked.image_first("boot_menu")), windows=image.get("os_type") == "windows",
        hpet=None if hpet is None else asked.switch(hpet),
        topology=topology_of(image, flavor, vcpus), numa=nodes, page_kb=page_size(image, flavor),
        locked_memory=_locked(asked), pinned=pinned_cpus(image, flavor, vcpus),
        thread_policy=asked.image_first("cpu_thread_policy"),
        emulator_threads=flavor.get("hw:emulator_threads_policy", ""),
        pmu=None if not pmu else asked.switch(pmu), hide_hypervisor=_hidden(asked), physical_bits=_bits(asked),
        cpu_share=_cpu_share(flavor), disk_limits=_disk_limits(flavor), inbound=inbound, outbound=outbound,
        devices=devices_of(flavor), impossible=_impossible(asked))


def _firmware(asked: Asked) -> tuple[bool, bool]:
    """(UEFI, secure boot)."""
    uefi = asked.image.get("hw_firmware_type", "bios") == "uefi"
    ours, theirs = asked.image.get("os_secure_boot"), asked.flavor.get("os:secure_boot")
    if "disabled" in (ours, theirs) and "required" in (ours, theirs):
        raise BadHardware(f"Conflicting values for os_secure_boot found in the flavor ({theirs}) and the image "
                          f"({ours}).")
    secure = "required" in (ours, theirs)
    if secure and not uefi:
        raise BadHardware("Secure boot needs an image with hw_firmware_type=uefi.")
    return uefi, secure


def _tpm(asked: Asked) -> str:
    """A version alone asks for the usual model of it."""
    version, model = asked.either("tpm_version"), asked.either("tpm_model")
    if model and not version:
        raise BadHardware("A TPM model needs hw:tpm_version as well.")
    if model == "tpm-crb" and version == "1.2":
        raise BadHardware("TPM version 1.2 does not support the tpm-crb model.")
    return model or ("tpm-tis" if version else "")


def _video_memory(asked: Asked) -> int:
    wanted, most = _count(asked.image, "hw_video_ram"), _count(asked.flavor, "hw_video:ram_max_mb")
    if wanted > most:
        raise BadHardware(f"The requested amount of video memory {wanted} is higher than the maximum allowed by flavor "
                          f"{most}.")
    return wanted


def _tablet(image: Words) -> str:
    pointer = "usb" if image.get("hw_pointer_model") == "usbtablet" else ""
    return image.get("hw_input_bus", "") or pointer


def _serial_ports(asked: Asked) -> int:
    ours, theirs = asked.image.get("hw_serial_port_count"), asked.flavor.get("hw:serial_port_count")
    if ours is not None and theirs is not None and int(ours) > int(theirs):
        raise BadHardware("Forbidden to exceed flavor value of number of serial ports passed in image meta.")
    return max(int(ours or theirs or 1), 1)


def _locked(asked: Asked) -> bool:
    locked = asked.switch(asked.either("locked_memory"))
    if locked and not (asked.image.get("hw_mem_page_size") or asked.flavor.get("hw:mem_page_size")):
        raise BadHardware("Cannot be locked in memory without a page size: set hw:mem_page_size as well.")
    return locked


def _hidden(asked: Asked) -> bool:
    return any(asked.switch(each) for each in (
        asked.flavor.get("hw:hide_hypervisor_id", ""), asked.flavor.get("hide_hypervisor_id", ""),
        asked.image.get("img_hide_hypervisor_id", "")))


def _bits(asked: Asked) -> int:
    mode, bits = asked.either("maxphysaddr_mode"), asked.either("maxphysaddr_bits")
    if bits and mode != "emulate":
        raise BadHardware("hw:maxphysaddr_bits needs hw:maxphysaddr_mode=emulate.")
    if mode == "emulate" and not bits:
        raise BadHardware("hw:maxphysaddr_mode=emulate needs hw:maxphysaddr_bits.")
    return -1 if mode == "passthrough" else int(bits or 0)


def _count(words: Words, name: str) -> int:
    return max(int(words.get(name, "0")), 0)


def _cpu_share(flavor: Words) -> CpuShare | None:
    found = CpuShare(**{what: _count(flavor, f"quota:cpu_{what}") for what in ("shares", "quota", "period")})
    return None if found == CpuShare() else found


def _disk_limits(flavor: Words) -> dict[str, Limit]:
    found: dict[str, Limit] = {}
    for way in ("read", "write", "total"):
        for what in ("bytes", "iops"):
            name = f"quota:disk_{way}_{what}_sec"
            limit = Limit(rate=_count(flavor, name), burst=_count(flavor, f"{name}_max"),
                          burst_seconds=_count(flavor, f"{name}_max_length"))
            if limit.rate or limit.burst:
                found[f"{way}-{what}"] = limit
    for what in ("bytes", "iops"):
        if f"total-{what}" in found and (f"read-{what}" in found or f"write-{what}" in found):
            raise BadHardware(f"quota:disk_total_{what}_sec cannot be set together with a limit of one direction.")
    return found


def _network_limit(flavor: Words, way: str) -> NetworkLimit | None:
    found = NetworkLimit(**{what: _count(flavor, f"quota:vif_{way}_{what}") for what in ("average", "peak", "burst")})
    if found != NetworkLimit() and not found.average:
        raise BadHardware(f"quota:vif_{way}_average is needed where a peak or a burst is set.")
    return None if found == NetworkLimit() else found


def _impossible(asked: Asked) -> tuple[str, ...]:
    told: list[str] = []
    for name in IMPOSSIBLE:
        value = asked.flavor.get(name)
        is_switch = name in ("hw:mem_encryption", "hw:cpu_realtime")
        if value is not None and (not is_switch or asked.switch(value)):
            told.append(f"{name}={value}")
    if asked.switch(asked.image.get("hw_mem_encryption", "")):
        told.append("hw_mem_encryption")
    return tuple(told)


def wants_config_drive(image: Words) -> bool:
    """An image may need one whether its user asks for it or not."""
    return image.get("img_config_drive") == "mandatory"


