"""Addresses: nothing is given twice, what is freed returns, under any order of events and any concurrency."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from pileus.kit.db import Db
from pileus.network import migrations
from pileus.network.addresses import (
    Pool,
    check_pools,
    default_pools,
    free_prefix,
    from_number,
    key_of,
    network_of,
    ranges_of,
    window,
)
from tests.databases import Spares
from tests.examples import examples
from tests.network.conftest import World
from tests.network.test_networks import ips, plain


async def test_fifty_at_once_get_different_addresses(world):
    network, _ = await plain(world)
    body = {"port": {"network_id": network["id"]}}
    answers = await asyncio.gather(*(world.http.post("/v2.0/ports", json=body) for _ in range(50)))
    assert {a.status_code for a in answers} == {201}, [a.text for a in answers if a.status_code != 201][:3]
    assert len({ip for a in answers for ip in ips(a.json()["port"])}) == 50
    assert len({a.json()["port"]["mac_address"] for a in answers}) == 50


async def test_more_at_once_than_there_are(world):
    network, _ = await plain(world, "10.1.0.0/27", enable_dhcp=False)
    people = [world.http, *(world.speaker("admin@p1") for _ in range(3))]
    bulk = {"ports": [{"network_id": network["id"]}] * 2}
    answers = await asyncio.gather(*(people[i % 4].post("/v2.0/ports", json=bulk) for i in range(20)))
    good = [a for a in answers if a.status_code == 201]
    given = [ip for a in good for port in a.json()["ports"] for ip in ips(port)]
    assert len(given) == len(set(given)) == 28
    assert {a.json()["NeutronError"]["type"] for a in answers if a not in good} == {"IpAddressGenerationFailure"}


async def test_two_hundred_at_once_share_what_is_left(world):
    """Exactly the free addresses are given, each once; the others are told that there are no more."""
    network, _ = await plain(world, "10.1.0.0/24")
    await world.http.post("/v2.0/ports", json={"ports": [{"network_id": network["id"]}] * 120})
    before = {ip for port in await world.http.all("port") for ip in ips(port)}
    body = {"port": {"network_id": network["id"]}}
    answers = await asyncio.gather(*(world.http.post("/v2.0/ports", json=body) for _ in range(200)))
    given = [ip for a in answers if a.status_code == 201 for ip in ips(a.json()["port"])]
    free = {f"10.1.0.{last}" for last in range(2, 255)} - before
    assert len(given) == len(free) and set(given) == free
    refused = [a for a in answers if a.status_code != 201]
    assert {(a.status_code, a.json()["NeutronError"]["type"]) for a in refused} == {(409, "IpAddressGenerationFailure")}


async def test_quota_is_exact_under_concurrency(world):
    await world.admin.put("/v2.0/quotas/p1", json={"quota": {"port": 7}})
    network, _ = await plain(world, enable_dhcp=False)
    body = {"port": {"network_id": network["id"]}}
    answers = await asyncio.gather(*(world.http.post("/v2.0/ports", json=body) for _ in range(20)))
    assert sorted(a.status_code for a in answers) == [201] * 7 + [409] * 13


async def test_one_default_group_however_many_ask_first(world):
    network = await world.admin.make("network", shared=True)
    asked = [world.other.get("/v2.0/security-groups") for _ in range(5)]
    asked += [world.other.post("/v2.0/ports", json={"port": {"network_id": network["id"]}}) for _ in range(5)]
    assert {a.status_code for a in await asyncio.gather(*asked)} == {200, 201}
    assert len(await world.other.all("security_group", name="default")) == 1


async def test_subnets_at_once_do_not_overlap(world):
    network, pooled = await world.http.make("network"), await world.http.make("network")
    pool = await world.http.make("subnetpool", prefixes=["10.8.0.0/20"], default_prefixlen=24, min_prefixlen=24)
    same = {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.1.0.0/24"}}
    drawn = {"subnet": {"network_id": pooled["id"], "ip_version": 4, "subnetpool_id": pool["id"]}}
    answers = await asyncio.gather(*(world.http.post("/v2.0/subnets", json=body) for body in [same, drawn] * 5))
    assert sorted(a.status_code for a in answers[::2]) == [201] + [400] * 4
    assert len({a.json()["subnet"]["cidr"] for a in answers[1::2]}) == 5


@pytest.mark.parametrize(("cidr", "gateway", "pools"), [
    ("10.0.0.0/24", "10.0.0.1", ["10.0.0.2-10.0.0.254"]), ("10.0.0.0/24", None, ["10.0.0.1-10.0.0.254"]),
    ("10.0.0.0/24", "10.0.0.9", ["10.0.0.1-10.0.0.8", "10.0.0.10-10.0.0.254"]),
    ("10.0.0.0/30", "10.0.0.1", ["10.0.0.2-10.0.0.2"]), ("10.0.0.0/31", None, ["10.0.0.0-10.0.0.1"]),
    ("10.0.0.7/32", None, ["10.0.0.7-10.0.0.7"]), ("10.0.0.0/24", "192.0.2.1", ["10.0.0.1-10.0.0.254"]),
    ("fd00::/64", "fd00::1", ["fd00::2-fd00::ffff:ffff:ffff:ffff"])])
def test_default_pools(cidr, gateway, pools):
    net = network_of(cidr)
    found = default_pools(net, gateway)
    assert [str(pool) for pool in found] == pools and check_pools(net, found) is None


def test_free_prefix():
    assert free_prefix(["10.0.0.0/16"], [], 24) == "10.0.0.0/24"
    assert free_prefix(["10.0.0.0/16"], ["10.0.0.0/24", "10.0.2.0/24"], 23) == "10.0.4.0/23"
    assert free_prefix(["10.0.0.0/24"], ["10.0.0.128/25"], 24) is None
    assert free_prefix(["10.0.0.0/24", "10.9.0.0/16"], ["10.0.0.0/24"], 20) == "10.9.0.0/20"


def test_the_window_passes_every_address_once():
    ranges = ranges_of([Pool("10.0.0.5", "10.0.0.20"), Pool("10.0.0.30", "10.0.0.33")])
    for after in (-1, ranges[0][0] - 1, ranges[0][0], ranges[0][1], ranges[1][1], ranges[1][1] + 5):
        seen = [n for first, last in window(ranges, after, 3) for n in range(first, last + 1)]
        assert sorted(seen) == [n for a, b in ranges for n in range(a, b + 1)]
        assert seen[0] > after or after >= ranges[1][1]
    assert from_number(int(key_of("::5"), 16), 6) == "::5" and from_number(int(key_of("10.0.0.5"), 16), 4) == "10.0.0.5"


class Ipam(RuleBasedStateMachine):
    """Random ports on one small subnet, compared with a set."""

    ports = Bundle("ports")
    spares: Spares
    folder: Path

    @initialize(first=st.integers(2, 8), size=st.integers(1, 6))
    def begin(self, first, size):
        self.loop = asyncio.new_event_loop()
        self.pool = {f"10.1.0.{i}" for i in range(first, first + size)}
        self.held: dict[str, set[str]] = {}
        self.loop.run_until_complete(self._begin(first, size))

    async def _begin(self, first, size):
        self.db = Db(await self.spares.copy(self.folder, migrations))
        self.world = World(self.db)
        pools = [{"start": f"10.1.0.{first}", "end": f"10.1.0.{first + size - 1}"}]
        self.network, self.subnet = await plain(self.world, "10.1.0.0/28", enable_dhcp=False, allocation_pools=pools)

    def say(self, method, path, body=None):
        return self.loop.run_until_complete(self.world.http.request(method, f"/v2.0/ports{path}", json=body))

    @property
    def taken(self):
        return set().union(*self.held.values()) if self.held else set()

    @rule(target=ports, count=st.integers(1, 3))
    def add(self, count):
        fixed = [{"subnet_id": self.subnet["id"]}] * count
        answer = self.say("POST", "", {"port": {"network_id": self.network["id"], "fixed_ips": fixed}})
        free = self.pool - self.taken
        assert (answer.status_code == 201) == (len(free) >= count), answer.text
        if answer.status_code != 201:
            assert answer.json()["NeutronError"]["type"] == "IpAddressGenerationFailure"
            return ""
        given = ips(answer.json()["port"])
        assert set(given) <= free and len(set(given)) == count
        self.held[answer.json()["port"]["id"]] = set(given)
        return answer.json()["port"]["id"]

    @rule(target=ports, last=st.integers(0, 15))
    def add_chosen(self, last):
        ip = f"10.1.0.{last}"
        answer = self.say("POST", "", {"port": {"network_id": self.network["id"], "fixed_ips": [{"ip_address": ip}]}})
        usable = last not in (0, 15)
        assert answer.status_code == (400 if not usable else 409 if ip in self.taken else 201), answer.text
        if answer.status_code != 201:
            return ""
        self.held[answer.json()["port"]["id"]] = {ip}
        return answer.json()["port"]["id"]

    @rule(port=ports, last=st.integers(1, 14))
    def readdress(self, port, last):
        if port not in self.held:
            return
        ip = f"10.1.0.{last}"
        answer = self.say("PUT", f"/{port}", {"port": {"fixed_ips": [{"ip_address": ip}]}})
        others = set().union(*(ips for other, ips in self.held.items() if other != port), set())
        assert answer.status_code == (409 if ip in others else 200), answer.text
        if answer.status_code == 200:
            self.held[port] = {ip}

    @rule(port=consumes(ports))
    def remove(self, port):
        assert self.say("DELETE", f"/{port or 'none'}").status_code == (204 if port in self.held else 404)
        self.held.pop(port, None)

    @invariant()
    def database_agrees(self):
        if hasattr(self, "world"):
            found = self.say("GET", "").json()["ports"]
            assert {port["id"]: set(ips(port)) for port in found} == self.held

    def teardown(self):
        if hasattr(self, "world"):
            self.loop.run_until_complete(self.world.http.aclose())
            self.loop.run_until_complete(self.db.close())
            self.loop.close()


def test_ipam_state_machine(spare_databases, tmp_path):
    Ipam.spares, Ipam.folder = spare_databases, tmp_path
    case = Ipam.TestCase
    case.settings = settings(max_examples=examples(12), stateful_step_count=15, deadline=None,
                             suppress_health_check=list(HealthCheck))
    case().runTest()
