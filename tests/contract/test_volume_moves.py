"""How volume drivers give a volume to each other while it is used: every driver, whatever keeps the bytes."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading

import pytest
from test_volume_driver import BLOCK, FIRST, GIB, KINDS, SECOND, Nbd, content, make, put

from pileus.volume.drivers.base import ExportOptions, Key, Mirror, VolumeFailed
from pileus.volume.drivers.daemon import Daemon
from pileus.volume.drivers.file import FileDriver

TRIES, PAUSE = 1000, 0.02
ASIDE, PLAIN = ExportOptions(aside=True), ExportOptions()
LIMITED = ExportOptions(limits={"write_iops_sec": 100_000, "write_iops_sec_max": 200_000,
                               "write_iops_sec_max_length": 2, "size_iops_sec": 4096})


@pytest.fixture(params=KINDS)
async def pair(request, tmp_path):
    """Two back ends of a node; the first has a volume, the second room for it."""
    made = [make(request.param, name, tmp_path) for name in ("one", "two")]
    for driver in made:
        await driver.facts()
        await driver.ensure("v", 1)
    yield made
    for driver in made:
        for held in await driver.held():
            await driver.remove(held.id)


@pytest.fixture
async def files(tmp_path):
    made = [FileDriver(name, tmp_path / name, sockets=tmp_path / "sockets") for name in ("one", "two")]
    yield made
    for driver in made:
        for held in await driver.held():
            await driver.remove(held.id)


async def mirrored(one, two, options=PLAIN, key=None, *, alone=False):
    """As the saga does it: asked until all is there."""
    to = await two.export("v", ASIDE)
    wanted = ExportOptions(encrypted=options.encrypted, limits=options.limits, mirror=Mirror(to=to, alone=alone))
    for _ in range(TRIES):
        export = await one.export("v", wanted, key)
        if export.in_step:
            return export
        await asyncio.sleep(PAUSE)
    raise AssertionError("it does not come in step")


async def test_a_volume_that_is_used_becomes_another_back_ends(pair, tmp_path):
    one, two = pair
    await put(one, tmp_path, "v", {0: FIRST, 5: SECOND})
    served = await one.export("v", PLAIN)
    assert (await mirrored(one, two)).socket == served.socket
    assert (await mirrored(one, two, alone=True)).socket == served.socket
    assert (await mirrored(one, two, alone=True)).in_step
    with pytest.raises(VolumeFailed):
        await one.export("v", PLAIN)
    await one.export("v", None)
    assert await two.export("v", PLAIN) == served
    await one.remove("v")
    await two.export("v", None)
    assert await content(two, "v") == {0: FIRST, 5: SECOND}


async def test_mirroring_ends_when_nobody_wants_it(pair, tmp_path):
    one, two = pair
    await put(one, tmp_path, "v", {1: FIRST})
    await mirrored(one, two)
    assert not (await one.export("v", PLAIN)).in_step
    await two.remove("v")
    await one.export("v", None)
    assert await content(one, "v") == {1: FIRST}


class Writer(threading.Thread):
    """A client as guests are: writes its count over and over, comes back when cut off, asks again what had no answer.
    `acknowledged` is what the volume must have for ever after."""

    def __init__(self, export):
        super().__init__()
        self.export, self.acknowledged, self.stop, self.reconnects = export, 0, threading.Event(), 0

    def run(self):
        client = None
        while not self.stop.is_set():
            try:
                client = client or Nbd(self.export)
                number = self.acknowledged + 1
                if client.write(number % 64 * BLOCK, number.to_bytes(8, "big") * (BLOCK // 8)) == 0:
                    self.acknowledged = number
            except (OSError, AssertionError):
                client, self.reconnects = None, self.reconnects + 1
                self.stop.wait(0.01)
        if client:
            client.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()

    async def writes(self, more=20):
        wanted = self.acknowledged + more
        for _ in range(TRIES):
            if self.acknowledged >= wanted:
                return
            await asyncio.sleep(PAUSE)
        raise AssertionError("its writes are not acknowledged")

    def expected(self):
        last = {number % 64: number for number in range(max(1, self.acknowledged - 63), self.acknowledged + 1)}
        return {at: number.to_bytes(8, "big") * (BLOCK // 8) for at, number in last.items()}


def read_all(export):
    client = Nbd(export)
    found = {number: client.read(number * BLOCK, BLOCK) for number in range(64)}
    client.close()
    return {number: block for number, block in found.items() if block != bytes(BLOCK)}


@pytest.mark.parametrize(("options", "luks"), [
    (PLAIN, None), (LIMITED, None), (ExportOptions(encrypted=True), 1), (ExportOptions(encrypted=True), 2)],
    ids=["plain", "limited", "encrypted", "luks2"])
async def test_no_write_is_lost_when_a_volume_moves_under_its_user(files, options, luks):
    one, two = files
    key = Key(secret="correct horse", luks=luks) if luks else None
    await one.ensure("v", 1, key=key)
    await two.ensure("v", 1)
    export = await one.export("v", options, key)
    with Writer(export) as writer:
        await writer.writes()
        await mirrored(one, two, options, key)
        await writer.writes()
        await mirrored(one, two, options, key, alone=True)
        await writer.writes()
        await one.export("v", None)
        assert await two.export("v", options, key) == export
        await writer.writes()
        await one.remove("v")
        await writer.writes()
    assert writer.reconnects
    found, wanted = read_all(export), writer.expected()
    assert {at: block for at, block in wanted.items() if found.get(at) != block} == {}
    assert (two.folder / "v" / "disk.qcow2").stat().st_blocks * 512 < GIB // 16
    await two.export("v", None)


async def test_either_servers_death_leaves_a_whole_volume(files):
    """The target's before the end: the volume stays. The source's after the end: it is at the target."""
    one, two = files
    for driver in files:
        await driver.ensure("v", 1)
    client = Nbd(await one.export("v", PLAIN))
    await mirrored(one, two)
    assert client.write(0, FIRST) == 0
    killed(two)
    assert client.write(BLOCK, SECOND) == 0
    client.close()
    to = await two.export("v", ASIDE)
    with pytest.raises(VolumeFailed):
        for _ in range(TRIES):
            await one.export("v", ExportOptions(mirror=Mirror(to=to)))
            await asyncio.sleep(PAUSE)
    assert {number: block[:1] for number, block in read_all(await one.export("v", PLAIN)).items()} == {0: b"a", 1: b"b"}
    await mirrored(one, two)
    await mirrored(one, two, alone=True)
    killed(one)
    assert (await mirrored(one, two, alone=True)).in_step
    with pytest.raises(VolumeFailed):
        await one.export("v", PLAIN)
    await one.export("v", None)
    assert {number: block[:1] for number, block in read_all(await two.export("v", PLAIN)).items()} == {0: b"a", 1: b"b"}


def killed(driver):
    pid = Daemon(driver.folder / "v").pid()
    assert pid is not None
    daemon = os.pidfd_open(pid)
    signal.pidfd_send_signal(daemon, signal.SIGKILL)
    assert select.select([daemon], [], [], 10)[0]
    os.close(daemon)
