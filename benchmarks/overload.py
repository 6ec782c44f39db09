"""Far more servers asked for at once than fit: what becomes of them, and what others wait for meanwhile.

python -m benchmarks.overload [asked [fit]]

A cloud in this process, with one fake host. Prints how long it took and the waits of other requests, and exits with 1
unless as many servers run as fit, all others are in ERROR with the reason, nothing is left in BUILD, and 99 of 100
other requests are answered within 200 ms of this process's processor time, which is what they wait where nothing else
keeps the processor.
"""

from __future__ import annotations

import asyncio
import collections
import statistics
import sys
import tempfile
import time
from pathlib import Path

from pileus.processes.nodes import FAKE
from tests.compat.cloud import Cloud, running_cloud

P99_SECONDS, PAUSE_SECONDS, GIVE_UP_SECONDS = 0.2, 0.02, 600.0
API = "/compute/v2.1"


async def ask_for(cloud: Cloud, count: int, fit: int) -> None:
    free = dict.fromkeys(("instances", "cores", "ram"), -1)
    token = await cloud.admin()
    flavor = {"id": "big", "name": "big", "vcpus": 1, "ram": (FAKE.memory_mb - 512) // fit, "disk": 0}
    await cloud.ok("POST", f"{API}/flavors", {"flavor": flavor})
    await cloud.ok("PUT", f"{API}/os-quota-class-sets/default", {"quota_class_set": free})
    body = {"name": "many", "flavorRef": "big", "imageRef": await cloud.image(), "networks": "none",
            "min_count": count, "max_count": count}
    answer = await cloud.call("POST", f"{API}/servers", {"server": body}, token=token,
                              headers={"openstack-api-version": "compute 2.37"})
    assert answer.status_code == 202, answer.text


async def others(cloud: Cloud, waits: list[float], spent: list[float]) -> None:
    """One request after the other, all the time. What the event loop is late before it begins counts too: a client
    of a socket would have waited for that."""
    while True:
        for path in (f"{API}/servers/detail?limit=20&all_tenants=1", f"{API}/flavors/detail", "/network/v2.0/networks"):
            began, ours = time.perf_counter() + PAUSE_SECONDS, time.process_time()
            await asyncio.sleep(PAUSE_SECONDS)
            await cloud.ok("GET", path)
            waits.append(time.perf_counter() - began)
            spent.append(time.process_time() - ours)


async def settled(cloud: Cloud) -> None:
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while await cloud.ok("GET", f"{API}/servers?status=BUILD&limit=1&all_tenants=1"):
        if time.monotonic() > give_up:
            return
        await asyncio.sleep(0.5)


async def main(count: int, fit: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with running_cloud(Path(folder)) as cloud:
            waits: list[float] = []
            busy: list[float] = []
            began, spent = time.monotonic(), time.process_time()
            asking = asyncio.create_task(others(cloud, waits, busy))
            await ask_for(cloud, count, fit)
            await settled(cloud)
            if asking.done():
                await asking                               # a request was refused: say which
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            took, spent = time.monotonic() - began, time.process_time() - spent
            servers = await cloud.ok("GET", f"{API}/servers/detail?limit=1000&all_tenants=1")
    states = collections.Counter(server["status"] for server in servers)
    mute = [server for server in servers if server["status"] == "ERROR"
            and "ResourceFilter left 0 of 1" not in server["fault"]["message"]]
    p99, busy99 = (statistics.quantiles(each, n=100)[98] for each in (waits, busy))
    print(f"{count} asked for, {fit} fit: {dict(states)} in {took:.1f} s ({spent:.1f} s of processor time); "
          f"{len(waits)} other requests, p50 {statistics.median(waits) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
          f"worst {max(waits) * 1000:.0f} ms; of processor time p50 {statistics.median(busy) * 1000:.0f} ms, "
          f"p99 {busy99 * 1000:.0f} ms (bar {P99_SECONDS * 1000:.0f})")
    return 0 if states == {"ACTIVE": fit, "ERROR": count - fit} and not mute and busy99 < P99_SECONDS else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*[int(each) for each in sys.argv[1:]] or [500, 50])))
