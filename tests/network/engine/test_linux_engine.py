"""The central half of the Linux engine: who is sent what, and that a host that failed is tried again."""

import msgspec
import pytest

from pileus.network.engine.base import EngineFailed, Report
from pileus.network.engine.linux.engine import LinuxEngine
from pileus.network.engine.records import Records, Snapshot
from tests.dataplane.network.topology import cloud, identity

HOSTS = {"h1": "192.0.2.1", "h2": "192.0.2.2", "h3": "192.0.2.3"}


class Recorder:
    """A host's agent that remembers what it was told, and fails when asked to."""

    def __init__(self) -> None:
        self.applied: list[Snapshot] = []
        self.resynced: list[Snapshot] = []
        self.broken = False

    async def apply(self, snapshot: Snapshot) -> Report:
        if self.broken:
            raise EngineFailed("cut off")
        self.applied.append(snapshot)
        return Report()

    async def resync(self, snapshot: Snapshot) -> Report:
        self.resynced.append(snapshot)
        return Report(changes=("mended",))


def rename(records: Records, name: str, hostname: str, revision: int) -> Records:
    port = next(port for port in records.ports if port.id == identity("port " + name))
    return Records(ports=(msgspec.structs.replace(port, hostname=hostname, revision=revision),))


async def test_only_hosts_whose_slice_changed_are_sent_one():
    agents = {host: Recorder() for host in HOSTS}
    engine, records = LinuxEngine(agents.__getitem__), cloud("", HOSTS)
    await engine.apply(records, (), 1)
    assert [len(agent.applied) for agent in agents.values()] == [1, 1, 1]
    await engine.apply(records, (), 2)
    assert [len(agent.applied) for agent in agents.values()] == [1, 1, 1]
    await engine.apply(rename(records, "c2", "other", 2), (), 3)
    assert [len(agent.applied) for agent in agents.values()] == [1, 2, 1]
    assert agents["h2"].applied[-1].seq == 3


async def test_a_host_that_failed_is_sent_its_slice_again():
    agents = {host: Recorder() for host in HOSTS}
    engine, records = LinuxEngine(agents.__getitem__), cloud("", HOSTS)
    agents["h1"].broken = True
    with pytest.raises(EngineFailed, match="h1: cut off"):
        await engine.apply(records, (), 1)
    assert len(agents["h2"].applied) == 1, "the others got theirs"
    agents["h1"].broken = False
    await engine.apply(Records(), (), 2)
    assert len(agents["h1"].applied) == 1 and len(agents["h2"].applied) == 1


async def test_resync_asks_every_host():
    agents = {host: Recorder() for host in HOSTS}
    engine = LinuxEngine(agents.__getitem__)
    report = await engine.resync(cloud("", HOSTS), 5)
    assert report.changes == ("mended",) * 3
    assert all(len(agent.resynced) == 1 for agent in agents.values())
