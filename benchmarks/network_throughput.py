"""One TCP stream between two guests of a host, and the same over a bare Linux bridge, by turns.

python -m benchmarks.network_throughput [rounds]

Needs root. Everything happens in network namespaces of its own. Both guests are in security groups, so each packet is
filtered and its connection tracked. Prints MB/s, and exits with 1 when the guests have less than 80 % of the bridge.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import time

from pileus.network.engine.records import Snapshot
from pileus.network.engine.slices import render
from tests.dataplane.network.lab import Guest, Lab, Space, batch
from tests.dataplane.network.measure import NETWORKS, many

BAR, ROUNDS, SECONDS, PIECE, PORT = 0.8, 7, 2.0, 1 << 20, 5001


def hear() -> None:
    """Of each client, one after the other, all that it sends; then how much that was, to the client."""
    with socket.create_server(("0.0.0.0", PORT)) as server:
        piece = bytearray(PIECE)
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            heard = 0
            with connection:
                while got := connection.recv_into(piece):
                    heard += got
                connection.sendall(b"%d\n" % heard)


def send(address: str) -> None:
    """Prints MB/s, of what the other end says it heard."""
    piece = bytes(PIECE)
    with socket.create_connection((address, PORT), 10) as connection:
        began = time.monotonic()
        while time.monotonic() < began + SECONDS:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        heard = int(connection.makefile().readline())
        print(heard / (time.monotonic() - began) / 1e6)


async def bare(prefix: str) -> tuple[Space, str, list[str]]:
    """Two namespaces on a bridge of a third: who sends, to which address, and where to hear."""
    middle, *ends = (f"{prefix}{name}" for name in ("middle", "one", "two"))
    await batch(*(f"netns add {each}" for each in (middle, *ends)))
    await batch("link add br0 type bridge forward_delay 0 mcast_snooping 0", "link set br0 up", namespace=middle)
    for number, end in enumerate(ends, 1):
        await batch(f"link add e{number} type veth peer name eth0 netns {end}", f"link set e{number} master br0",
                    f"link set e{number} up", namespace=middle)
        await batch(f"address add 192.0.2.{number}/24 dev eth0", "link set eth0 up", namespace=end)
    return Space(ends[0]), "192.0.2.2", ends


async def guests(lab: Lab) -> tuple[Space, str, list[str]]:
    """The same of two guests of one network of a host that has as many ports as networks twice over."""
    host = lab.host_name("h1")
    records = many(host, 2 * NETWORKS)
    both = [Guest(lab, port) for port in records.ports if port.network_id == records.networks[0].id and port.host]
    for guest in both:
        await guest.make()
        await guest.exec("ip", "address", "add", f"{guest.ip}/16", "dev", "eth0")
    await lab.agents[host].resync(Snapshot(seq=1, slice=render(records)[host]))
    assert await both[0].reaches(both[1].ip)
    return both[0], both[1].ip, [guest.namespace for guest in both]


async def main(rounds: int) -> int:
    lab, hearing = Lab(), []
    try:
        await lab.make()
        ways = {"guests": await guests(lab), "bridge": await bare(lab.prefix)}
        for _, _, (_, there) in ways.values():
            process = await asyncio.create_subprocess_exec(
                "ip", "netns", "exec", there, sys.executable, "-m", "benchmarks.network_throughput", "hear",
                stdout=asyncio.subprocess.PIPE)
            hearing.append(process)
            assert process.stdout is not None and await process.stdout.readline() == b"ready\n"
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (space, address, _) in ways.items():
                found[name].append(float(await space.exec(
                    sys.executable, "-m", "benchmarks.network_throughput", "send", address)))
    finally:
        for process in hearing:
            process.kill()
            await process.wait()
        await lab.close()
    middle = {name: statistics.median(each) for name, each in found.items()}
    share = statistics.median(ours / theirs for ours, theirs in zip(found["guests"], found["bridge"], strict=True))
    print(f"guests {middle['guests']:.0f} MB/s, bare bridge {middle['bridge']:.0f} MB/s: {share:.0%} in the median of "
          f"{rounds} rounds (bar {BAR:.0%})")
    return 0 if share >= BAR else 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hear"]:
            hear()
        case ["send", to]:
            send(to)
        case _:
            sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)))
