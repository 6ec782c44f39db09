"""What one decision of the scheduler costs over many hosts, with the reasons, and with every filter asked something.

python -m benchmarks.decision [hosts]

Prints processor milliseconds (the median of 20), and exits with 1 when the bar is missed: 5 ms for 10,000 hosts, of
which 100 have changed since the last decision. Making all columns, as for the first one, is told beside it.
"""

from __future__ import annotations

import statistics
import sys
import time

import msgspec

from pileus.compute.model.hosts import Facts
from pileus.compute.scheduler.choice import select
from pileus.compute.scheduler.columns import Columns, HostState
from pileus.compute.scheduler.wishes import GroupWish, Wish

BAR, CHANGED = 5.0, 100
SPECS = {"capabilities:hypervisor_version": ">= 7000000", "aggregate_instance_extra_specs:disk": "ssd"}


def host(number: int) -> HostState:
    facts = Facts(hostname=f"host-{number}", hypervisor_type="QEMU", hypervisor_version=f"{7 + number % 2}.2.1",
                  vcpus=64, memory_mb=262144, disk_gb=4096, cpu={"arch": "x86_64"})
    return HostState(
        name=f"host-{number}", provider_id=f"id-{number}", zone=f"zone-{number % 3}", enabled=number % 50 > 0,
        up=number % 51 > 0, servers=number % 40, io_ops=number % 5, address=f"192.0.{number % 200}.{number % 250}",
        free={"VCPU": float(number % 64), "MEMORY_MB": float(number * 37 % 262144), "DISK_GB": float(number % 4096)},
        facts=facts, metadata={"disk": ("ssd" if number % 4 else "hdd",), "filter_tenant_id": ("demo",)})


def main(count: int) -> int:
    hosts = [host(number) for number in range(count)]
    plain = Wish(resources={"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 20}, project_id="demo")
    much = Wish(resources={"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 20}, project_id="demo", zone="zone-1",
                extra_specs=SPECS, properties={"hw_architecture": "x86_64"}, near="192.0.0.0/16",
                query=["and", [">=", "$free_ram_mb", 8192], ["=", "$hypervisor_type", "QEMU"]], most_servers=30,
                most_io_ops=4, different_from=("host-1",), group=GroupWish(policy="anti-affinity", hosts={"host-2": 1}))
    none = Wish(resources={"VCPU": 65}, project_id="demo")
    good = True
    for name, wish in (("resources only", plain), ("every filter", much), ("no host fits", none)):
        columns = Columns(hosts)
        first = timed(columns, wish, {})
        spent = statistics.median(timed(columns, wish, changed(hosts, step)) for step in range(20))
        good = good and spent < BAR
        print(f"{count} hosts, {name:16} {spent:7.2f} ms   (bar {BAR:.0f})   with the columns made {first:7.2f} ms")
    return 0 if good else 1


def changed(hosts: list[HostState], step: int) -> dict[int, HostState]:
    """Another 100 hosts, on each of which a server was made."""
    rows = [(step * 331 + 97 * number) % len(hosts) for number in range(CHANGED)]
    return {row: msgspec.structs.replace(hosts[row], servers=hosts[row].servers + 1, io_ops=1, free={
        name: max(amount - 1, 0.0) for name, amount in hosts[row].free.items()}) for row in rows}


def timed(columns: Columns, wish: Wish, changes: dict[int, HostState]) -> float:
    began = time.process_time()
    columns.put(changes)
    select(columns, wish)
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
