"""[compute], [guests] and [scheduler]"""

from typing import Annotated, Literal

import msgspec

from pileus.kit.config import doc


class ComputeConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    driver: Annotated[Literal["qemu", "libvirt", "fake"], doc("Hypervisor driver of the hosts.")] = "qemu"
    cpu_overcommit: Annotated[float, msgspec.Meta(gt=0), doc(
        "Virtual CPUs offered per physical one. Published to placement, so a change takes effect at once.")] = 4.0
    memory_overcommit: Annotated[float, msgspec.Meta(gt=0), doc("Memory offered per byte there is.")] = 1.0
    reserved_memory_mb: Annotated[int, msgspec.Meta(ge=0), doc("Memory of each host that guests never get.")] = 512
    boot_timeout: Annotated[int, msgspec.Meta(ge=1), doc(
        "Seconds a host may take for one step of starting a guest, image download included.")] = 600
    port_timeout: Annotated[int, msgspec.Meta(ge=1), doc(
        "Seconds to wait for the network to report a new guest's ports up before the boot fails.")] = 300
    instances: Annotated[int, msgspec.Meta(ge=-1), doc("Servers a project may have; -1 is no limit.")] = 10
    cores: Annotated[int, msgspec.Meta(ge=-1), doc("Virtual CPUs a project may have; -1 is no limit.")] = 20
    ram_mb: Annotated[int, msgspec.Meta(ge=-1), doc("Memory a project's servers may have; -1 is no limit.")] = 51200
    default_zone: Annotated[str, doc("Availability zone of hosts that are in no other.")] = "nova"
    host_silent_after: Annotated[float, msgspec.Meta(gt=0), doc(
        "Seconds without a sign of life after which a host counts as down.")] = 60.0
    keep_deleted_days: Annotated[int, msgspec.Meta(ge=0), doc(
        "Days for which deleted servers and their actions can still be looked up.")] = 7
    reclaim_after: Annotated[int, msgspec.Meta(ge=0), doc(
        "Seconds for which a deleted server can still be restored; 0 deletes at once.")] = 0


class GuestsConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    config_drive_format: Annotated[Literal["iso9660", "vfat"], doc(
        "What configuration drives are: vfat for guests that cannot read CD-ROMs.")] = "iso9660"
    root_disks: Annotated[Literal["qcow2", "raw"], doc(
        "How hosts keep root disks: qcow2 files over the image they share, or raw copies of it, which take more room.",
        )] = "qcow2"
    cpu_model: Annotated[str, doc(
        "Processor of guests, with flags after commas if need be, as in Nehalem,+aes; the best the host has if empty.",
        )] = ""
    dedicated_cpus: Annotated[str, doc(
        "Processors of each host for guests that want their own (hw:cpu_policy=dedicated), as in 2-7,^4.")] = ""
    pci_devices: Annotated[dict[str, list[str]], doc(
        "Devices of hosts that guests get for themselves (pci_passthrough:alias), by alias: addresses, as in "
        "0000:81:00.0,\nor kinds, as in 10de:1eb8 (vendor and product). They have to be bound to vfio-pci.",
        )] = msgspec.field(default_factory=dict)
    libvirt_type: Annotated[Literal["auto", "qemu", "kvm", "lxc"], doc(
        "What guests the libvirt driver makes: machines, with KVM where the host has it, or containers (lxc) of images "
        "that\nhold a file system and no kernel, for people you trust: root inside is root of the host.")] = "auto"
    libvirt_uri: Annotated[str, doc(
        "Where the libvirt driver finds libvirt, as in qemu:///system; each host has one of its own if empty.")] = ""
    vendor_data: Annotated[str, doc(
        "A JSON file whose content every guest can read in its metadata, as vendor_data.json.")] = ""
    vendor_data_services: Annotated[dict[str, str], doc(
        "Services, name = URL, that are asked about each guest and whose answers are in its vendor_data2.json.",
        )] = msgspec.field(default_factory=dict)


WeigherName = Literal["ram", "cpu", "disk", "io_ops", "num_instances", "hypervisor_version", "pci", "group",
                      "failed_builds"]


class SchedulerConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    weights: Annotated[dict[WeigherName, float], doc(
        "How much each weigher counts, where that is not the default: ram 1, cpu 1, disk 1, io_ops -1, num_instances "
        "-0.1,\nhypervisor_version 1, pci 1, group 10 (soft policies of server groups), failed_builds -1000.\n"
        "Below 0: the less the better.")] = {}
    max_attempts: Annotated[int, msgspec.Meta(ge=1), doc(
        "Hosts on which a boot is tried at most: where one refuses, the next best is asked.")] = 3
    max_servers_per_host: Annotated[int, msgspec.Meta(ge=0), doc(
        "Servers a host takes at most; 0 is as many as fit. Aggregates override it (max_instances_per_host).")] = 0
    max_io_ops_per_host: Annotated[int, msgspec.Meta(ge=0), doc(
        "Servers made, moved or saved on a host at once at most; 0 is no limit. Aggregates override it.")] = 0
    isolated_hosts: Annotated[list[str], doc("Hosts that run isolated images and nothing else.")] = []
    isolated_images: Annotated[list[str], doc("Ids of images that run on isolated hosts only.")] = []
