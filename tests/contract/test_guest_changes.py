"""What every hypervisor driver promises of guests that are there: halting, copying, moving, changing, looking in."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from guest_hosts import GREETING, Host, QemuHost, power_of, started_times

from pileus.compute.drivers.base import GuestDriver, GuestFailed, GuestSpec, Nic, Power
from pileus.compute.drivers.sockets import connected
from pileus.compute.hardware import hardware_of
from tests.numa import numa_folder

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def test_pausing_and_going_on(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    life = host.life(driver, spec.id)
    for _ in range(2):
        assert (await driver.power(spec.id, "paused")).power is Power.PAUSED
    assert await power_of(driver, spec.id) is Power.PAUSED
    assert (await driver.power(spec.id, "on")).power is Power.RUNNING
    assert host.life(driver, spec.id) == life
    await driver.power(spec.id, "off")
    with pytest.raises(GuestFailed, match="it is off"):
        await driver.power(spec.id, "paused")


async def test_suspending_keeps_the_memory_and_lets_go_of_the_rest(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    for _ in range(2):
        assert (await driver.power(spec.id, "suspended")).power is Power.SUSPENDED
    assert host.life(driver, spec.id) is None
    await driver.close()
    driver = host.driver()
    assert await power_of(driver, spec.id) is Power.SUSPENDED
    with pytest.raises(GuestFailed, match="it is off"):
        await driver.power(spec.id, "paused")
    assert (await driver.power(spec.id, "on")).power is Power.RUNNING
    assert await power_of(driver, spec.id) is Power.RUNNING
    greeting = GREETING if driver.name != "fake" else b"start"
    assert (await driver.console_log(spec.id)).count(greeting) == 1
    # Where it went on from is gone: the next start begins at the beginning.
    await driver.power(spec.id, "off")
    await driver.power(spec.id, "on")
    await started_times(driver, spec, 2)


async def test_off_lets_go_of_a_suspended_guest_s_memory(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    await driver.power(spec.id, "suspended")
    assert (await driver.power(spec.id, "off")).power is Power.OFF
    await driver.power(spec.id, "on")
    await started_times(driver, spec, 2)
    await driver.power(spec.id, "suspended")
    assert (await driver.reboot(spec.id, hard=True)).power is Power.RUNNING
    await started_times(driver, spec, 3)
    await driver.power(spec.id, "suspended")
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []


async def test_suspending_survives_being_killed(host: Host) -> None:
    spec = host.spec()
    await host.in_killed_process(spec, "ensure", "run", "suspend")
    driver = host.driver()
    assert await power_of(driver, spec.id) is Power.SUSPENDED
    assert (await driver.power(spec.id, "suspended")).power is Power.SUSPENDED
    assert (await driver.power(spec.id, "on")).power is Power.RUNNING


async def test_a_snapshot_is_a_disk_of_its_own(host: Host, tmp_path: Path) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    life = host.life(driver, spec.id)
    for power in ("on", "paused", "suspended", "off"):
        await driver.power(spec.id, power)
        into = tmp_path / f"copy-{power}"
        disk_format = await driver.snapshot(spec.id, into)
        assert await driver.snapshot(spec.id, into) == disk_format
        other = host.from_copy(spec, into, disk_format)
        if power == "on":
            assert host.life(driver, spec.id) == life
        await driver.ensure(other)
        await driver.run(other.id)
        await started_times(driver, other, 1)
        await driver.remove(other.id)


async def test_another_root_number_is_another_disk(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await driver.power(spec.id, "off")
    rebuilt = msgspec.structs.replace(spec, root=1)
    for _ in range(2):
        assert (await driver.ensure(rebuilt)).power is Power.PAUSED
    assert (await driver.run(spec.id)).power is Power.RUNNING
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []


async def test_a_guest_moves_to_another_host(host: Host, tmp_path: Path) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    await driver.power(spec.id, "off")
    other = host.beside()
    there = other.driver()
    for name, size in (await driver.files(spec.id)).items():
        for offset in range(0, max(size, 1), 100_000):
            piece = await driver.read(spec.id, name, offset, 100_000)
            for _ in range(2):
                await there.receive(spec, name, offset, piece)
    await driver.remove(spec.id)
    assert await power_of(there, spec.id) is Power.OFF
    await there.ensure(spec)
    await there.run(spec.id)
    await started_times(there, spec, 1 if there.name != "fake" else 2)
    await there.remove(spec.id)
    await other.clean()


async def test_network_cards_come_to_a_running_guest(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    life = host.life(driver, spec.id)
    nic = Nic(port_id=UNKNOWN, mac="fa:16:3e:00:00:02", tap="tapmore")
    more = msgspec.structs.replace(spec, nics=(*spec.nics, nic))
    for _ in range(2):
        assert (await driver.adjust(more)).power is Power.RUNNING
    assert host.life(driver, spec.id) == life
    found = await driver.diagnostics(spec.id)
    assert [nic.mac for nic in found.nics] == [nic.mac for nic in more.nics]
    await driver.power(spec.id, "off")
    for _ in range(2):
        assert (await driver.adjust(spec)).power is Power.OFF
    assert (await driver.power(spec.id, "on")).power is Power.RUNNING
    assert [nic.mac for nic in (await driver.diagnostics(spec.id)).nics] == [nic.mac for nic in spec.nics]
    await driver.remove(spec.id)
    assert host.leftovers(more) == []


async def test_what_goes_on_inside(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    found = await driver.diagnostics(spec.id)
    assert (found.power, found.memory_mb, len(found.cpu_seconds)) == (Power.RUNNING, 64, 1)
    await driver.interrupt(spec.id)
    await driver.power(spec.id, "off")
    for call in (driver.diagnostics(spec.id), driver.interrupt(spec.id), driver.console(spec.id, "vnc")):
        with pytest.raises(GuestFailed, match="it is off"):
            await call


async def test_the_screen_speaks_rfb(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    path = await driver.console(spec.id, "vnc")
    reader, writer = await asyncio.open_unix_connection(sock=connected(path))
    async with asyncio.timeout(30):
        assert (await reader.readexactly(12)).startswith(b"RFB 003.")
    writer.close()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two processors are needed")
async def test_a_guest_has_memory_of_its_node_and_processors_of_its_own(host: QemuHost, tmp_path: Path) -> None:
    """On a host that tells of two nodes, the second of which has no room for it."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    host.nodes = numa_folder(tmp_path / "nodes", {0: (str(first), 8192), 1: (str(second), 32)})

    async def start(driver: GuestDriver, **flavor: str) -> tuple[GuestSpec, str, list[set[int]]]:
        """(the guest, how its memory is allotted, which processors its threads may be on)"""
        words = {name.replace("__", ":"): value for name, value in flavor.items()}
        spec = msgspec.structs.replace(host.spec(), hardware=hardware_of({}, words, vcpus=1, memory_mb=64))
        await driver.ensure(spec)
        pid = host.life(driver, spec.id)
        assert pid is not None
        allotted = await asyncio.to_thread(Path(f"/proc/{pid}/numa_maps").read_text)
        return spec, allotted, [os.sched_getaffinity(int(thread)) for thread in os.listdir(f"/proc/{pid}/task")]

    async def left(driver: GuestDriver) -> list[tuple[int, int]]:
        return [(cell.memory_mb, cell.dedicated_free) for cell in (await driver.host_facts()).cells]

    driver = host.driver()
    _, allotted, threads = await start(driver)
    assert "bind" not in allotted and all(each == os.sched_getaffinity(0) for each in threads)
    held, allotted, threads = await start(driver, hw__numa_nodes="1")
    assert "bind:0" in allotted and {first} in threads and await left(driver) == [(8128, 0), (32, 0)]
    await driver.remove(held.id)
    await driver.close()
    host.dedicated = frozenset({first})
    driver = host.driver()
    own, allotted, threads = await start(driver, hw__cpu_policy="dedicated")
    assert "bind:0" in allotted and {first} in threads and await left(driver) == [(8128, 0), (32, 0)]
    with pytest.raises(GuestFailed, match="no NUMA nodes of this host have room for its 1"):
        await start(driver, hw__cpu_policy="dedicated")
    await driver.remove(own.id)
    assert await left(driver) == [(8192, 1), (32, 0)]
