"""Commands that run another command leave that one its own options."""

from pathlib import Path

import pytest

from pileus.__main__ import _take_ours, parser

PING = ["ping", "-c1", "1.2.3.4"]


@pytest.mark.parametrize(("argv", "state", "words"), [
    (["shell"], None, []),
    (["shell", *PING], None, PING),
    (["shell", "--state", "d", *PING], "d", PING),
    (["shell", "--state", "d", "--", *PING], "d", PING),
    (["ssh", "web", "--state", "d"], "d", []),
    (["ssh", "web", "--state", "d", "ls", "--all"], "d", ["ls", "--all"]),
    (["ssh", "--state", "d", "web", "--", "ls", "--state"], "d", ["ls", "--state"]),
])
def test_whose_options(argv, state, words):
    given = parser().parse_args(argv)
    _take_ours(given)
    assert (given.state, given.words) == (Path(state) if state else None, words)
