"""What the conductors and the agents on hosts say to each other. Any of it may get lost, doubled or overtaken."""

from __future__ import annotations

from typing import ClassVar

from pileus.kit.bus import Message
from pileus.network.engine.records import Snapshot, Status
from pileus.network.guarantees import Guarantees

AGENT, CONDUCTOR = "network.agent", "network.conductor"


class ApplySlice(Message, kw_only=True, frozen=True):
    """All that a host has to make real. The host answers with HostSeen once it has."""

    topic: ClassVar[str] = AGENT
    snapshot: Snapshot


class HostSeen(Message, kw_only=True, frozen=True):
    """A host is there and has made the slice of this number so (-1: it has none yet). It can guarantee
    what it `has`."""

    topic: ClassVar[str] = CONDUCTOR
    host: str
    underlay_ip: str
    started_at: float
    seq: int = -1
    error: str = ""
    has: Guarantees = Guarantees()


class PortsReported(Message, kw_only=True, frozen=True):
    """What became of ports, routers and floating IPs on a host. Sent until it is answered."""

    topic: ClassVar[str] = CONDUCTOR
    reply: ClassVar[type[bool]] = bool
    host: str
    statuses: tuple[Status, ...]
