"""The part of a host's ruleset that leads local IPs to the ports they stand for on this host.

A guest that asks for the address hears of the network's service namespace, which has it too. What it then sends is
turned round before anything else sees it, and the answers of those connections when everything else has seen them.
"""

from collections import defaultdict

from pileus.network.engine.linux import names
from pileus.network.engine.records import LocalIp, Slice

FLOWS = 65535             # remembered per local IP
SECONDS = {"flows": 7200, "pings": 60}


def local_ip_chains(wanted: Slice) -> str:
    """Chains and sets of the bridge table; nothing where no local IP leads anywhere. Guests are told apart by their
    taps, as addresses of one network may be there in another, too."""
    taps: dict[str, list[str]] = defaultdict(list)
    for port in wanted.ports:
        taps[port.network_id].append(f'"{names.link(names.TAP, port.id)}"')
    found = [(taps[network.network.id], one) for network in wanted.networks for one in network.local_ips]
    if not found:
        return ""
    places = [(f"{tap} . {one.ip}", one) for guests, one in found for tap in guests if tap != _tap(one)]
    jumps = ", ".join(f"{place} : jump local_{_name(one)}" for place, one in places)
    others, own = (", ".join(listed) for listed in (
        [place for place, _ in places], [f"{_tap(one)} . {one.ip}" for _, one in found]))
    turn = f"    ether type ip iifname . ip daddr vmap {{ {jumps} }}\n" if jumps else ""
    ask = "arp operation request iifname . arp daddr ip"
    asked = f'    oifname != "ps*" {ask} {{ {others} }} drop\n' if others else ""
    return "".join((
        *(_sets(one) for _, one in found if not one.passthrough),
        *(_there(one) for _, one in found),
        f"  chain to_local {{\n    type filter hook prerouting priority -250; policy accept;\n{turn}  }}\n",
        "  chain from_local {\n    type filter hook postrouting priority 400; policy accept;\n",
        *(_back(guests, one) for guests, one in found if not one.passthrough), "  }\n",
        "  chain ask_local {\n    type filter hook forward priority -20; policy accept;\n"
        f'{asked}    oifname "ps*" {ask} {{ {own} }} drop\n  }}\n'))


def _tap(one: LocalIp) -> str:
    """The port that stands for the address may itself mean whoever has it elsewhere."""
    return f'"{names.link(names.TAP, one.port_id)}"'


def _name(one: LocalIp) -> str:
    return names.short(one.id)


def _sets(one: LocalIp) -> str:
    kinds = {"flows": "ip saddr . meta l4proto . th sport . th dport", "pings": "ip saddr . icmp id"}
    return "".join(
        f"  set {name}_{_name(one)} {{\n    typeof {kind}\n    size {FLOWS}\n    flags dynamic,timeout\n"
        f"    timeout {SECONDS[name]}s\n  }}\n" for name, kind in kinds.items())


def _there(one: LocalIp) -> str:
    lines = []
    if not one.passthrough:
        lines += [f"meta l4proto {{ tcp, udp, sctp }} update @flows_{_name(one)} "
                  "{ ip saddr . meta l4proto . th sport . th dport }",
                  f"icmp type echo-request update @pings_{_name(one)} {{ ip saddr . icmp id }}",
                  f"ip daddr set {one.fixed_ip}"]
    lines.append(f"ether daddr set {one.mac}")
    return f"  chain local_{_name(one)} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _back(guests: list[str], one: LocalIp) -> str:
    came = f"oifname {{ {', '.join(guests)} }} ether type ip ip saddr {one.fixed_ip}"
    return (f"    {came} meta l4proto {{ tcp, udp, sctp }} ip daddr . meta l4proto . th dport . th sport "
            f"@flows_{_name(one)} ip saddr set {one.ip}\n"
            f"    {came} icmp type echo-reply ip daddr . icmp id @pings_{_name(one)} ip saddr set {one.ip}\n")
