"""What the file driver promises beside the contract: clones share what they have with what they are of, where the file
system lets them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pileus.volume.drivers.base import Origin
from pileus.volume.drivers.file import FileDriver

MIB = 1 << 20


@pytest.fixture
def xfs(tmp_path):
    image, place = tmp_path / "xfs", tmp_path / "place"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(512 * MIB)
    for command in (["mkfs.xfs", "-q", "-m", "reflink=1", image], ["mount", "-o", "loop", image, place]):
        subprocess.run(command, check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def used(place: Path) -> int:
    os.sync()
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


async def test_clones_share_what_they_have(xfs, tmp_path):
    driver = FileDriver("here", xfs / "here")
    content = tmp_path / "content"
    content.write_bytes(os.urandom(64 * MIB))
    await driver.ensure("v", 1)
    await driver.fill("v", str(content), "raw")
    await driver.ensure_snapshot("v", "s")
    before = used(xfs)
    await driver.ensure("of-snapshot", 1, Origin(volume_id="v", snapshot_id="s"))
    await driver.ensure("of-volume", 1, Origin(volume_id="v"))
    assert used(xfs) - before < 4 * MIB
    await driver.remove("v")
    for clone in ("of-snapshot", "of-volume"):
        assert b"".join([bytes(piece) async for _, piece in driver.read(clone)]) == content.read_bytes()
