"""Network cards of a QEMU that runs: plugged and unplugged until they are those its guest is to have."""

import asyncio
import time
from pathlib import Path

import msgspec

from pileus.compute.drivers.base import GuestSpec, Nic
from pileus.compute.drivers.guest_folder import GuestState
from pileus.compute.drivers.qemu_devices import assign_slots, nic_backend, nic_device, queues_of
from pileus.compute.drivers.qemu_guest import Guest
from pileus.compute.drivers.qemu_launch import hardware_of
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess
from pileus.compute.drivers.tap_limits import forget_limits, limit_tap
from pileus.compute.drivers.taps import ensure_tap, remove_tap

UNPLUG_SECONDS = 30.0
PRESS_SECONDS = 6.0  # a guest that boots does not hear the first request
PREFIX = "nic-"


async def adjust_nics(guest: Guest, before: GuestState, spec: GuestSpec, namespace: Path | None) -> None:
    """Give the guest the cards of `spec` and no other, at once if it runs; what is written of it goes before."""
    changed = msgspec.structs.replace(before.spec, nics=spec.nics)
    slots = assign_slots(changed, before.slots)
    wanted = [nic.tap for nic in spec.nics]
    taps = [*before.taps, *(tap for tap in wanted if tap not in before.taps)]
    state = msgspec.structs.replace(guest.folder.read() or before, spec=changed, slots=slots, taps=taps)
    guest.folder.write(state)
    if guest.process is not None:
        await plug(guest.process, changed, slots, namespace)
        await unplug(guest.process, changed, before.spec)
    for tap in taps:
        if tap not in wanted:
            await drop_tap(changed, tap, namespace)
    guest.folder.write(msgspec.structs.replace(state, taps=wanted))


async def make_tap(spec: GuestSpec, nic: Nic, namespace: Path | None) -> None:
    """The card's interface on the host, and how much may go over it."""
    hardware = hardware_of(spec)
    await asyncio.to_thread(ensure_tap, nic.tap, nic.mtu, namespace, many_queues=queues_of(spec) > 1)
    if hardware.inbound or hardware.outbound:
        await limit_tap(nic.tap, hardware, namespace)


async def drop_tap(spec: GuestSpec | None, tap: str, namespace: Path | None) -> None:
    """Already gone, or its namespace is: do nothing."""
    if namespace is not None and not await asyncio.to_thread(namespace.exists):
        return
    await asyncio.to_thread(remove_tap, tap, namespace)
    if spec is not None:
        await forget_limits(tap, hardware_of(spec), namespace)


async def plugged(process: QemuProcess) -> set[str]:
    """The ids of the ports whose cards are in the guest."""
    found = await process.execute("qom-list", {"path": "/machine/peripheral"})
    assert isinstance(found, list)
    return {str(each["name"]).removeprefix(PREFIX) for each in found if str(each["name"]).startswith(PREFIX)}


async def plug(process: QemuProcess, spec: GuestSpec, slots: dict[str, int], namespace: Path | None) -> None:
    """Every card of `spec` that is not there yet, with its tap."""
    there = await plugged(process)
    for nic in spec.nics:
        if nic.port_id in there:
            continue
        await remove_backend(process, nic.port_id, 0)  # what a try left that ended half way
        await make_tap(spec, nic, namespace)
        await process.execute("netdev_add", nic_backend(spec, nic))
        try:
            await process.execute("device_add", nic_device(spec, nic, slots))
        except QemuFailed:
            await remove_backend(process, nic.port_id, 0)
            raise


async def unplug(process: QemuProcess, spec: GuestSpec, before: GuestSpec) -> None:
    """Every card that `spec` does not have. The guest has to let go of it: raises QemuFailed if it does not."""
    wanted = {nic.port_id for nic in spec.nics}
    places = {nic.port_id: index for index, nic in enumerate(before.nics)}
    for port_id in sorted(await plugged(process) - wanted):
        give_up = time.monotonic() + UNPLUG_SECONDS
        asked = 0.0
        while port_id in await plugged(process):
            if time.monotonic() > give_up:
                raise QemuFailed("the guest does not let go of the network card")
            if time.monotonic() > asked + PRESS_SECONDS:
                asked = time.monotonic()
                await ask_to_let_go(process, port_id)
            await asyncio.sleep(0.05)
        await remove_backend(process, port_id, places.get(port_id, 0))


async def ask_to_let_go(process: QemuProcess, port_id: str) -> None:
    try:
        await process.execute("device_del", {"id": f"{PREFIX}{port_id}"})
    except QemuFailed as error:
        if "in the process of unplug" not in str(error) and "not found" not in str(error):
            raise


async def remove_backend(process: QemuProcess, port_id: str, place: int) -> None:
    """Under its name, or the one it has in a QEMU that was started when cards were counted."""
    for name in (f"net-{port_id}", f"net{place}"):
        try:
            await process.execute("netdev_del", {"id": name})
            return
        except QemuFailed as error:
            if "not found" not in str(error):
                raise
