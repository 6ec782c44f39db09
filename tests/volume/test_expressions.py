"""Expressions of operators about volumes and back ends."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.volume.expressions import BadExpression, evaluate, parse

NAMES = {"volume": {"size": 5, "name": "a", "id": "x"}, "extra": {"ssd": "True", "rank": "7"},
         "stats": {"total_capacity_gb": 500.0}, "qos": {}}


@pytest.mark.parametrize(("text", "value"), [
    ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("2 ^ 3 - 1", 7), ("10 - 4 - 3", 3), ("12 / 4 / 3", 1), ("-2 + 3", 1),
    ("--2", 2), ("1.5e1", 15), ("volume.size < 10", True), ("volume.size < 10 and volume.size > 5", False),
    ("volume.size < 1 or volume.size == 5", True), ("!(volume.size < 1) & 1 <> 2", True), ("not 1 == 1", False),
    ("1 < 2 < 3", True), ("1 < 3 < 2", False), ("(volume.size < 10) * 50 + (volume.size < 3) * 50", 50),
    ("volume.size > 4 ? 100 : 50", 100), ("volume.size > 9 ? 1 / 0 : 50", 50), ("1 ? 2 ? 3 : 4 : 5", 3),
    ("max(volume.size, 7)", 7), ("min(1, 2) + abs(-3)", 4), ("extra.rank + 1", 8), ("extra.ssd == 'True'", True),
    ('volume.name == "b"', False), ("stats.total_capacity_gb - volume.size >= 495", True)])
def test_values(text, value):
    assert evaluate(text, NAMES) == value


@pytest.mark.parametrize("text", [
    "", " ", "1 +", "(1", "1)", "1 2", "volume.size <", "max(1)", "max(1, 2, 3)", "size", "import os", "$", "'a",
    "1 ? 2", "__import__('os')", "(" * 60 + "1" + ")" * 60, "1" * 5000, "? : ?", ",", "abs"])
def test_what_cannot_be_read(text):
    with pytest.raises(BadExpression):
        parse(text)


@pytest.mark.parametrize("text", [
    "volume.colour == 1", "host.name == 1", "1 / 0", "9 ^ 9999", "volume.name + 1", "-volume.name", "(-8) ^ 0.5",
    "volume.name < 1", "max(volume.name, 1)"])
def test_what_has_no_value(text):
    parse(text)
    with pytest.raises(BadExpression):
        evaluate(text, NAMES)


@given(st.text("()!&|?:,+-*/^<>=. 19'\"avx", max_size=60))
def test_whatever_is_given(text):
    with suppress(BadExpression):
        assert isinstance(evaluate(text, NAMES), bool | float | int | str)
