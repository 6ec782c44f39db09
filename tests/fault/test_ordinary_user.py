"""From nothing to a login, without root: `pileus demo` as user nobody."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.processes.build_guest_image import PREBUILT, disk_of
from tests.fault.cloud import SOURCES, free_port

USER = 65534                 # nobody: ssh works only for users that have an account
# Programs that root starts for others may be run by rights of root that those do not pass on.
USABLE = "import subprocess, sys, httpx, msgspec, uvloop; subprocess.run([sys.executable, '-V'], check=True)"


class Person:
    """Runs programs with a home, a copy of the sources and libraries that this user may read."""

    def __init__(self, folder: Path, image: Path):
        self.folder = folder
        shutil.copytree(SOURCES, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "image").mkdir()
        shutil.copyfile(disk_of(image), disk_of(folder / "image"))
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, USER, USER)
            self.prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), PREBUILT: str(folder / "image"),
            "PYTHONPATH": os.pathsep.join((str(folder / "src"), sysconfig.get_paths()["purelib"]))}
        self.python = next(each for each in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")
                           if self.run([each, "-c", USABLE]).returncode == 0)

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.prefix, *command], env=self.environment, cwd=self.folder, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=240, check=False)

    def pileus(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run([self.python, "-m", "pileus", name, "--state", str(self.folder / "cloud"), *words])

    def said(self) -> str:
        """By the cloud's own process."""
        log = self.folder / "cloud" / "log" / "pileus.out"
        return log.read_text()[-3000:] if log.exists() else ""


@pytest.fixture
def person(image: Path) -> Iterator[Person]:
    folder = Path(tempfile.mkdtemp(prefix="pileus-person-"))
    someone = Person(folder, image)
    yield someone
    if (folder / "cloud").exists():
        done = someone.pileus("destroy", "--yes")
        assert done.returncode == 0, done.stderr
    assert not (folder / "cloud").exists()
    shutil.rmtree(folder)


def test_the_demo_reaches_the_login(person: Person):
    """With /dev/net/tun open to all, as distributions have it."""
    os.chmod("/dev/net/tun", 0o666)
    done = person.pileus("demo", "--port", str(free_port()))
    assert done.returncode == 0, done.stdout + done.stderr + person.said()
    assert "| Linux " in done.stdout
    assert "| instance-id: i-" in done.stdout, "the guest's metadata"
    status = person.pileus("status")
    assert status.returncode == 0, status.stdout
