"""Why A cannot reach B, asked of the service; what is said is compared with packets elsewhere."""

import pytest

from pileus.network.client import NewPort
from pileus.network.engine.records import State, Status
from pileus.network.messages import HostSeen, PortsReported
from tests.network.test_networks import MISSING, ips, plain
from tests.network.test_routers import interface, outside
from tests.network.test_slices import IDS


async def ask(world, source, destination, status=200, **more):
    answer = await world.admin.get("/v2.0/explain", params={"source": source, "destination": destination, **more})
    assert answer.status_code == status, answer.text
    return answer.json()["explanation"] if status == 200 else answer.json()["NeutronError"]


@pytest.fixture
async def pair(world):
    """Two servers of two networks; h1 has said that it is there."""
    await world.listen()
    await world.bus.call(PortsReported(host="h1", statuses=()))
    await world.bus.cast(HostSeen(host="h1", underlay_ip="192.0.2.1", started_at=1.0))
    nets = [await plain(world, f"10.{n}.0.0/24") for n in (1, 2)]
    made = await world.client.ensure_ports([
        NewPort(id=IDS[n], network_id=network["id"], device_id=f"server-{n}", host="h1", project_id="p1")
        for n, (network, _) in enumerate(nets)])
    yield nets, made
    await world.bus.close()


async def up(world, *ports):
    async def revision(port_id):
        return (await world.http.show("port", {"id": port_id}))["revision_number"]
    statuses = tuple([Status(kind="port", id=i, revision=await revision(i), host="h1", state=State.UP)
                      for i in ports])
    await world.bus.call(PortsReported(host="h1", statuses=statuses))


async def test_what_is_missing_is_named_in_turn(world, pair):
    ((_, first), (_, second)), _ = pair
    far = await ask(world, "server-0", "server-1", protocol="tcp", port="22")
    assert "no router has an interface there" in far["stopped"] and not far["reaches"]
    router = await world.http.make("router")
    await interface(world, router, subnet_id=first["id"])
    async with world.db.write() as tx:
        await tx.run_sync(lambda raw: raw.exec_driver_sql("UPDATE router SET host = 'h1'"))
    assert "and no gateway" in (await ask(world, IDS[0], IDS[1], protocol="tcp", port="22"))["stopped"]
    await interface(world, router, subnet_id=second["id"])
    open_ = await ask(world, "server-0", "server-1", protocol="tcp", port="22")
    assert "HAS NOT" in open_["stopped"].upper(), "the same default group lets it in, but no host has made it so"
    await up(world, IDS[0], IDS[1])
    assert (await ask(world, "server-0", "server-1", protocol="tcp", port="22"))["reaches"]
    lonely = await world.http.make("security_group", name="lonely")
    await world.http.change("port", {"id": IDS[1]}, security_groups=[lonely["id"]])
    await up(world, IDS[0], IDS[1])
    refused = await ask(world, "server-0", "server-1", protocol="tcp", port="22")
    assert "no ingress rule" in refused["stopped"] and lonely["id"] in refused["stopped"]
    await world.http.make("security_group_rule", security_group_id=lonely["id"], direction="ingress", protocol="tcp",
                          port_range_min=22, port_range_max=22)
    assert (await ask(world, "server-0", "server-1", protocol="tcp", port="22"))["reaches"]
    assert "port 23" in (await ask(world, "server-0", "server-1", protocol="tcp", port="23"))["stopped"]
    await world.http.change("router", router, admin_state_up=False)
    assert "administratively down" in (await ask(world, IDS[0], IDS[1]))["stopped"]


async def test_out_of_the_cloud(world, pair):
    ((_, first), _), made = pair
    public = await outside(world)
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    await interface(world, router, subnet_id=first["id"])
    async with world.db.write() as tx:
        await tx.run_sync(lambda raw: raw.exec_driver_sql("UPDATE router SET host = 'h1'"))
    await up(world, IDS[0])
    shown = await world.http.show("port", {"id": IDS[0]})
    away = await ask(world, ips(shown)[0], "192.0.2.77")
    assert away["leaves"] and not away["reaches"] and any("becomes" in step for step in away["steps"])


async def test_who_may_ask_what(world, pair):
    assert (await world.http.get("/v2.0/explain", params={"source": IDS[0], "destination": IDS[1]})).status_code == 403
    await ask(world, MISSING, IDS[0], 404)
    await ask(world, IDS[0], IDS[1], 400, protocol="tcp")
    await ask(world, IDS[0], IDS[1], 400, protocol="carrier-pigeon")
    await ask(world, IDS[0], IDS[1], 400, port="0")
