"""The hint query: a question about hosts as nested JSON lists, such as ["and", [">=", "$free_ram_mb", 1024], …]."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pileus.compute.scheduler.columns import ATTRIBUTES, Mask

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
JOIN = ("and", "or", "not", "in")
DEEPEST = 32


class BadQuestion(ValueError):
    """The message tells what is wrong with it."""


def parse(hint: Any) -> Any:
    """The question of a hint, which may be JSON in a string. Raises BadQuestion."""
    if isinstance(hint, str):
        try:
            hint = msgspec.json.decode(hint)
        except msgspec.DecodeError as error:
            raise BadQuestion(f"it is not JSON: {error}") from None
    _check(hint, DEEPEST)
    return hint


def _check(question: Any, deep: int) -> None:
    if not deep:
        raise BadQuestion(f"it is nested deeper than {DEEPEST}")
    if not isinstance(question, list) or len(question) < 2:
        raise BadQuestion("it has to be a list of an operator and what it works on")
    if not isinstance(question[0], str) or question[0] not in (*COMPARE, *JOIN):
        raise BadQuestion(f"{question[0]!r} is none of the operators {', '.join([*COMPARE, *JOIN])}")
    for each in question[1:]:
        if isinstance(each, list):
            _check(each, deep - 1)
        elif isinstance(each, str) and each.startswith("$") and each[1:].split(".")[0] not in ATTRIBUTES:
            raise BadQuestion(f"{each} is nothing that is known of a host; known are $"
                              + ", $".join(sorted(ATTRIBUTES)))


def variables(question: Any) -> Iterator[str]:
    """The attributes it asks of a host."""
    for each in question[1:]:
        if isinstance(each, list):
            yield from variables(each)
        elif isinstance(each, str) and each.startswith("$"):
            yield each[1:]


def answer(question: Any, column: Callable[[str], NDArray[Any]]) -> Mask:
    """Of which hosts it is so. `column`: an attribute of all of them, as numbers or as words."""
    name, values = question[0], [_value(each, column) for each in question[1:]]
    if name == "and":
        return np.logical_and.reduce([_truth(each) for each in values])
    if name in ("or", "not"):
        some = np.logical_or.reduce([_truth(each) for each in values])
        return some if name == "or" else ~some
    found = [_compared("=" if name == "in" else name, values[0], each) for each in values[1:]] or [np.array([True])]
    return np.logical_or.reduce(found) if name == "in" else np.logical_and.reduce(found)


def _value(each: Any, column: Callable[[str], NDArray[Any]]) -> NDArray[Any]:
    if isinstance(each, list):
        return answer(each, column)
    if isinstance(each, str) and each.startswith("$"):
        return column(each[1:])
    return np.array([each if isinstance(each, int | float) else str(each)])


def _truth(values: NDArray[Any]) -> Mask:
    return values != "" if values.dtype.kind == "U" else values != 0


def _compared(name: str, left: NDArray[Any], right: NDArray[Any]) -> Mask:
    if (left.dtype.kind == "U") != (right.dtype.kind == "U"):
        return np.zeros(max(len(left), len(right)), dtype=np.bool_)         # a word was compared with a number
    return COMPARE[name](left, right)
