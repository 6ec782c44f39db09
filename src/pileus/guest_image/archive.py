"""Debian packages: what belongs together, fetched with apt into a folder that is kept, and unpacked."""

import concurrent.futures
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pileus.guest_image.programs import BuildFailed, run

# Never wanted in a guest without a package manager.
UNWANTED = {"adduser", "debconf", "dpkg", "init-system-helpers", "perl-base", "tar", "usrmerge"}


class Archive:
    """The machine's package sources, and a folder of packages taken from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.versions: dict[str, str] = {}

    def closure(self, names: Iterable[str]) -> dict[str, str]:
        """Packages and versions that a system with nothing on it needs in order to have `names`."""
        plan = run(
            "apt-get", "-s", "-o", "Dir::State::status=/dev/null", "-o", "Debug::NoLocking=1",
            "--no-install-recommends", "-y", "install", *names,
        )  # fmt: skip
        found: dict[str, str] = dict(re.findall(r"^Inst (\S+) \((\S+) ", plan, re.M))
        return {name: version for name, version in found.items() if name not in UNWANTED}

    def candidate(self, name: str) -> str | None:
        """The version apt would install, or None when the sources do not have the package."""
        found = re.search(r"Candidate: (\S+)", run("apt-cache", "policy", name))
        return None if found is None or found.group(1) == "(none)" else found.group(1)

    def version(self, name: str) -> str:
        version = self.candidate(name)
        if version is None:
            raise BuildFailed(f"the package sources of this machine have no {name}; has `apt-get update` been run?")
        return version

    def kernel(self, names: Iterable[str]) -> dict[str, str]:
        """The first of some kernel packages that there is, with its packages of files: {name: version}."""
        for name in names:
            if self.candidate(name):
                break
        else:
            raise BuildFailed(f"the package sources have none of {', '.join(names)}; has `apt-get update` been run?")
        found: dict[str, str] = {}
        pending = [name]
        while pending:
            depends = run("apt-cache", "depends", "--no-recommends", "--no-suggests", pending.pop())
            for package in re.findall(r"Depends: (linux-(?:image|modules)-\S+)", depends):
                if package not in found:
                    found[package] = self.version(package)
                    pending.append(package)
        return found or {name: self.version(name)}

    def fetch(self, packages: dict[str, str]) -> list[Path]:
        """The .deb files of {name: version}."""
        self.versions.update(packages)
        missing = [f"{name}={version}" for name, version in packages.items() if not self._file(name, version)]
        if missing:
            run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *missing, cwd=self.folder)
        files = {name: self._file(name, version) for name, version in packages.items()}
        absent = [name for name, file in files.items() if file is None]
        if absent:
            raise BuildFailed(f"apt-get download did not bring {', '.join(absent)}")
        return [file for file in files.values() if file is not None]

    def _file(self, name: str, version: str) -> Path | None:
        quoted = version.replace(":", "%3a")
        return next(self.folder.glob(f"{name}_{quoted}_*.deb"), None)


def unpack(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda file: run("dpkg-deb", "-x", file, folder), files))
