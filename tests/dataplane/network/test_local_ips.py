"""A local IP leads to the port that stands for it on the guest's own host, shown by packets."""

import msgspec
import pytest

from pileus.network.engine.records import AddressPair, Gone, LocalIp, Records
from pileus.network.explain import Asked, explain
from tests.dataplane.network.conftest import Cloud
from tests.dataplane.network.topology import identity

pytestmark = pytest.mark.asyncio(loop_scope="module")
VIRTUAL = "10.0.0.200"


def standing(net: Cloud, name: str, revision: int = 1, *, passthrough: bool = False) -> LocalIp:
    port = net[name].port
    return LocalIp(id=identity(f"local {name}"), revision=revision, network_id=identity("a"), ip=VIRTUAL,
                   port_id=port.id, fixed_ip=net[name].ip, mac=port.mac, passthrough=passthrough)


async def forget(net: Cloud, *guests: str) -> None:
    for name in guests:
        await net[name].exec("ip", "neigh", "flush", "dev", "eth0", check=False)


async def test_a_local_ip_means_a_port_of_this_host(net: Cloud):
    assert await net["a3"].misses(VIRTUAL, 22, alive=net["a1"].ip), "nobody has it"
    await net.lab.engine.apply(Records(local_ips=(standing(net, "a1"),)), (), net.next())
    await forget(net, "a3", "x1", "a2")
    assert await net["a3"].ask(VIRTUAL, 22) == net["a3"].ip, "connections find it, and their answers find back"
    assert await net["a3"].reaches(VIRTUAL)
    for name, number in (("a3", 22), ("x1", 80)):
        told = explain(net.lab.engine.store.records(), Asked(
            port=net[name].port, destination=VIRTUAL, protocol="tcp", number=number))
        assert told.reaches is (name == "a3") and net["a1"].port.id in told.ports, told
    assert await net["x1"].misses(VIRTUAL, 80, alive=VIRTUAL), "its security groups hold"
    assert await net["a3"].ask(net["a1"].ip, 22) == net["a3"].ip, "its own address goes on to be its own"
    assert await net["a3"].reaches(net["a1"].ip)
    neighbour = await net["a3"].exec("ip", "neigh", "show", VIRTUAL)
    assert "lladdr" in neighbour and net["a1"].port.mac not in neighbour
    assert await net["a2"].misses(VIRTUAL, 22, alive=net["a1"].ip), "on the other host it means nobody"


async def test_whoever_has_the_address_is_reached_from_other_hosts_only(net: Cloud):
    """The address is also that of a guest of the first host; there the port that stands for it comes first."""
    holder = msgspec.structs.replace(standing(net, "a1"), ip=net["a3"].ip, id=identity("local a3"))
    served = msgspec.structs.replace(
        holder, port_id=net["a2"].port.id, fixed_ip=net["a2"].ip, mac=net["a2"].port.mac, id=identity("local a2"))
    assert await net["a2"].ask(net["a3"].ip, 80) == net["a2"].ip
    await net.lab.engine.apply(Records(local_ips=(holder,)), (), net.next())
    await forget(net, "x1", "a2")
    assert await net["x1"].ask(net["a3"].ip, 22) == net["x1"].ip, "a1 answers, for a3 has nobody at that port"
    assert await net["a2"].ask(net["a3"].ip, 80) == net["a2"].ip, "and elsewhere it is still a3"
    await net.lab.engine.apply(Records(local_ips=(served,)), (Gone(kind="local_ips", id=holder.id),), net.next())
    await forget(net, "x1", "a2")
    assert await net["a2"].ask(net["a3"].ip, 80) == net["a2"].ip, "the port itself may mean the other one"
    await net.lab.engine.apply(Records(), (Gone(kind="local_ips", id=served.id),), net.next())


async def test_a_port_with_the_address_itself_gets_packets_as_they_are(net: Cloud):
    await net.lab.engine.apply(Records(local_ips=(standing(net, "a1", 2, passthrough=True),)), (), net.next())
    await forget(net, "a3")
    await net["a1"].exec("ip", "addr", "add", f"{VIRTUAL}/32", "dev", "eth0")
    pair = msgspec.structs.replace(net["a1"].port, revision=70, allowed_address_pairs=(
        *net["a1"].port.allowed_address_pairs, AddressPair(ip=VIRTUAL)))
    await net.lab.engine.apply(Records(ports=(pair,)), (), net.next())
    assert await net["a3"].ask(VIRTUAL, 22) == net["a3"].ip
    await net["a1"].exec("ip", "addr", "del", f"{VIRTUAL}/32", "dev", "eth0")
    await net.lab.engine.apply(Records(ports=(msgspec.structs.replace(net["a1"].port, revision=71),)),
                               (Gone(kind="local_ips", id=identity("local a1")),), net.next())
    await forget(net, "a3")
    assert await net["a3"].misses(VIRTUAL, 22, alive=net["a1"].ip)
