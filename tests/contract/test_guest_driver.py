"""What every hypervisor driver promises: the specification of pileus.compute.drivers.base.GuestDriver."""

import asyncio
import time

import msgspec
import pytest
from guest_hosts import Host, boot_sector, next_stop, power_of, started_times

from pileus.compute.drivers.base import GuestFailed, GuestSpec, Image, Power

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def test_a_guest_is_made_paused_and_runs_when_told(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    seen = await driver.ensure(spec)
    assert (seen.id, seen.name, seen.power, seen.reason) == (spec.id, "web", Power.PAUSED, "")
    assert await driver.console_log(spec.id) == b""
    assert (await driver.run(spec.id)).power is Power.RUNNING
    assert [guest.power for guest in await driver.guests()] == [Power.RUNNING]
    await started_times(driver, spec, 1)


async def test_making_it_again_changes_nothing(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    first = await driver.ensure(spec)
    life = host.life(driver, spec.id)
    assert await driver.ensure(spec) == first
    await driver.run(spec.id)
    assert (await driver.ensure(spec)).power is Power.RUNNING
    assert (await driver.run(spec.id)).power is Power.RUNNING
    assert host.life(driver, spec.id) == life


async def test_a_changed_spec_does_not_disturb_a_running_guest(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    life = host.life(driver, spec.id)
    changed = msgspec.structs.replace(spec, memory_mb=96, nics=())
    assert (await driver.ensure(changed)).power is Power.RUNNING
    assert host.life(driver, spec.id) == life
    assert (await driver.reboot(spec.id, hard=True)).power is Power.RUNNING
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []


async def test_removing_leaves_nothing_and_may_be_repeated(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.remove(UNKNOWN)
    await driver.ensure(spec)
    await driver.run(spec.id)
    assert host.leftovers(spec) != []
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []
    assert await driver.guests() == []
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []


async def test_unknown_guests_are_failures(host: Host) -> None:
    driver = host.driver()
    for call in (
        driver.run(UNKNOWN),
        driver.power(UNKNOWN, "on"),
        driver.power(UNKNOWN, "off"),
        driver.reboot(UNKNOWN, hard=True),
        driver.console_log(UNKNOWN),
    ):
        with pytest.raises(GuestFailed, match="no such guest") as failure:
            await call
        assert failure.value.guest_id == UNKNOWN
    assert await driver.guests() == []


async def test_off_and_on_again(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    for _ in range(2):
        seen = await driver.power(spec.id, "off")
        assert (seen.power, seen.reason) == (Power.OFF, "")
    assert host.life(driver, spec.id) is None
    with pytest.raises(GuestFailed, match="it is off"):
        await driver.run(spec.id)
    for _ in range(2):
        assert (await driver.power(spec.id, "on")).power is Power.RUNNING
    await started_times(driver, spec, 2)


async def test_one_that_is_off_is_made_paused_again(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.power(spec.id, "off")
    assert (await driver.ensure(spec)).power is Power.PAUSED
    assert (await driver.run(spec.id)).power is Power.RUNNING


async def test_off_is_asked_for_politely(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    async with asyncio.timeout(20):
        seen = await driver.power(spec.id, "off", soft_seconds=60)
    assert (seen.power, seen.reason) == (Power.OFF, "")


async def test_a_guest_that_does_not_listen_is_cut_off(host: Host) -> None:
    driver, spec = host.driver(), host.spec(boot_sector(deaf=True))
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    assert (await driver.power(spec.id, "off", soft_seconds=0.2)).power is Power.OFF
    assert (await driver.power(spec.id, "on")).power is Power.RUNNING
    await started_times(driver, spec, 2)
    assert (await driver.reboot(spec.id, hard=False, soft_seconds=0.2)).power is Power.RUNNING
    await started_times(driver, spec, 3)


@pytest.mark.parametrize("hard", [True, False])
async def test_reboot(host: Host, hard: bool) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    assert (await driver.reboot(spec.id, hard=hard)).power is Power.RUNNING
    await started_times(driver, spec, 2)
    await driver.power(spec.id, "off")
    assert (await driver.reboot(spec.id, hard=hard)).power is Power.RUNNING
    await started_times(driver, spec, 3)


async def test_the_console_log_is_cut_to_the_last_lines(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    await started_times(driver, spec, 1)
    whole = (await driver.console_log(spec.id)).splitlines()
    assert (await driver.console_log(spec.id, 1)).splitlines() == whole[-1:]
    assert (await driver.console_log(spec.id, 1000)).splitlines() == whole
    assert await driver.console_log(spec.id, 0) == b""


async def test_a_guest_whose_hypervisor_dies_is_reported(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    await driver.ensure(spec)
    await driver.run(spec.id)
    host.crash(driver, spec.id)
    stop = await next_stop(driver)
    assert (stop.guest_id, stop.power) == (spec.id, Power.OFF)
    assert stop.reason
    (seen,) = await driver.guests()
    assert (seen.power, seen.reason) == (Power.OFF, stop.reason)
    assert (await driver.power(spec.id, "on")).power is Power.RUNNING


async def test_what_is_stopped_on_request_is_not_reported(host: Host) -> None:
    driver, first, second = host.driver(), host.spec(), host.spec()
    await driver.ensure(first)
    await driver.run(first.id)
    await driver.reboot(first.id, hard=True)
    await driver.power(first.id, "off")
    await driver.power(first.id, "on")
    await driver.remove(first.id)
    await driver.ensure(second)
    host.crash(driver, second.id)
    assert (await next_stop(driver)).guest_id == second.id


async def test_closing_lets_guests_run_on(host: Host) -> None:
    first, spec = host.driver(), host.spec()
    await first.ensure(spec)
    await first.run(spec.id)
    life = host.life(first, spec.id)
    await first.close()
    await first.close()
    assert [stop async for stop in first.events()] == []
    second = host.driver()
    assert await power_of(second, spec.id) is Power.RUNNING
    assert host.life(second, spec.id) == life
    assert (await second.ensure(spec)).power is Power.RUNNING
    assert host.life(second, spec.id) == life


async def test_a_killed_process_leaves_guests_to_the_next(host: Host) -> None:
    spec = host.spec()
    await host.in_killed_process(spec, "ensure", "run")
    driver = host.driver()
    assert await power_of(driver, spec.id) is Power.RUNNING
    life = host.life(driver, spec.id)
    assert (await driver.ensure(spec)).power is Power.RUNNING
    assert host.life(driver, spec.id) == life
    host.crash(driver, spec.id)
    assert (await next_stop(driver)).guest_id == spec.id
    assert await power_of(driver, spec.id) is Power.OFF


@pytest.mark.parametrize("call", ["run", "power", "reboot", "console_log", "remove"])
async def test_any_call_may_be_the_first_after_a_kill(host: Host, call: str) -> None:
    spec = host.spec()
    await host.in_killed_process(spec, "ensure", "run")
    driver = host.driver()
    if call == "run":
        assert (await driver.run(spec.id)).power is Power.RUNNING
    elif call == "power":
        assert (await driver.power(spec.id, "off")).power is Power.OFF
    elif call == "reboot":
        await started_times(driver, spec, 1)
        assert (await driver.reboot(spec.id, hard=False, soft_seconds=5)).power is Power.RUNNING
    elif call == "console_log":
        await started_times(driver, spec, 1)
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []


@pytest.mark.parametrize("then", ["ensure", "remove", "look"])
@pytest.mark.parametrize("step", ["folder", "disks", "taps", "started"])
async def test_killed_while_making_a_guest(host: Host, step: str, then: str) -> None:
    spec = host.spec()
    await host.in_killed_process(spec, "ensure", at=step if step in host.steps else host.steps[-1])
    driver = host.driver()
    if then == "ensure":
        assert (await driver.ensure(spec)).power is Power.PAUSED
        assert (await driver.run(spec.id)).power is Power.RUNNING
        await started_times(driver, spec, 1)
    elif then == "look":
        for guest in await driver.guests():
            assert (guest.id, guest.power) in {(spec.id, Power.OFF), (spec.id, Power.PAUSED)}
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []
    assert await driver.guests() == []


async def test_a_guest_that_powers_itself_off(host: Host) -> None:
    driver, spec = host.driver(), host.spec(host.goes_off())
    await driver.ensure(spec)
    await driver.run(spec.id)
    if host.goes_off() is None:
        host.crash(driver, spec.id)
    stop = await next_stop(driver)
    assert (stop.guest_id, stop.power) == (spec.id, Power.OFF)
    assert await power_of(driver, spec.id) is Power.OFF
    assert (await driver.ensure(spec)).power is Power.PAUSED


async def test_looking_while_a_guest_is_made(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    making = asyncio.create_task(driver.ensure(spec))
    while not making.done():
        for guest in await driver.guests():
            assert (guest.id, guest.power) in {(spec.id, Power.OFF), (spec.id, Power.PAUSED)}
        await asyncio.sleep(0.005)
    assert (await making).power is Power.PAUSED


async def test_two_guests_at_once(host: Host) -> None:
    driver, specs = host.driver(), [host.spec(), host.spec()]
    await asyncio.gather(*(driver.ensure(spec) for spec in specs))
    await asyncio.gather(*(driver.run(spec.id) for spec in specs))
    assert {guest.id: guest.power for guest in await driver.guests()} == {spec.id: Power.RUNNING for spec in specs}
    await asyncio.gather(*(driver.remove(spec.id) for spec in specs))
    assert host.leftovers(*specs) == []


async def test_an_image_that_is_not_there(host: Host) -> None:
    driver, spec = host.driver(), host.spec()
    image = Image(id="gone", disk_format="qcow2", path="/nonexistent/image")
    with pytest.raises(GuestFailed, match="not on this host") as failure:
        await driver.ensure(msgspec.structs.replace(spec, image=image))
    assert failure.value.guest_id == spec.id
    await driver.remove(spec.id)
    assert host.leftovers(spec) == []


async def test_what_the_host_has_to_give(host: Host) -> None:
    facts = await host.driver().host_facts()
    assert facts.hostname == "host-1"
    assert facts.hypervisor_type
    assert facts.hypervisor_version[0].isdigit()
    assert min(facts.vcpus, facts.memory_mb, facts.disk_gb, facts.disk_free_gb) > 0
    assert facts.accel in ("kvm", "tcg", "none")
    assert facts.cpu["arch"]
    assert facts.booted_at is not None and facts.booted_at < time.time()


async def test_specs_travel_in_messages(host: Host) -> None:
    spec = host.spec()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=GuestSpec) == spec
