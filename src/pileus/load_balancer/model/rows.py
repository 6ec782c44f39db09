"""Load balancers and their parts as rows, and the queries of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.load_balancer.faults import Missing
from pileus.load_balancer.model import tables


class Provisioning(StrEnum):
    ACTIVE, ERROR = "ACTIVE", "ERROR"
    CREATING, UPDATING, DELETING = "PENDING_CREATE", "PENDING_UPDATE", "PENDING_DELETE"


PENDING = (Provisioning.CREATING, Provisioning.UPDATING, Provisioning.DELETING)


class Operating(StrEnum):
    ONLINE, OFFLINE, DEGRADED, ERROR = "ONLINE", "OFFLINE", "DEGRADED", "ERROR"
    DRAINING, NO_MONITOR = "DRAINING", "NO_MONITOR"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What load balancers and all of their parts have."""

    table: ClassVar[sa.Table]
    title: ClassVar[str]                                # as messages call it
    quota: ClassVar[str]

    id: str
    project_id: str
    name: str | None = ""
    admin_state_up: bool = True
    provisioning_status: str = Provisioning.CREATING
    operating_status: str = Operating.OFFLINE
    tags: list[str] = []
    created_at: float
    updated_at: float | None = None
    generation: int = 1

    @property
    def is_going(self) -> bool:
        return self.provisioning_status == Provisioning.DELETING


class LoadBalancer(Part, frozen=True, kw_only=True):
    table, title, quota = tables.load_balancers, "Load Balancer", "load_balancer"

    description: str | None = ""
    vip_address: str
    vip_port_id: str
    vip_subnet_id: str | None = None
    vip_network_id: str
    vip_qos_policy_id: str | None = None
    vip_vnic_type: str = "normal"
    additional_vips: list[dict[str, str]] = []
    vip_sg_ids: list[str] = []
    provider: str
    flavor_id: str | None = None
    availability_zone: str | None = None
    owns_port: bool = True
    host: str | None = None

    @property
    def vips(self) -> list[str]:
        return [self.vip_address, *(vip["ip_address"] for vip in self.additional_vips)]


class Listener(Part, frozen=True, kw_only=True):
    table, title, quota = tables.listeners, "Listener", "listener"

    description: str | None = ""
    load_balancer_id: str
    protocol: str
    protocol_port: int
    transport: str = "tcp"
    connection_limit: int = -1
    default_pool_id: str | None = None
    insert_headers: dict[str, str] = {}
    timeout_client_data: int = 50_000
    timeout_member_connect: int = 5_000
    timeout_member_data: int = 50_000
    timeout_tcp_inspect: int = 0
    allowed_cidrs: list[str] | None = None
    default_tls_container_ref: str | None = None
    sni_container_refs: list[str] = []
    client_ca_tls_container_ref: str | None = None
    client_crl_container_ref: str | None = None
    client_authentication: str = "NONE"
    tls_ciphers: str | None = None
    tls_versions: list[str] = []
    alpn_protocols: list[str] = []
    hsts_max_age: int | None = None
    hsts_include_subdomains: bool = False
    hsts_preload: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    active_connections: int = 0
    total_connections: int = 0
    request_errors: int = 0


class Pool(Part, frozen=True, kw_only=True):
    table, title, quota = tables.pools, "Pool", "pool"

    description: str | None = ""
    load_balancer_id: str
    protocol: str
    lb_algorithm: str
    session_persistence: dict[str, Any] | None = None
    tls_enabled: bool = False
    tls_container_ref: str | None = None
    ca_tls_container_ref: str | None = None
    crl_container_ref: str | None = None
    tls_ciphers: str | None = None
    tls_versions: list[str] = []
    alpn_protocols: list[str] = []


class Member(Part, frozen=True, kw_only=True):
    table, title, quota = tables.members, "Member", "member"

    pool_id: str
    address: str                                        # as it was given
    ip: str
    protocol_port: int
    weight: int = 1
    backup: bool = False
    subnet_id: str | None = None
    network_id: str | None = None                       # of the subnet
    monitor_address: str | None = None
    monitor_port: int | None = None
    vnic_type: str = "normal"


class HealthMonitor(Part, frozen=True, kw_only=True):
    table, title, quota = tables.health_monitors, "Health Monitor", "health_monitor"

    pool_id: str
    type: str
    delay: int
    timeout: int
    max_retries: int
    max_retries_down: int = 3
    http_method: str | None = None
    url_path: str | None = None
    expected_codes: str | None = None
    http_version: str | None = None
    domain_name: str | None = None


class Policy(Part, frozen=True, kw_only=True):
    table, title, quota = tables.policies, "L7Policy", "l7policy"

    description: str | None = ""
    listener_id: str
    action: str
    redirect_pool_id: str | None = None
    redirect_url: str | None = None
    redirect_prefix: str | None = None
    redirect_http_code: int | None = None
    position: int


class Rule(Part, frozen=True, kw_only=True):
    table, title, quota = tables.rules, "L7Rule", "l7rule"

    l7policy_id: str
    type: str
    compare_type: str
    key: str | None = None
    value: str
    invert: bool = False


P = TypeVar("P", bound=Part)


async def find(conn: Connection, kind: type[P], id: str) -> P | None:
    return await db.one(conn, sa.select(kind.table).where(kind.table.c.id == id), kind)


async def get(conn: Connection, kind: type[P], id: str) -> P:
    """Raises Missing."""
    row = await find(conn, kind, id)
    if row is None:
        raise Missing(what=kind.title, id=id)
    return row


async def where(conn: Connection, kind: type[P], *conditions: sa.ColumnElement[bool]) -> list[P]:
    """In the order they were made."""
    return await db.many(conn, sa.select(kind.table).where(*conditions).order_by(
        kind.table.c.created_at, kind.table.c.id), kind)


async def of(conn: Connection, kind: type[P], column: str, ids: Sequence[str]) -> list[P]:
    """Those whose column names one of these."""
    return await where(conn, kind, kind.table.c[column].in_(ids)) if ids else []


async def change(tx: Connection, row: P, **values: Any) -> P:
    return await db.change(tx, row.table, row, **values)


async def remove(tx: Connection, kind: type[Part], ids: Sequence[str]) -> None:
    if ids:
        await tx.execute(kind.table.delete().where(kind.table.c.id.in_(ids)))


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer with all that belongs to it."""

    balancer: LoadBalancer
    listeners: list[Listener]
    pools: list[Pool]
    members: list[Member]
    monitors: list[HealthMonitor]
    policies: list[Policy]                              # by position
    rules: list[Rule]

    def without_what_goes(self) -> Tree:
        left = {name: [part for part in getattr(self, name) if not part.is_going]
                for name in self.__struct_fields__ if name != "balancer"}
        return msgspec.structs.replace(self, **left)

    def parts(self) -> Iterable[Part]:
        """Children before what they refer to."""
        for rows in (self.rules, self.policies, self.members, self.monitors, self.listeners, self.pools):
            yield from rows
        yield self.balancer


async def tree(conn: Connection, balancer: LoadBalancer) -> Tree:
    listeners = await of(conn, Listener, "load_balancer_id", [balancer.id])
    pools = await of(conn, Pool, "load_balancer_id", [balancer.id])
    pool_ids = [pool.id for pool in pools]
    policies = await of(conn, Policy, "listener_id", [listener.id for listener in listeners])
    return Tree(
        balancer=balancer, listeners=listeners, pools=pools, members=await of(conn, Member, "pool_id", pool_ids),
        monitors=await of(conn, HealthMonitor, "pool_id", pool_ids),
        policies=sorted(policies, key=lambda policy: policy.position),
        rules=await of(conn, Rule, "l7policy_id", [policy.id for policy in policies]))


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a load balancer in a network of members."""

    id: str
    load_balancer_id: str
    network_id: str
    subnet_id: str


async def legs_of(conn: Connection, balancer_id: str) -> list[Leg]:
    return await db.many(conn, sa.select(tables.legs).where(
        tables.legs.c.load_balancer_id == balancer_id).order_by(tables.legs.c.id), Leg)
