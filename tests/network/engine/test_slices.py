"""Slices: equal for equal input, and only what a host needs."""

import random

import msgspec

from pileus.network.engine.records import Records, Slice, Snapshot
from pileus.network.engine.slices import render
from tests.dataplane.network.topology import cloud, identity

HOSTS = {"h1": "192.0.2.1", "h2": "192.0.2.2", "h3": "192.0.2.3"}


def shuffled(records: Records, seed: int) -> Records:
    chance = random.Random(seed)
    return Records(**{
        kind: tuple(chance.sample(getattr(records, kind), len(getattr(records, kind))))
        for kind in Records.__struct_fields__})


def test_equal_input_gives_equal_documents_whatever_its_order():
    wanted = render(cloud("", HOSTS))
    for seed in range(5):
        again = render(shuffled(cloud("", HOSTS), seed))
        assert again == wanted
        assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(wanted)


def test_a_slice_travels_in_a_message():
    for one in render(cloud("", HOSTS)).values():
        snapshot = Snapshot(seq=4, slice=one)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot


def test_hosts_get_what_they_need_and_no_more():
    wanted = render(cloud("", HOSTS))
    assert {network.network.id for network in wanted["h1"].networks} == {identity(name) for name in "abc"}
    with_public = {identity(name) for name in ("a", "b", "c", "public")}
    assert {network.network.id for network in wanted["h2"].networks} == with_public
    assert wanted["h3"] == Slice(host="h3", underlay_ip="192.0.2.3")
    assert len(wanted["h1"].routers) == 2 and wanted["h2"].routers == ()
    assert {port.host for port in wanted["h2"].ports} == {"h2"}


def test_peers_are_the_other_hosts_that_have_the_network():
    network = next(n for n in render(cloud("", HOSTS))["h1"].networks if n.network.id == identity("a"))
    assert network.peers == ("192.0.2.2",)
    places = {neighbour.port_id: neighbour.underlay_ip for neighbour in network.neighbours}
    assert places[identity("port a2")] == "192.0.2.2" and places[identity("port a1")] is None


def test_a_change_on_one_host_leaves_the_others_documents_equal():
    records = cloud("", HOSTS)
    before = render(records)
    ports = tuple(
        msgspec.structs.replace(port, hostname="renamed", revision=2) if port.id == identity("port c2") else port
        for port in records.ports)
    after = render(msgspec.structs.replace(records, ports=ports))
    assert after["h2"] != before["h2"]
    assert after["h1"] == before["h1"] and after["h3"] == before["h3"]


def test_groups_bring_members_only_where_a_rule_refers_to_them():
    groups = {group.id: group for group in render(cloud("", HOSTS))["h1"].groups}
    assert groups[identity("default")].members[:2] == ("10.0.0.11", "10.0.0.12")
    assert groups[identity("open")].members == ()
