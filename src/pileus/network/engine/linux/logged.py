"""The part of a host's ruleset that logs what security groups let through or drop, for the ports that want it."""

from collections.abc import Mapping

import msgspec

from pileus.network.engine.records import Port

GROUP = 4790              # of the kernel's log; one per network namespace listens
ACCEPT, DROP = "ACCEPT", "DROP"
WAYS = {"out": "egress", "in": "ingress"}


class LogLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Packets logged a second per direction and verdict, and how many at once beyond it; the others are not logged."""

    rate: int = 100
    burst: int = 25


def wants(port: Port) -> bool:
    return port.port_security and bool(port.accepts or port.drops)


def log_chains(ports: Mapping[int, Port], limit: LogLimit) -> str:
    """Nothing where nobody wants anything logged. What is accepted comes by behind the chain that accepted it, the
    first packet of a connection only; what is dropped is sent here by whoever would drop it."""
    if not ports:
        return ""
    accepted = [f"{mark:#x}" for mark, port in sorted(ports.items()) if port.accepts]
    dropped = [f"{mark:#x}" for mark, port in sorted(ports.items()) if port.drops]

    def logs(name: str, way: str, action: str) -> str:
        return (f"meta mark @{name} limit rate {limit.rate}/second burst {limit.burst} packets "
                f'log prefix "{action} {WAYS[way]}" group {GROUP}\n')
    text = "".join(
        f"  set {name} {{\n    type mark\n" + (f"    elements = {{ {', '.join(marks)} }}\n" if marks else "") + "  }\n"
        for name, marks in (("logged_accepts", accepted), ("logged_drops", dropped)))
    for way, hook in (("out", "prerouting"), ("in", "forward")):
        text += f"  chain dropped_{way} {{\n    {logs('logged_drops', way, DROP)}    counter drop\n  }}\n"
        text += (f"  chain accepted_{way} {{\n    type filter hook {hook} priority filter + 1; policy accept;\n"
                 f"    ct state new {logs('logged_accepts', way, ACCEPT)}  }}\n")
    return text


def dropping(ports: Mapping[int, Port], way: str) -> str:
    return f"goto dropped_{way}" if ports else "counter drop"
