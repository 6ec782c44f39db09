"""What the doctor says of keys, and of what SAML needs."""

import os
import shutil
import time

import pytest

from pileus.identity import health
from pileus.identity.federation.settings import FederationConfig, SamlConfig
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


def test_saml(tmp_path):
    assert list(health.saml(FederationConfig())) == []
    (tmp_path / "idp.xml").write_text("")
    fine, lost = SamlConfig(metadata=tmp_path / "idp.xml"), SamlConfig(metadata=tmp_path / "none.xml")
    found = {name: well for name, well, *_ in health.saml(FederationConfig(
        identity_url="https://cloud", saml={"a/saml2": fine, "b/saml2": lost}))}
    assert found.pop("xmlsec1") == (shutil.which("xmlsec1") is not None) and found == {"SAML b/saml2": False}
    assert ("SAML a/saml2", False) in [row[:2] for row in health.saml(FederationConfig(saml={"a/saml2": fine}))]
