"""Kinds of fields that several resources share, and the checks that hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from pileus.identity.faults import InvalidBody, Refused

Unset = msgspec.UnsetType
Name64 = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\S")]
Name255 = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"\S")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^,/]*$")]
Tags = Annotated[list[Tag], msgspec.Meta(max_length=80)]
Options = dict[str, Any]
RESERVED_ROLES = ("admin",)           # nothing implies it


def with_options(options: Options, changes: Options) -> Options:
    """Options after a change; null takes one away."""
    if not isinstance(changes.get("immutable", False), bool | None):
        raise InvalidBody(reason="Invalid input: immutable must be true, false or null.")
    return {key: value for key, value in (options | changes).items() if value is not None}


def must_be_mutable(kind: str, row: Any, changes: dict[str, Any] | None = None) -> None:
    """An immutable thing can only be made mutable first, and by a change of that option alone."""
    if not row.options.get("immutable"):
        return
    options = (changes or {}).get("options")
    thaws = isinstance(options, dict) and "immutable" in options and not options["immutable"]
    if changes is None or not thaws or set(changes) != {"options"}:
        raise Refused(reason=f"Cannot change or delete immutable {kind}: `{row.id}`. Set its option `immutable` to "
                             "false first.")


def time_ahead(text: str | None, now: float) -> float | None:
    """An ISO 8601 time that must be yet to come, in seconds; UTC unless it says otherwise."""
    if text is None:
        return None
    try:
        ends = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidBody(reason=f"Invalid input for expires_at: {text!r} is no ISO 8601 time.") from error
    seconds = (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp()
    if seconds <= now:
        raise InvalidBody(reason="expires_at must be in the future.")
    return seconds


def must_be_unique(tags: list[str]) -> list[str]:
    if len(set(tags)) != len(tags):
        raise InvalidBody(reason="Invalid input: tags must be unique.")
    return tags


def same_or_refused(body: dict[str, Any], name: str, value: Any) -> None:
    """Attributes that never change may be sent as they are."""
    if name in body and body[name] != value:
        raise InvalidBody(reason=f"Cannot change {name}.")
