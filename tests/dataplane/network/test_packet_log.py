"""What security groups let through and drop is logged, for the ports that want it, shown by packets."""

import json

import msgspec
import pytest

from pileus.network.engine.records import Records
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.lab import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


def lines(net: Cloud) -> list[dict]:
    file = net.lab.packet_log("h1")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def found(net: Cloud, **said) -> list[dict]:
    """The lines that say so, once there is one."""
    def matching() -> list[dict]:
        return [line for line in lines(net) if said.items() <= line.items()]

    async def there() -> bool:
        return bool(matching())
    await eventually(there, 20)
    return matching()


async def test_packets_are_logged_for_ports_that_want_it(net: Cloud):
    a1, x1 = net["a1"], net["x1"]
    assert await x1.ask(a1.ip, 22) == x1.ip and lines(net) == [], "nobody wants it"
    wanted = msgspec.structs.replace(a1.port, revision=50, accepts=("yes",), drops=("no", "yes"))
    await net.lab.engine.apply(Records(ports=(wanted,)), (), net.next())
    assert await x1.ask(a1.ip, 22) == x1.ip
    let_in = await found(net, action="ACCEPT", direction="ingress", source=x1.ip, destination_port=22)
    assert len(let_in) == 1, "the first packet of a connection alone"
    assert let_in[0] | {"time": 0, "source_port": 0, "bytes": 0} == {
        "time": 0, "host": net.lab.host_name("h1"), "action": "ACCEPT", "direction": "ingress", "port_id": a1.port.id,
        "project_id": a1.port.project_id, "log_ids": ["yes"], "protocol": "tcp", "source": x1.ip,
        "destination": a1.ip, "source_port": 0, "destination_port": 22, "bytes": 0}
    assert await x1.misses(a1.ip, 80, alive=a1.ip)
    dropped = await found(net, action="DROP", direction="ingress", source=x1.ip, destination_port=80)
    assert dropped[0]["log_ids"] == ["no", "yes"]
    assert await a1.reaches("10.0.0.13")
    assert (await found(net, action="ACCEPT", direction="egress", protocol="icmp"))[0]["type"] == 8
    assert {line["port_id"] for line in lines(net)} == {a1.port.id}, "and of no other port"
    await net.lab.engine.apply(Records(ports=(msgspec.structs.replace(a1.port, revision=51),)), (), net.next())
    assert await x1.ask(a1.ip, 22) == x1.ip
    again = msgspec.structs.replace(wanted, revision=52, accepts=("again",))
    await net.lab.engine.apply(Records(ports=(again,)), (), net.next())
    assert await x1.ask(a1.ip, 22) == x1.ip
    await found(net, log_ids=["again"], source=x1.ip, destination_port=22)
    assert len(await found(net, action="ACCEPT", source=x1.ip, destination_port=22)) == 2, "none of those between"
    await net.lab.engine.apply(Records(ports=(msgspec.structs.replace(a1.port, revision=53),)), (), net.next())


async def test_no_more_packets_are_logged_than_the_rate_allows(net: Cloud):
    a1 = net["a1"]
    wanted = msgspec.structs.replace(a1.port, revision=60, accepts=("all",))
    await net.lab.engine.apply(Records(ports=(wanted,)), (), net.next())
    text = net.lab.agents[net.lab.host_name("h1")].nft.run("list chain inet pileus accepted_in")
    assert '"limit": {"rate": 100, "burst": 25, "per": "second"}' in text
    await net.lab.engine.apply(Records(ports=(msgspec.structs.replace(a1.port, revision=61),)), (), net.next())
