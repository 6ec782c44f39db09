"""What containers are beside what every driver promises, and what they are refused."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest
from guest_hosts import Host, started_times

from pileus.compute.drivers.base import Disk, DiskKind, GuestFailed, GuestVolume, Power
from pileus.kit.saga_testing import until_killed


async def test_what_a_container_is(host: Host) -> None:
    """Frozen once it is made, though it ran until it was; it can be looked into, and its console is kept."""
    driver, spec = host.driver(), host.spec()
    assert (await driver.ensure(spec)).power is Power.PAUSED
    assert (await driver.run(spec.id)).power is Power.RUNNING
    await started_times(driver, spec, 1)
    found = await driver.diagnostics(spec.id)
    assert [nic.mac for nic in found.nics] == [nic.mac for nic in spec.nics] and found.cpu_seconds[0] > 0
    facts = await driver.host_facts()
    assert (facts.hypervisor_type, facts.accel) == ("LXC", "none")
    await driver.power(spec.id, "off")
    assert b"the guest has started" in await driver.console_log(spec.id)


async def test_a_copy_of_a_container(host: Host, tmp_path: Path) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    for power in (Power.RUNNING, Power.PAUSED, Power.OFF):
        if power is not Power.RUNNING:
            await driver.power(spec.id, "paused" if power is Power.PAUSED else "off")
        into = tmp_path / f"copy-{power}"
        assert await driver.snapshot(spec.id, into) == await driver.snapshot(spec.id, into) == "qcow2"
        assert [guest.power for guest in await driver.guests()] == [power]
        other = host.from_copy(spec, into, "qcow2")
        await driver.ensure(other)
        await driver.run(other.id)
        await started_times(driver, other, 1)
        await driver.remove(other.id)
    await driver.remove(spec.id)
    assert host.leftovers(spec, other) == []


async def test_a_copy_that_is_killed_leaves_no_container_frozen(host: Host, tmp_path: Path) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)

    async def copy() -> None:
        """Dies when it has frozen it."""
        mine = host.make()
        await mine.guests()
        copying = asyncio.create_task(mine.snapshot(spec.id, tmp_path / "copy"))
        while not copying.done():
            if Power.PAUSED in [guest.power for guest in await mine.guests()]:
                os.kill(os.getpid(), signal.SIGKILL)

    for again in (True, False):                # whether somebody asks for the copy again before anybody looks
        await driver.close()
        await until_killed(copy)
        driver = host.driver()
        if again:
            assert await driver.snapshot(spec.id, tmp_path / "copy") == "qcow2"
        assert [guest.power for guest in await driver.guests()] == [Power.RUNNING]
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []


async def test_what_a_container_has_not(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    replace = msgspec.structs.replace
    volume = GuestVolume(volume_id="7c5", socket="/volumes/7c5", export="7c5")
    for wrong, why in [(replace(spec, volumes=(volume,)), "no volumes"),
                       (replace(spec, disks=(*spec.disks, Disk(kind=DiskKind.SWAP, size_mb=8))), "has one disk"),
                       (replace(spec, image=None), "an image that holds a file system")]:
        with pytest.raises(GuestFailed, match=why):
            await driver.ensure(wrong)
    no_system = host.spec()
    assert no_system.image is not None
    os.truncate(no_system.image.path, 0)
    os.truncate(no_system.image.path, 8 << 20)
    with pytest.raises(GuestFailed, match="Failed to start domain"):
        await driver.ensure(no_system)
    await driver.remove(no_system.id)
    await driver.ensure(spec)
    for call, why in [(driver.power(spec.id, "suspended"), "memory cannot be kept"),
                      (driver.console(spec.id, "vnc"), "no screen"), (driver.console(spec.id, "serial"), "no screen")]:
        with pytest.raises(GuestFailed, match=why):
            await call
    await driver.remove(spec.id)
    assert host.leftovers(spec, no_system) == []
