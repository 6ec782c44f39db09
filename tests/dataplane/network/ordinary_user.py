"""Runs tests of this folder in namespaces of an ordinary user: python -m tests.dataplane.network.ordinary_user [-k ...]

Works for root, who becomes nobody first, and for everybody else.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
NEEDED = "import h11, msgspec, pytest, pytest_asyncio"


def environment() -> dict[str, str]:
    path = os.pathsep.join((str(ROOT), sysconfig.get_paths()["purelib"]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/tmp"}


def interpreter(prefix: list[str]) -> str:
    """The first Python that this user may run and that finds the libraries."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [*prefix, "unshare", "--user", candidate, "-c", NEEDED]
        found = subprocess.run(command, env=environment(), cwd="/", capture_output=True, check=False)
        if found.returncode == 0:
            return candidate
    raise SystemExit("no Python that an ordinary user may run has the libraries of the tests")


def outside(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    prefix = NOBODY if os.geteuid() == 0 else []
    command = [*prefix, "unshare", "--user", "--map-root-user", "--net", "--mount"]
    command += ["--propagation", "private", interpreter(prefix), "-m", "tests.dataplane.network.ordinary_user"]
    return subprocess.run(
        [*command, "--inside", *arguments],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=False)


def inside(arguments: list[str]) -> int:
    """In the new namespaces: names of network namespaces go to a /run of our own."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    suite = Path(__file__).with_name("test_engine_conformance.py")
    return pytest.main(["-p", "no:cacheprovider", str(suite), *arguments])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        raise SystemExit(inside(sys.argv[2:]))
    done = outside(sys.argv[1:])
    print(done.stdout + done.stderr, end="")
    raise SystemExit(done.returncode)
