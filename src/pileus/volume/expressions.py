"""Expressions by which operators say which volumes a back end may have, and how well they suit it. Pure.

Those of cinder's DriverFilter and GoodnessWeigher: numbers, words in quotes, names with a dot (volume.size, extra.ssd),
+ - * / ^, comparisons, ! & | or not, and, or, c ? a : b, and the functions abs, max, min.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

LONGEST, DEEPEST = 4096, 50
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)|([A-Za-z_][\w.]*)|'([^']*)'|\"([^\"]*)\"|"
                    r"(<=|>=|<>|==|!=|[-+*/^()<>!&|?:,]))")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "<>": operator.ne}
_SUMS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub}
_PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {"*": operator.mul, "/": operator.truediv}
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {"abs": (1, abs), "max": (2, max), "min": (2, min)}
Names = Mapping[str, Mapping[str, object]]
Value = float | bool | str
Node = Callable[[Names], Value]


class BadExpression(ValueError):
    """It cannot be read, or has no value here; the text may be shown."""


def evaluate(text: str, names: Names) -> Value:
    """Its value with what `names` says of volume, stats, capabilities, extra and qos. Raises BadExpression."""
    try:
        return parse(text)(names)
    except (TypeError, ArithmeticError) as error:
        raise BadExpression(f"'{text}' has no value: {error}") from None


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Node:
    """What gives its value. Raises BadExpression."""
    parser = _Parser(text)
    node = parser.choice()
    if parser.tokens:
        raise BadExpression(f"'{text}' has a '{parser.tokens[0][1]}' that is in no place")
    return node


def _known(name: str, names: Names) -> Value:
    where, _, what = name.partition(".")
    if where not in names or what not in names[where]:
        raise BadExpression(f"nothing is known of {name}")
    found = names[where][what]
    if isinstance(found, bool | int | float):
        return found
    try:
        return float(str(found))
    except ValueError:
        return str(found)


class _Parser:
    def __init__(self, text: str):
        if len(text) > LONGEST:
            raise BadExpression(f"an expression has at most {LONGEST} characters")
        self.text, self.tokens, self.depth, at = text, list[tuple[str, str]](), 0, 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise BadExpression(f"'{text}' cannot be read from '{text[at:at + 20].strip()}' on")
            kind = ("number", "name", "word", "word", "sign")[(found.lastindex or 1) - 1]
            self.tokens.append((kind, found[found.lastindex or 1]))
            at = found.end()

    def _take(self, *signs: str) -> str | None:
        """The next token if it is one of these."""
        if self.tokens and self.tokens[0][1] in signs and self.tokens[0][0] in ("sign", "name"):
            return self.tokens.pop(0)[1]
        return None

    def _must_take(self, sign: str) -> None:
        if self._take(sign) is None:
            raise BadExpression(f"'{self.text}' lacks a '{sign}'")

    def choice(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise BadExpression(f"an expression is at most {DEEPEST} deep")
        condition = self._either()
        if not self._take("?"):
            self.depth -= 1
            return condition
        yes = self.choice()
        self._must_take(":")
        no = self.choice()
        self.depth -= 1
        return lambda names: yes(names) if condition(names) else no(names)

    def _either(self) -> Node:
        parts = [self._both()]
        while self._take("|", "or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda names: any(part(names) for part in parts)

    def _both(self) -> Node:
        parts = [self._not()]
        while self._take("&", "and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda names: all(part(names) for part in parts)

    def _not(self) -> Node:
        turns = 0
        while self._take("!", "not"):
            turns += 1
        found = self._comparison()
        return found if not turns else lambda names: bool(found(names)) is (turns % 2 == 0)

    def _comparison(self) -> Node:
        """1 < 2 < 3 is that each is so."""
        parts, signs = [self._chain(_SUMS, self._product)], list[str]()
        while sign := self._take(*_COMPARED):
            signs.append(sign)
            parts.append(self._chain(_SUMS, self._product))

        def found(names: Names) -> Value:
            values = [part(names) for part in parts]
            return all(_COMPARED[sign](*values[at:at + 2]) for at, sign in enumerate(signs))
        return found if signs else parts[0]

    def _product(self) -> Node:
        return self._chain(_PRODUCTS, self._power)

    def _chain(self, ways: dict[str, Callable[[Any, Any], Any]], part: Callable[[], Node]) -> Node:
        first, more = part(), list[tuple[Callable[[Any, Any], Any], Node]]()
        while sign := self._take(*ways):
            more.append((ways[sign], part()))

        def found(names: Names) -> Value:
            return functools.reduce(lambda value, each: each[0](value, _number(each[1](names))), more,
                                    _number(first(names)))
        return found if more else first

    def _power(self) -> Node:
        base = self._sign()
        if not self._take("^"):
            return base
        exponent = self._sign()

        def found(names: Names) -> Value:
            value = _number(base(names)) ** _number(exponent(names))
            if isinstance(value, complex):
                raise BadExpression(f"'{self.text}' has a root of a number below zero")
            return value
        return found

    def _sign(self) -> Node:
        minus = False
        while sign := self._take("-", "+"):
            minus ^= sign == "-"
        found = self._atom()
        return found if not minus else lambda names: -_number(found(names))

    def _atom(self) -> Node:
        if not self.tokens:
            raise BadExpression(f"'{self.text}' ends too early")
        kind, token = self.tokens.pop(0)
        if kind == "number":
            return lambda names: float(token)
        if kind == "word":
            return lambda names: token
        if token == "(":
            found = self.choice()
            self._must_take(")")
            return found
        if token in _FUNCTIONS:
            return self._call(*_FUNCTIONS[token])
        if kind == "name" and "." in token:
            return lambda names: _known(token, names)
        raise BadExpression(f"'{self.text}' has a '{token}' that is in no place")

    def _call(self, count: int, function: Callable[..., Any]) -> Node:
        self._must_take("(")
        given = [self.choice()]
        for _ in range(count - 1):
            self._must_take(",")
            given.append(self.choice())
        self._must_take(")")
        return lambda names: function(*(_number(each(names)) for each in given))


def _number(value: Value) -> float:
    if isinstance(value, str):
        raise BadExpression(f"'{value}' is no number")
    return float(value)
