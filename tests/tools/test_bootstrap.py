"""./pileus in a fresh clone: makes its environment once, follows pyproject.toml, and then costs nothing."""

import ast
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "pileus"
ORDINARY_USER = 61185
MAIN = "import os, sys\nprint(sys.argv[1:], sys.prefix)\nsys.exit(7 if 'fail' in sys.argv else 0)\n"


def wheel(folder: Path, name: str) -> str:
    """A package with one empty module, as a requirement that needs no package index."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": b"",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        file: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=") for file, data in files.items()
    }
    record = [f"{file},sha256={digests[file].decode()},{len(data)}" for file, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in files.items():
            archive.writestr(file, data)
    return f"{name} @ {path.as_uri()}"


def write_project(tree: Path, needs: list[str], **extras: list[str]) -> None:
    optional = "".join(f"{name} = {needs!r}\n" for name, needs in extras.items())
    text = f'[project]\nname = "pileus"\nversion = "1"\ndependencies = {needs!r}\n'
    (tree / "pyproject.toml").write_text(f"{text}[project.optional-dependencies]\n{optional}")


def run(
    tree: Path, *arguments: str, prefix: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [*prefix, str(tree / "pileus"), *arguments]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tree.parent), **environment}
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def tree() -> Iterator[Path]:
    """A clone of a repository with our script and next to nothing else, in a folder everybody can read."""
    folder = Path(tempfile.mkdtemp(prefix="pileus-bootstrap-"))
    folder.chmod(0o755)
    origin = folder / "origin"
    (origin / "src" / "pileus").mkdir(parents=True)
    (origin / "src" / "pileus" / "__main__.py").write_text(MAIN)
    shutil.copy(SCRIPT, origin)
    write_project(origin, [])
    git = ["git", "-C", str(origin), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Begin"]):
        subprocess.run([*git, *arguments], check=True)
    subprocess.run(["git", "clone", "-q", str(origin), str(folder / "clone")], check=True)
    yield folder / "clone"
    shutil.rmtree(folder)


def test_the_first_run_makes_the_environment_and_the_second_does_not(tree: Path) -> None:
    first = run(tree, "demo", "--port", "1 2")
    assert first.stdout == f"['demo', '--port', '1 2'] {tree}/.venv\n", first.stderr
    assert first.stderr.startswith(f"pileus: preparing the Python environment in {tree}/.venv")
    second = run(tree, "fail")
    assert second.returncode == 7
    assert second.stderr == ""
    only = run(tree, PILEUS_BOOTSTRAP="only")
    assert only.stdout.strip() == f"{tree}/.venv/bin/python"


def test_a_ready_environment_costs_next_to_nothing(tree: Path) -> None:
    run(tree)

    def shortest(command: list[str]) -> float:
        times = []
        for _ in range(9):
            began = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True, env={"PATH": "/usr/local/bin:/usr/bin:/bin"})
            times.append(time.perf_counter() - began)
        return min(times)

    direct = shortest([str(tree / ".venv" / "bin" / "python"), "-P", "-m", "pileus"])
    through = shortest([str(tree / "pileus")])
    print(f"{through * 1000:.0f} ms, of it {(through - direct) * 1000:.0f} ms before the command")
    assert through - direct < 0.060


def test_it_follows_the_dependencies(tree: Path) -> None:
    run(tree)
    write_project(tree, [wheel(tree.parent, "first")], more=[wheel(tree.parent, "second")])
    assert "preparing" in run(tree).stderr
    python = tree / ".venv" / "bin" / "python"
    subprocess.run([python, "-c", "import first"], check=True)
    assert subprocess.run([python, "-c", "import second"], capture_output=True, check=False).returncode
    assert "preparing" in run(tree, PILEUS_EXTRAS="more").stderr
    subprocess.run([python, "-c", "import first, second"], check=True)
    assert run(tree).stderr == "", "what is more than wanted does no harm"
    refused = run(tree, PILEUS_EXTRAS="other")
    assert refused.returncode == 1 and "other; pyproject.toml has more" in refused.stderr


def test_what_cannot_be_installed_is_told_and_tried_again(tree: Path) -> None:
    write_project(tree, [f"lost @ {(tree / 'lost-1.0-py3-none-any.whl').as_uri()}"])
    for _ in range(2):
        failed = run(tree)
        assert failed.returncode == 1
        assert "cannot install the Python packages" in failed.stderr and "lost" in failed.stderr
    write_project(tree, [])
    assert run(tree).returncode == 0


def test_half_an_environment_is_made_anew(tree: Path) -> None:
    (tree / ".venv" / "bin").mkdir(parents=True)
    (tree / ".venv" / "bin" / "python").write_text("not a program")
    assert run(tree, "x").returncode == 0
    (tree / ".venv" / "bin" / "python").unlink()
    assert run(tree, "x").stdout.startswith("['x']")


def test_two_at_once_make_one_environment(tree: Path) -> None:
    command = [str(tree / "pileus")]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    said = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum("preparing" in error for _, error in said) == 1


@pytest.mark.parametrize("kind", ["read-only", "of another user"])
def test_a_tree_that_takes_no_files(tree: Path, kind: str) -> None:
    home = tree.parent / "home"
    home.mkdir()
    prefix: tuple[str, ...] = ()
    if kind == "read-only" and os.geteuid() == 0:
        os.chown(home, ORDINARY_USER, ORDINARY_USER)
        prefix = ("setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups")
    elif kind == "read-only":
        tree.chmod(0o555)
    elif os.geteuid() == 0:
        os.chown(tree, ORDINARY_USER, ORDINARY_USER)
    done = run(tree, "x", prefix=prefix, HOME=str(home))
    tree.chmod(0o755)
    in_tree = kind == "of another user" and os.geteuid() != 0
    assert (f"{tree}/.venv" if in_tree else f"{home}/.cache/pileus/venv") in done.stdout, done.stderr
    assert (tree / ".venv").exists() == in_tree


def test_an_old_python_is_told_so() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))
    pretend = "import runpy, sys\nsys.version_info = (3, 9, 2)\nrunpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", pretend, str(SCRIPT)]
    done = subprocess.run(command, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("pileus: this needs Python 3.11 or newer, and python3 here is 3.9.2.")
