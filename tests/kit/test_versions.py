"""Types as one version knows them, and values on their way between versions."""

from typing import Annotated

import msgspec

from pileus.kit.versions import Ledger, at, moved, since

LEDGER = Ledger("toys", oldest="1.0")
NEWER = LEDGER.add("1.1", "Lids have a colour")


class Lid(msgspec.Struct, kw_only=True):
    size: int | msgspec.UnsetType = msgspec.UNSET
    color: Annotated[str | None, since(NEWER)] = None


class Jar(msgspec.Struct, kw_only=True):
    lids: list[Lid]
    label: str | msgspec.UnsetType = msgspec.UNSET


def test_what_has_no_windows_is_the_same_type():
    for kind in (int, list[int], dict[str, Jar | None], int | str):
        assert at(kind, LEDGER.newest) is kind


def test_what_is_unset_stays_unset():
    jar = Jar(lids=[Lid(color="red"), Lid(size=3)])
    narrow = at(Jar, LEDGER.oldest)
    assert msgspec.json.encode(moved(jar, narrow)) == b'{"lids":[{},{"size":3}]}'
    assert moved(moved(jar, narrow), Jar) == Jar(lids=[Lid(), Lid(size=3)])


def test_a_narrow_type_is_the_same_wherever_it_stands():
    narrow = at(Lid, LEDGER.oldest)
    assert narrow is not Lid
    assert at(Lid, LEDGER.oldest, strict=True) is narrow
    assert at(list[Lid], LEDGER.oldest) == list[narrow]
    assert at(Jar, LEDGER.oldest).__annotations__["lids"] == list[narrow]
