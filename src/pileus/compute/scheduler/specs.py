"""The operators of extra specs: what a value must be, as flavors say it of hosts and of aggregates."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le}
_WORDS: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq, "s!=": operator.ne, "s<": operator.lt, "s<=": operator.le, "s>": operator.gt,
    "s>=": operator.ge}


def matches(value: Any, wanted: str) -> bool:
    """Whether a value is what an extra spec asks: `>= 5`, `s== x`, `<in> x`, `<all-in> a b`, `<or> a <or> b`, or the
    value itself. "=" is at least, for what it was long ago."""
    operation, _, rest = wanted.strip().partition(" ")
    rest = rest.strip()
    if operation not in _NUMBERS and operation not in _WORDS and operation not in ("<in>", "<all-in>", "<or>"):
        return value is not None and _text(value) == wanted
    if value is None or not rest:
        return False
    if operation == "<or>":
        return _text(value) in {each.strip() for each in rest.split("<or>")}
    if operation == "<in>":
        return rest in value if isinstance(value, list | tuple) else rest in _text(value)
    if operation == "<all-in>":
        return all(each in value if isinstance(value, list | tuple) else each in _text(value)
                   for each in rest.split())
    if operation in _WORDS:
        return _WORDS[operation](_text(value), rest)
    try:
        return _NUMBERS[operation](float(value), float(rest))
    except (TypeError, ValueError):
        return False


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
