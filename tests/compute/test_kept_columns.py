"""Columns that are kept say what columns say that were made anew, whatever became of the hosts meanwhile."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa

from pileus.compute import scheduling
from pileus.compute.model import hosts, servers
from pileus.compute.model.tables import hosts as table
from pileus.compute.scheduler.choice import judge, select
from pileus.compute.scheduler.columns import Columns, HostState, Kept
from pileus.compute.scheduler.wishes import GroupWish, Wish
from tests.compute.test_filters import CELLS, PLAIN
from tests.compute.test_versions_of_boots import Booting

WISHES = [
    Wish(resources={"VCPU": 2, "MEMORY_MB": 1024}),
    Wish(resources={"VCPU": 1}, zone="east", near="192.0.2.0/25", most_servers=3, most_io_ops=2,
         query=["and", [">=", "$free_ram_mb", 1024], ["=", "$hypervisor_type", "QEMU"]],
         extra_specs={"capabilities:hypervisor_version": ">= 8000000", "aggregate_instance_extra_specs:disk": "ssd"}),
    Wish(resources={"VCPU": 1, "CUSTOM_PCI_GPU": 1}, properties={"hw_architecture": "x86_64", "os_distro": "debian"},
         project_id="demo", tried=("n1", "n5"), group=GroupWish(policy="soft-anti-affinity", hosts={"n2": 2})),
]


def other(chance: random.Random, host: HostState) -> HostState:
    """The same host, of which something has become another."""
    metadata: dict[str, tuple[str, ...]] = chance.choice([
        {}, {"disk": ("ssd",)}, {"disk": ("hdd",)}, {"filter_tenant_id": ("demo",)}, {"os_distro": ("debian", "x")},
        {"max_instances_per_host": ("2",)}])
    facts = chance.choice([PLAIN.facts, CELLS, msgspec.structs.replace(PLAIN.facts, hypervisor_version="8.1"),
                           msgspec.structs.replace(PLAIN.facts, hypervisor_type="KVM", cpu={})])
    changes: list[dict[str, Any]] = [
        {"enabled": chance.random() < 0.8}, {"up": chance.random() < 0.8}, {"zone": chance.choice(["nova", "east"])},
        {"servers": chance.randrange(5)}, {"io_ops": chance.randrange(4)}, {"failed_builds": chance.randrange(2)},
        {"address": f"192.0.2.{chance.randrange(255)}"}, {"facts": facts}, {"metadata": metadata},
        {"free": {"VCPU": float(chance.randrange(9)), "MEMORY_MB": 1024.0 * chance.randrange(9)} | chance.choice(
            [{}, {"CUSTOM_PCI_GPU": 1.0}])}]
    return msgspec.structs.replace(host, **chance.choice(changes))


@pytest.mark.parametrize("seed", range(5))
def test_kept_is_as_good_as_new(seed):
    chance, kept = random.Random(seed), Kept()
    states = [other(chance, msgspec.structs.replace(PLAIN, name=f"n{n}", provider_id=f"p{n}")) for n in range(40)]
    for _ in range(60):
        for _ in range(chance.randrange(4)):
            row = chance.randrange(len(states))
            states[row] = other(chance, states[row])
        if chance.random() < 0.05:
            del states[chance.randrange(len(states))]
        columns, wish = kept.in_step(states), chance.choice(WISHES)
        fresh = Columns(states)
        assert select(columns, wish) == select(fresh, wish) and judge(columns, wish) == judge(fresh, wish)
        assert all(np.array_equal(columns.plain(path), fresh.plain(path)) for path in ("host_ip", "cpu_info.arch"))
    assert all(len(coded.distinct) <= 2 * len(states) + 64 for coded in columns._coded.values())


def test_values_that_no_host_has_any_more_are_let_go_of():
    kept, near = Kept(), Wish(resources={"VCPU": 1}, near="192.0.0.0/16", query=[">=", "$free_ram_mb", 1])
    for number in range(500):
        state = msgspec.structs.replace(PLAIN, address=f"192.0.{number // 250}.{number % 250}",
                                        free={"VCPU": 1.0, "MEMORY_MB": float(number)})
        columns = kept.in_step([state])
        assert (select(columns, near).hosts == ("n1",)) == bool(number)
        assert select(columns, near) == select(Columns([state]), near)
    assert max(len(coded.distinct) for coded in columns._coded.values()) < 70


async def test_kept_is_what_the_databases_say(whole):
    """Real rows: hosts, aggregates, servers and claims come and go; what is kept is asked, and what is read anew."""
    cloud, chance, compute = Booting(whole), random.Random(1), whole.compute
    await cloud.sign_in()
    facts = msgspec.to_builtins(await whole.driver.host_facts())
    async with compute.db.write() as tx:
        for number in range(8):
            await hosts.record_seen(tx, f"n{number}", facts, [], f"192.0.2.{number}", "1", compute.clock())
    for number in range(8):
        await compute.placement.ensure_provider(hosts.stable_id(f"n{number}"), f"n{number}")
    server_id = await cloud.server()
    server = await cloud.row(server_id)
    for _ in range(12):
        async with compute.db.write() as tx:
            found = await hosts.every(tx)
            host = chance.choice(found)
            match chance.randrange(4):
                case 0:
                    await hosts.change(tx, host, disabled=not host.disabled, zone=chance.choice([None, "east"]))
                case 1:
                    await hosts.note_build(tx, host.name, failed=True)
                case 2:
                    await servers.change(tx, await servers.get(tx, server_id), compute.clock(), host=host.name)
                case _:
                    await tx.execute(sa.delete(table).where(table.c.name == host.name, table.c.name != "host-1"))
        kept = [judge(await scheduling.everywhere(compute, server), wish) for wish in WISHES]
        compute.kept, before = Kept(), compute.kept
        fresh = [judge(await scheduling.everywhere(compute, server), wish) for wish in WISHES]
        compute.kept = before
        assert kept == fresh
    await cloud.http.aclose()
