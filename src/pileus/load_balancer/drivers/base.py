"""What a load balancer is on a host, and what a driver must do with it."""

from __future__ import annotations

import hashlib
from typing import Protocol

import msgspec


class BalancerFailed(Exception):
    """The host cannot do it, and trying again will not help; the text is for the user."""


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True):
    destination: str
    next_hop: str


class LegSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A card of the load balancer in one network. `device` is the name that the network's agent knows it by."""

    device: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]                     # with prefix lengths
    gateways: tuple[str, ...] = ()
    routes: tuple[RouteSpec, ...] = ()


class MemberSpec(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    address: str
    port: int
    weight: int = 1
    backup: bool = False
    enabled: bool = True
    monitor_address: str | None = None
    monitor_port: int | None = None


class MonitorSpec(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    delay: int                                     # seconds between two looks
    timeout: int                                   # seconds for one
    rise: int
    fall: int
    method: str = "GET"
    path: str = "/"
    codes: str = "200"
    http_version: str = "1.0"
    domain: str | None = None


class PoolSpec(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    protocol: str
    algorithm: str
    members: tuple[MemberSpec, ...] = ()
    monitor: MonitorSpec | None = None
    persistence: str | None = None                 # SOURCE_IP, HTTP_COOKIE or APP_COOKIE
    cookie: str | None = None
    tls: bool = False


class RuleSpec(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    compare: str
    value: str
    key: str | None = None
    invert: bool = False


class PolicySpec(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to requests of which all rules hold."""

    id: str
    action: str
    rules: tuple[RuleSpec, ...]
    pool_id: str | None = None
    url: str | None = None
    prefix: str | None = None
    code: int = 302


class ListenerSpec(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    protocol: str
    port: int
    connection_limit: int = -1
    default_pool_id: str | None = None
    headers: tuple[str, ...] = ()                  # to be inserted
    client_ms: int = 50_000
    connect_ms: int = 5_000
    member_ms: int = 50_000
    inspect_ms: int = 0
    allowed: tuple[str, ...] | None = None         # prefixes; None: everybody
    policies: tuple[PolicySpec, ...] = ()


class BalancerSpec(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    legs: tuple[LegSpec, ...]                      # the VIP's first
    addresses: tuple[str, ...]                     # that listeners listen on
    listeners: tuple[ListenerSpec, ...] = ()
    pools: tuple[PoolSpec, ...] = ()
    connection_limit: int = -1
    drain_seconds: int = 600

    @property
    def digest(self) -> str:
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Of one listener; all but `active_connections` since the last time they were told."""

    bytes_in: int = 0
    bytes_out: int = 0
    active_connections: int = 0
    total_connections: int = 0
    request_errors: int = 0


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """How a load balancer does: whether each member that is watched answers, and what went through its listeners."""

    members: dict[str, bool] = {}
    listeners: dict[str, Counters] = {}


class BalancerDriver(Protocol):
    """Calls name a wanted end and may come again after any crash. One load balancer is never asked for two things at
    once; different ones are."""

    @property
    def unable(self) -> str | None:
        """Why this host can carry no load balancer; None: it can."""
        ...

    async def ensure(self, spec: BalancerSpec) -> None:
        """Have it, as it is described; connections that are open go on. Raises BalancerFailed."""
        ...

    async def remove(self, balancer_id: str) -> None:
        """Have none of it, and nothing that belonged to it. Not there: do nothing."""
        ...

    async def held(self) -> dict[str, str]:
        """The digests of what is here, by id."""
        ...

    async def fallen(self) -> list[str]:
        """Those that do not run as they should, for what somebody did to them or because a look found members other
        than before."""
        ...

    async def mend(self, balancer_id: str) -> None:
        """Have it as it was described last. Not there: do nothing. Raises BalancerFailed."""
        ...

    async def look(self) -> dict[str, Sight]:
        """How all of them do, by id; changes nothing."""
        ...
