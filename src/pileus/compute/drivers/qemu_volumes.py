"""Volumes of a QEMU that runs: plugged and unplugged until they are those its guest is to have."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from pileus.compute.drivers.base import GuestSpec, GuestVolume
from pileus.compute.drivers.guest_folder import GuestState
from pileus.compute.drivers.guest_volumes import (
    IO_THREAD,
    TLS,
    JsonObject,
    device,
    device_id,
    node,
    node_name,
    tls_object,
)
from pileus.compute.drivers.qemu_devices import assign_slots, place
from pileus.compute.drivers.qemu_guest import Guest
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess

UNPLUG_SECONDS, GROW_SECONDS, ASK_AGAIN_SECONDS, POLL_SECONDS = 60.0, 30.0, 5.0, 0.1
HEADER = 16 << 20                    # bytes that volumes which are encrypted keep for themselves, at most
LISTS: tuple[tuple[str, JsonObject, str], ...] = (          # by which command, and under which name
    ("query-named-block-nodes", {"flat": True}, "node-name"), ("qom-list", {"path": "/machine/peripheral"}, "name"),
    ("qom-list", {"path": "/objects"}, "name"))


async def adjust_volumes(guest: Guest, before: GuestState, spec: GuestSpec, certificates: Path | None) -> None:
    """Give the guest the volumes of `spec` and no other, at once if it runs; what is written of it goes before."""
    kept = {volume.volume_id for volume in spec.volumes}
    gone = [each for each in before.spec.volumes if each.volume_id not in kept]
    changed = msgspec.structs.replace(before.spec, volumes=spec.volumes)
    # What goes stays in the state until it is gone: its place on the bus is taken so long.
    both = msgspec.structs.replace(changed, volumes=(*spec.volumes, *gone))
    state = msgspec.structs.replace(before, spec=both, slots=assign_slots(both, before.slots))
    if state != before:
        guest.folder.write(state)
    if guest.process is not None:
        for volume in spec.volumes:
            seat = place(changed, state.slots[device_id(volume.volume_id)])
            await plug(guest.process, volume, seat, certificates)
        for volume in gone:
            await unplug(guest.process, volume.volume_id)
    if gone:
        guest.folder.write(msgspec.structs.replace(state, spec=changed, slots=assign_slots(changed, state.slots)))


async def present(process: QemuProcess) -> set[str]:
    """Names of the nodes, and ids of the devices and other objects, that the QEMU has."""
    names: set[str] = set()
    for command, arguments, told in LISTS:
        found = await process.execute(command, arguments)
        assert isinstance(found, list)
        names |= {str(each[told]) for each in found}
    return names


async def plug(process: QemuProcess, volume: GuestVolume, seat: JsonObject, certificates: Path | None) -> None:
    """Already there, whole or half: what is missing is added."""
    there = await present(process)
    if volume.address and TLS not in there:
        await process.execute("object-add", tls_object(certificates))
    if node_name(volume.volume_id) not in there:
        await process.execute("blockdev-add", node(volume))
    elif volume.size_gb is not None:
        await grow(process, volume, (volume.size_gb << 30) - HEADER)
    if IO_THREAD["id"] not in there:
        await process.execute("object-add", IO_THREAD)
    if device_id(volume.volume_id) not in there:
        await process.execute("device_add", device(volume) | {"id": device_id(volume.volume_id)} | seat)


async def grow(process: QemuProcess, volume: GuestVolume, least: int) -> None:
    """Whoever serves the volume had to cut the connection to make it larger; QEMU takes the size that it hears of when
    it is connected again, which it is when something is read: if that is the `least` or more."""
    give_up = time.monotonic() + GROW_SECONDS
    read = f'qemu-io {node_name(volume.volume_id)} "read 0 512"'
    while True:
        await process.execute("human-monitor-command", {"command-line": read})
        try:
            await process.execute("block_resize", {"node-name": node_name(volume.volume_id), "size": least})
            return
        except QemuFailed:
            if time.monotonic() > give_up:
                raise
        await asyncio.sleep(POLL_SECONDS)


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
    while node_name(volume_id) in await present(process):
        try:
            await process.execute("blockdev-del", {"node-name": node_name(volume_id)})
        except QemuFailed as error:          # what the guest asked for last is still being done
            if "in use" not in str(error) or time.monotonic() > give_up:
                raise
            await asyncio.sleep(POLL_SECONDS)


async def _ask(process: QemuProcess, volume_id: str) -> None:
    """QEMU refuses to ask while an earlier request is pending, which is as good."""
    try:
        await process.execute("device_del", {"id": device_id(volume_id)})
    except QemuFailed as error:
        if "in the process of unplug" not in str(error) and "not found" not in str(error):
            raise
