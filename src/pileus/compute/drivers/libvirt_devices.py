"""Network cards and volumes of a domain that lives: plugged and unplugged until they are those it is to have."""

from __future__ import annotations

import asyncio
import time
import xml.etree.ElementTree as xml
from collections.abc import Awaitable, Callable
from pathlib import Path

from pileus.compute.drivers.base import GuestSpec, Nic
from pileus.compute.drivers.libvirt_domain import Place, interface, volume_element
from pileus.compute.drivers.virsh import LibvirtFailed, Virsh

UNPLUG_SECONDS, ASK_AGAIN_SECONDS, POLL_SECONDS = 60.0, 6.0, 0.2
DEVICE = "device.xml"


Plug = Callable[[Nic], Awaitable[None]]


async def adjust_devices(virsh: Virsh, spec: GuestSpec, place: Place, plug: Plug) -> None:
    """Already so: nothing more. `plug` makes the tap of a card. Raises LibvirtFailed where the guest does not let go of
    a device."""
    folder = Path(place.folder)
    there = await living(virsh, spec.id)
    macs = {nic.mac: nic for nic in spec.nics}
    wanted = {volume.volume_id: volume for volume in spec.volumes}
    for mac, nic in macs.items():
        if mac not in there:
            await plug(nic)
            await attach(virsh, folder, spec.id, interface(spec, nic, place))
    used = {each.get("dev", "") for device in there.values() for each in device.findall("target")}
    for volume_id, volume in wanted.items():
        if volume_id not in there:
            target = next(name for letter in "abcdefghijklmnopqrstuvwxyz" if (name := f"vd{letter}") not in used)
            used.add(target)
            await attach(virsh, folder, spec.id, volume_element(spec, volume, target, place))
        elif volume.size_gb is not None:
            await grow(virsh, spec.id, there[volume_id], volume.size_gb << 30)
    for name, device in there.items():
        is_ours = device.tag == "interface" or device.get("type") == "network"
        if is_ours and name not in macs and name not in wanted:
            await detach(virsh, folder, spec.id, name, device)


async def living(virsh: Virsh, guest_id: str) -> dict[str, xml.Element]:
    """Cards by MAC address, disks by serial number."""
    devices = xml.fromstring(await virsh.run("dumpxml", guest_id)).find("devices")
    assert devices is not None
    found: dict[str, xml.Element] = {}
    for each in devices:
        mac, serial = each.find("mac"), each.findtext("serial")
        if each.tag == "interface" and mac is not None:
            found[mac.get("address", "")] = each
        elif each.tag == "disk" and serial:
            found[serial] = each
    return found


async def attach(virsh: Virsh, folder: Path, guest_id: str, device: xml.Element) -> None:
    await virsh.run("attach-device", guest_id, await written(folder, device), "--live")


async def detach(virsh: Virsh, folder: Path, guest_id: str, name: str, device: xml.Element) -> None:
    """The guest has to let go of it; one that is still booting does so late, and is asked again."""
    path = await written(folder, device)
    give_up, asked = time.monotonic() + UNPLUG_SECONDS, 0.0
    while name in await living(virsh, guest_id):
        now = time.monotonic()
        if now > give_up:
            raise LibvirtFailed(f"the guest does not let go of {name}")
        if now - asked > ASK_AGAIN_SECONDS:
            asked = now
            try:
                await virsh.run("detach-device", guest_id, path, "--live")
            except LibvirtFailed as error:
                if "in the process of unplug" not in str(error) and "not found" not in str(error):
                    raise
        await asyncio.sleep(POLL_SECONDS)


async def grow(virsh: Virsh, guest_id: str, device: xml.Element, size: int) -> None:
    """Raises LibvirtFailed where its QEMU does not: it grows no disk that is served over NBD."""
    target = device.find("target")
    assert target is not None
    told = await virsh.run("domblkinfo", guest_id, target.get("dev", ""))
    capacity = next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Capacity:"))
    if capacity < size:
        await virsh.run("blockresize", guest_id, target.get("dev", ""), f"{size}B")


async def written(folder: Path, device: xml.Element) -> str:
    path = folder / DEVICE
    await asyncio.to_thread(path.write_bytes, xml.tostring(device))
    return str(path)
