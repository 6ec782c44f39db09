"""The fake driver's knobs, and that a host full of guests costs next to nothing."""

import asyncio
import time
import tracemalloc
from pathlib import Path

import pytest

from pileus.compute.drivers.base import GuestFailed, GuestSpec, HostFacts, Power
from pileus.compute.drivers.fake import FakeDriver, Knobs


def spec(guest_id: str = "guest-1") -> GuestSpec:
    return GuestSpec(id=guest_id, name="web", vcpus=1, memory_mb=64)


async def test_failing_before_and_after_the_deed() -> None:
    driver = FakeDriver("host-1", knobs=Knobs(fail={"ensure": "no room"}))
    with pytest.raises(GuestFailed, match="no room"):
        await driver.ensure(spec())
    assert await driver.guests() == []
    driver.knobs = Knobs(fail_late={"ensure": "lost on the way"})
    with pytest.raises(GuestFailed, match="lost on the way"):
        await driver.ensure(spec())
    assert [guest.power for guest in await driver.guests()] == [Power.PAUSED]
    driver.knobs = Knobs(fail={"*": "gone"})
    for call in (driver.run("guest-1"), driver.remove("guest-1"), driver.guests()):
        with pytest.raises(GuestFailed, match="gone"):
            await call


async def test_slow_calls_do_not_hold_up_others() -> None:
    driver = FakeDriver("host-1", knobs=Knobs(slow={"ensure": 0.05}))
    began = time.monotonic()
    await asyncio.gather(*(driver.ensure(spec(f"guest-{number}")) for number in range(50)))
    assert 0.05 <= time.monotonic() - began < 1
    assert len(await driver.guests()) == 50


async def test_lying_about_a_guest() -> None:
    driver = FakeDriver("host-1")
    await driver.ensure(spec())
    driver.knobs.lie["guest-1"] = Power.OFF
    assert [guest.power for guest in await driver.guests()] == [Power.OFF]
    assert (await driver.run("guest-1")).power is Power.RUNNING


async def test_what_a_host_has_is_a_knob() -> None:
    facts = HostFacts(
        hostname="large", hypervisor_type="fake", hypervisor_version="2", vcpus=512, memory_mb=1 << 22, disk_gb=1 << 20,
        disk_free_gb=1 << 20, accel="none",
    )  # fmt: skip
    assert await FakeDriver("large", facts=facts).host_facts() == facts


async def test_guests_print_to_their_console_and_old_lines_go(tmp_path: Path) -> None:
    driver = FakeDriver("host-1", tmp_path)
    await driver.ensure(spec())
    for number in range(300):
        driver.write_console("guest-1", f"line {number}")
    again = FakeDriver("host-1", tmp_path)
    lines = (await again.console_log("guest-1")).decode().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (200, "line 100", "line 299")


@pytest.mark.parametrize("guest_id", ["../up", "", "a/b", ".hidden"])
async def test_ids_that_cannot_name_a_file(tmp_path: Path, guest_id: str) -> None:
    driver = FakeDriver("host-1", tmp_path / "guests")
    with pytest.raises(GuestFailed, match="no plain name"):
        await driver.ensure(spec(guest_id))


async def test_many_guests_on_many_hosts_take_little_memory() -> None:
    tracemalloc.start()
    try:
        hosts = [FakeDriver(f"host-{number}") for number in range(100)]
        for number, host in enumerate(hosts):
            for other in range(20):
                guest = spec(f"guest-{number}-{other}")
                await host.ensure(guest)
                await host.run(guest.id)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 2000 * 2048
    for host in hosts:
        await host.close()
