"""The programs of the building machine: which are needed, where they are, and how they are run."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

# Programs and the Debian package each comes from.
NEEDED = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mformat": "mtools",
    "mmd": "mtools",
    "mcopy": "mtools",
    "qemu-img": "qemu-utils",
}
# Ordinary users often have no sbin in their PATH, and file systems are made by programs that live there.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
TIMEOUT_SECONDS = 600


class BuildFailed(Exception):
    """The image cannot be built; the message says why and, where it is known, what would cure it."""


def missing_programs(path: str = SEARCH_PATH) -> dict[str, str]:
    """What the build needs and `path` has not: program -> Debian package."""
    return {name: package for name, package in NEEDED.items() if shutil.which(name, path=path) is None}


def require_programs(path: str = SEARCH_PATH) -> None:
    """Raises BuildFailed, which names what is missing and the packages that bring it."""
    missing = missing_programs(path)
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise BuildFailed(
            f"building the guest image needs {', '.join(sorted(missing))};"
            f" on Debian and Ubuntu: apt-get install {packages}"
        )


def run(
    *command: str | Path,
    cwd: Path | None = None,
    text_in: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed; BuildFailed with its complaint when it fails."""
    words = [str(word) for word in command]
    program = shutil.which(words[0], path=SEARCH_PATH)
    if program is None:
        raise BuildFailed(f"no program {words[0]} on this machine")
    try:
        done = subprocess.run(
            [program, *words[1:]],
            cwd=cwd,
            input=text_in,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": SEARCH_PATH, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{words[0]} took longer than {TIMEOUT_SECONDS} s") from error
    if done.returncode:
        complaint = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise BuildFailed(f"{' '.join(words[:3])}: {complaint[-2000:]}")
    return done.stdout
