"""Hosts are upgraded one by one: today's types read the bytes that the last release sent, and lose nothing of them.

Blessing adds a sample for a message that has none; it never rewrites one. After a release, remove the folder
tests/golden/messages and bless, so that the samples are those of the release before the next.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.golden.compared import BLESSING, HOW
from tests.golden.documents import MESSAGES
from tests.golden.samples import SAMPLES, lost, path_of, sample

KINDS = [(service, kind) for service, kinds in MESSAGES.items() for kind in kinds]


@pytest.mark.parametrize(("service", "kind"), KINDS, ids=lambda each: getattr(each, "__name__", each))
def test_bytes_of_the_last_release_are_understood(service, kind):
    path = path_of(service, kind)
    if BLESSING and not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.msgpack.encode(sample(kind)))
    assert path.exists(), f"there is no sample of {kind.__name__}. {HOW}"
    sent = path.read_bytes()
    understood = msgspec.msgpack.decode(sent, type=kind)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(understood))
    assert lost(msgspec.msgpack.decode(sent), again, kind.__name__) == []


def test_no_message_of_the_last_release_is_gone():
    known = {path_of(service, kind) for service, kind in KINDS}
    assert sorted(path.name for path in SAMPLES.glob("*.msgpack") if path not in known) == []


class Renamed(msgspec.Struct):
    """For the test of the test: a field of the sample below has another name here."""

    old_name: str = ""
    kept: int = 0


@pytest.mark.parametrize(("sent", "expected"), [
    ({"kept": 1}, []), ({"name": "x", "kept": 1}, ["Renamed.name is not read"]),
])
def test_a_renamed_field_is_noticed(sent: dict[str, Any], expected: list[str]):
    understood = msgspec.to_builtins(msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Renamed))
    assert lost(sent, understood, "Renamed") == expected
