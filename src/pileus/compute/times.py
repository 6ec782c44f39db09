"""Times as the Compute API writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from pileus.kit.faults import BadRequest


def iso_micro(seconds: float | None) -> str | None:
    """2026-11-21T08:00:00.000000, without a zone, as extension attributes have it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6]


def parse(text: str) -> float:
    """Seconds since the epoch; a time without a zone is UTC. Raises BadRequest."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise BadRequest(reason=f"Invalid input for a time. Value: {text}. '{text}' is not a 'date-time'") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
