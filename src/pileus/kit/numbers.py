"""Whole numbers as others write them."""

from __future__ import annotations

import re

INT_MAX = 2**31 - 1                           # of a column of integers, on every database
_DIGITS = re.compile(r"[0-9]{1,40}")          # int() takes digits of other scripts too, and raises for very long texts
_WHOLE = re.compile(r"-?[0-9]{1,40}")


def digits(text: str) -> int | None:
    """The number that is written in the digits 0 to 9, at most 40 of them, and nothing else; None for other texts."""
    return int(text) if _DIGITS.fullmatch(text) else None


def whole(given: object) -> int | None:
    """An integer as it is, or the one that a text is, which may begin with a minus; None for everything else."""
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    return int(given) if isinstance(given, str) and _WHOLE.fullmatch(given) else None
