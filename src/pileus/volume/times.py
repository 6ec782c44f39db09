"""Times as the Block Storage API writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from pileus.kit.faults import BadRequest


def iso(seconds: float) -> str:
    """2026-11-21T08:00:00.000000, in UTC, without saying so; seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6]


def iso_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)


def parse(text: str, field: str) -> float:
    """Seconds since the epoch; a time without a zone is UTC. Raises BadRequest."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(reason=f"{field} is no time: {text}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
