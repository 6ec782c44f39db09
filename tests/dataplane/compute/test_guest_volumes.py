"""A guest that boots from a volume and is given another one, which grows while it is used and is taken away again."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from test_guest_boots import printed, spec_of, until

from pileus.compute.drivers.base import Disk, DiskKind, GuestVolume, Image, Power
from pileus.compute.drivers.guest_folder import AGENT, GuestFolder
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.compute.volumes import free_device
from pileus.guest_image import GuestImage
from pileus.volume.drivers.base import ExportOptions, Mirror
from pileus.volume.drivers.file import FileDriver

GIB = 1 << 30
DATA = "for each in /sys/block/vd*; do [ $(cat $each/serial) = data ] && found=${each##*/}; done; "


async def back_end(name: str, folder: Path) -> AsyncIterator[FileDriver]:
    made = FileDriver(name, folder / name, sockets=folder / "sockets")
    yield made
    for held in await made.held():
        await made.remove(held.id)


@pytest.fixture
async def volumes(tmp_path: Path) -> AsyncIterator[FileDriver]:
    async for made in back_end("here", tmp_path):
        yield made


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[FileDriver]:
    async for made in back_end("elsewhere", tmp_path):
        yield made


async def in_guest(folder: GuestFolder, script: str) -> str:
    """What a shell in the guest prints."""
    reader, writer = await asyncio.open_connection(sock=folder.connect(AGENT))

    async def ask(command: str, **arguments: object) -> dict:
        writer.write(msgspec.json.encode({"execute": command, "arguments": arguments}) + b"\n")
        async with asyncio.timeout(20):
            return json.loads(await reader.readline())["return"]

    try:
        started = await ask("guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True})
        found: dict = {}

        async def ended() -> bool:
            found.update(await ask("guest-exec-status", pid=started["pid"]))
            return bool(found["exited"])

        await until(ended, f"the end of {script}")
        return base64.b64decode(found.get("out-data", "")).decode()
    finally:
        writer.close()
        await writer.wait_closed()


async def volume(volumes: FileDriver, volume_id: str, **more: int) -> GuestVolume:
    export = await volumes.export(volume_id, ExportOptions())
    assert export is not None
    return GuestVolume(volume_id=volume_id, socket=export.socket, export=export.name, **more)


async def moved_while_it_writes(folder: GuestFolder, here: FileDriver, there: FileDriver) -> int:
    """The volume goes to another back end while the guest writes numbers; the last one it has on the disk."""
    number = "n=1; while :; do printf %08d $n | dd of=/dev/$found bs=4096 seek=$((n % 64 + 1)) conv=notrunc,fsync " \
             "2> /dev/null || break; echo $n > /run/new; mv /run/new /run/written; n=$((n + 1)); done"
    await in_guest(folder, DATA + f"({number}) > /dev/null 2>&1 & echo $! > /run/writer")

    async def written() -> int:
        return int(await in_guest(folder, "cat /run/written 2> /dev/null || echo 0"))

    async def goes_on() -> None:
        before = await written()

        async def more() -> bool:
            return await written() > before

        await until(more, "the guest to write on")

    await goes_on()
    await there.ensure("data", 2)
    to = await there.export("data", ExportOptions(aside=True))
    assert to is not None
    for alone in (False, True):
        wanted = ExportOptions(mirror=Mirror(to=to, alone=alone))

        async def in_step(wanted: ExportOptions = wanted) -> bool:
            export = await here.export("data", wanted)
            return export is not None and export.in_step

        await until(in_step, "both back ends to have all of it")
        await goes_on()
    await here.export("data", None)
    await there.export("data", ExportOptions())
    await goes_on()
    await here.remove("data")
    await goes_on()
    await in_guest(folder, "kill $(cat /run/writer); sync")
    return await written()


async def test_volumes_of_a_guest(
    driver: QemuDriver, settings: QemuSettings, guest: GuestImage, volumes: FileDriver, elsewhere: FileDriver
) -> None:
    for name in ("root", "data"):
        await volumes.ensure(name, 1)
    await volumes.fill("root", str(guest.disk), "qcow2")
    root, data = await volume(volumes, "root", boot_order=1), await volume(volumes, "data")
    spec = msgspec.structs.replace(
        spec_of(Image(id="none", disk_format="raw")), image=None, volumes=(root,), disks=(Disk(kind=DiskKind.CONFIG),))
    folder = GuestFolder(settings.instances / spec.id)
    await driver.ensure(spec)
    await driver.run(spec.id)
    await printed(driver, spec, "login:")

    both = msgspec.structs.replace(spec, volumes=(root, data))
    await driver.adjust(both)

    async def size() -> int:
        return int(await in_guest(folder, DATA + "[ $found ] && cat /sys/block/$found/size || echo 0")) * 512

    async def is_there() -> bool:
        return await size() == GIB

    await until(is_there, "the volume in the guest")
    names = await in_guest(folder, "for each in /sys/block/vd*; do echo ${each##*/} $(cat $each/serial); done")
    assert names.split() == ["vda", "root", "vdb", "config0", "vdc", "data"]
    assert free_device(["/dev/vda"], local=1) == "/dev/vdc"
    await in_guest(folder, DATA + "printf 'written in the guest' > /dev/$found; sync")
    await volumes.resize("data", 2)
    grown = msgspec.structs.replace(data, size_gb=2)
    await driver.adjust(msgspec.structs.replace(spec, volumes=(root, grown)))
    assert await size() == 2 * GIB
    last = await moved_while_it_writes(folder, volumes, elsewhere)
    assert await driver.adjust(msgspec.structs.replace(spec, volumes=(root, grown))) is not None
    await driver.adjust(spec)
    assert await size() == 0
    await elsewhere.export("data", None)
    content = bytearray(1 << 20)
    async for offset, piece in elsewhere.read("data"):
        content[offset:offset + len(piece)] = piece
    assert content.startswith(b"written in the guest")
    wanted = {number: b"%08d" % number for number in range(max(1, last - 15), last + 1)}
    assert {number: content[number % 64 * 4096 + 4096:][:8] for number in wanted} == wanted


async def test_a_volume_goes_while_it_is_read(
    driver: QemuDriver, settings: QemuSettings, guest: GuestImage, volumes: FileDriver
) -> None:
    """First while the guest boots, then while programs of it read the volume: it is let go of each time."""
    spec = spec_of(Image(id="small", disk_format="qcow2", path=str(guest.disk)))
    folder = GuestFolder(settings.instances / spec.id)
    await volumes.ensure("data", 1)
    await driver.ensure(spec)
    await driver.run(spec.id)
    with_volume = msgspec.structs.replace(spec, volumes=(await volume(volumes, "data"),))
    await driver.adjust(with_volume)
    await driver.adjust(spec)
    await printed(driver, spec, "login:")
    read = DATA + "[ $found ] && for n in 1 2 3 4; do dd if=/dev/$found of=/dev/null bs=64k > /dev/null 2>&1 & done; " \
                  "echo $found"
    for _ in range(4):
        await driver.adjust(with_volume)

        async def is_read() -> bool:
            return bool((await in_guest(folder, read)).strip())

        await until(is_read, "the volume in the guest")
        assert (await driver.adjust(spec)).power is Power.RUNNING
    await driver.remove(spec.id)
