"""Regular expressions of strangers: found, refused, and never a way to keep this program busy."""

import pytest

from pileus.kit.patterns import BadPattern, compiled


@pytest.mark.parametrize(("pattern", "text", "found"), [
    ("b+", "abbc", True), ("^b", "abbc", False), ("", "a", True), ("ä.", "xäö", True), ("(?i)AB", "abbc", True)])
def test_found(pattern, text, found):
    assert bool(compiled(pattern).search(text)) is found


@pytest.mark.parametrize("pattern", ["(", "*", r"(a)\1", "(?=a)", "a{1001}", "((a{100}){100}){100}"])
def test_refused(pattern):
    with pytest.raises(BadPattern, match="is no regular expression"):
        compiled(pattern)


def test_what_would_take_others_for_ever():
    for pattern in ("(a+)+$", "(a|aa)+$", "(.*)*x"):
        assert not compiled(pattern).search("a" * 4096 + "!")
