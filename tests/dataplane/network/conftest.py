"""The conformance cloud, built once for a module."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from pileus.network.engine.records import State
from tests.dataplane.network.lab import Guest, Lab
from tests.dataplane.network.topology import GUESTS, cloud, identity

SERVERS = (("a1", 22), ("a1", 80), ("a3", 80), ("c2", 7001), ("outside", 7100), ("world", 7101))


class Cloud:
    def __init__(self, lab: Lab, guests: dict[str, Guest]):
        self.lab, self.guests = lab, guests
        self.records = cloud(lab.prefix, lab.hosts)
        self.seq = 0

    def __getitem__(self, name: str) -> Guest:
        return self.guests[name]

    def next(self) -> int:
        self.seq += 1
        return self.seq


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["linux"])
async def net(request) -> AsyncIterator[Cloud]:
    assert request.param == "linux"
    lab = Lab()
    made = Cloud(lab, {})
    try:
        await lab.make()
        await lab.engine.apply(made.records, (), made.next())
        ports = {port.id: port for port in made.records.ports}
        made.guests = {name: Guest(lab, ports[identity("port " + name)]) for name in GUESTS}
        await asyncio.gather(*(guest.make() for guest in made.guests.values()))
        for guest in made.guests.values():
            await lab.until("port", guest.port.id, State.UP)
        await asyncio.gather(*(guest.lease() for name, guest in made.guests.items() if name != "e1"))
        await made["e1"].exec("ip", "addr", "add", "198.51.100.50/24", "dev", "eth0")
        spaces = {name: guest.namespace for name, guest in made.guests.items()}
        spaces |= {"outside": lab.outside, "world": lab.world}
        await asyncio.gather(*(lab.serve(spaces[name], port) for name, port in SERVERS))
        yield made
    finally:
        await lab.close()
