"""From a commit to a host and back: whatever gets lost on the way, ports end up ACTIVE."""

import asyncio
import contextlib
import time

import pytest
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.bus import ChaosBus, MemoryBus
from pileus.network.agent.fake_host import FakeHost
from pileus.network.agent.handlers import Agent, Pace
from pileus.network.client import NewPort
from pileus.network.engine.records import State, Status
from pileus.network.messages import PortsReported
from pileus.network.model import hosts
from pileus.network.model.routers import routers
from pileus.network.reconcilers.slices import slices
from pileus.network.rendering import Known, read_records
from tests.network.test_networks import plain
from tests.network.test_qos import policy, rule
from tests.network.test_routers import interface, outside

QUICK = Pace(heartbeat=0.05, report=0.2, again=0.02)
IDS = [f"{i:08d}-0000-4000-8000-000000000000" for i in range(20)]


class Compute:
    """Hears what compute would hear."""

    def __init__(self):
        self.events = []

    async def external_events(self, events):
        self.events += events


async def until(condition, seconds=15.0):
    give_up = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < give_up, "it did not become so in time"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(world, *names):
    """A conductor, and an agent with a fake engine on each of these hosts."""
    world.resend_after, world.compute = 0.05, Compute()
    await world.listen()
    fakes = {name: FakeHost(name) for name in names}
    agents = {name: Agent(name, f"192.0.2.{i}", fakes[name], world.bus, pace=QUICK)
              for i, name in enumerate(names, 1)}
    tasks = [asyncio.create_task(agent.run()) for agent in agents.values()]
    tasks.append(asyncio.create_task(world.reconcilers.run()))

    async def all_there():
        async with world.db.read() as reader:
            return len(await hosts.every(reader)) == len(names)
    await until(all_there)
    try:
        yield fakes, agents
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await world.bus.close()


def wanted(network, host, count=3, device="server-1"):
    return [NewPort(id=IDS[i], network_id=network["id"], device_id=device, host=host, project_id="p1")
            for i in range(count)]


async def active(world, *ids):
    return {p.id for p in await world.client.ports(id=list(ids)) if p.status == "ACTIVE"} == set(ids)


async def test_a_bound_port_comes_up(world):
    network, _ = await plain(world)
    async with running(world, "h1") as (fakes, _):
        made = await world.client.ensure_ports(wanted(network, "h1"))
        assert {p.status for p in made} <= {"DOWN", "ACTIVE"} and made[0].device.startswith("tap")
        await until(lambda: active(world, *IDS[:3]))
        assert {p.id for p in fakes["h1"].slice.ports} == set(IDS[:3])
        expected = {("network-vif-plugged", "server-1", port_id) for port_id in IDS[:3]}

        async def told():
            return {(e["name"], e["server_uuid"], e["tag"]) for e in world.compute.events} == expected
        await until(told)
        again = await world.client.ensure_ports(wanted(network, "h1"))
        assert [p.fixed_ips for p in again] == [p.fixed_ips for p in made] and again[0].status == "ACTIVE"
        dhcp = await world.client.ports(device_owner="network:dhcp")
        await until(lambda: active(world, dhcp[0].id))
        await world.client.unbind_port(IDS[0])
        shown = await world.client.show_port(IDS[0])
        assert (shown.status, shown.host, shown.vif_type) == ("DOWN", "", "unbound")
        await world.client.bind_port(IDS[0], "h1", "server-2")
        await until(lambda: active(world, IDS[0]))
        await world.client.ensure_no_port(IDS[1])
        await world.client.ensure_no_port(IDS[1])

        async def gone():
            return {p.id for p in fakes["h1"].slice.ports} == {IDS[0], IDS[2]}
        await until(gone)


async def test_engine_errors_are_told_and_mended(world):
    network, _ = await plain(world)
    async with running(world, "h1") as (fakes, _):
        fakes["h1"].failing.add(IDS[0])
        fakes["h1"].refuse = "no nft today"
        await world.client.ensure_ports(wanted(network, "h1", 2))

        async def complained():
            return "no nft today" in str([a["description"] for a in await world.admin.all("agent")])
        await until(complained)
        assert not await active(world, IDS[1])
        fakes["h1"].refuse = ""
        await until(lambda: active(world, IDS[1]))
        assert (await world.client.show_port(IDS[0])).status == "ERROR"


async def test_routers_live_on_a_host_and_move_when_it_dies(world):
    public = await outside(world)
    network, subnet = await plain(world)
    async with running(world, "h1", "h2") as (fakes, agents):
        router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
        second = await world.http.make("router", name="second")
        leg = await interface(world, router, subnet_id=subnet["id"])
        port = (await world.client.ensure_ports(wanted(network, "h1", 1)))[0]
        floating = await world.http.make("floatingip", floating_network_id=public["id"], port_id=port.id)

        async def up():
            shown = await world.http.show("floatingip", floating)
            return shown["status"] == "ACTIVE" and await active(world, leg["port_id"], port.id)
        await until(up)
        gateway = (await world.client.ports(device_owner="network:router_gateway"))[0]
        await until(lambda: active(world, gateway.id))

        async def places():
            async with world.db.read() as reader:
                return dict((await reader.execute(sa.select(routers.c.id, routers.c.host))).all())
        assert set((await places()).values()) == {"h1", "h2"}
        dead = (await places())[router["id"]]
        agents[dead].pace.heartbeat = 3600.0
        agents[dead].say_hello = silence

        async def moved():
            async with world.db.write() as tx:      # again and again: its last words may still be on their way
                await db.update(tx, hosts.hosts.update().where(hosts.hosts.c.name == dead).values(seen_at=1.0))
            world.reconcilers.wake("slices")
            return dead not in (await places()).values()
        await until(moved)
        alive = "h1" if dead == "h2" else "h2"

        async def rebuilt():
            return {r.id for r in fakes[alive].slice.routers} == {router["id"], second["id"]}
        await until(rebuilt)
        assert {a["alive"] for a in await world.admin.all("agent", host=dead)} == {False}


async def test_dhcp_without_guests_is_done(world):
    await plain(world)
    async with running(world, "h1"):
        dhcp, = await world.client.ports(device_owner="network:dhcp")
        world.reconcilers.wake("slices")
        await until(lambda: active(world, dhcp.id))


async def test_legs_of_a_resting_router_are_done(world):
    _, subnet = await plain(world)
    async with running(world, "h1") as (fakes, _):
        router = await world.http.make("router", admin_state_up=False)
        leg = await interface(world, router, subnet_id=subnet["id"])
        await until(lambda: active(world, leg["port_id"]))
        assert fakes["h1"].slice.routers == ()


async def silence():
    """A host that says no more."""


@pytest.mark.parametrize("seed", [1, 2])
async def test_chaos(make_world, seed):
    world = await make_world(bus=ChaosBus(seed))
    network, _ = await plain(world)
    async with running(world, "h1", "h2", "h3") as (_, _):
        for host, part in (("h1", 0), ("h2", 5), ("h3", 10)):
            await world.client.ensure_ports([
                NewPort(id=port_id, network_id=network["id"], device_id=host, host=host, project_id="p1")
                for port_id in IDS[part:part + 5]])
        for port_id in IDS[:2]:
            await world.client.ensure_no_port(port_id)
        await world.client.bind_port(IDS[2], "h3", "h3")
        await until(lambda: active(world, *IDS[2:15]), 30)


async def test_an_agent_that_comes_back_asks_for_its_slice(make_world):
    world = await make_world(bus=MemoryBus())
    network, _ = await plain(world)
    async with running(world, "h1"):
        await world.client.ensure_ports(wanted(network, "h1", 1))
        await until(lambda: active(world, IDS[0]))
        fresh = FakeHost("h1")
        task = asyncio.create_task(Agent("h1", "192.0.2.1", fresh, world.bus, pace=QUICK).run())

        async def has_it():
            return {p.id for p in fresh.slice.ports} == {IDS[0]}
        try:
            await until(has_it)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_words_of_the_wrong_host_or_revision_do_not_count(world):
    await world.listen()
    network, _ = await plain(world)
    port = (await world.client.ensure_ports(wanted(network, "h1", 1)))[0]

    async def say(host, revision, state=State.UP):
        await world.bus.call(PortsReported(host=host, statuses=(
            Status(kind="port", id=port.id, revision=revision, host=host, state=state),)))
        return (await world.client.show_port(port.id)).status
    assert await say("h2", 1) == "DOWN"
    assert await say("h1", 7) == "DOWN"
    assert await say("h1", 1) == "ACTIVE"
    assert await say("h2", 1, State.DOWN) == "ACTIVE"
    assert await say("h1", 1, State.DOWN) == "DOWN"


async def test_what_is_read_again_is_what_changed(world):
    """A port that is removed and made again with the same id is not taken for the old one."""
    network, subnet = await plain(world)
    await world.client.ensure_ports(wanted(network, "h1", 3))
    known = Known()

    async def read(*cache):
        async with world.db.read() as reader:
            return sorted((await read_records(reader, [], *cache)).ports, key=lambda port: port.id)
    assert await read(known) == await read()
    await world.client.ensure_no_port(IDS[0])
    await world.client.ensure_no_port(IDS[1])
    await world.client.ensure_ports([NewPort(id=IDS[0], network_id=network["id"], device_id="other", host="h2")])
    await world.http.change("port", {"id": IDS[2]}, security_groups=[])
    assert await read(known) == await read() and len(await read(known)) == 3     # with that of DHCP
    six = await world.http.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64",
                                ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    assert await read(known) == await read()
    await world.http.drop("subnet", six)
    assert await read(known) == await read()
    await world.http.change("network", network, admin_state_up=False)
    assert await read(known) == await read() and not any(port.admin_up for port in await read())
    slow = await policy(world, name="slow")
    await world.admin.change("network", network, qos_policy_id=slow["id"])
    assert await read(known) == await read()
    await rule(world, slow, "bandwidth_limit", max_kbps=9)
    assert await read(known) == await read() and any(port.qos for port in await read())
    assert subnet["id"] in {fixed.subnet_id for port in await read(known) for fixed in port.fixed_ips}


async def test_unchanged_slices_are_not_rendered_again(world):
    network, _ = await plain(world)
    async with running(world, "h1"):
        await world.client.ensure_ports(wanted(network, "h1", 1))
        await until(lambda: active(world, IDS[0]))
        before = world.rendered.slices
        world.reconcilers.wake("slices")
        turns = world.sent
        await until(is_settled(world))
        assert world.rendered.slices is before and world.sent is turns
        await world.client.ensure_ports([NewPort(id=IDS[1], network_id=network["id"], device_id="s", host="h1")])
        await until(lambda: active(world, IDS[1]))
        assert world.rendered.slices is not before


async def test_a_stream_of_changes_leaves_time_for_others(world):
    """What took long is rested from three times as long, but no longer than a second."""
    async def passed(took, ago):
        world.rendered.took, world.rendered.at = took, time.monotonic() - ago
        began = time.monotonic()
        await slices.run(world)
        return time.monotonic() - began
    assert await passed(0.1, 0.0) >= 0.3
    assert await passed(0.1, 0.2) >= 0.1
    assert await passed(1e9, 0.9) >= 0.1


def is_settled(world):
    async def settled():
        async with world.db.read() as reader:
            return all(host.seq == host.confirmed for host in await hosts.every(reader))
    return settled


async def test_a_host_may_be_told_not_to_serve_dhcp(world):
    network, subnet = await plain(world)
    async with running(world, "h1", "h2"):
        agents = {a["host"]: a["id"] for a in await world.admin.all("agent", agent_type="DHCP agent")}
        assert set(agents) == {"h1", "h2"}
        path = f"/v2.0/agents/{agents['h1']}/dhcp-networks"
        hosting = (await world.admin.get(f"/v2.0/networks/{network['id']}/dhcp-agents")).json()["agents"]
        assert {a["host"] for a in hosting} == {"h1", "h2"}
        assert (await world.admin.post(path, json={"network_id": network["id"]})).status_code == 409
        assert (await world.admin.delete(f"{path}/{network['id']}")).status_code == 204
        assert (await world.admin.delete(f"{path}/{network['id']}")).status_code == 409
        assert (await world.admin.get(path)).json()["networks"] == []
        assert (await world.http.get(path)).status_code == 404
        for place, host in enumerate(("h1", "h2")):
            await world.client.ensure_ports([NewPort(id=IDS[place], network_id=network["id"], device_id=host, host=host,
                                                     project_id="p1")])
        await until(lambda: active(world, IDS[0], IDS[1]))
        served = {host: one.networks[0].subnets[0].enable_dhcp for host, (one, _) in world.rendered.slices.items()}
        assert served == {"h1": False, "h2": True}
        assert (await world.admin.post(path, json={"network_id": network["id"]})).status_code == 201
        assert [n["id"] for n in (await world.admin.get(path)).json()["networks"]] == [network["id"]]
        assert subnet["network_id"] == network["id"]
