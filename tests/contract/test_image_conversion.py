"""Converting images by the qemu-img that is there: each format and back, and files that are none."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from pileus.image.conversion import FORMATS, NotConvertible, convert
from pileus.image.inspection import Inspection
from tests.contract.guest_hosts import until

MIB = 1 << 20
DATA = os.urandom(MIB) + bytes(3 * MIB) + os.urandom(MIB)


def inspected(path, disk_format):
    inspection = Inspection(disk_format, "bare")
    inspection.feed(path.read_bytes())
    return inspection.verdict()


@pytest.mark.parametrize("disk_format", [name for name in FORMATS if name != "raw"])
async def test_there_and_back(tmp_path, disk_format):
    source, made, back = tmp_path / "source", tmp_path / "made", tmp_path / "back"
    source.write_bytes(DATA)
    await convert(source, "raw", made, disk_format)
    assert inspected(made, disk_format) >= len(DATA)        # whoever makes vhd rounds up to whole cylinders
    await convert(made, disk_format, back, "raw")
    assert back.read_bytes()[:len(DATA)] == DATA


async def test_what_is_none(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"x" * MIB)
    with pytest.raises(NotConvertible, match="qcow2"):
        await convert(source, "qcow2", tmp_path / "made", "raw")


async def test_it_ends_with_who_waits_for_it(tmp_path):
    """A disk that takes long: a pipe that nobody writes into stands for it."""
    slow = tmp_path / "slow"
    os.mkfifo(slow)
    work = asyncio.create_task(convert(slow, "raw", tmp_path / "made", "qcow2"))
    await until(lambda: _true_soon(runs_with(slow)), "qemu-img runs")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not runs_with(slow)


async def _true_soon(value):
    return value


def runs_with(path):
    """Whether a program was started with this path among its words."""
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):       # it ended while we looked
            if os.fsencode(path) in words.read_bytes().split(b"\0"):
                return True
    return False
