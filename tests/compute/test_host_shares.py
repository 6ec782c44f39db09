"""Which NUMA nodes and processors of a host its guests get; on a host that tells of nodes that are made up."""

from __future__ import annotations

import os

import pytest

from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.guest_folder import GuestFolder, GuestState
from pileus.compute.drivers.host_shares import HostShares, in_policy
from pileus.compute.drivers.qemu_launch import BadSpec
from pileus.compute.hardware import hardware_of
from tests.numa import numa_folder

HERE = sorted(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(len(HERE) < 2, reason="two processors are needed")
TWO = {"hw:numa_nodes": "2"}
OWN = {"hw:cpu_policy": "dedicated"}


class Host:
    """Two nodes of 1,000 MiB with a processor each, or one with both."""

    def __init__(self, folder, dedicated=(), count=2):
        nodes = {0: (str(HERE[0]), 1000), 1: (str(HERE[1]), 1000)} if count == 2 else {
            0: (f"{HERE[0]},{HERE[1]}", 1000)}
        self.folder, self.siblings = folder / "guests", folder / "siblings"
        self.shares = HostShares(
            self.folder, frozenset(dedicated), numa_folder(folder / "nodes", nodes), self.siblings)
        self.threads({cpu: [cpu] for cpu in HERE[:2]})

    def threads(self, siblings):
        """Which processors are threads of one core, by each of them."""
        for cpu, core in siblings.items():
            path = self.siblings / f"cpu{cpu}" / "topology" / "thread_siblings_list"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(",".join(map(str, core)) + "\n")

    def start(self, guest_id, extra=TWO, *, vcpus=2, memory_mb=400, before=None):
        spec = GuestSpec(id=guest_id, name=guest_id, vcpus=vcpus, memory_mb=memory_mb,
                         hardware=hardware_of({}, extra, vcpus=vcpus, memory_mb=memory_mb))
        state = before or GuestState(spec=spec)
        state.spec = spec
        share = self.shares.of(guest_id, state)
        kept = GuestState(spec=spec, cells=share.cells, pins=share.pins)
        GuestFolder(self.folder / guest_id).write(kept)
        return share, kept

    def left(self):
        return [(cell.memory_mb, cell.dedicated_free) for cell in self.shares.cells()]


def test_a_guests_nodes_are_held_by_different_ones_of_the_host(tmp_path):
    host = Host(tmp_path)
    share, kept = host.start("a")
    assert share.cells == {0: 0, 1: 1} and not share.pins
    assert share.floating == {0: (HERE[0],), 1: (HERE[1],)}
    assert host.left() == [(800, 0), (800, 0)]
    uneven = {"hw:numa_nodes": "2", "hw:numa_cpus.0": "0", "hw:numa_mem.0": "700", "hw:numa_cpus.1": "1",
              "hw:numa_mem.1": "50"}
    one, _ = host.start("b", {"hw:numa_nodes": "1"}, vcpus=1, memory_mb=750)
    assert one.cells == {0: 0} and host.left() == [(50, 0), (800, 0)]
    turned, _ = host.start("c", uneven, memory_mb=750)
    assert turned.cells == {0: 1, 1: 0} and host.left() == [(0, 0), (100, 0)]
    again, _ = host.start("a", before=kept)
    assert again.cells == share.cells                                  # its own memory does not stand in its way
    with pytest.raises(BadSpec, match="no NUMA nodes of this host have room for its 2"):
        host.start("d", memory_mb=300)


def test_processors_of_ones_own_are_those_of_the_node(tmp_path):
    host = Host(tmp_path, dedicated=HERE[:2])
    first, kept = host.start("a", OWN, vcpus=1)
    second, _ = host.start("b", OWN, vcpus=1)
    assert (first.cells, first.pins, first.floating) == ({0: 0}, {0: HERE[0]}, {})
    assert (second.cells, second.pins) == ({0: 1}, {0: HERE[1]}) and host.left() == [(600, 0), (600, 0)]
    with pytest.raises(BadSpec, match="no NUMA nodes"):
        host.start("c", OWN, vcpus=1)
    GuestFolder(host.folder / "b").delete()
    assert host.start("a", OWN, vcpus=1, before=kept)[0] == first
    with pytest.raises(BadSpec, match="no NUMA nodes"):                # both of one node
        host.start("c", OWN, vcpus=2)


def test_a_host_of_one_node_says_nothing_of_nodes(tmp_path):
    host = Host(tmp_path, dedicated=HERE[:2], count=1)
    assert host.start("plain", {})[0] == host.start("large", TWO)[0]
    share, _ = host.start("own", OWN)
    assert (share.cells, share.floating) == ({}, {}) and share.pins == {0: HERE[0], 1: HERE[1]}
    with pytest.raises(BadSpec, match="2 processors of its own are wanted, and 0 of those set aside are free"):
        host.start("more", OWN)


def test_threads_of_cores():
    """Of three cores with two threads each, and one with one; all is set aside."""
    cores = {frozenset({0, 4}), frozenset({1, 5}), frozenset({2, 6}), frozenset({3})}
    everything = set(range(7))

    def given(policy, gone=()):
        return in_policy(policy, everything - set(gone), set(gone), cores)

    assert given("") == [0, 4, 1, 5, 2, 6, 3] and given("prefer", {4}) == [1, 5, 2, 6, 3, 0]
    assert given("require") == [0, 4, 1, 5, 2, 6] and given("require", {1}) == [0, 4, 2, 6]
    assert given("isolate") == [0, 1, 2, 3] and given("isolate", {4, 2}) == [1, 3]


def test_thread_policies(tmp_path):
    """Guests that share no core, those that have whole ones, and what is left for others."""
    host = Host(tmp_path, dedicated=HERE[:2], count=1)
    host.threads({HERE[0]: HERE[:2], HERE[1]: HERE[:2]})
    isolated, require = (OWN | {"hw:cpu_thread_policy": policy} for policy in ("isolate", "require"))
    assert host.start("both", require)[0].pins == {0: HERE[0], 1: HERE[1]}
    GuestFolder(host.folder / "both").delete()
    first, kept = host.start("alone", isolated, vcpus=1)
    assert first.pins == {0: HERE[0]}
    assert host.start("alone", isolated, vcpus=1, before=kept)[0] == first
    for extra in (OWN, isolated, require):
        with pytest.raises(BadSpec, match="1 processors of its own are wanted, and 0 of those set aside are free"):
            host.start("more", extra, vcpus=1)
    GuestFolder(host.folder / "alone").delete()
    host.threads({HERE[0]: HERE[:1], HERE[1]: HERE[1:2]})
    assert len(host.start("apart", isolated)[0].pins) == 2
    with pytest.raises(BadSpec, match="free by thread policy require"):
        host.start("more", require, vcpus=1)
