"""What ports' views tell out of small tables, read in one statement: groups, tags, trunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit.db import Connection
from pileus.network.model.base import chunks, rows, tags
from pileus.network.model.networks import networks
from pileus.network.model.ports import port_groups, ports
from pileus.network.model.qos import LEAST_BANDWIDTH, LEAST_PACKETS, rules
from pileus.network.model.trunks import subports, trunks

GROUP, TAG, TRUNK, SUBPORT, LEAST, POLICY = range(6)


class Below(msgspec.Struct, frozen=True, gc=False):
    """A subport as its parent tells of it."""

    port_id: str
    mac: str
    number: int


class Least(msgspec.Struct, frozen=True, order=True, gc=False):
    """What a port is promised at least: kind of the rule, direction, how much, and the physical network it is on."""

    kind: str
    direction: str
    most: int
    physical: str


class Side(msgspec.Struct, gc=False):
    groups: list[str] = []
    tags: list[str] = []
    trunk_id: str | None = None
    subports: list[Below] = []
    least: list[Least] = []
    network_policy_id: str | None = None


def _query() -> sa.CompoundSelect[Any, int, Any, str, int]:
    """All sides of the ports with `port_ids`: each row a port's id, what kind of thing it tells, and the thing."""
    nothing, zero = sa.literal("", sa.String(36)), sa.literal(0)
    told = sa.select(ports.c.id, ports.c.network_id, ports.c.qos_policy_id, ports.c.device_owner).where(
        ports.c.id.in_(sa.bindparam("port_ids", expanding=True))).cte("told")
    below, port = ports.alias("below"), told.c.id
    on_network = told.join(networks, networks.c.id == told.c.network_id)
    obeyed = sa.func.coalesce(told.c.qos_policy_id, networks.c.qos_policy_id)
    trunk_of = told.join(trunks, trunks.c.port_id == port)
    return sa.union_all(
        sa.select(port, sa.literal(GROUP), port_groups.c.security_group_id, nothing, zero).select_from(
            told.join(port_groups, port_groups.c.port_id == port)),
        sa.select(port, sa.literal(TAG), tags.c.tag, nothing, zero).select_from(
            told.join(tags, tags.c.resource_id == port)),
        sa.select(port, sa.literal(TRUNK), trunks.c.id, nothing, zero).select_from(trunk_of),
        sa.select(port, sa.literal(SUBPORT), subports.c.port_id, below.c.mac_address, subports.c.segmentation_id
                  ).select_from(trunk_of.join(subports, subports.c.trunk_id == trunks.c.id).join(
                      below, below.c.id == subports.c.port_id)),
        sa.select(port, sa.literal(LEAST), rules.c.kind + ":" + rules.c.direction,
                  sa.func.coalesce(networks.c.physical_network, ""), rules.c.most).select_from(
                      on_network.join(rules, rules.c.policy_id == obeyed)).where(
                          rules.c.kind.in_((LEAST_BANDWIDTH, LEAST_PACKETS)),
                          ~told.c.device_owner.like("network:%")),
        sa.select(port, sa.literal(POLICY), networks.c.qos_policy_id, nothing, zero).select_from(on_network).where(
            networks.c.qos_policy_id.is_not(None)))


_SIDES = _query()


async def sides_of(conn: Connection, port_ids: Iterable[str]) -> dict[str, Side]:
    found: dict[str, Side] = defaultdict(Side)
    for part in chunks(port_ids):
        for port_id, kind, value, mac, number in await rows(conn, _SIDES, port_ids=part):
            side = found[port_id]
            if kind == GROUP:
                side.groups.append(value)
            elif kind == TAG:
                side.tags.append(value)
            elif kind == TRUNK:
                side.trunk_id = value
            elif kind == POLICY:
                side.network_policy_id = value
            elif kind == LEAST:
                name, direction = value.split(":")
                side.least.append(Least(name, direction, number, mac))
            else:
                side.subports.append(Below(value, mac, number))
    for side in found.values():
        side.groups.sort()
        side.tags.sort()
        side.least.sort()
        side.subports.sort(key=lambda below: (below.number, below.port_id))
    return found


async def minima_of(conn: Connection, policy_id: str | None, physical: str | None) -> list[Least]:
    """What a policy promises to a port on such a network."""
    found = await rows(conn, sa.select(rules.c.kind, rules.c.direction, rules.c.most).where(
        rules.c.policy_id == policy_id, rules.c.kind.in_((LEAST_BANDWIDTH, LEAST_PACKETS))))
    return [Least(kind, direction, most, physical or "") for kind, direction, most in found]


async def is_promised(conn: Connection, policy_id: str) -> bool:
    """Whether ports of servers on hosts obey the policy."""
    obeyed = sa.func.coalesce(ports.c.qos_policy_id, networks.c.qos_policy_id)
    found = await rows(conn, sa.select(ports.c.id).join(networks, networks.c.id == ports.c.network_id).where(
        obeyed == policy_id, ports.c.host != "", ports.c.device_owner.like("compute:%")).limit(1))
    return bool(found)
