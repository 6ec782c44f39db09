"""Volumes in a QEMU: NBD exports that are reconnected to, plugged and unplugged while the guest lives."""

from __future__ import annotations

import asyncio
import time

from pileus.compute.drivers.base import GuestVolume
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess

RECONNECT_SECONDS = 60               # for which a guest waits for a server that went away, before it sees an error
UNPLUG_SECONDS, ASK_AGAIN_SECONDS, POLL_SECONDS = 60.0, 5.0, 0.1
JsonObject = dict[str, object]


def device_id(volume_id: str) -> str:
    return f"volume-{volume_id}"


def node_name(volume_id: str) -> str:
    """At most 31 characters long, as QEMU wants it."""
    return f"v{volume_id.replace('-', '')[:30]}"


def node(volume: GuestVolume) -> JsonObject:
    return {"driver": "nbd", "node-name": node_name(volume.volume_id), "export": volume.export, "discard": "unmap",
            "server": {"type": "unix", "path": volume.socket}, "reconnect-delay": RECONNECT_SECONDS,
            "read-only": volume.read_only}


def device(volume: GuestVolume) -> JsonObject:
    """Without its place on the bus. Guests see the first 20 characters of the serial."""
    found: JsonObject = {"driver": "virtio-blk-pci", "drive": node_name(volume.volume_id), "serial": volume.volume_id}
    if volume.boot_order is not None:
        found["bootindex"] = volume.boot_order + 1
    return found


async def present(process: QemuProcess) -> set[str]:
    """Names of the nodes and ids of the devices the QEMU has."""
    nodes = await process.execute("query-named-block-nodes", {"flat": True})
    found = await process.execute("qom-list", {"path": "/machine/peripheral"})
    assert isinstance(nodes, list) and isinstance(found, list)
    return {str(each["node-name"]) for each in nodes} | {str(each["name"]) for each in found}


async def plug(process: QemuProcess, volume: GuestVolume, place: JsonObject) -> None:
    """Already there, whole or half: what is missing is added."""
    there = await present(process)
    if node_name(volume.volume_id) not in there:
        await process.execute("blockdev-add", node(volume))
    if device_id(volume.volume_id) not in there:
        await process.execute("device_add", device(volume) | place)


async def unplug(process: QemuProcess, volume_id: str) -> None:
    """The guest has to let go of the device; one that is still booting does so late, and is asked again."""
    give_up = time.monotonic() + UNPLUG_SECONDS
    asked = 0.0
    while device_id(volume_id) in await present(process):
        now = time.monotonic()
        if now > give_up:
            raise QemuFailed(f"the guest does not let go of volume {volume_id}")
        if now - asked > ASK_AGAIN_SECONDS:
            asked = now
            await _ask(process, volume_id)
        await asyncio.sleep(POLL_SECONDS)
    if node_name(volume_id) in await present(process):
        await process.execute("blockdev-del", {"node-name": node_name(volume_id)})


async def _ask(process: QemuProcess, volume_id: str) -> None:
    """QEMU refuses to ask while an earlier request is pending, which is as good."""
    try:
        await process.execute("device_del", {"id": device_id(volume_id)})
    except QemuFailed as error:
        if "in the process of unplug" not in str(error) and "not found" not in str(error):
            raise
