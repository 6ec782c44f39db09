"""The guest image under the QEMU driver: up to a login, with its configuration, and down again when asked."""

import asyncio
import json
import re
import socket
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, Image, Nic, Power
from pileus.compute.drivers.guest_folder import AGENT, GuestFolder
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.compute.drivers.taps import in_namespace
from pileus.compute.hardware import hardware_of
from pileus.guest_image import GuestImage


def spec_of(image: Image, *disks: Disk) -> GuestSpec:
    guest_id = str(uuid.uuid4())
    meta = {"uuid": guest_id, "hostname": "web.example.org", "name": "web"}
    port = str(uuid.uuid4())
    static = {
        "links": [{"id": "l0", "ethernet_mac_address": "fa:16:3e:01:02:03", "mtu": 1400}],
        "networks": [{"link": "l0", "type": "ipv4", "ip_address": "192.0.2.7", "netmask": "255.255.255.0"}],
        "services": [],
    }
    return GuestSpec(
        id=guest_id,
        name="web",
        vcpus=1,
        memory_mb=128,
        image=image,
        disks=(Disk(kind=DiskKind.ROOT, size_mb=1024, boot_order=0), *disks, Disk(kind=DiskKind.CONFIG)),
        nics=(Nic(port_id=port, mac="fa:16:3e:01:02:03", tap=f"tap{port[:8]}", mtu=1400),),
        config_drive={
            "openstack/latest/meta_data.json": json.dumps(meta).encode(),
            "openstack/latest/network_data.json": json.dumps(static).encode(),
            "openstack/latest/user_data": b"#!/bin/sh\necho\nlsblk -bdno NAME,SIZE\n",
        },
    )


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < ends, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.1)


async def printed(driver: QemuDriver, spec: GuestSpec, *texts: str, seconds: float = 90) -> str:
    async def all_there() -> bool:
        log = (await driver.console_log(spec.id)).decode(errors="replace")
        return all(text in log for text in texts)

    await until(all_there, f"{texts} on the console", seconds)
    return (await driver.console_log(spec.id)).decode(errors="replace")


async def agent_answer(folder: GuestFolder, command: str) -> dict:
    reader, writer = await asyncio.open_connection(sock=folder.connect(AGENT))
    try:
        writer.write(msgspec.json.encode({"execute": command}) + b"\n")
        async with asyncio.timeout(20):
            return json.loads(await reader.readline())
    finally:
        writer.close()
        await writer.wait_closed()


def plug(tap: str, namespace: Path) -> None:
    """What the network engine would do, in its least form."""
    for words in (("addr", "add", "192.0.2.1/24", "dev", tap), ("link", "set", tap, "up")):
        subprocess.run(["ip", "-n", namespace.name, *words], check=True)


def ssh_banner(namespace: Path) -> bytes:
    def connect() -> bytes:
        with socket.create_connection(("192.0.2.7", 22), timeout=20) as connection:
            return connection.recv(64)

    return in_namespace(namespace, connect)


async def test_a_guest_comes_up_and_goes_down(
    guest: GuestImage, driver: QemuDriver, settings: QemuSettings, namespace: Path
) -> None:
    swap = Disk(kind=DiskKind.SWAP, size_mb=16)
    spec = spec_of(Image(id="guest", disk_format="qcow2", path=str(guest.disk)), swap)
    await driver.ensure(spec)
    await asyncio.to_thread(plug, spec.nics[0].tap, namespace)
    await driver.run(spec.id)
    log = await printed(driver, spec, "web login:", "user-data script ended with 0")
    assert "cloud: metadata from config drive /dev/vdc" in log
    assert f"cloud: instance {spec.id} hostname web" in log
    assert "192.0.2.7/24" in log
    sizes = dict(line.split() for line in log.splitlines() if line.startswith("vd") and len(line.split()) == 2)
    assert (int(sizes["vda"]), int(sizes["vdb"])) == (1024 << 20, 16 << 20)
    assert (await asyncio.to_thread(ssh_banner, namespace)).startswith(b"SSH-2.0-")
    assert "return" in await agent_answer(GuestFolder(settings.instances / spec.id), "guest-ping")
    began = time.monotonic()
    assert (await driver.power(spec.id, "off", soft_seconds=60)).power is Power.OFF
    assert time.monotonic() - began < 50


async def test_a_kernel_and_its_ramdisk_are_started_directly(guest: GuestImage, driver: QemuDriver) -> None:
    image = Image(
        id="root",
        disk_format="ami",
        path=str(guest.root),
        kernel_id="kernel",
        kernel_path=str(guest.kernel),
        ramdisk_id="ramdisk",
        ramdisk_path=str(guest.ramdisk),
        properties={"os_command_line": f"{guest.command_line} marked=yes"},
    )
    spec = msgspec.structs.replace(spec_of(image), config_drive_format="vfat")
    await driver.ensure(spec)
    await driver.run(spec.id)
    log = await printed(driver, spec, "Run /init as init process", "EXT4-fs (vda): mounted", "user-data script ended")
    assert "marked=yes" in log
    assert "cloud: metadata from config drive /dev/vdb" in log


INSIDE = b"""#!/bin/sh
echo inside secure=$(dmesg | grep -c "Secure boot enabled") tpm=$(cat /sys/class/tpm/tpm0/tpm_version_major) \
  cpus=$(nproc) \
  packages=$(grep "physical id" /proc/cpuinfo | sort -u | wc -l) \
  nodes=$(ls -d /sys/devices/system/node/node? | wc -l) random=$(cat /sys/class/misc/hw_random/rng_current) \
  disks=$(lsblk -dno NAME | sort | tr "\n" " ") watchdog=$(cat /sys/bus/pci/devices/*/device | grep -c 0x25ab) end
"""


async def test_a_machine_with_everything(guest: GuestImage, driver: QemuDriver, tmp_path: Path) -> None:
    image = {"hw_firmware_type": "uefi", "os_secure_boot": "required", "hw_disk_bus": "scsi",
             "hw_video_model": "virtio",
             "hw_watchdog_action": "reset", "hw_pointer_model": "usbtablet", "os_require_quiesce": "yes"}
    flavor = {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb", "hw:cpu_sockets": "2", "hw:numa_nodes": "2",
              "quota:disk_total_iops_sec": "5000"}
    spec = spec_of(Image(id="guest", disk_format="qcow2", path=str(guest.disk)))
    spec = msgspec.structs.replace(
        spec, vcpus=2, memory_mb=512, hardware=hardware_of(image, flavor, vcpus=2, memory_mb=512),
        config_drive=spec.config_drive | {"openstack/latest/user_data": INSIDE},
    )  # fmt: skip
    await driver.ensure(spec)
    await driver.run(spec.id)
    # Firmware that checks signatures, on two emulated processors, takes several times as long as a BIOS.
    log = await printed(driver, spec, "user-data script ended with 0", seconds=300)
    told = re.search(r"inside (secure=.*) end", log)
    assert told is not None
    assert "secure=1 tpm=2 cpus=2 packages=2 nodes=2 random=virtio_rng.0 disks=sda sdb" in told[1]
    assert "watchdog=1" in told[1]
    copy = tmp_path / "copy"
    assert await driver.snapshot(spec.id, copy) == "qcow2"     # quiesced, and awake again afterwards
    assert (await driver.power(spec.id, "off", soft_seconds=60)).power is Power.OFF
