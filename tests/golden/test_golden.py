"""Generated files: equal to the committed ones, or the change is shown and has to be blessed."""

from __future__ import annotations

import pytest

from tests.golden.compared import HOW, difference, left_over
from tests.golden.documents import documents

DOCUMENTS = documents()


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    """Help is wrapped to the terminal's width, and coloured from Python 3.14 on."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_generated_file_is_as_committed(name):
    found = difference(name, DOCUMENTS[name]())
    assert not found, f"\n{found}"


def test_nothing_is_left_of_what_was_generated_once():
    assert left_over(set(DOCUMENTS)) == [], HOW
