"""The contract of volume drivers over a share, in a mount namespace of its own; and a share that is not there.

Kernels without NFS take part: the share is a folder that is bound to where it is mounted; over a server the contract is
run by `on-nfs`. What is asked of `mount` for a real one is compared with what is written here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pileus.volume.drivers.base import VolumeFailed
from pileus.volume.drivers.nfs import NfsDriver, Share

HERE = Path(__file__).parent


def test_the_contract_holds_on_a_share():
    alone = ["unshare", "--mount", *(("--map-root-user",) if os.getuid() else ())]
    tests = [str(HERE / name) for name in ("test_volume_driver.py", "test_volume_moves.py")]
    with tempfile.TemporaryDirectory() as folder:              # a short path, for sockets
        done = subprocess.run(
            [*alone, sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--basetemp",
             f"{folder}/t", "-k", "nfs", *tests],
            env=dict(os.environ, PILEUS_TEST_VOLUME_DRIVERS="nfs"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert set(done.stdout.split()[0]) == {"."}


async def test_a_share_that_is_not_there_offers_nothing(tmp_path):
    share = Share(source=str(tmp_path / "nowhere"), command=("mount", "--bind"))
    driver = NfsDriver("here", tmp_path / "place", share, tmp_path / "run")
    facts = await driver.facts()
    assert (facts.total_gb, facts.free_gb) == (0.0, 0.0)
    for work in (driver.ensure("v", 1), driver.remove("v"), driver.held()):
        with pytest.raises(VolumeFailed, match="is not mounted"):
            await work
    assert list((tmp_path / "place").iterdir()) == []


def test_what_is_asked_of_mount():
    share = Share(source="nas:/volumes", options="vers=4.2,noresvport")
    assert share.words(Path("/var/volumes/nfs-1")) == [
        "mount", "-t", "nfs", "-o", "vers=4.2,noresvport", "nas:/volumes", "/var/volumes/nfs-1"]
