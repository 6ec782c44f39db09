"""Whole numbers in the words of clients."""

import pytest

from pileus.kit.numbers import digits, whole


@pytest.mark.parametrize(("text", "number"), [
    ("0", 0), ("007", 7), ("9" * 40, 10 ** 40 - 1), ("", None), ("-1", None), ("+1", None), ("1.0", None),
    (" 1", None), ("1\n", None), ("²", None), ("٣", None), ("1_0", None), ("0x1", None), ("9" * 41, None),
    ("9" * 5000, None)])
def test_digits(text, number):
    assert digits(text) == number
    assert whole(text) == (-1 if text == "-1" else number)


def test_whole():
    assert [whole(each) for each in (3, -3, "-3", 1 << 70)] == [3, -3, -3, 1 << 70]
    assert [whole(each) for each in (True, 1.0, None, [1], "--3", "-", b"1")] == [None] * 7
