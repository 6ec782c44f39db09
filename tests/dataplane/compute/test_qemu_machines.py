"""Machines of every kind that QEMU makes of a guest's description; what a host has not is refused with the reason."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from test_qemu_host import nic, pid_of

from pileus.compute.drivers.base import Disk, DiskKind, GuestFailed, GuestSpec, Power
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.compute.hardware import hardware_of

MakeSpec = Callable[..., GuestSpec]
ODD_MACHINES = [
    ({"hw_disk_bus": "scsi", "hw_vif_model": "e1000e", "hw_time_hpet": "false"}, {}),
    ({"hw_machine_type": "pc", "hw_vif_model": "rtl8139"}, {}),
    ({"hw_disk_bus": "sata", "hw_vif_model": "vmxnet3", "hw_video_model": "cirrus", "hw_input_bus": "virtio",
      "hw_watchdog_action": "reset", "hw_serial_port_count": "3", "hw_boot_menu": "true"},
     {"hw:numa_nodes": "2", "hw:cpu_sockets": "2", "hw_rng:rate_bytes": "100"}),
    ({"hw_machine_type": "pc", "hw_disk_bus": "ide", "hw_vif_model": "pcnet", "hw_video_model": "vmvga",
      "hw_pointer_model": "usbtablet"},
     {"quota:disk_total_iops_sec": "100", "quota:disk_read_bytes_sec": "1000000",
      "quota:disk_read_bytes_sec_max": "2000000", "quota:disk_read_bytes_sec_max_length": "3"}),
    ({"hw_disk_bus": "usb", "hw_video_model": "none"},
     {"hw:virtio_packed_ring": "true", "hw:hide_hypervisor_id": "true", "hw:maxphysaddr_mode": "emulate",
      "hw:maxphysaddr_bits": "42", "hw:vif_multiqueue_enabled": "true", "hw:viommu_model": "virtio"}),
    ({"hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic"}, {"hw:viommu_model": "intel", "hw_rng:allowed": "false"}),
    ({"hw_firmware_type": "uefi", "os_secure_boot": "required"}, {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}),
]


@pytest.mark.parametrize(("image", "flavor"), ODD_MACHINES)
async def test_qemu_makes_every_machine_of_ours(
    driver: QemuDriver, make_spec: MakeSpec, image: dict[str, str], flavor: dict[str, str]
) -> None:
    """Each with a CD-ROM, and a configuration drive of the other format."""
    spec = make_spec(
        vcpus=2, nics=(nic("tap-chosen"),), hardware=hardware_of(image, flavor, vcpus=2, memory_mb=64),
        config_drive={"openstack/latest/meta_data.json": b"{}"}, config_drive_format="vfat",
        disks=(
            Disk(kind=DiskKind.ROOT, size_mb=8, boot_order=0),
            Disk(kind=DiskKind.CDROM, boot_order=1),
            Disk(kind=DiskKind.SWAP, size_mb=8),
            Disk(kind=DiskKind.CONFIG),
        ),
    )  # fmt: skip
    assert (await driver.ensure(spec)).power is Power.PAUSED


async def test_the_network_card_is_held_to_what_the_flavor_allows(
    driver: QemuDriver, make_spec: MakeSpec, namespace: Path
) -> None:
    flavor = {"quota:vif_inbound_average": "100", "quota:vif_outbound_average": "200", "quota:vif_outbound_burst": "50"}
    spec = make_spec(nics=(nic("tap-slow"),), hardware=hardware_of({}, flavor, vcpus=1, memory_mb=64))
    await driver.ensure(spec)

    def told(*words: str) -> str:
        return subprocess.run(["nsenter", f"--net={namespace}", "--", *words], check=True, capture_output=True,
                              text=True).stdout  # fmt: skip

    assert "tbf" in told("tc", "qdisc", "show", "dev", "tap-slow")
    assert "limit rate over 200 kbytes/second burst 50 kbytes drop" in told("nft", "list", "ruleset")
    await driver.remove(spec.id)
    assert "tap-slow" not in told("nft", "list", "ruleset")


async def test_processors_of_ones_own(settings: QemuSettings, make_spec: MakeSpec) -> None:
    here = min(os.sched_getaffinity(0))
    pinned = make_spec(hardware=hardware_of({}, {"hw:cpu_policy": "dedicated"}, vcpus=1, memory_mb=64))
    second = msgspec.structs.replace(pinned, id="5ec0d000-0000-4000-8000-000000000002")
    driver = QemuDriver(msgspec.structs.replace(settings, dedicated_cpus=frozenset({here})))
    await driver.ensure(pinned)
    threads = os.listdir(f"/proc/{pid_of(settings, pinned)}/task")
    assert {here} in [os.sched_getaffinity(int(thread)) for thread in threads]
    with pytest.raises(GuestFailed, match="pinning is not supported by the host: 1 processors of its own are wanted"):
        await driver.ensure(second)
    await driver.remove(pinned.id)
    assert (await driver.ensure(second)).power is Power.PAUSED
    await driver.remove(second.id)
    await driver.close()


async def test_hardware_the_host_has_not(driver: QemuDriver, make_spec: MakeSpec) -> None:
    for flavor, told in (({"hw:mem_page_size": "1GB"}, "Page size 1048576 KiB is not supported by the host"),
                         ({"quota:cpu_shares": "10"}, "Requested CPU control policy not supported by host"),
                         ({"pci_passthrough:alias": "gpu:1"}, "1 devices gpu of the host are wanted, and 0 are free")):
        hardware = hardware_of({}, flavor, vcpus=1, memory_mb=64)
        with pytest.raises(GuestFailed, match=told):
            await driver.ensure(make_spec(hardware=hardware))


def fill(path: str, head: bytes) -> None:
    Path(path).write_bytes(head.ljust(1 << 20, b"x"))


async def test_a_raw_root_disk_is_a_copy(settings: QemuSettings, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(disks=(Disk(kind=DiskKind.ROOT, size_mb=2),))
    assert spec.image
    # A guest may write what it likes on its disk, the head of another format too.
    fill(spec.image.path, b"QFI\xfb")
    driver = QemuDriver(msgspec.structs.replace(settings, raw_disks=True))
    await driver.ensure(spec)
    await driver.power(spec.id, "off")
    folder = settings.instances / spec.id
    assert (folder / "raw-root").stat().st_size == 2 << 20
    assert not (folder / "base").exists()
    assert set(await driver.files(spec.id)) == {"state.json", "raw-root"}
    assert await driver.snapshot(spec.id, tmp_path / "copy") == "qcow2"
    assert (tmp_path / "copy").read_bytes()[:4] == b"QFI\xfb"
    await driver.close()
    plain = QemuDriver(settings)                 # the setting is about new disks
    assert (await plain.power(spec.id, "on")).power is Power.RUNNING
    await plain.remove(spec.id)
    await plain.close()
