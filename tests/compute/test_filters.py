"""Every filter as the only cause: it refuses the right hosts, and its sentence says what would have to change."""

from __future__ import annotations

import msgspec
import pytest

from pileus.compute.config import SchedulerConfig, WeigherName
from pileus.compute.drivers.hardware import HostCell, Pages
from pileus.compute.model.hosts import Facts
from pileus.compute.numa import NodeWish
from pileus.compute.scheduler import questions
from pileus.compute.scheduler.choice import judge, select
from pileus.compute.scheduler.columns import Columns, HostState
from pileus.compute.scheduler.filters import FILTERS
from pileus.compute.scheduler.specs import matches
from pileus.compute.scheduler.weighers import WEIGHERS
from pileus.compute.scheduler.wishes import GroupWish, Wish
from pileus.kit.config import load

FACTS = Facts(hostname="n", hypervisor_type="QEMU", hypervisor_version="7.2.1", vcpus=8, memory_mb=8192, disk_gb=100,
              cpu={"arch": "x86_64", "features": ["aes", "vmx"]})
PLAIN = HostState(name="n1", provider_id="p1", zone="nova", enabled=True, up=True, address="192.0.2.1", facts=FACTS,
                  free={"VCPU": 8.0, "MEMORY_MB": 8192.0, "DISK_GB": 100.0})
CELLS = msgspec.structs.replace(FACTS, cells=(
    HostCell(number=0, cpus=4, memory_mb=4096),
    HostCell(number=1, cpus=2, dedicated=2, dedicated_free=2, memory_mb=4096,
             pages=(Pages(size_kb=2048, total=200, free=100),))))
WISH = Wish(resources={"VCPU": 1, "MEMORY_MB": 512}, flavor="small", project_id="demo", image_id="i1")


def host(name="n1", **more):
    return msgspec.structs.replace(PLAIN, name=name, provider_id=f"p-{name}", **more)


def wish(**more):
    return msgspec.structs.replace(WISH, **more)


def of_aggregate(**metadata):
    return {"metadata": {key.replace("__", ":"): (value,) for key, value in metadata.items()}}


def group(policy, most=1, **hosts):
    return {"group": GroupWish(policy=policy, most_per_host=most, hosts=hosts)}


# filter, what is said of the host it refuses, what is wished for, words of its sentence
CAUSES = [
    ("ComputeFilter", {"enabled": False, "reason": "repair"}, {}, "n1 disabled (repair)"),
    ("ComputeFilter", {"up": False}, {}, "n1 down"),
    ("AskedHostFilter", {}, {"host": "n2"}, "host n2 was asked for"),
    ("AvailabilityZoneFilter", {}, {"zone": "east"}, "zone east was asked for; n1 are in nova"),
    ("IsolatedHostsFilter", {}, {"isolated_hosts": frozenset({"n1"})}, "n1 are kept for isolated images"),
    ("IsolatedHostsFilter", {}, {"isolated_images": frozenset({"i1"})}, "runs on isolated hosts only"),
    ("AggregateMultiTenancyIsolation", of_aggregate(filter_tenant_id2="other"), {}, "for other projects"),
    ("AggregateTypeAffinityFilter", of_aggregate(instance_type="large, huge"), {},
     "for the flavors huge, large (instance_type), not for small"),
    ("AggregateImagePropertiesIsolation", of_aggregate(os_distro="debian"), {"properties": {"os_distro": "windows"}},
     "os_distro=windows, and n1 are in an aggregate for os_distro=debian"),
    ("AggregateInstanceExtraSpecsFilter", of_aggregate(disk="hdd"),
     {"extra_specs": {"aggregate_instance_extra_specs:disk": "ssd"}}, "disk ssd; those of n1 have not (n1: hdd)"),
    ("AggregateInstanceExtraSpecsFilter", {}, {"extra_specs": {"aggregate_instance_extra_specs:disk": "<or> a <or> b"}},
     "(n1: nothing)"),
    ("IsolatedAggregatesFilter", of_aggregate(trait__CUSTOM_GOLD="required"), {}, "that require CUSTOM_GOLD"),
    ("ComputeCapabilitiesFilter", {}, {"extra_specs": {"capabilities:hypervisor_version": ">= 8000000"}},
     "hypervisor_version is >= 8000000; that of n1 is 7002001"),
    ("ComputeCapabilitiesFilter", {}, {"extra_specs": {"capabilities:cpu_info:features": "<in> avx"}}, "<in> avx"),
    ("ComputeCapabilitiesFilter", {}, {"extra_specs": {"capabilities:cpu_info:topology": "2"}}, "is not known"),
    ("ImagePropertiesFilter", {}, {"properties": {"hw_architecture": "aarch64"}}, "aarch64; n1 has x86_64"),
    ("ImagePropertiesFilter", {}, {"properties": {"hypervisor_type": "xen"}}, "img_hv_type xen; n1 has qemu"),
    ("ImagePropertiesFilter", {}, {"properties": {"hw_vm_mode": "xen"}}, "hw_vm_mode xen; n1 has hvm"),
    ("ImagePropertiesFilter", {}, {"properties": {"hypervisor_version_requires": ">=8.0"}}, "has version 7.2.1"),
    ("SameHostFilter", {}, {"same_as": ("n2",)}, "are on n2, not on n1"),
    ("DifferentHostFilter", {}, {"different_from": ("n1",)}, "occupy n1"),
    ("SimpleCIDRAffinityFilter", {}, {"near": "198.51.100.0/24"}, "in 198.51.100.0/24; n1 have addresses elsewhere"),
    ("JsonFilter", {}, {"query": [">=", "$free_ram_mb", 9000]}, "$free_ram_mb 8192"),
    ("ServerGroupAffinityFilter", {}, group("affinity", n2=1), "they are on n2, not on n1"),
    ("ServerGroupAntiAffinityFilter", {}, group("anti-affinity", n1=1), "at most 1 of its servers on a host"),
    ("ServerGroupAntiAffinityFilter", {}, group("anti-affinity", 2, n1=2), "at most 2 of its servers on a host"),
    ("RetryFilter", {}, {"tried": ("n1",)}, "has to leave n1"),
    ("NumInstancesFilter", {"servers": 3}, {"most_servers": 3}, "n1 has 3 servers, and at most 3 may be there"),
    ("NumInstancesFilter", {"servers": 3, **of_aggregate(max_instances_per_host="2")}, {}, "at most 2 may be there"),
    ("IoOpsFilter", {"io_ops": 8}, {"most_io_ops": 8}, "makes, moves or saves 8 servers"),
    ("PciPassthroughFilter", {"free": PLAIN.free | {"CUSTOM_PCI_GPU": 1.0}},
     {"resources": WISH.resources | {"CUSTOM_PCI_GPU": 2}}, "2 devices gpu (at most 1 free)"),
    ("NUMATopologyFilter", {}, {"nodes": (NodeWish(shared=1, memory_mb=512),)}, "(n1: none)"),
    ("NUMATopologyFilter", {"facts": CELLS}, {"nodes": (NodeWish(shared=1, memory_mb=4097),)}, "1 processors, 4097"),
    ("NUMATopologyFilter", {"facts": CELLS}, {"nodes": (NodeWish(shared=5, memory_mb=1),)}, "4 processors, 0 free of"),
    ("NUMATopologyFilter", {"facts": CELLS}, {"nodes": (NodeWish(dedicated=3, memory_mb=1),)}, "and 3 of their own"),
    ("NUMATopologyFilter", {"facts": CELLS}, {"nodes": (NodeWish(memory_mb=1, dedicated=1),) * 2}, "2 free of 2"),
    ("NUMATopologyFilter", {"facts": CELLS}, {"nodes": (NodeWish(memory_mb=202, page_kb=2048),)}, "100 free pages"),
    ("NUMATopologyFilter", {"facts": CELLS}, {"nodes": (NodeWish(memory_mb=1, page_kb=1 << 20),)}, "1048576 KiB"),
    ("ResourceFilter", {"free": {"VCPU": 8.0, "MEMORY_MB": 500.0}}, {}, "12 more MiB of memory (has 500 of 512)"),
    ("PlacementFilter", {"offered": False}, {"required": ("CUSTOM_GOLD",), "forbidden": ("CUSTOM_OLD",)},
     "not the traits asked for: CUSTOM_GOLD, no CUSTOM_OLD"),
]


@pytest.mark.parametrize(("name", "facts", "wanted", "words"), CAUSES)
def test_the_only_cause(name, facts, wanted, words):
    verdict = select(Columns([host(**facts)]), wish(**wanted))
    assert verdict.hosts == ()
    assert verdict.sentence.startswith(f"No valid host was found. {name} left 0 of 1: "), verdict.sentence
    assert words in verdict.sentence
    judged, = judge(Columns([host(**facts)]), wish(**wanted))
    assert (judged.host, judged.filter) == ("n1", name) and words in judged.why


def test_every_filter_has_been_the_cause():
    assert {each.name for each in FILTERS} == {name for name, *_ in CAUSES}


@pytest.mark.parametrize(("facts", "wanted"), [
    ({}, {}), ({}, {"host": "n1", "zone": "nova"}), ({}, group("affinity")), ({}, group("affinity", n1=1)),
    ({}, group("anti-affinity", 2, n1=1)), ({}, group("soft-anti-affinity", n1=5)),
    ({}, {"isolated_hosts": frozenset({"n1"}), "isolated_images": frozenset({"i1"})}),
    (of_aggregate(filter_tenant_id="other,demo"), {}), (of_aggregate(instance_type="small"), {}),
    (of_aggregate(os_distro="debian"), {"properties": {"os_distro": "debian", "os_type": "linux"}}),
    (of_aggregate(os_distro="debian"), {}),
    (of_aggregate(disk="ssd"), {"extra_specs": {"aggregate_instance_extra_specs:disk": "<or> ssd <or> nvme"}}),
    (of_aggregate(trait__CUSTOM_GOLD="required"), {"required": ("CUSTOM_GOLD",)}),
    ({}, {"extra_specs": {"capabilities:cpu_info:features": "<all-in> aes vmx", "hw:cpu_policy": "shared"}}),
    ({}, {"properties": {"architecture": "i686", "hypervisor_type": "kvm", "vm_mode": "hvm",
                         "img_hv_requested_version": ">=7.0,<8"}}),
    ({"facts": CELLS}, {"nodes": (NodeWish(memory_mb=1, shared=4), NodeWish(memory_mb=200, page_kb=-1, dedicated=2))}),
    ({"free": PLAIN.free | {"CUSTOM_PCI_GPU": 2.0}}, {"resources": {"CUSTOM_PCI_GPU": 2}}),
    ({"facts": Facts()}, {"properties": {"hw_architecture": "aarch64"}}),
    ({}, {"near": "192.0.2.7/28"}), ({"servers": 3}, {"most_servers": 4}),
    ({"servers": 9, **of_aggregate(max_instances_per_host="10")}, {"most_servers": 3}),
    ({}, {"query": ["and", ["in", "$hypervisor_type", "QEMU", "KVM"], ["not", ["<", "$free_disk_mb", 1024]],
                    ["or", ["=", "$cpu_info.arch", "x86_64"], [">", "$vcpus_used", 3]]]}),
])
def test_nothing_is_in_the_way(facts, wanted):
    verdict = select(Columns([host(**facts)]), wish(**wanted))
    assert verdict.hosts == ("n1",), verdict.sentence


def test_the_verdict_tells_of_every_refusal():
    hosts = Columns([host("a", up=False), host("b", zone="east"), host("c", free={"MEMORY_MB": 100.0}),
                     host("d", enabled=False), host("e")])
    verdict = select(hosts, wish(zone="nova"))
    assert verdict.hosts == ("e",) and verdict.sentence == ""
    assert [(row.filter, row.hosts_in, row.hosts_out) for row in verdict.table] == [
        ("ComputeFilter", 5, 3), ("AvailabilityZoneFilter", 3, 2), ("ResourceFilter", 2, 1), ("PlacementFilter", 1, 1)]
    assert [bool(row.why) for row in verdict.table] == [True, True, True, False]
    assert {each.host: each.filter for each in judge(hosts, wish(zone="nova"))} == {
        "a": "ComputeFilter", "b": "AvailabilityZoneFilter", "c": "ResourceFilter", "d": "ComputeFilter", "e": ""}


def test_no_host_at_all():
    assert select(Columns([]), WISH).sentence == (
        "No valid host was found. There are no hosts: none has reported yet.")


def test_the_nearest_miss_is_named():
    hosts = Columns([host("far", free={"VCPU": 8.0, "MEMORY_MB": 10.0}), host("near", free={"VCPU": 8.0,
                                                                                          "MEMORY_MB": 511.0})])
    assert "the nearest, near, would need 1 more MiB of memory (has 511 of 512)." in select(hosts, WISH).sentence


# -- weighers -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("better", "worse", "wanted"), [
    ({}, {"free": {"VCPU": 8.0, "MEMORY_MB": 4096.0, "DISK_GB": 100.0}}, {}),
    ({}, {"free": {"VCPU": 4.0, "MEMORY_MB": 8192.0, "DISK_GB": 100.0}}, {}),
    ({}, {"free": {"VCPU": 8.0, "MEMORY_MB": 8192.0, "DISK_GB": 10.0}}, {}),
    ({}, {"io_ops": 1}, {}), ({}, {"servers": 4}, {}), ({}, {"failed_builds": 1}, {}),
    ({}, {"facts": Facts(hypervisor_version="7.2.0")}, {}),
    ({}, {"free": PLAIN.free | {"CUSTOM_PCI_GPU": 1.0}}, {}),
    ({}, {}, group("soft-anti-affinity", worse=1)), ({}, {}, group("soft-affinity", better=2, worse=1)),
    ({"free": {"VCPU": 1.0, "MEMORY_MB": 512.0}, "servers": 9, "io_ops": 9}, {}, group("soft-affinity", better=1)),
    ({"free": {"VCPU": 1.0, "MEMORY_MB": 512.0}}, {"failed_builds": 2}, group("soft-affinity", worse=1)),
])
def test_the_better_host_comes_first(better, worse, wanted):
    two = [host("worse", **worse), host("better", **better)]
    for hosts in (two, two[::-1]):
        assert select(Columns(hosts), wish(**wanted)).hosts == ("better", "worse")
        first, second = judge(Columns(hosts), wish(**wanted))
        assert (first.host, second.host) == ("better", "worse") and first.weight > second.weight


def test_multipliers_are_an_option():
    config = load(SchedulerConfig, env={"PILEUS_WEIGHTS__RAM": "-5", "PILEUS_WEIGHTS__CPU": "0"})
    hosts = Columns([host("empty"), host("full", free={"VCPU": 1.0, "MEMORY_MB": 512.0, "DISK_GB": 1.0})])
    assert select(hosts, WISH).hosts == ("empty", "full")
    assert select(hosts, WISH, config.weights).hosts == ("full", "empty")
    assert judge(hosts, WISH, config.weights)[1].weights == {"ram": -5.0, "disk": 1.0}
    assert set(WEIGHERS) == set(WeigherName.__args__)


# -- what filters are asked in ------------------------------------------------------------------------------------

@pytest.mark.parametrize(("value", "wanted", "so"), [
    ("5", "= 4", True), ("3", "= 4", False), (4, "== 4.0", True), (4, "!= 4", False), ("x", ">= 4", False),
    ("abc", "s== abc", True), ("abc", "s!= abc", False), ("b", "s> a", True), ("b", "s<= a", False),
    ("12311321", "<in> 11", True), (["aes"], "<in> ae", False), ("aes vmx", "<all-in> aes vmx", True),
    (["aes"], "<all-in> aes vmx", False), ("b", "<or> a <or> b", True), ("c", "<or> a <or> b", False),
    ("x y", "x y", True), ("4", "4", True), (4, "4", True), (None, "4", False), ("4", ">=", False), (None, "", False),
])
def test_operators_of_extra_specs(value, wanted, so):
    assert matches(value, wanted) is so


@pytest.mark.parametrize("hint", [
    "", "{", "5", "[]", '["and"]', '["nand", 1, 2]', '[">", "$secret", 1]', [">", "$free_ram_mb.x", ["no", 1]],
    "[" * 40 + '"not"' + "]" * 40, {"and": []}])
def test_questions_that_are_none(hint):
    with pytest.raises(questions.BadQuestion):
        questions.parse(hint)
