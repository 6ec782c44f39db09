"""What the network service needs of an engine: intent in, status out; every call may be repeated."""

from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Protocol

import msgspec

from pileus.network.engine.records import Gone, Port, Records, Snapshot, Status


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an engine can never make a record real."""

    kind: str
    id: str
    reason: str


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """How a guest is attached: its hypervisor makes the device of this name in its host's network namespace."""

    kind: str
    device: str
    mtu: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a resync had to change, in words; empty when everything was already so."""

    changes: tuple[str, ...] = ()


class EngineFailed(Exception):
    """The data plane refused something; a resync is the way to try again."""


class HostLink(Protocol):
    """The way to the agent of one host."""

    async def apply(self, snapshot: Snapshot) -> Report:
        """Make the host's slice so; already so: change nothing. Raises EngineFailed."""
        ...

    async def resync(self, snapshot: Snapshot) -> Report:
        """The same, but believe nothing and compare with what is there."""
        ...


class Engine(Protocol):
    name: ClassVar[str]

    def validate(self, records: Records) -> Refusal | None:
        """Say whether these records can be made real; pure, called inside the API's transaction."""
        ...

    def bind(self, port: Port, host: str) -> Attachment | None:
        """Say how the port is attached on that host, None if it cannot be; pure, so asking twice is asking once."""
        ...

    async def apply(self, upserts: Records, deletes: Sequence[Gone], seq: int) -> None:
        """Make these records so; older revisions than those known, and records already so, change nothing.
        Raises EngineFailed; what did not reach its host is sent again by the next call, even with no records."""
        ...

    async def resync(self, records: Records, seq: int) -> Report:
        """Compare everything with what is there and mend the difference; already so: change nothing, report nothing.
        Records of the engine's that are not in `records` are removed. Raises EngineFailed."""
        ...

    def events(self) -> AsyncIterator[Status]:
        """Every status from now on; one that is already known is not repeated, except after a resync."""
        ...

    async def close(self) -> None:
        """Let go of handles; packets keep flowing. Already closed: do nothing."""
        ...
