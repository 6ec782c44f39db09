"""Regular expressions that others give: matched in a time that grows with the text alone, whatever they are."""

from __future__ import annotations

import functools
from typing import Any

import re2

from pileus.kit.faults import BadRequest

_BOUNDS = re2.Options()
_BOUNDS.max_mem = 1 << 20
_BOUNDS.log_errors = False


class BadPattern(BadRequest):
    """What was given is no regular expression."""


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """`pattern` in the syntax of RE2, which has neither back references nor look-around. Raises BadPattern."""
    try:
        return re2.compile(pattern, _BOUNDS)
    except re2.error as error:
        raise BadPattern(reason=f"{pattern!r} is no regular expression: {error}") from None
