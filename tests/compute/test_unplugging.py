"""Taking a volume out of a QEMU that still has something to do with it."""

import pytest

from pileus.compute.drivers.guest_volumes import device_id, node_name
from pileus.compute.drivers.qemu_process import QemuFailed
from pileus.compute.drivers.qemu_volumes import unplug

VOLUME = "0a5b"


class Busy:
    """A QEMU whose guest lets go at once, and which uses the node for a while longer."""

    def __init__(self, times, complaint="Node v0a5b is in use"):
        self.there, self.times, self.complaint = {device_id(VOLUME), node_name(VOLUME)}, times, complaint

    async def execute(self, command, arguments=None):
        if command == "device_del":
            self.there.remove(arguments["id"])
        elif command == "blockdev-del":
            self.times -= 1
            if self.times >= 0:
                raise QemuFailed(self.complaint)
            self.there.remove(arguments["node-name"])
        elif command == "query-named-block-nodes":
            return [{"node-name": name} for name in self.there]
        elif arguments == {"path": "/machine/peripheral"}:
            return [{"name": name} for name in self.there]
        return []


async def test_a_node_that_is_in_use_is_waited_for():
    qemu = Busy(times=3)
    await unplug(qemu, VOLUME)
    assert not qemu.there


async def test_any_other_refusal_is_told():
    with pytest.raises(QemuFailed, match="no such node"):
        await unplug(Busy(times=1, complaint="no such node"), VOLUME)
