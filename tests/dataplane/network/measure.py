"""Times of the Linux engine on this machine: a tap until its port is reported up, and slices of many ports.

python -m tests.dataplane.network.measure [ports]
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable

import msgspec

from pileus.network.engine.linux import names
from pileus.network.engine.linux.links import Links
from pileus.network.engine.records import (
    FixedIp,
    Host,
    Network,
    Port,
    Records,
    Router,
    Rule,
    SecurityGroup,
    Snapshot,
    State,
    Subnet,
)
from pileus.network.engine.slices import render
from tests.dataplane.network.lab import Lab, batch, run
from tests.dataplane.network.topology import identity

NETWORKS = 10


def many(host: str, count: int) -> Records:
    networks = [Network(id=identity(f"network {i}"), vni=1000 + i) for i in range(NETWORKS)]
    subnets = [
        Subnet(id=f"subnet-{i:06}", network_id=network.id, cidr=f"10.{i}.0.0/16", gateway_ip=f"10.{i}.0.1",
               dhcp_server_ip=f"10.{i}.0.2") for i, network in enumerate(networks)]
    groups = [
        SecurityGroup(id=identity(f"group {i}"), rules=(
            Rule(direction="egress"), Rule(direction="ingress", remote_group_id=identity(f"group {i}")),
            Rule(direction="ingress", protocol="tcp", port_min=22, port_max=22))) for i in range(NETWORKS)]
    ports = []
    for i in range(count):
        k, address = i % NETWORKS, i // NETWORKS + 256
        ports.append(Port(
            id=identity(f"port {i}"), network_id=networks[k].id, mac=f"fa:16:3f:00:{i >> 8:02x}:{i & 255:02x}",
            fixed_ips=(FixedIp(subnet_id=subnets[k].id, ip=f"10.{k}.{address >> 8}.{address & 255}"),),
            security_group_ids=(groups[k].id,), host=host, device_id=f"server {i}"))
    legs = [
        Port(id=identity(f"leg {i}"), network_id=network.id, mac=f"fa:16:40:00:00:{i:02x}",
             fixed_ips=(FixedIp(subnet_id=subnets[i].id, ip=f"10.{i}.0.1"),), device_owner="network:router_interface")
        for i, network in enumerate(networks)]
    routers = [Router(id=identity(f"router {i}"), port_ids=(leg.id,), host=host) for i, leg in enumerate(legs)]
    return Records(
        networks=tuple(networks), subnets=tuple(subnets), ports=(*ports, *legs), routers=tuple(routers),
        security_groups=tuple(groups), hosts=(Host(name=host, underlay_ip="192.0.2.1"),))


async def timed(what: str, work: Awaitable[object]) -> None:
    began, longest = time.perf_counter(), 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    result = await work
    spent = time.perf_counter() - began
    watcher.cancel()
    changes = len(getattr(result, "changes", ()))
    print(f"{what:44} {spent * 1000:8.1f} ms   loop held {longest * 1000:6.1f} ms   {changes} changes")


async def taps(lab: Lab, ports: list[Port], far: str) -> list[float]:
    """Milliseconds from the tap's making to the report."""
    space, spent = lab.host_namespace("h1"), []
    links = Links(space)
    for port in ports:
        events = lab.engine.events()
        began = time.perf_counter()
        links.add_veth(names.link(names.TAP, port.id), 1450, "e" + port.id[:11], far)
        async for status in events:
            if status.id == port.id and status.state == State.UP:
                break
        spent.append((time.perf_counter() - began) * 1000)
        events.close()
    links.close()
    return spent


async def main(count: int) -> None:
    lab = Lab()
    try:
        await lab.make()
        far = lab.prefix + "far"
        await run("ip", "netns", "add", far)
        name = lab.host_name("h1")
        agent, records = lab.agents[name], many(name, count)
        wanted = render(records)[name]
        await timed("first apply, no taps yet", agent.apply(Snapshot(seq=1, slice=wanted)))
        guests = [port for port in records.ports if port.host == name]
        spent = await taps(lab, guests[:50], far)
        print(f"tap made until port up: median {statistics.median(spent):.1f} ms, worst {max(spent):.1f} ms")
        lines = [
            f"link add {names.link(names.TAP, port.id)} type veth peer name e{port.id[:11]} netns {far}"
            for port in guests[50:]]
        began = time.perf_counter()
        await batch(*lines, namespace=lab.host_namespace("h1"))
        await lab.until("port", guests[-1].id, State.UP, 60)
        print(f"{len(lines)} taps made at once and up: {(time.perf_counter() - began) * 1000:.0f} ms")
        await timed("apply, unchanged", agent.apply(Snapshot(seq=2, slice=wanted)))
        await timed("resync, unchanged", agent.resync(Snapshot(seq=3, slice=wanted)))
        await agent.close()
        agent = await lab.start_agent("h1")
        await timed("new agent, unchanged", agent.apply(Snapshot(seq=4, slice=wanted)))
        renamed = msgspec.structs.replace(guests[0], fixed_ips=(FixedIp(subnet_id="subnet-000000", ip="10.0.9.9"),))
        changed = msgspec.structs.replace(records, ports=(renamed, *records.ports[1:]))
        await timed("apply, one address changed", agent.apply(Snapshot(seq=5, slice=render(changed)[name])))
        await run("ip", "netns", "exec", lab.host_namespace("h1"), "nft", "flush", "ruleset")
        await timed("resync, ruleset flushed", agent.resync())
    finally:
        await lab.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
