"""What is said of random clouds, against packets in them."""

import asyncio
import random
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pileus.network.engine.records import (
    FixedIp,
    FloatingIp,
    Forwarding,
    Gateway,
    Host,
    Network,
    Port,
    Records,
    Router,
    Rule,
    SecurityGroup,
    State,
    Subnet,
)
from pileus.network.explain import Asked, explain
from tests.dataplane.network.lab import HERE, Guest, Lab, Program, run

pytestmark = pytest.mark.asyncio(loop_scope="module")
TCP = (7000, 7001)
CLOUDS, PER_GUEST = 32, 6
TALLY: Counter[bool] = Counter()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    made = Lab()
    try:
        await made.make()
        yield made
    finally:
        await made.close()


class Dice:
    """A cloud by chance: networks, routers, groups, guests; addresses of different networks may be the same."""

    def __init__(self, seed: int, lab: Lab):
        self.roll, self.lab, self.seed = random.Random(seed), lab, seed
        self.hosts = [lab.host_name(host) for host in lab.hosts]

    def identity(self) -> str:
        return str(uuid.UUID(int=self.roll.getrandbits(128), version=4))

    def chance(self, of: float) -> bool:
        return self.roll.random() < of

    def cloud(self) -> Records:
        roll = self.roll
        public = Network(id=self.identity(), physical="public", external=True, mtu=1500)
        outside = Subnet(id=self.identity(), network_id=public.id, cidr="198.51.100.0/24", gateway_ip="198.51.100.1",
                         enable_dhcp=False)
        networks = [Network(id=self.identity(), vni=500 + self.seed * 4 + i) for i in range(roll.randint(2, 3))]
        bases = roll.choices(["10.7.0", "10.7.1", "10.7.2"], k=len(networks))
        subnets = [Subnet(id=self.identity(), network_id=network.id, cidr=f"{base}.0/24", enable_dhcp=False,
                          gateway_ip=None if self.chance(0.08) else f"{base}.1")
                   for network, base in zip(networks, bases, strict=True)]
        groups = self.groups()
        guests = [self.guest(roll.choice(subnets), 11 + i, groups) for i in range(5)]
        routers, legs = self.routers(subnets, public, outside)
        floating = self.floating_ips(guests, routers, legs)
        return Records(
            networks=(public, *networks), subnets=(outside, *subnets), ports=(*guests, *legs), routers=tuple(routers),
            floating_ips=tuple(floating), security_groups=tuple(groups),
            hosts=tuple(Host(name=self.lab.host_name(h), underlay_ip=ip) for h, ip in self.lab.hosts.items()))

    def groups(self) -> list[SecurityGroup]:
        ids = [self.identity() for _ in range(3)]
        friends = SecurityGroup(id=self.identity(), addresses=("10.7.0.11/32", "10.7.1.8/29", "198.51.100.0/24"))

        def rule(direction: str) -> Rule:
            low, high = self.roll.choice([(None, None), (7000, 7000), (6000, 7000), (7001, 7001)])
            remote = self.roll.choice([
                {}, {}, {"remote_group_id": self.roll.choice([*ids, friends.id])},
                {"remote_cidr": self.roll.choice(["10.7.0.0/16", "10.7.1.0/24", "198.51.100.0/24", "10.7.0.12/32"])}])
            return Rule(direction=direction, protocol="tcp", port_min=low, port_max=high, **remote)
        made = [SecurityGroup(id=own, rules=(
            *(() if self.chance(0.15) else (Rule(direction="egress"),)),
            *(rule("ingress") for _ in range(self.roll.randint(0, 2))),
            *(rule("egress") for _ in range(self.roll.randint(0, 1))))) for own in ids]
        return [*made, friends]

    def guest(self, subnet: Subnet, last: int, groups: list[SecurityGroup]) -> Port:
        own = self.roll.sample([group.id for group in groups[:3]], self.roll.randint(1, 2))
        secure = not self.chance(0.15)
        return Port(
            id=self.identity(), revision=1, network_id=subnet.network_id, host=self.roll.choice(self.hosts),
            mac="fa:16:3e:" + ":".join(f"{self.roll.randrange(256):02x}" for _ in range(3)),
            fixed_ips=(FixedIp(subnet_id=subnet.id, ip=f"{subnet.cidr[:-5]}.{last}"),), port_security=secure,
            security_group_ids=tuple(sorted(own)) if secure else (), admin_up=not self.chance(0.07),
            device_owner="compute:nova")

    def routers(self, subnets: list[Subnet], public: Network, outside: Subnet) -> tuple[list[Router], list[Port]]:
        routers, ports = [], []
        left = [subnet for subnet in subnets if subnet.gateway_ip]
        for number in range(self.roll.randint(1, 2)):
            chosen, cidrs = [], set()
            for subnet in list(left):
                if subnet.cidr not in cidrs and self.chance(0.75):
                    chosen.append(subnet)
                    cidrs.add(subnet.cidr)
                    left.remove(subnet)
            legs = [self.own_port(subnet, str(subnet.gateway_ip), "network:router_interface") for subnet in chosen]
            gateway = None
            if self.chance(0.8):
                port = self.own_port(outside, f"198.51.100.{20 + number}", "network:router_gateway")
                gateway = Gateway(port_id=port.id, network_id=public.id, fixed_ips=port.fixed_ips)
                ports.append(port)
            ports += legs
            routers.append(Router(
                id=self.identity(), revision=1, port_ids=tuple(leg.id for leg in legs), gateway=gateway,
                host=self.roll.choice(self.hosts), admin_up=not self.chance(0.07), enable_snat=not self.chance(0.1)))
        return routers, ports

    def own_port(self, subnet: Subnet, ip: str, owner: str) -> Port:
        return Port(id=self.identity(), network_id=subnet.network_id, device_owner=owner,
                    mac="fa:16:3d:" + ":".join(f"{self.roll.randrange(256):02x}" for _ in range(3)),
                    fixed_ips=(FixedIp(subnet_id=subnet.id, ip=ip),))

    def floating_ips(self, guests: list[Port], routers: list[Router], legs: list[Port]) -> list[FloatingIp]:
        of_network = {leg.network_id: router for router in routers for leg in legs if leg.id in router.port_ids}
        found: list[FloatingIp] = []
        for number, guest in enumerate(guests):
            router = of_network.get(guest.network_id)
            if router is None or router.gateway is None or self.chance(0.4):
                continue
            ip, own = f"198.51.100.{100 + number}", guest.fixed_ips[0].ip
            if self.chance(0.4):
                forwarding = Forwarding(protocol="tcp", port=self.roll.choice(TCP), last=0, ip=own, inside=7000)
                forwarding = Forwarding(protocol="tcp", port=forwarding.port, last=forwarding.port, ip=own, inside=7000)
                found.append(FloatingIp(id=self.identity(), floating_ip=ip, router_id=router.id,
                                        forwardings=(forwarding,)))
            else:
                found.append(FloatingIp(id=self.identity(), floating_ip=ip, fixed_ip=own, router_id=router.id,
                                        port_id=guest.id))
        return found


async def configure(guest: Guest, subnet: Subnet) -> None:
    await guest.make()
    await guest.exec("ip", "address", "add", f"{guest.ip}/24", "dev", "eth0")
    if subnet.gateway_ip:
        await guest.exec("ip", "route", "add", "default", "via", subnet.gateway_ip)


@pytest.mark.parametrize("seed", range(CLOUDS))
async def test_what_is_said_is_so(lab: Lab, seed: int):
    dice = Dice(seed, lab)
    records = dice.cloud()
    await lab.engine.resync(records, seed + 1)
    subnets = {subnet.id: subnet for subnet in records.subnets}
    guests = [Guest(lab, port) for port in records.ports if port.device_owner == "compute:nova"]
    await asyncio.gather(*(configure(guest, subnets[guest.port.fixed_ips[0].subnet_id]) for guest in guests))
    for guest in guests:
        await lab.until("port", guest.port.id, State.UP if guest.port.admin_up else State.DOWN)
    servers = await asyncio.gather(*(Program.start(g.namespace, "serve", *map(str, TCP)) for g in guests))
    try:
        await asyncio.gather(*(compare(dice, records, guest) for guest in guests))
    finally:
        await asyncio.gather(*(server.stop() for server in servers))
        await asyncio.gather(*(run("ip", "netns", "delete", guest.namespace) for guest in guests))


async def test_enough_was_tried():
    """Of what comes through and of what does not."""
    assert TALLY[True] > 2 * CLOUDS and TALLY[False] > 2 * CLOUDS, TALLY


async def compare(dice: Dice, records: Records, guest: Guest) -> None:
    targets = [f.ip for p in records.ports for f in p.fixed_ips
               if p.device_owner == "compute:nova" and f.ip != guest.ip]
    targets += [floating.floating_ip for floating in records.floating_ips]
    asked = [(dice.roll.choice(targets), dice.roll.choice(TCP)) for _ in range(PER_GUEST)]
    words = [f"{address}:{port}" for address, port in asked]
    output = await guest.exec(sys.executable, str(HERE / "probe.py"), "asks", *words)
    for (address, port), line in zip(asked, output.splitlines(), strict=True):
        said = explain(records, Asked(port=guest.port, destination=address, number=port))
        late = said.reaches and "Error" in line
        came = "Error" not in (await guest.ask(address, port) if late else line)
        TALLY[came] += 1
        assert said.reaches == came, (f"{guest.ip} ({guest.port.id}) to {address}:{port}: {line}", said)
