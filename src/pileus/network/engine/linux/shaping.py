"""Quality of service as nftables rules: what is over a limit is dropped, what goes out is marked."""

from collections.abc import Iterable

from pileus.network.engine.linux import names
from pileus.network.engine.records import Limit, Port, RouterSlice

LEAST_BURST = 65536          # bytes; a burst smaller than what the kernel sends at once would stop everything


def rate(limit: Limit) -> str:
    """As a limit of nftables, that matches what is over it."""
    if limit.packets:
        return f"rate over {limit.most}/second burst {max(limit.burst or limit.most // 10, 5)} packets"
    burst = max((limit.burst or limit.most // 10) // 8, LEAST_BURST)
    return f"rate over {max(limit.most // 8, 1)} bytes/second burst {burst} bytes"


def shaping(ports: Iterable[Port]) -> str:
    """Chains behind those that check where a packet comes from, so that only what may be sent counts."""
    outward, inward = [], []
    for port in ports:
        tap = f'"{names.link(names.TAP, port.id)}"'
        if port.qos is None:
            continue
        outward += [f"iifname {tap} limit {rate(limit)} drop" for limit in port.qos.limits if limit.egress]
        inward += [f"oifname {tap} limit {rate(limit)} drop" for limit in port.qos.limits if not limit.egress]
        if port.qos.dscp is not None:
            outward += [f"iifname {tap} ether type {kind} {family} dscp set {port.qos.dscp}"
                        for kind, family in (("ip", "ip"), ("ip6", "ip6"))]
    return _chain("shape_out", "prerouting priority -250", outward) + _chain("shape_in", "forward priority 10", inward)


def _chain(name: str, hook: str, lines: list[str]) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"  chain {name} {{\n    type filter hook {hook}; policy accept;\n{body}  }}\n" if lines else ""


def router_limits(router: RouterSlice) -> str:
    """Addresses are translated on the way in by then, and not yet on the way out. The gateway's limits are of what has
    no floating IP of its own."""
    lines = []
    own = sorted({floating.fixed_ip for floating in router.floating_ips if floating.fixed_ip is not None})
    others = f"!= {{ {', '.join(own)} }} " if own else ""
    for limit in router.qos.limits if router.qos is not None else ():
        way = 'oifname "qg-*" ip saddr ' if limit.egress else 'iifname "qg-*" ip daddr '
        lines.append(f"{way + others if others else way.split(' ip ', maxsplit=1)[0] + ' '}limit {rate(limit)} drop")
    for floating in router.floating_ips:
        for limit in floating.qos.limits if floating.qos is not None and floating.fixed_ip is not None else ():
            way = ('oifname "qg-*" ip saddr' if limit.egress else 'iifname "qg-*" ip daddr')
            lines.append(f"{way} {floating.fixed_ip} limit {rate(limit)} drop")
    return _chain("shape", "forward priority 10", lines)
