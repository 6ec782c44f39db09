"""What one more port costs on a host that has many, and what a resync of such a host costs.

python -m benchmarks.network_ports [ports]

Needs root. Everything happens in network namespaces of its own. Prints milliseconds, and exits with 1 when a bar is
missed: one port programmed in 10 ms, a resync of a correct host in 400 ms without a change, of an empty one in 2 s.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

import msgspec

from pileus.network.engine.linux import names
from pileus.network.engine.records import FixedIp, Port, Records, Snapshot
from pileus.network.engine.slices import render
from tests.dataplane.network.lab import Lab, batch, run
from tests.dataplane.network.measure import many
from tests.dataplane.network.topology import identity

ONE, CORRECT, EMPTY = 10.0, 400.0, 2000.0


def one_more(records: Records, host: str, place: int) -> tuple[Records, Port]:
    network, like = records.networks[place % len(records.networks)], records.ports[0]
    port = Port(
        id=identity(f"more {place}"), network_id=network.id, mac=f"fa:16:41:00:{place >> 8:02x}:{place & 255:02x}",
        fixed_ips=(FixedIp(subnet_id=like.fixed_ips[0].subnet_id, ip=f"10.0.200.{place}"),), host=host,
        security_group_ids=(records.security_groups[place % len(records.security_groups)].id,))
    return msgspec.structs.replace(records, ports=(*records.ports, port)), port


async def main(count: int) -> int:
    lab = Lab()
    try:
        await lab.make()
        name, far = lab.host_name("h1"), lab.prefix + "far"
        await run("ip", "netns", "add", far)
        agent, records = lab.agents[name], many(name, count)
        guests = [port for port in records.ports if port.host == name]
        await batch(*(f"link add {names.link(names.TAP, port.id)} type veth peer name e{port.id[:11]} netns {far}"
                      for port in guests), namespace=lab.host_namespace("h1"))
        empty = await timed(agent.resync(Snapshot(seq=1, slice=render(records)[name])))
        seq, spent = 1, []
        for place in range(1, 21):
            records, port = one_more(records, name, place)
            await batch(f"link add {names.link(names.TAP, port.id)} type veth peer name e{port.id[:11]} netns {far}",
                        namespace=lab.host_namespace("h1"))
            wanted, seq = render(records)[name], seq + 1
            spent.append((await timed(agent.apply(Snapshot(seq=seq, slice=wanted))))[0])
        correct, changes = await timed(agent.resync())
        print(f"an empty host with {count} ports made so {empty[0]:8.1f} ms   (bar {EMPTY:.0f})")
        print(f"one more port, median of {len(spent)}        {statistics.median(spent):8.1f} ms   (bar {ONE:.0f})   "
              f"worst {max(spent):.1f}")
        print(f"resync of the correct host        {correct:8.1f} ms   (bar {CORRECT:.0f})   {changes} changes")
        good = empty[0] < EMPTY and statistics.median(spent) < ONE and correct < CORRECT and not changes
        return 0 if good else 1
    finally:
        await lab.close()


async def timed(work) -> tuple[float, int]:
    began = time.perf_counter()
    report = await work
    return (time.perf_counter() - began) * 1000, len(report.changes)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)))
