"""People who use sandboxes in these tests: whoever runs them and, where that is root, an ordinary user too."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

SOURCES = Path(__file__).parents[2] / "src" / "pileus"
# No account has it, so that no process of it is anybody else's.
ORDINARY_USER = 61184

Found = TypeVar("Found")


@dataclass
class Person:
    """Runs programs as some user, with a folder and a copy of the package that this user can read."""

    prefix: list[str]
    interpreter: str
    folder: Path
    mark: str = field(default_factory=lambda: f"sandbox-test-{uuid.uuid4().hex}")

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(self.folder / "src"),
            "PILEUS_TEST_MARK": self.mark,
            "HOME": str(self.folder),
        }

    def command(self, code: str, *arguments: object) -> list[str]:
        prelude = "import json, os, subprocess, sys, time\nfrom pileus.sandbox import Sandbox, SandboxError\n"
        return [*self.prefix, self.interpreter, "-c", prelude + code, *map(str, arguments)]

    def start(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = self.command(code, *arguments)
        return subprocess.Popen(
            command, env=self.environment(), cwd=self.folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def python(self, code: str, *arguments: object, wrapper: list[str] | None = None) -> str:
        command = [*(wrapper or []), *self.command(code, *arguments)]
        done = subprocess.run(
            command, env=self.environment(), cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ensure(self, state: Path, *ports: int) -> None:
        self.python("Sandbox(sys.argv[1]).ensure([int(port) for port in sys.argv[2:]])", state, *ports)

    def stop(self, state: Path) -> None:
        self.python("Sandbox(sys.argv[1]).stop()", state)

    def inside(self, state: Path, *command: str) -> str:
        code = "done = subprocess.run(Sandbox(sys.argv[1]).argv(sys.argv[2:]))\nsys.exit(done.returncode)"
        return self.python(code, state, *command)

    def namespaces(self, state: Path) -> dict[str, int]:
        return json.loads((state / "run" / "sandbox.json").read_text())["namespaces"]

    def processes(self) -> list[int]:
        """All processes that come from this person, wherever they have got to."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_ours(entry)]

    def _is_ours(self, entry: Path) -> bool:
        try:
            return self.mark.encode() in (entry / "environ").read_bytes()
        except OSError:
            return False


def people() -> list[str]:
    return ["root", "ordinary user"] if os.geteuid() == 0 else ["whoever runs this"]


@pytest.fixture(params=people())
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    folder = Path(tempfile.mkdtemp(prefix="pileus-sandbox-"))
    shutil.copytree(
        SOURCES / "sandbox", folder / "src" / "pileus" / "sandbox", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(SOURCES / "__init__.py", folder / "src" / "pileus")
    prefix, interpreter = [], sys.executable
    if request.param == "ordinary user":
        # Distributions give everybody the right to make taps in networks of their own.
        os.chmod("/dev/net/tun", 0o666)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, ORDINARY_USER, ORDINARY_USER)
        prefix = ["setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups"]
        interpreter = "/usr/bin/python3"
    someone = Person(prefix, interpreter, folder)
    try:
        yield someone
    finally:
        for state in folder.glob("state*"):
            someone.stop(state)
        left = wait_for(lambda: not someone.processes() or None)
        shutil.rmtree(folder)
        assert left, "processes are left"


@pytest.fixture
def state(person: Person) -> Path:
    return person.folder / "state"


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find


def wait_for(found: Callable[[], Found | None], seconds: float = 10.0) -> Found | None:
    """The first answer that is not None, or None when time is up."""
    until = time.monotonic() + seconds
    while (answer := found()) is None and time.monotonic() < until:
        time.sleep(0.01)
    return answer
