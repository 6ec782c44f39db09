"""The engine leaves the machine alone, and an ordinary user can run it."""

from pileus.network.engine.linux.external import external_bridge
from pileus.network.engine.records import State
from tests.dataplane.network import ordinary_user
from tests.dataplane.network.lab import Guest, Lab, run
from tests.dataplane.network.topology import cloud, identity


async def machine(lab: Lab) -> list[str]:
    """What of this machine's own network could be changed, and what the lab left."""
    return [
        await run("ip", "-br", "link"),
        await run("ip", "-br", "addr"),
        await run("ip", "route", "show", "table", "all"),
        await run("ip", "rule"),
        await run("nft", "-s", "list", "ruleset"),
        await run("sysctl", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.bridge", check=False),
        "\n".join(line for line in (await run("ip", "netns", "list")).splitlines() if line.startswith(lab.prefix)),
    ]


async def test_the_machine_is_as_it_was():
    lab = Lab()
    before = await machine(lab)
    try:
        await lab.make()
        records = cloud(lab.prefix, lab.hosts)
        await lab.engine.apply(records, (), 1)
        guest = Guest(lab, next(port for port in records.ports if port.id == identity("port a1")))
        await guest.make()
        await lab.until("port", guest.port.id, State.UP)
        during = await machine(lab)
    finally:
        await lab.close()
    assert during[:6] == before[:6]
    assert await machine(lab) == before


async def test_the_outside_made_twice_is_made_once():
    lab = Lab()
    try:
        await run("ip", "netns", "add", lab.outside)
        assert external_bridge("br-ex", ["198.51.100.1/24"], namespace=lab.outside) != []
        assert external_bridge("br-ex", ["198.51.100.1/24"], namespace=lab.outside) == []
        assert external_bridge("br-ex", ["198.51.100.1/24", "203.0.113.1/28"], namespace=lab.outside) != []
        assert external_bridge("br-ex", ["198.51.100.1/24"], namespace=lab.outside) != []
        assert external_bridge("br-ex", ["198.51.100.1/24"], namespace=lab.outside) == []
    finally:
        await lab.close()


async def test_the_outside_keeps_its_mac_whoever_joins():
    """Its neighbours know it by that for as long as they have something to say to it."""
    lab = Lab()
    try:
        await lab.make()
        before = await mac_of(lab.outside, "br-ex")
        await run("ip", "-n", lab.outside, "link", "add", "low", "address", "00:00:5e:00:53:01", "type", "veth",
                  "peer", "name", "other")
        await run("ip", "-n", lab.outside, "link", "set", "low", "master", "br-ex", "up")
        assert await mac_of(lab.outside, "br-ex") == before != "00:00:5e:00:53:01"
    finally:
        await lab.close()


async def mac_of(namespace: str, link: str) -> str:
    return (await run("ip", "-n", namespace, "-br", "link", "show", link)).split()[2]


async def test_no_bridge_takes_the_mac_of_a_link_that_joins_it():
    """Those of others choose the lowest of their ports'."""
    lab = Lab()
    try:
        await lab.make()
        await lab.engine.apply(cloud(lab.prefix, lab.hosts), (), 1)
        await lab.until("router", identity("r1"), State.UP)
        joined = (await run("ip", "-n", lab.outside, "-br", "link", "show", "master", "br-ex")).splitlines()
        assert len(joined) > 2 and all(line.split()[2].startswith("fe:") for line in joined), joined
    finally:
        await lab.close()


def test_an_ordinary_user_can_run_it():
    done = ordinary_user.outside(["-k", "what_their_records_say or across_hosts or hairpin or cuts or knows_who"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
