"""Scheduling with real services: dry runs, hints, groups and quotas when many ask at once."""

from __future__ import annotations

import asyncio
import collections
import copy

import pytest
import sqlalchemy as sa

from pileus.commands.schedule import render
from pileus.compute import scheduling
from pileus.compute.model import hosts, servers
from pileus.compute.model.tables import servers as table
from pileus.identity.service_tokens import fixed_id
from pileus.kit import db
from pileus.kit.db import Db
from tests.compute.whole_cloud import HOST, OTHER_HOST

DEMO = fixed_id("project", "demo")


async def quota(cloud, **limits):
    answer = await cloud.compute("PUT", f"/os-quota-sets/{DEMO}", {"quota_set": limits}, user="admin")
    assert answer.status_code == 200, answer.text


async def explain(cloud, status=200, **question):
    answer = await cloud.ask("POST", "/compute/pileus/schedule", {"flavor": "42"} | question, user="admin")
    assert answer.status_code == status, answer.text
    return answer.json()["hosts"] if status == 200 else answer.json()["badRequest"]["message"]


async def set_host(cloud, name, **values):
    async with cloud.cloud.compute.db.write() as tx:
        await hosts.change(tx, await hosts.get(tx, name), **values)


async def group(cloud, policy, **rules):
    body = {"name": "g", "policy": policy} | ({"rules": rules} if rules else {})
    answer = await cloud.compute("POST", "/os-server-groups", {"server_group": body}, "2.64")
    assert answer.status_code == 200, answer.text
    return answer.json()["server_group"]["id"]


async def ask_many(cloud, count, **hints):
    body = {"server": {"name": "one", "flavorRef": "42", "imageRef": cloud.image, "networks": "none"},
            "os:scheduler_hints": hints}
    answers = await asyncio.gather(*(cloud.compute("POST", "/servers", body, "2.37") for _ in range(count)))
    return collections.Counter(answer.status_code for answer in answers), answers


async def count(cloud):
    async with cloud.cloud.compute.db.read() as reader:
        return await db.scalar(reader, sa.select(sa.func.count()).select_from(table).where(table.c.alive))


async def members(cloud, group_id):
    async with cloud.cloud.compute.db.read() as reader:
        return await db.many(reader, sa.select(table).where(
            table.c.alive, table.c.group_id == group_id).order_by(table.c.id), servers.Server)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_dry_run_says_it_of_every_host(cloud):
    await cloud.cloud.add_host()
    await set_host(cloud, OTHER_HOST, disabled=True, disabled_reason="repair")
    good, bad = await explain(cloud, image=cloud.image)
    assert (good["host"], good["filter"], bad["host"], bad["filter"]) == (HOST, "", OTHER_HOST, "ComputeFilter")
    await set_host(cloud, OTHER_HOST, disabled=False)
    assert [each["host"] for each in await explain(cloud, host=OTHER_HOST) if not each["filter"]] == [OTHER_HOST]
    found = await explain(cloud, zone="mars", hints={"query": '[">", "$vcpus_total", 1]'})
    assert {each["filter"] for each in found} == {"AvailabilityZoneFilter"}
    answer = await cloud.compute("POST", "/flavors", {"flavor": {
        "name": "odd", "vcpus": 1, "ram": 64, "disk": 0, "id": "odd"}}, user="admin")
    assert answer.status_code == 200
    specs = {"extra_specs": {"trait:HW_CPU_X86_AVX512F": "required"}}
    assert (await cloud.compute("POST", "/flavors/odd/os-extra_specs", specs, user="admin")).status_code == 200
    found = await explain(cloud, flavor="odd")
    assert {each["filter"] for each in found} == {"PlacementFilter"} and "HW_CPU_X86_AVX512F" in found[0]["why"]
    assert not await count(cloud)
    assert (await cloud.ask("POST", "/compute/pileus/schedule", {"flavor": "42"})).status_code == 403
    await explain(cloud, 400, flavor="none")
    for hints in ({"query": "x"}, {"same_host": 5}, {"different_host": ["a", {}]}, {"build_near_host_ip": "x"},
                  {"build_near_host_ip": "192.0.2.1", "cidr": "/99"}, {"group": "none"}):
        await explain(cloud, 400, hints=hints)
        assert (await ask_many(cloud, 1, **hints))[0] == {400: 1}
    await a_host_whose_builds_fail_comes_last(cloud)


def test_a_dry_run_as_a_table():
    assert render([
        {"host": "a", "filter": "", "why": "", "weight": 3.5, "weights": {"ram": 1.0, "failed_builds": -1000.0}},
        {"host": "long-name", "filter": "", "why": "", "weight": 0.0, "weights": {}},
        {"host": "c", "filter": "ResourceFilter", "why": "the nearest, c, needs 1 more vCPUs. " * 3,
         "weight": 0.0, "weights": {}}]) == """\
host         weight  why
a              3.50  ram +1.00  failed_builds -1000.00
long-name      0.00  as good as any
c                 -  ResourceFilter: the nearest, c, needs 1 more vCPUs. the nearest, c, needs 1 more vCPUs. the
                     nearest, c, needs 1 more vCPUs.
2 of 3 hosts would take it"""
    assert "none has reported" in render([])


async def test_many_at_once(cloud):
    await cloud.cloud.add_host()
    await two_conductors_never_promise_a_group_one_host(cloud)
    await a_group_that_stays_together_does_so_at_once(cloud)
    await quotas_hold_when_everybody_asks_at_once(cloud)


async def two_conductors_never_promise_a_group_one_host(cloud):
    """One turn per group, whoever asks: each host is promised to one server, and hosts are counted until they are
    let go."""
    group_id = await group(cloud, "anti-affinity")
    await ask_many(cloud, 4, group=group_id)
    ours = cloud.cloud.compute
    other = copy.copy(ours)
    other.db = Db(ours.db.url)
    for host in (HOST, OTHER_HOST):
        waiting = [member for member in await members(cloud, group_id) if member.place is None]
        told = await asyncio.gather(*(scheduling.promise((ours, other)[n % 2], member, host)
                                      for n, member in enumerate(waiting)))
        assert sum(told) == 1
    assert sorted(str(each.place) for each in await members(cloud, group_id) if each.place) == [HOST, OTHER_HOST]
    await ours.sagas.drain()
    booted = await members(cloud, group_id)
    assert sorted(member.host for member in booted if member.state == "active") == [HOST, OTHER_HOST]
    failed = [member for member in booted if member.state == "error"]
    assert len(failed) == 2 and all(
        member.fault and "ServerGroupAntiAffinityFilter left 0 of 2" in member.fault.message for member in failed)
    assert {member.place for member in booted} == {None}
    await other.db.close()


async def a_group_that_stays_together_does_so_at_once(cloud):
    group_id = await group(cloud, "affinity")
    await ask_many(cloud, 3, group=group_id)
    first, second, third = await members(cloud, group_id)
    compute = cloud.cloud.compute
    told = await asyncio.gather(*(scheduling.promise(compute, member, host) for member, host in (
        (first, HOST), (second, OTHER_HOST), (third, HOST))))
    assert told in ([True, False, True], [False, True, False])
    await compute.sagas.drain()
    booted = await members(cloud, group_id)
    assert {member.state for member in booted} == {"active"} and len({member.host for member in booted}) == 1


async def quotas_hold_when_everybody_asks_at_once(cloud):
    """200 servers asked for at once: as many as the quota says, of the project and then of the group."""
    group_id = await group(cloud, "soft-affinity")
    await quota(cloud, instances=-1, cores=-1, ram=-1)
    counts, _ = await ask_many(cloud, 25, group=group_id)
    assert counts == {202: 10, 403: 15}                          # server_group_members
    there = await count(cloud)
    await quota(cloud, instances=there + 7)
    counts, answers = await ask_many(cloud, 200)
    assert counts == {202: 7, 403: 193} and await count(cloud) == there + 7
    refused = next(answer for answer in answers if answer.status_code == 403)
    assert "Quota exceeded for instances" in refused.text


async def a_host_whose_builds_fail_comes_last(cloud):
    first, second = (each["host"] for each in await explain(cloud))
    driver = {HOST: cloud.cloud.agent, OTHER_HOST: cloud.cloud.other}[first].driver
    driver.knobs.fail["ensure"] = "no"
    server_id = await cloud.server()
    row = await cloud.row(server_id)
    assert (row.state, row.host) == ("active", second)
    driver.knobs.fail.clear()
    assert [each["host"] for each in await explain(cloud)] == [second, first]
    await set_host(cloud, second, disabled=True)
    await cloud.server()
    await set_host(cloud, second, disabled=False)
    assert all("failed_builds" not in each["weights"] for each in await explain(cloud))
