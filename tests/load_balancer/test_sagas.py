"""What becomes of load balancers when steps fail, processes die, hosts are lost."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.saga_testing import prove, survives, unwinds
from pileus.load_balancer.drivers.base import Counters
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import LoadBalancer, Provisioning
from pileus.load_balancer.reconcilers.carried import carried
from pileus.load_balancer.sagas.apply_changes import ApplyChanges
from pileus.load_balancer.sagas.delete_load_balancer import DeleteLoadBalancer
from pileus.network.client import NewPort

ID = "11111111-0000-4000-8000-000000000001"
PORT = "22222222-0000-4000-8000-000000000001"
POOL = "33333333-0000-4000-8000-000000000001"


async def _recorded(world, status=Provisioning.CREATING):
    """A load balancer with a member in another network, as its request left it."""
    await world.network.ensure_port(NewPort(
        id=PORT, network_id="front-net", device_id=f"lb-{ID}", device_owner="Octavia", name=f"octavia-lb-{ID}",
        fixed_ips=[{"subnet_id": "front", "ip_address": "10.1.0.40"}]))
    facts = {"project_id": "p1", "created_at": 1.0, "provisioning_status": status}
    async with world.db.write() as tx:
        await db.add(tx, tables.load_balancers, LoadBalancer(
            id=ID, vip_address="10.1.0.40", vip_port_id=PORT, vip_subnet_id="front", vip_network_id="front-net",
            provider="haproxy", **facts))
        await db.add(tx, tables.pools, rows.Pool(
            id=POOL, load_balancer_id=ID, protocol="TCP", lb_algorithm="ROUND_ROBIN", **facts))
        await db.add(tx, tables.members, rows.Member(
            id=POOL, pool_id=POOL, address="10.2.0.4", ip="10.2.0.4", protocol_port=80, subnet_id="back",
            network_id="back-net", **facts))


async def _facts(world):
    """Where ports are bound, what hosts have, what users see; ids and addresses that are chosen anew are left out."""
    async with world.db.read() as reader:
        found = [(row.provisioning_status, row.operating_status) for kind in (LoadBalancer, rows.Pool, rows.Member)
                 for row in await rows.where(reader, kind)]
        legs = (await reader.execute(sa.select(sa.func.count()).select_from(tables.legs))).scalar_one()
    return {"ports": sorted((port.network_id, port.host) for port in world.network.known.values()), "legs": legs,
            "hosts": {name: [len(spec.legs) for spec in driver.known.values()]
                      for name, driver in world.drivers.items()}, "seen": found}


@pytest.fixture
def make_recorded(make_world):
    async def make():
        world = await make_world()
        await _recorded(world)
        return world
    return make


async def test_changes_are_proven(make_recorded):
    """Undone, a load balancer keeps its place and its ports: the next try goes on there."""
    async def facts(world):
        found = await _facts(world)
        return {"seen": found["seen"]}

    await unwinds(make_recorded, ApplyChanges(balancer_id=ID), facts,
                  unwound={"seen": [("ERROR", "OFFLINE")] * 3})


async def test_deletion_is_proven(make_recorded):
    async def make():
        world = await make_recorded()
        async with world.db.write() as tx:
            await world.sagas.start(tx, ApplyChanges(balancer_id=ID), ID)
        await world.sagas.drain()
        return world

    await prove(make, DeleteLoadBalancer(balancer_id=ID), _facts)


async def test_a_crash_leaves_one_of_everything(make_recorded):
    """After failures, what was bound stays so."""
    await survives(make_recorded, ApplyChanges(balancer_id=ID), _facts)


async def test_a_host_that_refuses_says_why(world):
    for driver in world.drivers.values():
        driver.refuse = "no more files"
    balancer = await world.balancer()
    assert (await world.show(f"/loadbalancers/{balancer}"))["provisioning_status"] == "ERROR"
    assert (await world.refused("PUT", f"/loadbalancers/{balancer}", {"loadbalancer": {}}))[0] == 409
    for driver in world.drivers.values():
        driver.refuse = ""
    await world.ok("PUT", f"/loadbalancers/{balancer}/failover", token="admin@ops")
    await world.sagas.drain()
    assert (await world.show(f"/loadbalancers/{balancer}"))["provisioning_status"] == "ACTIVE"


async def test_no_host_can_carry_it(world):
    for driver in world.drivers.values():
        driver.unable = "the program haproxy is not installed"
    await world.seen("one", "two")
    balancer = await world.balancer()
    assert (await world.show(f"/loadbalancers/{balancer}"))["provisioning_status"] == "ERROR"
    events = (await world.ok("GET", f"/trace/{balancer}", base="/pileus", token="admin@ops"))["events"]
    assert "haproxy is not installed" in "".join(event["detail"] or "" for event in events)
    await world.remove(f"/loadbalancers/{balancer}")
    assert world.network.known == {}


async def test_a_port_that_does_not_come_up(world):
    world.network.down = {"?"}
    balancer = await world.balancer()
    port = (await world.show(f"/loadbalancers/{balancer}"))["vip_port_id"]
    world.network.down = {port}
    await world.ok("PUT", f"/loadbalancers/{balancer}", {"loadbalancer": {"name": "x"}})
    for _ in range(3):
        await world.sagas.drain()
        world.clock.turn(1.0)
    assert (await world.show(f"/loadbalancers/{balancer}"))["provisioning_status"] == "PENDING_UPDATE"
    world.network.down = set()
    world.clock.turn(1.0)
    await world.sagas.drain()
    assert (await world.show(f"/loadbalancers/{balancer}"))["provisioning_status"] == "ACTIVE"


async def test_failover_moves_it(world):
    balancer = await world.balancer()
    ((before, _),) = world.carried(balancer)
    await world.ok("PUT", f"/loadbalancers/{balancer}/failover", token="admin@ops")
    await world.sagas.drain()
    ((after, _),) = world.carried(balancer)
    assert before != after
    assert {port.host for port in world.network.known.values()} == {after}


async def test_what_a_dead_host_carried_moves(world):
    balancer = await world.balancer()
    ((before, _),) = world.carried(balancer)
    other = "two" if before == "one" else "one"
    world.bus.ignore("load_balancer.host", host=before)
    world.clock.turn(world.config.host_dead_after + 1)
    await world.seen(other)
    await carried.run(world)
    await world.sagas.drain()
    assert balancer in world.drivers[other].known
    assert (await world.show(f"/loadbalancers/{balancer}"))["provisioning_status"] == "ACTIVE"


async def test_hosts_have_what_they_should_and_nothing_else(world):
    balancer = await world.balancer()
    ((host, spec),) = world.carried(balancer)
    world.drivers[host].known = {"stranger": msgspec.structs.replace(spec, id="stranger")}
    await carried.run(world)
    assert world.drivers[host].known == {balancer: spec}
    await carried.run(world)
    assert world.drivers[host].known == {balancer: spec}


async def test_a_port_that_was_deleted_is_made_anew(world):
    balancer = await world.balancer(vip_address="10.1.0.66")
    before = dict(world.network.known)
    world.network.known.clear()
    await carried.run(world)
    await world.sagas.drain()
    assert world.network.known.keys() == before.keys()
    assert world.spec(balancer).legs[0].addresses == ("10.1.0.66/24",)
    assert (await world.show(f"/loadbalancers/{balancer}"))["provisioning_status"] == "ACTIVE"


async def test_ports_that_nobody_recorded_go(world):
    balancer = await world.balancer()
    lost = await world.network.ensure_port(NewPort(
        id=PORT, network_id="front-net", device_id=f"lb-{ID}", device_owner="Octavia", name=f"octavia-lb-{ID}",
        fixed_ips=[]))
    await carried.run(world)
    assert lost.id not in world.network.known
    assert {port.device_id for port in world.network.known.values()} == {f"lb-{balancer}"}


async def test_a_host_that_cannot_look_goes_on(world):
    balancer = await world.balancer()
    ((host, spec),) = world.carried(balancer)
    driver = world.drivers[host]
    driver.blind = OSError("too many open files")
    await world.agents[host].report()
    driver.blind = None
    driver.fell = [balancer]
    await world.agents[host].report()
    assert driver.mended == [balancer] and driver.known == {balancer: spec}


async def test_how_members_do_shows_everywhere(world):
    balancer = await world.balancer()
    pool = (await world.made("/pools", "pool", loadbalancer_id=balancer, protocol="HTTP",
                             lb_algorithm="ROUND_ROBIN"))["id"]
    listener = (await world.made("/listeners", "listener", loadbalancer_id=balancer, protocol="HTTP",
                                 protocol_port=80, default_pool_id=pool))["id"]
    members = [(await world.made(f"/pools/{pool}/members", "member", address=f"10.1.0.{n}", protocol_port=80))["id"]
               for n in (21, 22)]
    await world.made("/healthmonitors", "healthmonitor", pool_id=pool, type="TCP", delay=1, timeout=1, max_retries=1)
    ((host, _),) = world.carried(balancer)

    async def statuses(*down):
        world.drivers[host].down = set(down)
        await world.agents[host].report()
        await _settled(world)
        return [(await world.show(path))["operating_status"] for path in (
            f"/loadbalancers/{balancer}", f"/listeners/{listener}", f"/pools/{pool}",
            f"/pools/{pool}/members/{members[0]}")]

    assert await statuses() == ["ONLINE"] * 4
    assert await statuses(members[0]) == ["DEGRADED", "DEGRADED", "DEGRADED", "ERROR"]
    assert await statuses(*members) == ["ERROR"] * 4
    assert await statuses() == ["ONLINE"] * 4
    world.drivers[host].traffic = {listener: Counters(bytes_in=5, bytes_out=7, total_connections=1)}
    await statuses()
    await statuses()
    found = await world.show(f"/listeners/{listener}/stats")
    assert (found["bytes_in"], found["bytes_out"], found["total_connections"]) == (10, 14, 2)


async def _settled(world):
    """What was cast has been heard."""
    for task in list(world.bus._tasks):
        await task
