"""What becomes of a boot that hosts refuse, as its user and an administrator see it."""

from __future__ import annotations

import msgspec
import pytest

from pileus.compute.messages import AGENT
from pileus.compute.model import hosts, servers
from pileus.processes.databases import DatabaseConfig
from tests.compute.test_versions_of_volumes import WithVolumes
from tests.compute.whole_cloud import HOST, OTHER_HOST, WholeCloud


@pytest.fixture
async def cloud(whole):
    made = WithVolumes(whole)
    await made.sign_in()
    await whole.add_host()
    yield made
    await made.http.aclose()


def refuse(cloud, *names: str) -> None:
    for agent in (cloud.cloud.agent, cloud.cloud.other):
        agent.driver.knobs.fail = {"ensure": f"{agent.host} is on fire."} if agent.host in names else {}


def limit(cloud, attempts: int) -> None:
    compute = cloud.cloud.compute
    compute.scheduler = msgspec.structs.replace(compute.scheduler, max_attempts=attempts)


async def tried(cloud, server_id: str) -> list[str]:
    """The hosts on which it was tried, as an administrator sees it."""
    fault = (await cloud.show(server_id, user="admin"))["fault"]
    return [line.partition(":")[0] for line in fault["details"].splitlines()]


async def test_boots_that_hosts_refuse(cloud):
    refuse(cloud, HOST)
    for server_id in (await cloud.server(), await cloud.server()):
        assert (await cloud.row(server_id)).host == OTHER_HOST
    refuse(cloud, HOST, OTHER_HOST)
    server_id = await cloud.server()
    fault = (await cloud.show(server_id))["fault"]
    assert "is on fire. No other host takes it: No valid host" in fault["message"] and "details" not in fault
    assert sorted(await tried(cloud, server_id)) == [HOST, OTHER_HOST]
    claims = (await cloud.ask("GET", f"/placement/allocations/{server_id}", user="admin")).json()["allocations"]
    assert (await cloud.row(server_id)).nics == () and claims == {}
    limit(cloud, 1)
    assert len(await tried(cloud, await cloud.server())) == 1
    limit(cloud, 3)
    refuse(cloud, HOST)
    asked = await cloud.boot("2.74", "admin", host=HOST)
    await cloud.cloud.compute.sagas.drain()
    row = await cloud.row(asked.json()["server"]["id"])
    assert row.state == "error" and row.fault.message.endswith("is on fire.") and row.fault.details == ""


async def test_a_host_that_does_not_answer(cloud):
    """It is asked some times; then another one is, and this one last from then on."""
    cloud.cloud.compute.sagas.backoff = lambda attempt: 0.0
    cloud.cloud.services.bus.ignore(AGENT, host=HOST)
    for _ in range(2):
        assert (await cloud.row(await cloud.server())).host == OTHER_HOST
    async with cloud.cloud.compute.db.read() as reader:
        assert (await hosts.get(reader, HOST)).failed_builds == 1


async def test_what_was_made_for_a_boot_goes_with_it(cloud):
    refuse(cloud, HOST, OTHER_HOST)
    kept = await cloud.volume()
    blank = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    volumes = [blank, {"uuid": kept, "source_type": "volume", "destination_type": "volume"}]
    server_id = await cloud.server(block_device_mapping_v2=volumes)
    await cloud.until(server_id, "ERROR")
    await cloud.settle()
    left = (await cloud.ask("GET", "/volume/v3/volumes/detail")).json()["volumes"]
    assert [(each["id"], each["status"]) for each in left] == [(kept, "available")]


async def test_the_first_host_of_a_cloud_is_waited_for(tmp_path):
    """For some time; who asks for a server when there is none in the end is told so."""
    whole = WholeCloud(tmp_path, DatabaseConfig())
    await whole.prepare(silent=True)
    cloud = WithVolumes(whole)
    await cloud.sign_in()
    early, late = await cloud.server(), await cloud.server()
    async with whole.compute.db.write() as tx:
        await servers.change(tx, await servers.get(tx, early), 1.0, created_at=1.0)
    await cloud.until(early, "ERROR")
    assert "There are no hosts: none has reported yet." in (await cloud.row(early)).fault.message
    assert (await cloud.row(late)).state == "building"
    await whole.sign_of_life()
    await cloud.until(late, "ACTIVE")
    await cloud.http.aclose()
    await whole.close()
