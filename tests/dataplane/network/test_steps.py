"""Small changes take a short way; whatever it leaves is what the long way would have made."""

import random

import msgspec
import pytest

from pileus.network.engine.linux import names
from pileus.network.engine.linux.ruleset import compile_ruleset
from pileus.network.engine.records import AddressPair, FixedIp, Port, Records, Snapshot
from pileus.network.engine.slices import render
from tests.dataplane.network.lab import Lab, batch, run
from tests.dataplane.network.measure import many
from tests.dataplane.network.topology import identity


def _port(records: Records, host: str, place: int, roll: random.Random) -> Port:
    network = roll.choice(records.networks)
    security = roll.random() < 0.8
    return Port(
        id=identity(f"step {place}"), network_id=network.id, mac=f"fa:16:41:00:00:{place:02x}",
        fixed_ips=(FixedIp(subnet_id=records.subnets[0].id, ip=f"10.0.200.{place}"),), host=host,
        revision=roll.randrange(99), admin_up=roll.random() < 0.9, port_security=security,
        security_group_ids=(roll.choice(records.security_groups).id,) if security else (),
        allowed_address_pairs=roll.choice([
            (), (AddressPair(ip="192.168.7.0/24"),), (AddressPair(ip="fd00::7", mac="02:00:00:00:00:07"),)]))


def _changed(records: Records, own: dict[int, Port], hosts: list[str], roll: random.Random) -> Records:
    """One port more, less, other, or elsewhere."""
    place = roll.randrange(1, 12)
    if place in own and roll.random() < 0.4:
        del own[place]
    else:
        own[place] = _port(records, roll.choice(hosts), place, roll)
    return msgspec.structs.replace(records, ports=(*records.ports, *own.values()))


async def _ruleset(space: str) -> list[str]:
    """Without counts and order, and without the name that tells what it was made of."""
    listed = await run("ip", "netns", "exec", space, "nft", "-s", "list", "ruleset")
    return sorted(word for word in listed.replace(",", " ").split() if not word.startswith("generation_"))


@pytest.mark.parametrize("seed", range(3))
async def test_steps_lead_where_the_whole_way_leads(seed: int):
    roll, lab = random.Random(seed), Lab()
    try:
        await lab.make()
        hosts = [lab.host_name("h1"), lab.host_name("h2")]
        base = many(hosts[0], 20)
        base = msgspec.structs.replace(base, hosts=(*base.hosts, msgspec.structs.replace(
            base.hosts[0], name=hosts[1], underlay_ip="192.0.2.2")))
        await batch(f"netns add {lab.prefix}far")
        taps = [names.link(names.TAP, identity(f"step {place}")) for place in range(1, 12)]
        await batch(*(f"link add {tap} type veth peer name e{tap[3:]} netns {lab.prefix}far" for tap in taps),
                    namespace=lab.host_namespace("h1"))
        agent, own = lab.agents[hosts[0]], dict[int, Port]()
        await agent.resync(Snapshot(seq=1, slice=render(base)[hosts[0]]))
        steps = 0
        for seq in range(2, 40):
            wanted = render(_changed(base, own, hosts, roll))[hosts[0]]
            report = await agent.apply(Snapshot(seq=seq, slice=wanted))
            steps += "ruleset replaced" not in report.changes
            assert agent.ruleset is not None
            assert agent.ruleset.generation == compile_ruleset(wanted).generation
            if seq % 6 == 0:
                assert (await agent.resync()).changes == (), f"after change {seq}"
        stepped = await _ruleset(lab.host_namespace("h1"))
        await run("ip", "netns", "exec", lab.host_namespace("h1"), "nft", "flush", "ruleset")
        await agent.resync()
        assert await _ruleset(lab.host_namespace("h1")) == stepped
        assert steps >= 5, "many changes are small ones"
    finally:
        await lab.close()


async def test_a_failed_step_is_made_good_by_the_whole_way():
    lab = Lab()
    try:
        await lab.make()
        host = lab.host_name("h1")
        agent, base, own = lab.agents[host], many(host, 20), dict[int, Port]()
        await agent.resync(Snapshot(seq=1, slice=render(base)[host]))
        await run("ip", "netns", "exec", lab.host_namespace("h1"), "nft", "flush", "ruleset")
        wanted = render(_changed(base, own, [host], random.Random(1)))[host]
        report = await agent.apply(Snapshot(seq=2, slice=wanted))
        assert "ruleset replaced" in report.changes
        assert (await agent.resync()).changes == ()
    finally:
        await lab.close()
