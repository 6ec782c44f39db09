"""Domains of every kind of ours, held against the schema that libvirt itself brings."""

import subprocess
from pathlib import Path

import pytest

from tests.golden.guests import domains

SCHEMA = "/usr/share/libvirt/schemas/domain.rng"
DOMAINS = domains()


@pytest.mark.parametrize("name", DOMAINS)
def test_libvirt_knows_such_domains(name: str, tmp_path: Path) -> None:
    path = tmp_path / "domain.xml"
    path.write_text(DOMAINS[name])
    told = subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, str(path)], capture_output=True, text=True,
                          check=False)
    assert told.returncode == 0, told.stderr
