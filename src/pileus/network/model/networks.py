"""Networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.model.base import Row, chunks, metadata, rows, standard_columns
from pileus.network.model.subnets import pools, subnets

networks = sa.Table(
    "network", metadata, *standard_columns("network"),
    sa.Column("admin_state_up", sa.Boolean, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("external", sa.Boolean, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("mtu", sa.Integer, nullable=False),
    sa.Column("port_security_enabled", sa.Boolean, nullable=False),
    sa.Column("dns_domain", sa.String(255), nullable=False),
    sa.Column("network_type", sa.String(16), nullable=False),
    sa.Column("physical_network", sa.String(64)),
    sa.Column("segmentation_id", sa.Integer),
    sa.Column("segment", sa.String(120), nullable=False, unique=True),
    sa.Column("qos_policy_id", sa.String(36), sa.ForeignKey("qos_policy.id"), index=True),
)
exclusions = sa.Table(
    "dhcp_exclusion", metadata,
    sa.Column("network_id", sa.String(36), sa.ForeignKey("network.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True),
)


class Network(Row, frozen=True, kw_only=True):
    """`segment` is type, physical network and number in one: two networks never share it."""

    admin_state_up: bool = True
    shared: bool = False
    external: bool = False
    is_default: bool = False
    mtu: int = 1450
    port_security_enabled: bool = True
    dns_domain: str = ""
    network_type: str = "vxlan"
    physical_network: str | None = None
    segmentation_id: int | None = None
    segment: str = ""
    qos_policy_id: str | None = None


def segment_of(kind: str, physical: str | None, number: int | None) -> str:
    return f"{kind}:{physical or ''}:{number if number is not None else ''}"


async def find(conn: Connection, network_id: str) -> Network | None:
    return await db.one(conn, sa.select(networks).where(networks.c.id == network_id), Network)


async def get(conn: Connection, network_id: str) -> Network:
    row = await find(conn, network_id)
    if row is None:
        raise faults.NetworkNotFound(network_id=network_id)
    return row


async def lock(tx: Connection, network_id: str) -> Network:
    """The row, held until the end of the transaction: one change of its subnets at a time."""
    row = await db.one(tx, sa.select(networks).where(networks.c.id == network_id).with_for_update(), Network)
    if row is None:
        raise faults.NetworkNotFound(network_id=network_id)
    return row


_BY_IDS = sa.select(networks).where(networks.c.id.in_(sa.bindparam("ids", expanding=True)))


async def by_ids(conn: Connection, ids: Iterable[str]) -> dict[str, Network]:
    return {row.id: row for part in chunks(sorted(set(ids))) for row in await db.many(conn, _BY_IDS, Network, ids=part)}


class Inside(msgspec.Struct):
    """A network's subnets, and its address scope by IP version."""

    subnet_ids: list[str] = []
    scopes: dict[int, str] = {}


async def inside(conn: Connection, network_ids: Iterable[str]) -> dict[str, Inside]:
    found: dict[str, Inside] = defaultdict(Inside)
    for part in chunks(network_ids):
        query = sa.select(subnets.c.network_id, subnets.c.id, subnets.c.ip_version, pools.c.address_scope_id).outerjoin(
            pools, pools.c.id == subnets.c.subnetpool_id).where(subnets.c.network_id.in_(part))
        for network_id, subnet_id, version, scope_id in await rows(
                conn, query.order_by(subnets.c.created_at, subnets.c.id)):
            found[network_id].subnet_ids.append(subnet_id)
            if scope_id is not None:
                found[network_id].scopes[version] = scope_id
    return found
