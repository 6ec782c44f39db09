"""Subnets, subnet pools, and the addresses that ports hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection, Json
from pileus.network import faults
from pileus.network.addresses import AUTO_MODES, Pool
from pileus.network.model.base import Row, chunks, metadata, rows, standard_columns

pools = sa.Table(
    "subnetpool", metadata, *standard_columns("subnetpool"),
    sa.Column("ip_version", sa.Integer, nullable=False),
    sa.Column("prefixes", Json, nullable=False),
    sa.Column("default_prefixlen", sa.Integer, nullable=False),
    sa.Column("min_prefixlen", sa.Integer, nullable=False),
    sa.Column("max_prefixlen", sa.Integer, nullable=False),
    sa.Column("default_quota", sa.Integer),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("address_scope_id", sa.String(36), sa.ForeignKey("address_scope.id"), index=True),
)
subnets = sa.Table(
    "subnet", metadata, *standard_columns("subnet"),
    sa.Column("network_id", sa.String(36), sa.ForeignKey("network.id"), nullable=False, index=True),
    sa.Column("ip_version", sa.Integer, nullable=False),
    sa.Column("cidr", sa.String(64), nullable=False),
    sa.Column("gateway_ip", sa.String(45)),
    sa.Column("enable_dhcp", sa.Boolean, nullable=False),
    sa.Column("ipv6_ra_mode", sa.String(16)),
    sa.Column("ipv6_address_mode", sa.String(16)),
    sa.Column("allocation_pools", Json, nullable=False),
    sa.Column("dns_nameservers", Json, nullable=False),
    sa.Column("host_routes", Json, nullable=False),
    sa.Column("subnetpool_id", sa.String(36), sa.ForeignKey("subnetpool.id"), index=True),
    sa.Column("last_given", sa.String(32), nullable=False),
    sa.Column("service_types", Json),
)
addresses = sa.Table(
    "address", metadata,
    sa.Column("subnet_id", sa.String(36), sa.ForeignKey("subnet.id"), primary_key=True),
    sa.Column("number", sa.String(32), primary_key=True),
    sa.Column("ip", sa.String(45), nullable=False, index=True),
    sa.Column("port_id", sa.String(36), sa.ForeignKey("port.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("place", sa.Integer, nullable=False),
)


class HostRoute(msgspec.Struct, frozen=True):
    destination: str
    nexthop: str


class Subnet(Row, frozen=True, kw_only=True):
    """`last_given` is the number of the address given out last: the search for the next one begins behind it."""

    network_id: str
    ip_version: int
    cidr: str
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None
    allocation_pools: list[Pool] = []
    dns_nameservers: list[str] = []
    host_routes: list[HostRoute] = []
    subnetpool_id: str | None = None
    last_given: str = ""
    service_types: list[str] | None = None

    @property
    def is_auto(self) -> bool:
        """Whether guests make their own addresses from their MACs."""
        return self.ipv6_address_mode in AUTO_MODES

    def serves(self, device_owner: str) -> bool:
        """Whether ports of this owner get addresses here without asking for the subnet."""
        return not self.service_types or device_owner in self.service_types


class SubnetPool(Row, frozen=True, kw_only=True):
    ip_version: int
    prefixes: list[str]
    default_prefixlen: int
    min_prefixlen: int
    max_prefixlen: int
    default_quota: int | None = None
    shared: bool = False
    is_default: bool = False
    address_scope_id: str | None = None


class Address(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`number` is the address as 32 hex digits, so that it sorts as a number; `place` is its rank at the port."""

    subnet_id: str
    number: str
    ip: str
    port_id: str
    place: int = 0


async def get(conn: Connection, subnet_id: str) -> Subnet:
    row = await db.one(conn, sa.select(subnets).where(subnets.c.id == subnet_id), Subnet)
    if row is None:
        raise faults.SubnetNotFound(subnet_id=subnet_id)
    return row


async def get_pool(conn: Connection, subnetpool_id: str) -> SubnetPool:
    row = await db.one(conn, sa.select(pools).where(pools.c.id == subnetpool_id), SubnetPool)
    if row is None:
        raise faults.SubnetPoolNotFound(subnetpool_id=subnetpool_id)
    return row


async def of_network(conn: Connection, network_id: str) -> list[Subnet]:
    return (await of_networks(conn, [network_id]))[network_id]


_OF_NETWORKS = sa.select(subnets).where(
    subnets.c.network_id.in_(sa.bindparam("network_ids", expanding=True))).order_by(subnets.c.id)
_HELD_OF_NETWORKS = _OF_NETWORKS.with_for_update()


async def of_networks(conn: Connection, network_ids: Iterable[str], *, lock: bool = False) -> dict[str, list[Subnet]]:
    """In the order they were made. Locked, nobody else gives out or takes away addresses of theirs meanwhile."""
    found: dict[str, list[Subnet]] = defaultdict(list)
    for part in chunks(sorted(set(network_ids))):
        for row in await db.many(conn, _HELD_OF_NETWORKS if lock else _OF_NETWORKS, Subnet, network_ids=part):
            found[row.network_id].append(row)
    for own in found.values():
        own.sort(key=lambda row: (row.created_at, row.id))
    return found


async def by_ids(conn: Connection, ids: Iterable[str]) -> dict[str, Subnet]:
    return {row.id: row for part in chunks(sorted(set(ids))) for row in await db.many(
        conn, sa.select(subnets).where(subnets.c.id.in_(part)), Subnet)}


_OF_PORTS = sa.select(
    addresses.c.subnet_id, addresses.c.number, addresses.c.ip, addresses.c.port_id, addresses.c.place).where(
        addresses.c.port_id.in_(sa.bindparam("port_ids", expanding=True))).order_by(addresses.c.place)


async def addresses_of(conn: Connection, port_ids: Iterable[str]) -> dict[str, list[Address]]:
    found: dict[str, list[Address]] = defaultdict(list)
    for part in chunks(port_ids):
        for subnet_id, number, ip, port_id, place in await rows(conn, _OF_PORTS, port_ids=part):
            found[port_id].append(Address(subnet_id=subnet_id, number=number, ip=ip, port_id=port_id, place=place))
    return found
