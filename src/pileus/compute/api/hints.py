"""Scheduler hints: what they may say, looked at before anything is made."""

from __future__ import annotations

from typing import Any

from pileus.compute.scheduler import questions
from pileus.compute.scheduling import near
from pileus.kit.faults import BadRequest


def must_be_sound(hints: dict[str, Any]) -> None:
    """Raises BadRequest. Hints that nobody knows are let be."""
    for name in ("same_host", "different_host"):
        value = hints.get(name)
        several = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(each, str) and len(each) <= 64 for each in several):
            raise BadRequest(reason=f"Invalid input for field/attribute {name}. It is the id of a server, or a list "
                                    "of them.")
    if hints.get("query"):
        try:
            questions.parse(hints["query"])
        except questions.BadQuestion as error:
            raise BadRequest(reason=f"Invalid input for field/attribute query: {error}.") from None
    try:
        near(hints)
    except ValueError as error:
        raise BadRequest(reason=f"Invalid input for field/attribute build_near_host_ip or cidr: {error}.") from None
