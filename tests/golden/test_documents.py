"""The project's documents name what is there: links resolve, paths exist, services' pages have the same headings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pileus.__main__ import COMMANDS
from tests.golden.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "pileus"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *PACKAGE.rglob("README.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*\.(?:py|md|txt|json|sql|toml)|(?:src|tests|docs|tools)/[\w./-]*)`")
COMMAND = re.compile(r"(?:`|^ +|\./)pileus (\w+)", re.MULTILINE)
PLACEHOLDER = re.compile(r"[A-Z]{4,}|000N")
IN_STATE = ("db/", "instances/", "log/")          # of a cloud's folder
HEADINGS = ["Nouns", "Tables", "Sagas", "Reconcilers", "Messages", "Talks to"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def exists(document: Path, path: str) -> bool:
    """As seen from the document, from the top, or from the package, where modules are told apart."""
    return any((base / path).exists() for base in (document.parent, ROOT, PACKAGE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_what_a_document_names_exists(document):
    text = document.read_text()
    links = [link for link in LINK.findall(text) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [path for path in PATH.findall(text)
                if not PLACEHOLDER.search(path) and not path.startswith(IN_STATE) and not exists(document, path)]
    missing += [f"pileus {command}" for command in COMMAND.findall(text) if command not in COMMANDS]
    assert missing == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_service_has_a_page_with_the_same_headings(service):
    text = (PACKAGE / service.name / "README.md").read_text()
    found = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert found[:len(HEADINGS)] == HEADINGS
    assert found[-1] == "Not done yet"
    assert [saga.name for saga in service.sagas if f"`{saga.name}`" not in text] == []
    assert [each.name for each in service.reconcilers if f"`{each.name}`" not in text] == []
