"""The unmodified clients, each from the package index in an environment of its own, pointed at a cloud of ours."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pileus"
OPENSTACK, NOVA = "python-openstackclient>=7,<12", "python-novaclient>=18,<19"
CLIENTS = (OPENSTACK, "oauthlib>=3.2,<5", "lxml>=5,<7")             # with what it needs for OAuth 1.0a and SAML


def programs(name: str, *packages: str) -> Path:
    """The folder of the programs of these packages; their environment is made once."""
    folder, wanted = CACHE / name, "\n".join([*packages, sys.version])
    stamp = folder / "holds"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
        stamp.write_text(wanted)
    return folder / "bin"


class Cloud:
    """A cloud started by `pileus up`, and the unmodified client pointed at it."""

    def __init__(self, folder: Path, programs: Path):
        self.state, self.programs = folder / "state", programs
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def pileus(self, name: str, *words: str, status: int = 0) -> str:
        """What a command of ours prints, and, where it has to fail, why."""
        environ = dict(os.environ, PYTHONPATH=str(ROOT / "src"))
        done = subprocess.run([sys.executable, "-m", "pileus", name, "--state", str(self.state), *words], env=environ,
                              capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + (done.stderr if status else "")

    def inside(self, *words: str) -> str:
        """What a client says that runs where floating IPs answer."""
        return self.pileus("shell", "--", str(self.programs / words[0]), *words[1:])

    def run(self, *words: str, cloud: str = "pileus", stdin: str = "") -> str:
        environ = dict(os.environ, OS_CLIENT_CONFIG_FILE=str(self.state / "clouds.yaml"), OS_CLOUD=cloud)
        done = subprocess.run([self.programs / words[0], *words[1:]], env=environ, capture_output=True, text=True,
                              check=False, timeout=300, input=stdin)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def openstack(self, *words: str, cloud: str = "pileus"):
        """What the client prints, as JSON; some commands print nothing."""
        silent = words[1] in ("delete", "stop", "start", "reboot", "set", "unset") or words[:2] in (
            ("router", "add"), ("router", "remove")) or words[:3] in (
            ("security", "group", "delete"), ("floating", "ip", "delete"), ("server", "add", "floating"))
        said = self.run("openstack", *words, *([] if silent else ["-f", "json"]), cloud=cloud)
        return None if silent else json.loads(said)
