"""What of a slice is other than before, as far as it decides what the agent has to look at."""

from pileus.network.engine.filters import port_addresses
from pileus.network.engine.records import NetworkSlice, Port, Slice


def same_service(before: NetworkSlice, now: NetworkSlice) -> bool:
    return (before.subnets, before.local_ips, before.network.mtu) == (now.subnets, now.local_ips, now.network.mtu)


def takes_away(before: Slice, wanted: Slice) -> bool:
    """Whether anything that was allowed may not be any more; else no connection has to be looked at."""
    groups = {group.id: group for group in wanted.groups}
    for old in before.groups:
        new = groups.get(old.id)
        if new is not None and (old.rules, old.stateful) != (new.rules, new.stateful):
            return True
        if new is not None and not set(old.members) <= set(new.members):
            return True
    ports = {port.id: port for port in wanted.ports}
    return any(old.id not in ports or reach(old) != reach(ports[old.id]) for old in before.ports)


def reach(port: Port) -> tuple[object, ...]:
    return port.fixed_ips, port.allowed_address_pairs, port.security_group_ids, port.port_security, port.network_id


def places(wanted: Slice, zones: dict[str, int]) -> dict[tuple[int, str], Port]:
    return {
        (zones[port.network_id], address): port
        for port in wanted.ports if port.network_id in zones for _, address in port_addresses(port)
    }


def subports(wanted: Slice) -> dict[str, list[Port]]:
    """By their parent."""
    found: dict[str, list[Port]] = {}
    for port in wanted.ports:
        if port.under is not None:
            found.setdefault(port.under.port_id, []).append(port)
    return found
