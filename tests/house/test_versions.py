"""Every microversion a service announces is shown by a test that says so."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from pileus.kit.versions import Version

TESTS = Path(__file__).resolve().parents[1]
SERVICES = ("identity", "placement", "image", "network", "compute", "volume")
TABLES = {"compute": {"2.18"}, "volume": set()}      # with what is done there and changes nothing clients can see


def names_of(service: str) -> dict[str, Version]:
    """The entries of its ledger by the names they have in its module `versions`."""
    module = importlib.import_module(f"pileus.{service}.versions")
    return {name: value for name, value in vars(module).items() if isinstance(value, Version)}


def covered(tree: ast.Module) -> set[tuple[str, str]]:
    """(service, NAME) of every `covers(versions.NAME)`; `versions` is what the module imports under that name."""
    imported = {node.module: alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
                for alias in node.names if alias.name == "versions"}
    services = {module.removeprefix("pileus.") for module in imported}
    return {(service, argument.attr) for node in ast.walk(tree) if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name) and node.func.id == "covers"
            for argument in node.args if isinstance(argument, ast.Attribute) for service in services}


@pytest.fixture(scope="module")
def all_covered() -> set[tuple[str, str]]:
    return {each for path in TESTS.rglob("test_*.py") for each in covered(ast.parse(path.read_text()))}


@pytest.mark.parametrize("service", SERVICES)
def test_every_entry_of_the_ledger_is_covered(service, all_covered):
    missing = [f"{version} {name}" for name, version in names_of(service).items() if (service, name) not in all_covered]
    assert missing == [], (
        f"write a test in tests/{service} that shows the answers just below and at each of these versions, and mark it "
        f"@covers(versions.NAME), with `from pileus.{service} import versions` and `from tests.covers import covers`")


@pytest.mark.parametrize("service", SERVICES)
def test_every_entry_of_the_ledger_has_a_name(service):
    ledger = importlib.import_module(f"pileus.{service}.versions").LEDGER
    nameless = set(ledger.entries) - {ledger.oldest} - set(names_of(service).values())
    assert nameless == set(), "LEDGER.add(…) without a name: nothing can use it, and no test can cover it"


@pytest.mark.parametrize("service", TABLES)
def test_the_table_of_microversions_is_that_of_the_ledger(service):
    ledger = importlib.import_module(f"pileus.{service}.versions").LEDGER
    lines = (TESTS.parent / "docs" / f"{service}-microversions.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[2:3].isdigit()]
    oldest, newest = ledger.oldest, ledger.newest
    assert [row[0] for row in rows] == [f"{oldest.major}.{minor}" for minor in range(
        oldest.minor + 1, newest.minor + 1)]
    done = {row[0] for row in rows if row[2].startswith("done")}
    assert done - TABLES[service] == {str(version) for version in ledger.entries if version != ledger.oldest}
    assert all(row[2].startswith(("done", "not there")) for row in rows)
