"""What the service needs of its surroundings, as protocols: an engine's judgement, and compute's ear."""

from __future__ import annotations

from typing import Protocol

from pileus.network.engine.base import Attachment, Refusal
from pileus.network.engine.records import Port, Records


class ComputeEvents(Protocol):
    """What compute's client must be able to do for us."""

    async def external_events(self, events: list[dict[str, str]]) -> None:
        """POST os-server-external-events. Raises what clients raise when compute refuses or does not answer."""
        ...


class Judge(Protocol):
    """The part of an engine that API processes ask: pure, no I/O."""

    def validate(self, records: Records) -> Refusal | None: ...

    def bind(self, port: Port, host: str) -> Attachment | None: ...
