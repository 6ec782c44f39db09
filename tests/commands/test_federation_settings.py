"""What docs/operate/federation.md tells to write into pileus.toml can be written there."""

import re
from pathlib import Path

import pytest

from pileus.kit.config import BadConfig, load
from pileus.processes.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operate" / "federation.md"


def settings(folder, text):
    (folder / "pileus.toml").write_text(text)
    return load(Settings, folder / "pileus.toml", {})


def test_the_tables_of_the_documentation(tmp_path):
    blocks = re.findall(r"(?m)^    \[[\w.\"/]+\]\n(?:    .*\n)+", PAGE.read_text())
    assert len(blocks) == 5
    found = settings(tmp_path, re.sub(r"(?m)^    ", "", "".join(blocks))).federation
    assert found.providers["example/openid"].client_id == "cloud"
    assert {name: saml.metadata for name, saml in found.saml.items()} == {
        "example/saml2": Path("/etc/pileus/idp.xml"), "here/saml2": Path("/etc/pileus/here.xml")}


def test_a_path_is_text(tmp_path):
    with pytest.raises(BadConfig, match=r"Expected a path, got `int` - at `\$\.federation\.saml"):
        settings(tmp_path, '[federation.saml."a/b"]\nmetadata = 1\n')
