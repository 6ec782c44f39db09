"""What image and flavor make of a machine, and what they are refused for."""

import pytest

from pileus.compute.drivers.hardware import CpuShare, Hardware, Limit, NetworkLimit, NumaNode, Topology
from pileus.compute.guest_topology import BadHardware
from pileus.compute.hardware import hardware_of, wants_config_drive


def made(image: dict[str, str] | None = None, flavor: dict[str, str] | None = None, vcpus: int = 4) -> Hardware:
    return hardware_of(image or {}, flavor or {}, vcpus=vcpus, memory_mb=512)


def test_nothing_asked_for_is_the_usual_machine() -> None:
    assert made() == Hardware()
    assert made({"owner_specified.openstack.md5": "x", "my_own": "y"}, {"my:own": "z"}) == Hardware()


@pytest.mark.parametrize(("image", "flavor", "expected"), [
    ({}, {"hw:cpu_max_sockets": "2"}, (1, 4, 1)),
    ({"hw_cpu_max_cores": "2"}, {}, (2, 2, 1)),
    ({}, {"hw:cpu_sockets": "2"}, (2, 2, 1)),
    ({"hw_cpu_sockets": "4"}, {"hw:cpu_cores": "4"}, (4, 1, 1)),
    ({}, {"hw:cpu_cores": "2", "hw:cpu_threads": "2"}, (1, 2, 2)),
    ({"hw_cpu_threads": "2"}, {"hw:cpu_max_sockets": "1"}, (1, 2, 2))])
def test_sockets_cores_and_threads(image, flavor, expected) -> None:
    found = made(image, flavor).topology
    assert found == Topology(sockets=expected[0], cores=expected[1], threads=expected[2])


def test_memory_and_processors_on_nodes() -> None:
    even = (NumaNode(cpus=(0, 1), memory_mb=256), NumaNode(cpus=(2, 3), memory_mb=256))
    assert made({"hw_numa_nodes": "2"}).numa == even
    odd = {"hw:numa_nodes": "2", "hw:numa_cpus.0": "0-3,^1", "hw:numa_mem.0": "384", "hw:numa_cpus.1": "1",
           "hw:numa_mem.1": "128"}
    assert made({}, odd).numa == (NumaNode(cpus=(0, 2, 3), memory_mb=384), NumaNode(cpus=(1,), memory_mb=128))


def test_limits() -> None:
    found = made({}, {
        "quota:disk_read_bytes_sec": "1000", "quota:disk_read_bytes_sec_max": "2000",
        "quota:disk_read_bytes_sec_max_length": "3", "quota:vif_inbound_average": "100",
        "quota:vif_inbound_peak": "200", "quota:cpu_shares": "512"})
    assert found.disk_limits == {"read-bytes": Limit(rate=1000, burst=2000, burst_seconds=3)}
    assert (found.inbound, found.outbound) == (NetworkLimit(average=100, peak=200), None)
    assert found.cpu_share == CpuShare(shares=512)


def test_pages_and_pinning() -> None:
    assert [made({}, {"hw:mem_page_size": size}).page_kb for size in ("small", "large", "2048", "2MB", "1GB", "4KiB")] \
        == [0, -1, 2048, 2048, 1 << 20, 0]
    assert made({"hw_mem_page_size": "2MB"}, {"hw:mem_page_size": "large"}).page_kb == 2048
    assert made({}, {"hw:cpu_policy": "dedicated"}).pinned == (0, 1, 2, 3)
    assert made({}, {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0-1"}).pinned == (2, 3)


def test_the_rest_of_the_machine() -> None:
    found = made({"hw_firmware_type": "uefi", "os_secure_boot": "required", "hw_scsi_model": "auto",
                  "hw_watchdog_action": "reset", "hw_rescue_device": "cdrom", "hw_qemu_guest_agent": "yes",
                  "hw_video_ram": "16", "os_require_quiesce": "True", "hw_input_bus": "virtio"},
                 {"hw:tpm_version": "2.0", "hw:watchdog_action": "pause", "hw_video:ram_max_mb": "64"})
    assert found == Hardware(uefi=True, secure_boot=True, watchdog="reset", rescue_cdrom=True, agent=True, quiesce=True,
                             video_memory_mb=16, tablet="virtio", tpm="tpm-tis")
    assert made({}, {"hw:mem_encryption": "true", "hw:pmem": "big"}).impossible == (
        "hw:pmem=big", "hw:mem_encryption=true")
    assert made({}, {"pci_passthrough:alias": "gpu:1, card:2,gpu:1"}).devices == {"gpu": 2, "card": 2}
    assert wants_config_drive({"img_config_drive": "mandatory"})
    assert not wants_config_drive({"img_config_drive": "optional"})


EVEN = "Instance CPUs and/or memory cannot be evenly distributed across instance NUMA nodes"
ALL = "CPU and memory allocation must be provided for all NUMA nodes"


@pytest.mark.parametrize(("image", "flavor", "why"), [
    ({"hw_disk_bus": "odd"}, {}, "Invalid image metadata. Error: Field value odd is invalid"),
    ({"hw_cpu_cores": "x"}, {}, "Invalid image metadata. Error: invalid literal for int() with base 10: 'x'"),
    ({"hw_numa_nodes": "1", "hw_numa_mem.0": "x"}, {}, "invalid literal for int()"),
    ({"hw_cpu_cores": "9" * 5000}, {}, "invalid literal for int()"),
    ({"hw_mem_page_size": "9" * 5000}, {"hw:mem_page_size": "any"}, "Invalid memory page size"),
    ({}, {"hw:cpu_cores": "x"}, "Validation failed; 'x' is not a valid integer value"),
    ({}, {"hw:cpu_odd": "1"}, "extra spec 'hw:cpu_odd' does not appear to be a valid extra spec"),
    ({"hw_cpu_max_sockets": "3"}, {"hw:cpu_max_sockets": "2"},
     "Image vCPU topology limits (sockets=3, cores=65536, threads=65536) exceeds the limits of the flavor (sockets=2"),
    ({"hw_cpu_sockets": "3"}, {"hw:cpu_max_sockets": "2"}, "exceeds the limits of the flavor or image (sockets=2"),
    ({}, {"hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "1", "hw:cpu_max_threads": "2"},
     "Requested vCPU limits 1:1:2 are impossible to satisfy for vcpus count 4"),
    ({}, {"hw:numa_nodes": "3"}, EVEN), ({}, {"hw:numa_nodes": "1000000000"}, EVEN),
    ({}, {"hw:numa_mem.0": "1"}, ALL), ({}, {"hw:numa_nodes": "2", "hw:numa_cpus.0": "0"}, ALL),
    ({"hw_numa_nodes": "2"}, {"hw:numa_nodes": "2"}, "Image property 'hw_numa_nodes' is not permitted to override"),
    ({}, {"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-4", "hw:numa_mem.0": "512"}, "CPU number 4 is larger than max 3"),
    ({}, {"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-2", "hw:numa_mem.0": "512"},
     "CPU number 3 is not assigned to any node"),
    ({}, {"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-3", "hw:numa_mem.0": "100"},
     "100 MB of memory assigned, but expected 512 MB"),
    ({}, {"hw:numa_nodes": "2", "hw:numa_cpus.0": "0-3", "hw:numa_mem.0": "256", "hw:numa_cpus.1": "3",
          "hw:numa_mem.1": "256"}, "CPU number 3 is assigned to two nodes"),
    ({"hw_mem_page_size": "2MB"}, {}, "Page size 2MB forbidden against ''"),
    ({"hw_mem_page_size": "odd"}, {"hw:mem_page_size": "any"}, "Invalid memory page size 'odd'"),
    ({"hw_cpu_policy": "dedicated"}, {"hw:cpu_policy": "shared"}, "Image property 'hw_cpu_policy' is not permitted"),
    ({"hw_serial_port_count": "3"}, {"hw:serial_port_count": "2"}, "Forbidden to exceed flavor value"),
    ({"hw_video_ram": "65"}, {"hw_video:ram_max_mb": "64"}, "The requested amount of video memory 65 is higher"),
    ({"hw_tpm_model": "tpm-crb", "hw_tpm_version": "1.2"}, {}, "TPM version 1.2 does not support the tpm-crb model"),
    ({"hw_tpm_version": "1.2"}, {"hw:tpm_version": "2.0"}, "Conflicting values for hw_tpm_version"),
    ({"os_secure_boot": "required"}, {}, "Secure boot needs an image with hw_firmware_type=uefi"),
    ({"hw_firmware_type": "uefi", "os_secure_boot": "required"}, {"os:secure_boot": "disabled"}, "os_secure_boot"),
    ({}, {"quota:vif_inbound_peak": "1"}, "quota:vif_inbound_average is needed"),
    ({}, {"quota:disk_total_iops_sec": "1", "quota:disk_read_iops_sec": "1"}, "disk_total_iops_sec cannot be set"),
    ({}, {"hw:locked_memory": "true"}, "set hw:mem_page_size as well"),
    ({}, {"hw:maxphysaddr_bits": "40"}, "needs hw:maxphysaddr_mode=emulate")])
def test_what_cannot_be_is_refused(image, flavor, why) -> None:
    with pytest.raises(BadHardware) as refused:
        made(image, flavor)
    assert why in str(refused.value)
