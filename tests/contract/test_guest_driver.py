"""What every hypervisor driver promises: the specification of pileus.compute.drivers.base.GuestDriver."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from guest_hosts import (
    GREETING,
    FakeHost,
    Host,
    LibvirtHost,
    QemuHost,
    add_namespace,
    boot_sector,
    remove_namespace,
    until,
)

from pileus.compute.drivers.base import GuestDriver, GuestFailed, GuestSpec, GuestStopped, Image, Nic, Power
from pileus.compute.drivers.libvirt_daemon import stop_daemon
from pileus.compute.drivers.sockets import connected

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def namespace() -> Iterator[Path]:
    name = f"guests-{os.getpid()}"
    yield add_namespace(name)
    remove_namespace(name)


# What of the suite is run with libvirt every time; PILEUS_WHOLE_CONTRACT=1 runs all of it.
WITH_LIBVIRT = (
    "test_a_guest_is_made_paused_and_runs_when_told", "test_a_guest_whose_hypervisor_dies_is_reported",
    "test_suspending_keeps_the_memory_and_lets_go_of_the_rest",
    "test_a_killed_process_leaves_guests_to_the_next", "test_network_cards_come_to_a_running_guest",
    "test_what_goes_on_inside", "test_the_screen_speaks_rfb")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "host" in metafunc.fixturenames:
        whole = os.environ.get("PILEUS_WHOLE_CONTRACT") == "1" or metafunc.function.__name__ in WITH_LIBVIRT
        metafunc.parametrize("kind", ["fake", "qemu", *(["libvirt"] if whole else [])])


@pytest.fixture(scope="module")
def daemon(namespace: Path) -> Iterator[Path]:
    """The folder of a libvirtd. Its path is short, for sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="lv-"))
    yield folder
    stop_daemon(folder)
    shutil.rmtree(folder)


@pytest.fixture
async def host(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    if kind == "fake":
        chosen: Host = FakeHost(tmp_path / "guests")
    elif kind == "qemu":
        chosen = QemuHost(tmp_path, request.getfixturevalue("namespace"))
    else:
        chosen = LibvirtHost(tmp_path, request.getfixturevalue("namespace"), request.getfixturevalue("daemon"))
    yield chosen
    await chosen.clean()


async def power_of(driver: GuestDriver, guest_id: str) -> Power | None:
    return next((guest.power for guest in await driver.guests() if guest.id == guest_id), None)


async def started_times(driver: GuestDriver, spec: GuestSpec, times: int) -> None:
    """Wait until the guest has greeted that often."""
    greeting = GREETING if driver.name != "fake" else b"start"

    async def greeted() -> bool:
        return (await driver.console_log(spec.id)).count(greeting) >= times

    await until(greeted, f"{times} greetings on the console")


async def next_stop(driver: GuestDriver) -> GuestStopped:
    async with asyncio.timeout(30):
        return await anext(aiter(driver.events()))


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


async def test_specs_travel_in_messages(host: Host) -> None:
    spec = host.spec()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=GuestSpec) == spec


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
