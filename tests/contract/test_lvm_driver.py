"""The contract of volume drivers over an LVM group on a loop device, where the kernel has thin volumes.

Where it has not, `tools/kernel -- tests/contract/on-lvm` runs the same on one that has, in a quarter of an hour.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pileus.volume.drivers.base import VolumeFailed
from pileus.volume.drivers.lvm import LvmDriver

HERE = Path(__file__).parent


HAS_DEVICE_MAPPER = "device-mapper" in Path("/proc/devices").read_text()


@pytest.mark.skipif(os.getuid() != 0 or not HAS_DEVICE_MAPPER,
                    reason="LVM wants root and the kernel's device mapper; tools/kernel has them")
def test_the_contract_holds_on_an_lvm_group():
    environment = dict(os.environ, PYTHON=sys.executable)
    done = subprocess.run([HERE / "on-lvm"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


async def test_a_group_that_is_not_there_offers_nothing(tmp_path):
    driver = LvmDriver("here", tmp_path / "here", "no-such-group")
    facts = await driver.facts()
    assert (facts.total_gb, facts.free_gb) == (0.0, 0.0)
    for work in (driver.ensure("v", 1), driver.remove("v"), driver.held(), driver.resize("v", 2),
                 driver.rename("v", "w"), driver.revert("v", "s")):
        with pytest.raises(VolumeFailed):
            await work
