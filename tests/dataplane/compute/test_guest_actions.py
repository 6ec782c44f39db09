"""What is done to a guest that runs an operating system: cards come and go, its memory is kept, its agent obeys."""

from pathlib import Path

import msgspec
from test_guest_boots import agent_answer, printed, spec_of, until
from test_guest_volumes import in_guest

from pileus.compute.drivers.base import Image, Nic, Power
from pileus.compute.drivers.guest_folder import GuestFolder
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.guest_image import GuestImage

PORT = "90470000-0000-4000-8000-000000000009"
MAC = "fa:16:3e:09:09:09"


async def test_a_guest_that_is_worked_on(
    driver: QemuDriver, settings: QemuSettings, guest: GuestImage, tmp_path: Path
) -> None:
    spec = spec_of(Image(id="small", disk_format="qcow2", path=str(guest.disk)))
    folder = GuestFolder(settings.instances / spec.id)
    await driver.ensure(spec)
    await driver.run(spec.id)
    await printed(driver, spec, "login:")

    async def cards() -> set[str]:
        found = (await agent_answer(folder, "guest-network-get-interfaces"))["return"]
        return {each.get("hardware-address", "") for each in found}

    async def has_card() -> bool:
        return MAC in await cards()

    async def lacks_card() -> bool:
        return MAC not in await cards()

    more = msgspec.structs.replace(spec, nics=(*spec.nics, Nic(port_id=PORT, mac=MAC, tap="tapmore")))
    await driver.adjust(more)
    await until(has_card, "the card in the guest")
    await driver.adjust(spec)
    await until(lacks_card, "the card out of the guest")
    await driver.adjust(more)
    await until(has_card, "the card in the guest again")

    for user, server in (("root", "dropbear -R -s -p 22"), ("cirros", "dropbear -R -p 22")):     # which takes passwords
        await driver.set_password(spec.id, user, "geheim")
        assert server in await in_guest(folder, "ps w")
    await driver.interrupt(spec.id)
    assert (await driver.diagnostics(spec.id)).cpu_seconds[0] > 0

    boots = (await driver.console_log(spec.id)).count(b"login:")
    assert (await driver.power(spec.id, "suspended")).power is Power.SUSPENDED
    assert (await driver.power(spec.id, "on")).power is Power.RUNNING
    await until(has_card, "the guest as it was")
    assert (await driver.console_log(spec.id)).count(b"login:") == boots

    copy = tmp_path / "copy"
    await driver.snapshot(spec.id, copy)
    await driver.power(spec.id, "off")
    other = spec_of(Image(id="copy", disk_format="qcow2", path=str(copy)))
    await driver.ensure(other)
    await driver.run(other.id)
    await printed(driver, other, "login:")


async def test_a_guest_that_boots_is_asked_until_it_hears(driver: QemuDriver, guest: GuestImage) -> None:
    """Off: what it was asked before it listened to its power button is asked again, so it ends in good order."""
    spec = spec_of(Image(id="small", disk_format="qcow2", path=str(guest.disk)))
    await driver.ensure(spec)
    await driver.run(spec.id)
    seen = await driver.power(spec.id, "off", soft_seconds=120)
    assert (seen.power, seen.reason) == (Power.OFF, "")
    assert b"Power down" in await driver.console_log(spec.id)
