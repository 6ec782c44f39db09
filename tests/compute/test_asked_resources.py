"""What flavors ask of a host beyond its sizes: groups of resources, processors and devices of one's own, NUMA nodes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pileus.compute import conductor, scheduling
from pileus.compute.asked_resources import asked_of
from pileus.compute.drivers.hardware import HostCell
from pileus.compute.messages import HostSeen
from pileus.compute.model.hosts import stable_id
from pileus.compute.model.servers import FlavorCopy
from pileus.compute.port_needs import Share
from pileus.compute.reconcilers.orphaned_claims import orphaned_claims
from pileus.placement.client import Group, Inventory
from tests.compute.test_versions_of_boots import Booting
from tests.compute.whole_cloud import HOST, OTHER_HOST

SMALL = FlavorCopy(id="1", name="small", vcpus=4, memory_mb=512, disk_gb=1, ephemeral_gb=2, swap_mb=100)


def asked(image: dict[str, str] | None = None, *, has_root_disk: bool = True, **specs: str):
    flavor = msgspec.structs.replace(SMALL, extra_specs={key.replace("__", ":"): value for key, value in specs.items()})
    return asked_of(flavor, image or {}, has_root_disk=has_root_disk)


def test_what_a_flavor_asks_for():
    assert asked().groups == {"": Group(resources={"VCPU": 4, "MEMORY_MB": 512, "DISK_GB": 4})}
    assert asked(has_root_disk=False).total["DISK_GB"] == 3
    plain = asked(resources__VCPU="0", resources__CUSTOM_GOLD="2", trait__HW_CPU_X86_AVX="required",
                  image={"trait:CUSTOM_OLD": "forbidden"})
    assert plain.is_plain and plain.plain == Group(resources={"MEMORY_MB": 512, "DISK_GB": 4, "CUSTOM_GOLD": 2},
                                                   required=("HW_CPU_X86_AVX",), forbidden=("CUSTOM_OLD",))
    parts = asked(resources1__VGPU="1", trait1__CUSTOM_FAST="required", resources_net__SRIOV_NET_VF="1",
                  resources2__VGPU="1", group_policy="isolate")
    assert (parts.is_plain, parts.policy, parts.total["VGPU"]) == (False, "isolate", 2)
    assert parts.groups["1"] == Group(resources={"VGPU": 1}, required=("CUSTOM_FAST",))
    assert parts.groups["_net"] == Group(resources={"SRIOV_NET_VF": 1})


def test_processors_of_ones_own():
    def processors(**more: Any):
        return [asked(**more).total.get(name, 0) for name in ("VCPU", "PCPU")]

    assert processors(hw__cpu_policy="dedicated") == [0, 4] == processors(image={"hw_cpu_policy": "dedicated"})
    assert processors(hw__cpu_policy="mixed", hw__cpu_dedicated_mask="^0") == [1, 3]
    assert processors(hw__cpu_policy="dedicated", hw__emulator_threads_policy="isolate") == [0, 5]
    threads = [asked(hw__cpu_policy="dedicated", hw__cpu_thread_policy=each).plain for each in ("require", "isolate")]
    assert [(each.required, each.forbidden) for each in threads] == [
        (("HW_CPU_HYPERTHREADING",), ()), ((), ("HW_CPU_HYPERTHREADING",))]
    assert asked(pci_passthrough__alias="fast-gpu:2").total["CUSTOM_PCI_FAST_GPU"] == 2


@pytest.fixture
async def cloud(whole):
    made = Booting(whole)
    await made.sign_in()
    await whole.add_host()
    yield made
    await made.http.aclose()


async def flavor(cloud, **specs: str) -> None:
    """The flavor that servers are made of, from now on."""
    path = "/flavors/42/os-extra_specs"
    for name in (await cloud.compute("GET", path, user="admin")).json()["extra_specs"]:
        await cloud.compute("DELETE", f"{path}/{name}", user="admin")
    told = {key.replace("__", ":"): value for key, value in specs.items()}
    answer = await cloud.compute("POST", path, {"extra_specs": told}, "2.86", "admin")
    assert answer.status_code == 200, answer.text


async def claims(cloud, server_id: str) -> dict[str, dict[str, int]]:
    """By provider, but for what every server has of its host."""
    found = (await cloud.cloud.compute.placement.allocations(server_id)).resources
    return {name: {key: amount for key, amount in amounts.items() if key not in ("MEMORY_MB", "DISK_GB")}
            for name, amounts in found.items()}


async def tell(cloud, **facts: Any) -> None:
    """The other host has this, too."""
    driver = cloud.cloud.other.driver
    driver.facts = msgspec.structs.replace(driver.facts, **facts)
    await conductor.host_seen(cloud.cloud.compute, HostSeen(
        host=OTHER_HOST, address="192.0.2.2", boot_id="1", facts=driver.facts, guests=tuple(await driver.guests())))


async def test_groups_are_served_by_providers_of_the_host(cloud):
    placement, cards = cloud.cloud.compute.placement, {}
    for name in ("card-1", "card-2"):
        cards[name] = stable_id(name)
        await placement.ensure_provider(cards[name], name, parent=stable_id(OTHER_HOST))
        await placement.set_inventory(cards[name], {"VGPU": Inventory(total=1)})
    await flavor(cloud, resources1__VGPU="1", resources2__VGPU="1", group_policy="isolate")
    server_id = await cloud.server()
    row = await cloud.row(server_id)
    assert (row.state, row.host) == ("active", OTHER_HOST)
    assert await claims(cloud, server_id) == {
        stable_id(OTHER_HOST): {"VCPU": 1}, **{card: {"VGPU": 1} for card in cards.values()}}
    compute = cloud.cloud.compute
    had = await scheduling.claimed(compute, server_id)
    assert await scheduling.claim(compute, row, server_id, Share(resources=had))             # once more is the same
    assert not await scheduling.claim(compute, row, server_id, Share(resources={stable_id(OTHER_HOST): {"VCPU": 1}}))
    assert await scheduling.share(compute, row, HOST, []) is None
    refused = await cloud.row(await cloud.server())
    assert refused.state == "error" and refused.fault.message.startswith("No valid host was found. ResourceFilter left")
    await flavor(cloud, resources__VGPU="1")                                     # whoever of the host has it
    await cloud.compute("DELETE", f"/servers/{server_id}")
    await cloud.cloud.compute.sagas.drain()
    again = await cloud.server()
    assert (await cloud.row(again)).host == OTHER_HOST and len(await claims(cloud, again)) == 2
    await flavor(cloud, trait__CUSTOM_NOBODY_KNOWS="required")
    unknown = await cloud.row(await cloud.server())
    assert unknown.state == "error" and "CUSTOM_NOBODY_KNOWS" in unknown.fault.message


async def test_processors_and_devices_that_are_ones_own(cloud):
    await flavor(cloud, hw__cpu_policy="dedicated", pci_passthrough__alias="gpu:1")
    nobody = await cloud.row(await cloud.server())
    assert "No such resource class CUSTOM_PCI_GPU" in nobody.fault.message
    await tell(cloud, dedicated_cpus=2, devices={"gpu": 1}, cells=(
        HostCell(number=0, cpus=62, dedicated=2, dedicated_free=2, memory_mb=256 * 1024),))
    server_id = await cloud.server()
    row = await cloud.row(server_id)
    assert (row.state, row.host) == ("active", OTHER_HOST)
    assert await claims(cloud, server_id) == {stable_id(OTHER_HOST): {"PCPU": 1, "CUSTOM_PCI_GPU": 1}}
    assert cloud.cloud.other.driver.known[server_id].devices == {"gpu": 1}
    path = f"/placement/resource_providers/{stable_id(OTHER_HOST)}/inventories"
    offered = (await cloud.ask("GET", path, user="admin")).json()["inventories"]
    assert [offered[name]["total"] for name in ("VCPU", "PCPU", "CUSTOM_PCI_GPU")] == [62, 2, 1]
    second = await cloud.row(await cloud.server())
    assert "PciPassthroughFilter left 0 of 2: it is to get 1 devices gpu (at most 0 free)" in second.fault.message
    await flavor(cloud, hw__cpu_policy="dedicated")
    assert (await cloud.row(await cloud.server())).host == OTHER_HOST
    await flavor(cloud, hw__mem_page_size="2MB")
    pages = await cloud.row(await cloud.server())
    assert "NUMATopologyFilter left 0 of 2" in pages.fault.message and "pages of 2048 KiB" in pages.fault.message


async def test_claims_of_nobody_are_released(cloud):
    """Those of hosts and of what belongs to them; what somebody has of a provider that is no host stays."""
    placement, card, foreign = cloud.cloud.compute.placement, stable_id("card"), stable_id("foreign")
    await placement.ensure_provider(card, "card", parent=stable_id(HOST))
    await placement.ensure_provider(foreign, "foreign")
    for provider in (card, foreign):
        await placement.set_inventory(provider, {"VGPU": Inventory(total=9)})
    server_id = await cloud.server()
    lost = {stable_id("one"): stable_id(HOST), stable_id("two"): card, stable_id("three"): foreign}
    for consumer, provider in lost.items():
        amounts = {"VCPU": 1} if provider == stable_id(HOST) else {"VGPU": 1}
        await placement.claim(consumer, {provider: amounts}, project_id="p", user_id="u")
    await orphaned_claims.run(cloud.cloud.compute)
    left = [consumer async for page in placement.claims() for consumer in page]
    assert sorted(left) == sorted([server_id, stable_id("three")])
