"""Filters that look at hosts, places and other servers. Each: a mask over the hosts, or None where nothing is asked,
and the sentence that tells what would have to change for those it refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import msgspec
import numpy as np

from pileus.compute.scheduler import properties, questions, topology
from pileus.compute.scheduler.columns import Columns, Mask, Rows, attribute
from pileus.compute.scheduler.wishes import Wish
from pileus.kit.numbers import digits

UNITS = {"VCPU": "vCPUs", "PCPU": "processors set aside", "MEMORY_MB": "MiB of memory", "DISK_GB": "GiB of disk"}


class Filter(msgspec.Struct, frozen=True):
    name: str
    passes: Callable[[Columns, Wish], Mask | None]
    why: Callable[[Columns, Rows, Wish], str]


def working(hosts: Columns, wish: Wish) -> Mask | None:
    return (hosts.number("enabled") > 0) & (hosts.number("up") > 0)


def working_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    refused = [(int(row), hosts.hosts[int(row)]) for row in rows]
    off = [row for row, host in refused if not host.enabled]
    down = [row for row, host in refused if host.enabled]
    said = []
    if off:
        reason = hosts.hosts[off[0]].reason
        said.append(f"{hosts.names(np.array(off))} disabled{f' ({reason})' if reason else ''}; "
                    "enable one with 'openstack compute service set --enable'")
    if down:
        said.append(f"{hosts.names(np.array(down))} down; bring one back")
    return ", and ".join(said) + "."


def asked_host(hosts: Columns, wish: Wish) -> Mask | None:
    return None if wish.host is None else hosts.named([wish.host])


def asked_host_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return f"host {wish.host} was asked for, which is not {hosts.names(rows)}."


def zone(hosts: Columns, wish: Wish) -> Mask | None:
    return None if wish.zone is None else hosts.where("zone", lambda host: host.zone, lambda name: name == wish.zone)


def zone_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    codes, zones = hosts.coded("zone", lambda host: host.zone)
    there = sorted(zones[place] for place in np.flatnonzero(np.bincount(codes[rows])))
    return f"availability zone {wish.zone} was asked for; {hosts.names(rows)} are in {', '.join(there)}."


def same_host(hosts: Columns, wish: Wish) -> Mask | None:
    return hosts.named(wish.same_as) if wish.same_as else None


def same_host_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return f"the servers named by the hint same_host are on {', '.join(wish.same_as)}, not on {hosts.names(rows)}."


def different_host(hosts: Columns, wish: Wish) -> Mask | None:
    return ~hosts.named(wish.different_from) if wish.different_from else None


def different_host_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return f"the servers named by the hint different_host occupy {hosts.names(rows)}; another host is needed."


def near(hosts: Columns, wish: Wish) -> Mask | None:
    if wish.near is None:
        return None
    network = ipaddress.ip_network(wish.near, strict=False)

    def inside(address: str) -> bool:
        try:
            return ipaddress.ip_address(address) in network
        except ValueError:
            return False
    return hosts.where("address", lambda host: host.address, inside, asked=str(network))


def near_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return (f"the hint build_near_host_ip asks for a host in {ipaddress.ip_network(wish.near or '', strict=False)}; "
            f"{hosts.names(rows)} have addresses elsewhere, such as {hosts.hosts[int(rows[0])].address or 'none'}.")


def asked_question(hosts: Columns, wish: Wish) -> Mask | None:
    if wish.query is None:
        return None
    return np.broadcast_to(questions.answer(wish.query, hosts.plain), len(hosts))


def asked_question_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    first = hosts.hosts[int(rows[0])]
    facts = ", ".join(f"${name} {attribute(first, name)}" for name in sorted(set(questions.variables(wish.query))))
    return (f"the hint query asks {msgspec.json.encode(wish.query).decode()}, which is not so of {hosts.names(rows)}"
            f"{f' ({first.name}: {facts})' if facts else ''}.")


def affinity(hosts: Columns, wish: Wish) -> Mask | None:
    group = wish.group
    if group is None or group.policy != "affinity" or not group.hosts:
        return None
    return hosts.named(list(group.hosts))


def affinity_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    there = ", ".join(sorted(wish.group.hosts if wish.group else ()))
    return f"the server's group keeps its servers together, and they are on {there}, not on {hosts.names(rows)}."


def anti_affinity(hosts: Columns, wish: Wish) -> Mask | None:
    group = wish.group
    if group is None or group.policy != "anti-affinity" or not group.hosts:
        return None
    return ~hosts.named([host for host in group.hosts if not group.allows(host)])


def anti_affinity_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    most = wish.group.most_per_host if wish.group else 1
    return (f"the server's group wants at most {most} of its servers on a host, and {hosts.names(rows)} "
            "have that many; another host is needed.")


def not_tried(hosts: Columns, wish: Wish) -> Mask | None:
    return ~hosts.named(wish.tried) if wish.tried else None


def not_tried_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return f"it has to leave {hosts.names(rows)}, or failed there; another host is needed."


def few_servers(hosts: Columns, wish: Wish) -> Mask | None:
    return _below("servers", "max_instances_per_host", wish.most_servers, hosts)


def few_servers_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return _below_why("servers", "max_instances_per_host", wish.most_servers, hosts, rows,
                      "has {0} servers, and at most {1} may be there")


def few_io_ops(hosts: Columns, wish: Wish) -> Mask | None:
    return _below("io_ops", "max_io_ops_per_host", wish.most_io_ops, hosts)


def few_io_ops_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return _below_why("io_ops", "max_io_ops_per_host", wish.most_io_ops, hosts, rows,
                      "makes, moves or saves {0} servers at the moment, and at most {1} may be under way there")


def _limit(values: tuple[str, ...], default: int) -> float:
    """The lowest that a host's aggregates say, else the default; 0 is none."""
    said = [number for value in values if (number := digits(value)) is not None]
    return float(min(said) if said else default or np.inf)


def _below(field: str, key: str, default: int, hosts: Columns) -> Mask | None:
    if not default and key not in hosts.metadata_keys():
        return None
    codes, distinct = hosts.coded(("metadata", key), lambda host: host.metadata.get(key, ()))
    return hosts.number(field) < np.array([_limit(values, default) for values in distinct])[codes]


def _below_why(
        field: str, key: str, default: int, hosts: Columns, rows: Rows, text: str) -> str:
    host = hosts.hosts[int(rows[np.argmin(hosts.number(field)[rows])])]
    more = f"; so {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"{host.name} {text.format(getattr(host, field), int(_limit(host.metadata.get(key, ()), default)))}{more}."


def room(hosts: Columns, wish: Wish) -> Mask | None:
    fits = np.ones(len(hosts), dtype=np.bool_)
    for name, amount in wish.resources.items():
        fits &= hosts.free(name) >= amount
    return fits


def room_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    """The nearest miss: the host that lacks the least, measured in parts of what is asked for."""
    lacks = np.zeros(len(rows))
    for name, amount in wish.resources.items():
        lacks += np.maximum(amount - hosts.free(name)[rows], 0.0) / max(amount, 1)
    nearest = hosts.hosts[int(rows[int(np.argmin(lacks))])]
    short = [f"{amount - nearest.free.get(name, 0.0):g} more {UNITS.get(name, name)} "
             f"(has {nearest.free.get(name, 0.0):g} of {amount:g})"
             for name, amount in wish.resources.items() if nearest.free.get(name, 0.0) < amount]
    return f"the nearest, {nearest.name}, would need {' and '.join(short)}."


def offered(hosts: Columns, wish: Wish) -> Mask | None:
    return hosts.number("offered") > 0


def offered_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    if wish.ports:
        return f"{hosts.names(rows)} cannot guarantee what ports are promised: {'; '.join(wish.ports)}."
    asked = [*wish.required, *(f"no {name}" for name in wish.forbidden)]
    if asked:
        return f"{hosts.names(rows)} have not the traits asked for: {', '.join(asked)}."
    return f"{hosts.names(rows)} give no such amount at once, or are not known to placement yet."


FILTERS = (
    Filter("ComputeFilter", working, working_why),
    Filter("AskedHostFilter", asked_host, asked_host_why),
    Filter("AvailabilityZoneFilter", zone, zone_why),
    Filter("IsolatedHostsFilter", properties.isolated, properties.isolated_why),
    Filter("AggregateMultiTenancyIsolation", properties.tenants, properties.tenants_why),
    Filter("AggregateTypeAffinityFilter", properties.flavors, properties.flavors_why),
    Filter("AggregateImagePropertiesIsolation", properties.images, properties.images_why),
    Filter("AggregateInstanceExtraSpecsFilter", properties.specs, properties.specs_why),
    Filter("IsolatedAggregatesFilter", properties.traits, properties.traits_why),
    Filter("ComputeCapabilitiesFilter", properties.capabilities, properties.capabilities_why),
    Filter("ImagePropertiesFilter", properties.supported, properties.supported_why),
    Filter("SameHostFilter", same_host, same_host_why),
    Filter("DifferentHostFilter", different_host, different_host_why),
    Filter("SimpleCIDRAffinityFilter", near, near_why),
    Filter("JsonFilter", asked_question, asked_question_why),
    Filter("ServerGroupAffinityFilter", affinity, affinity_why),
    Filter("ServerGroupAntiAffinityFilter", anti_affinity, anti_affinity_why),
    Filter("RetryFilter", not_tried, not_tried_why),
    Filter("NumInstancesFilter", few_servers, few_servers_why),
    Filter("IoOpsFilter", few_io_ops, few_io_ops_why),
    Filter("PciPassthroughFilter", topology.devices, topology.devices_why),
    Filter("NUMATopologyFilter", topology.held, topology.held_why),
    Filter("ResourceFilter", room, room_why),
    Filter("PlacementFilter", offered, offered_why),
)
