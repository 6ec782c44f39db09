"""What the parts of the load balancer service say to each other: commands to hosts, news from them."""

from __future__ import annotations

from typing import Any, ClassVar

from pileus.kit.bus import Message
from pileus.load_balancer.drivers.base import BalancerSpec, Sight

HOST, CONDUCTOR = "load_balancer.host", "load_balancer.conductor"


class EnsureBalancer(Message, kw_only=True, frozen=True):
    """Have the load balancer, as it is described."""

    topic: ClassVar[str] = HOST
    spec: BalancerSpec


class EnsureNoBalancer(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = HOST
    balancer_id: str


class ListBalancers(Message, kw_only=True, frozen=True):
    """The digests of what the host has, by id."""

    topic: ClassVar[str] = HOST
    reply: ClassVar[Any] = dict[str, str]


class HostSeen(Message, kw_only=True, frozen=True):
    """A sign of life; `unable` is why the host can carry no load balancer, `fresh` that its agent has just begun."""

    topic: ClassVar[str] = CONDUCTOR
    host: str
    unable: str | None = None
    fresh: bool = False


class BalancersSeen(Message, kw_only=True, frozen=True):
    """How load balancers of the host do, as far as something is new."""

    topic: ClassVar[str] = CONDUCTOR
    host: str
    sights: dict[str, Sight] = {}
