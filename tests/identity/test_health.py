"""What the doctor says of keys."""

import os
import time

import pytest

from pileus.identity.health import checks
from pileus.identity.keys import KeyRepository

DAY = 86_400.0


@pytest.fixture
def folder(tmp_path):
    KeyRepository(tmp_path / "keys").prepare()
    return tmp_path / "keys"


def said(folder, key_days=30):
    return [(well, detail) for _, well, detail, _ in checks("keys", folder, key_days=key_days)]


def aged(folder, days):
    then = time.time() - days * DAY
    os.utime(folder / "1", (then, then))
    return said(folder)


def test_well(folder):
    assert said(folder) == [(True, "2 keys, the newest 0 days old")]
    assert said(folder / "nowhere") == []


def test_old_and_future_keys(folder):
    assert aged(folder, 59)[0][0]
    assert aged(folder, 61) == [(False, "61 days old; it should be 30 at most")]
    assert said(folder, key_days=0)[0][0]
    assert "clock" in aged(folder, -1)[0][1]


def test_lost_and_open_keys(folder):
    (folder / "1").chmod(0o640)
    assert "others may read" in said(folder)[0][1]
    (folder / "1").unlink()
    assert said(folder)[0][1].startswith("1 keys in")
