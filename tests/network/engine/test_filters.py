"""Rules: their normal form, and that flows are judged as the ruleset judges them."""

import pytest

from pileus.network.engine.filters import Flow, FlowCheck, link_local, normal, port_addresses
from pileus.network.engine.linux.ruleset import compile_ruleset, match_text
from pileus.network.engine.records import AddressPair, FixedIp, GroupSlice, Port, Rule
from pileus.network.engine.slices import render
from tests.dataplane.network.topology import cloud, identity

PORT = Port(
    id="p1", network_id="n", mac="fa:16:3e:00:00:01", security_group_ids=("g",),
    fixed_ips=(FixedIp(subnet_id="s", ip="10.0.0.11"),))


@pytest.mark.parametrize(("rule", "text"), [
    (Rule(direction="ingress"), "meta nfproto ipv4"),
    (Rule(direction="egress", ethertype="IPv6", protocol="icmp", port_min=128),
     "meta nfproto ipv6 meta l4proto 58 icmpv6 type 128"),
    (Rule(direction="ingress", protocol="tcp", port_min=22, port_max=23, remote_cidr="10.0.0.0/8"),
     "meta nfproto ipv4 meta l4proto 6 th dport 22-23 ip saddr 10.0.0.0/8"),
    (Rule(direction="egress", protocol="112"), "meta nfproto ipv4 meta l4proto 112"),
    (Rule(direction="ingress", protocol="udp", remote_group_id="aa-bb"),
     "meta nfproto ipv4 meta l4proto 17 ip saddr @m4_aabb"),
])
def test_rules_become_matches(rule: Rule, text: str):
    assert match_text(normal(rule)) == text


@pytest.mark.parametrize("rule", [
    Rule(direction="sideways"), Rule(direction="ingress", protocol="nonsense"),
    Rule(direction="ingress", protocol="tcp", port_min=70000, port_max=70001),
    Rule(direction="ingress", remote_cidr="fd00::/8"), Rule(direction="ingress", remote_cidr="1.2.3.4; flush ruleset"),
    Rule(direction="ingress", protocol="gre", port_min=1, port_max=2),
])
def test_rules_that_cannot_be_are_refused(rule: Rule):
    with pytest.raises(ValueError):
        normal(rule)


def test_flows_are_judged_by_rules_and_members():
    rules = (Rule(direction="egress", protocol="udp"), Rule(direction="ingress", remote_group_id="g"),
             Rule(direction="ingress", protocol="tcp", port_min=22, port_max=22),
             Rule(direction="ingress", protocol="icmp", port_min=8, port_max=0))
    check = FlowCheck([GroupSlice(id="g", rules=rules, members=("10.0.0.12", "10.7.0.0/16"))])

    def allowed(source: str, protocol: int, port: int, *, code: int = 0) -> bool:
        flow = Flow(protocol=protocol, source=source, destination="10.0.0.11", port=port, code=code)
        return check.allows(PORT, flow, ingress=True)

    assert allowed("10.0.0.12", 6, 80) and allowed("10.7.3.4", 17, 99)
    assert allowed("192.0.2.9", 6, 22) and not allowed("192.0.2.9", 6, 23)
    assert allowed("192.0.2.9", 1, 8) and not allowed("192.0.2.9", 1, 0) and not allowed("192.0.2.9", 1, 8, code=3)
    out = Flow(protocol=6, source="10.0.0.11", destination="192.0.2.9", port=80)
    assert not check.allows(PORT, out, ingress=False)


def test_a_ports_addresses_include_its_pairs_and_link_local():
    port = Port(id="p", network_id="n", mac="fa:16:3e:00:00:01", fixed_ips=PORT.fixed_ips, allowed_address_pairs=(
        AddressPair(ip="10.0.0.0/24"), AddressPair(ip="FD00::0001", mac="fa:16:3e:00:00:02")))
    assert port_addresses(port) == [
        ("fa:16:3e:00:00:01", "10.0.0.11"), ("fa:16:3e:00:00:01", "10.0.0.0/24"), ("fa:16:3e:00:00:02", "fd00::1"),
        ("fa:16:3e:00:00:01", link_local("fa:16:3e:00:00:01")), ("fa:16:3e:00:00:02", link_local("fa:16:3e:00:00:02"))]


def test_equal_slices_have_one_generation_and_a_bad_port_is_left_out():
    wanted = render(cloud("", {"h1": "192.0.2.1", "h2": "192.0.2.2"}))["h1"]
    assert compile_ruleset(wanted).generation == compile_ruleset(wanted).generation
    bad = Port(id=identity("bad"), network_id=identity("a"), mac="nonsense")
    ruleset = compile_ruleset(type(wanted)(**{
        **{name: getattr(wanted, name) for name in wanted.__struct_fields__}, "ports": (*wanted.ports, bad)}))
    assert list(ruleset.refused) == [bad.id] and "nonsense" not in ruleset.text
