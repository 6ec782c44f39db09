"""The kernel's rules for UDP, as text."""

from __future__ import annotations

from collections import Counter

from pileus.load_balancer.drivers import datagrams
from pileus.load_balancer.drivers.base import BalancerSpec, LegSpec, ListenerSpec, MemberSpec, PoolSpec

LEG = LegSpec(device="tap", mac="fa:16:3e:00:00:01", mtu=1450, addresses=("10.1.0.5/24",))


def spec(*members: MemberSpec, addresses: tuple[str, ...] = ("10.1.0.5",), algorithm: str = "ROUND_ROBIN",
         **more: object) -> BalancerSpec:
    listener = ListenerSpec(**{"id": "a-b", "protocol": "UDP", "port": 53, "default_pool_id": "p"} | more)
    return BalancerSpec(id="x", legs=(LEG,), addresses=addresses, listeners=(listener,),
                        pools=(PoolSpec(id="p", protocol="UDP", algorithm=algorithm, members=members),))


def member(number: int, **more: object) -> MemberSpec:
    return MemberSpec(**{"id": f"m{number}", "address": f"10.1.0.{number}", "port": 53} | more)


def shares(text: str) -> Counter[str]:
    """How many slots each place has."""
    found = text.partition("map { ")[2].partition(" }")[0]
    return Counter(part.partition(" : ")[2] for part in found.split(", ") if part)


def test_no_datagrams_no_table():
    text = datagrams.rules(BalancerSpec(id="x", legs=(LEG,), addresses=("10.1.0.5",)), frozenset())
    assert text == "add table inet balancer\ndelete table inet balancer\n"


def test_slots_follow_weights():
    assert shares(datagrams.rules(spec(member(1, weight=4), member(2, weight=2)), frozenset())) == {
        "10.1.0.1 . 53": 2, "10.1.0.2 . 53": 1}
    many = shares(datagrams.rules(spec(*(member(n, weight=255 + n % 2) for n in range(1, 200))), frozenset()))
    assert len(many) == 199 and many.total() <= datagrams.MOST_SLOTS


def test_who_gets_nothing():
    everybody = spec(member(1), member(2, weight=0), member(3, enabled=False), member(4, backup=True),
                     member(5, address="fd01::5"))
    assert set(shares(datagrams.rules(everybody, frozenset()))) == {"10.1.0.1 . 53"}
    assert set(shares(datagrams.rules(everybody, {"m1"}))) == {"10.1.0.4 . 53"}
    assert "dnat ip" not in datagrams.rules(everybody, {"m1", "m4"})


def test_clients_and_families():
    text = datagrams.rules(spec(member(1), addresses=("10.1.0.5", "fd01::1"), algorithm="SOURCE_IP",
                                allowed=("10.0.0.0/8",)), frozenset())
    assert "jhash ip saddr mod 1" in text and "ip6 daddr fd01::1 udp dport 53 drop" in text
    assert "ip saddr != { 10.0.0.0/8 } drop" in text and "counter name in_a_b" in text
