"""House rules that a machine can check: directions of imports, sizes, names, what services may not do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "pileus"
MODULES = sorted(SOURCE.rglob("*.py"))
SERVICES = ("identity", "placement", "image", "network", "compute", "volume", "load_balancer")
FORBIDDEN_NAMES = re.compile(r"(^|_)(manager|helper|util|utils|common|misc|impl|ctxt|bdm|vif)(_|$)")
ROLE_NAMES = {"manager"}                       # of Identity's default roles
LONG = {"agent", "drivers", "linux"}           # folders whose functions may have 80 lines
MOST_LINES, MOST_FUNCTION, MOST_LONG_FUNCTION = 500, 50, 80


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imports(nodes: list[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("pileus.")}


@pytest.fixture(scope="module")
def modules() -> dict[Path, list[ast.AST]]:
    """All nodes of each module; the first one is the module itself."""
    return {path: list(ast.walk(ast.parse(path.read_text()))) for path in MODULES}


def test_the_kit_imports_no_service(modules):
    wrong = [f"{name_of(path)} imports {name}" for path, nodes in modules.items() if "kit" in path.parts
             for name in imports(nodes) if not name.startswith("pileus.kit")]
    assert wrong == []


def test_services_import_only_clients_of_each_other(modules):
    wrong = []
    for path, nodes in modules.items():
        own = path.relative_to(SOURCE).parts[0]
        if own not in SERVICES:
            continue
        for name in imports(nodes):
            parts = name.split(".")
            foreign = parts[1] in SERVICES and parts[1] != own
            if foreign and (len(parts) < 3 or parts[2] != "client") or parts[1] == "processes":
                wrong.append(f"{name_of(path)} imports {name}")
    assert wrong == []


def test_files_and_functions_are_short(modules):
    wrong = []
    for path, nodes in modules.items():
        lines = len(path.read_text().splitlines())
        if lines > MOST_LINES:
            wrong.append(f"{name_of(path)} has {lines} lines")
        most = MOST_LONG_FUNCTION if LONG & set(path.parts) else MOST_FUNCTION
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > most and "migrations" not in path.parts:
                    wrong.append(f"{name_of(path)}:{node.lineno} {node.name} has {length} lines")
    assert wrong == []


def test_every_module_says_what_it_is_for(modules):
    assert [name_of(path) for path, nodes in modules.items() if not ast.get_docstring(nodes[0])] == []


def test_names_say_something(modules):
    wrong = []
    for path, nodes in modules.items():
        if FORBIDDEN_NAMES.search(path.stem):
            wrong.append(name_of(path))
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name).lower()
                if FORBIDDEN_NAMES.search(words) and not ROLE_NAMES & set(words.split("_")):
                    wrong.append(f"{name_of(path)}:{node.lineno} {node.name}")
    assert wrong == []


def test_services_start_no_tasks_of_their_own(modules):
    """Work is a saga or a reconciler; only the kit, hosts' agents and drivers run tasks."""
    allowed = {"kit", "processes", "agent", "drivers", "engine", "sandbox", "guest_image"}
    wrong = []
    for path, nodes in modules.items():
        if allowed & set(path.parts):
            continue
        wrong += [f"{name_of(path)}:{node.lineno}" for node in nodes
                  if isinstance(node, ast.Attribute) and node.attr == "create_task"]
    assert wrong == []


def test_nothing_is_swallowed_or_stubbed(modules):
    wrong = []
    for path, nodes in modules.items():
        for node in nodes:
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                wrong.append(f"{name_of(path)}:{node.lineno} NotImplementedError")
            if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
                wrong.append(f"{name_of(path)}:{node.lineno} except … pass")
    assert wrong == []


def test_tests_do_not_patch():
    patch = re.compile(r"unittest\.mock|mock\.patch|monkeypatch\.setattr")
    own = Path(__file__)
    assert [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")
            if path != own and patch.search(path.read_text())] == []
