"""Volumes and cards that come and go at once: each has its turn, and nothing is left over when the server goes."""

from __future__ import annotations

import asyncio
import collections
import random
from typing import Any

import pytest
import sqlalchemy as sa

from pileus.kit.saga import FINISHED, sagas
from tests.compute.test_versions_of_volumes import WithVolumes


@pytest.fixture
async def cloud(whole):
    made = WithVolumes(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


async def ask(cloud, server_id: str, method: str, what: str, body: Any = None):
    return await cloud.compute(method, f"/servers/{server_id}/{what}", body, "2.89")


def attach(cloud, server_id: str, volume_id: str):
    return ask(cloud, server_id, "POST", "os-volume_attachments", {"volumeAttachment": {"volumeId": volume_id}})


def plug(cloud, server_id: str):
    return ask(cloud, server_id, "POST", "os-interface", {"interfaceAttachment": {}})


async def unfinished(cloud) -> list[str]:
    async with cloud.cloud.compute.db.read() as reader:
        return [row.name for row in await reader.execute(sa.select(sagas.c.name).where(
            sagas.c.phase.not_in(FINISHED)))]


async def test_each_has_its_turn(cloud):
    server_id = await cloud.server()
    *volumes, one_more = [await cloud.volume() for _ in range(5)]
    answers = await asyncio.gather(*(attach(cloud, server_id, each) for each in volumes), plug(cloud, server_id))
    assert [answer.status_code for answer in answers] == [200] * 5, [answer.text for answer in answers]
    names = {answer.json()["volumeAttachment"]["volumeId"]: answer.json()["volumeAttachment"]["device"]
             for answer in answers[:4]}
    assert sorted(names.values()) == ["/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde"]
    assert len(await unfinished(cloud)) == 5
    stopped = await ask(cloud, server_id, "POST", "action", {"os-stop": None})     # waits as well
    assert stopped.status_code == 202
    assert (await attach(cloud, server_id, one_more)).status_code == 409           # nothing waits behind that
    assert await cloud.status(one_more) == "available"
    await cloud.settle()
    assert {each["volumeId"]: each["device"] for each in await cloud.attached(server_id)}.items() >= names.items()
    assert set(volumes) <= set(cloud.in_guest(server_id)) and len((await cloud.row(server_id)).nics) == 2
    assert (await cloud.show(server_id))["status"] == "SHUTOFF" and not await unfinished(cloud)


async def test_what_waits_goes_with_the_server(cloud):
    server_id = await cloud.server()
    volumes = [await cloud.volume() for _ in range(3)]
    answers = await asyncio.gather(*(attach(cloud, server_id, each) for each in volumes), plug(cloud, server_id))
    assert [answer.status_code for answer in answers] == [200] * 4
    port_id = answers[3].json()["interfaceAttachment"]["port_id"]
    assert (await cloud.compute("DELETE", f"/servers/{server_id}")).status_code == 204
    assert (await attach(cloud, server_id, volumes[0])).status_code == 409
    await cloud.settle()
    assert not await unfinished(cloud) and not cloud.in_guest(server_id)
    assert [await cloud.status(each) for each in volumes] == ["available"] * 3
    assert await cloud.cloud.compute.network.show_port(port_id) is None
    assert (await cloud.compute("GET", f"/servers/{server_id}")).status_code == 404


@pytest.mark.parametrize("seed", range(3))
async def test_everything_at_once_ends(cloud, seed):
    """Whatever is asked for while workers are at it: all of it ends, and who shows the server shows what is so."""
    chance, compute = random.Random(seed), cloud.cloud.compute
    server_id = await cloud.server()
    volumes = [await cloud.volume() for _ in range(3)]
    codes: collections.Counter[int] = collections.Counter()

    async def someone(number: int) -> None:
        volume_id = volumes[number % len(volumes)]
        for _ in range(4):
            answer = await chance.choice([
                lambda: attach(cloud, server_id, volume_id), lambda: plug(cloud, server_id),
                lambda: ask(cloud, server_id, "DELETE", f"os-volume_attachments/{volume_id}")])()
            codes[answer.status_code] += 1

    workers = [asyncio.create_task(compute.sagas.run()) for _ in range(2)]
    await asyncio.gather(*(someone(number) for number in range(4)))
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await cloud.settle()
    assert set(codes) <= {200, 202, 400, 404, 409} and codes[200], codes
    assert not await unfinished(cloud)
    there = sorted(each["volumeId"] for each in await cloud.attached(server_id))
    assert sorted(cloud.in_guest(server_id)) == there
    assert {each: await cloud.status(each) for each in volumes} == {
        each: "in-use" if each in there else "available" for each in volumes}
    guest = cloud.cloud.driver.known[server_id]
    assert sorted(guest.macs) == sorted(nic.mac for nic in (await cloud.row(server_id)).nics)
