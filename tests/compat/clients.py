"""The unmodified clients, each from the package index in an environment of its own, pointed at a cloud of ours."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pileus"
OPENSTACK, NOVA = "python-openstackclient>=7,<12", "python-novaclient>=18,<19"
CLIENTS = (OPENSTACK, "oauthlib>=3.2,<5", "lxml>=5,<7")             # with what it needs for OAuth 1.0a and SAML

# The client takes a second to be imported, so one process of it runs all commands, each as if typed by itself.
RUNNER = r"""
import contextlib, io, json, sys
from openstackclient import shell
asked = json.load(sys.stdin)
names, done = asked["names"], []
for words, keep in asked["script"]:
    out, err = io.StringIO(), io.StringIO()
    argv = [word.format(**names) for word in words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = shell.main(argv)
        except SystemExit as error:                # of words that it does not understand
            status = error.code
    status = 0 if isinstance(status, tuple) else status      # `federation protocol set` returns what others print
    done.append({"words": argv, "status": status, "out": out.getvalue(), "err": err.getvalue()})
    if status:
        break
    if keep:
        said = json.loads(out.getvalue())
        said = said[0] if isinstance(said, list) else said
        names |= {name: said.get(field, 'UNKNOWN ' + field) for name, field in keep.items()}
print(json.dumps(done))
"""
Kept = dict[str, str]                      # names by which later commands know fields of an answer


def programs(name: str, *packages: str) -> Path:
    """The folder of the programs of these packages; their environment is made once."""
    folder, wanted = CACHE / name, "\n".join([*packages, sys.version])
    stamp = folder / "holds"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)                        # another process of the tests may be making it
        if not stamp.exists() or stamp.read_text() != wanted:
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *packages],
                           check=True)
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

    def openstack_verbs(self, asked: Sequence[tuple[str, Kept]], silent: Callable[[list[str]], bool],
                        names: Kept) -> list[dict[str, Any]]:
        """What the client says to each command, as an administrator; words may hold {names}. All must succeed."""
        script = [([*line.split(), *([] if silent(line.split()) else ["-f", "json"])], keep) for line, keep in asked]
        done = json.loads(self.run("python", "-c", RUNNER, cloud="pileus-admin",
                                   stdin=json.dumps({"names": names, "script": script})))
        failed = [f"{' '.join(each['words'])}: {each['err'] or each['out']}" for each in done if each["status"]]
        assert not failed, "\n".join(failed)
        return done

    def openstack(self, *words: str, cloud: str = "pileus"):
        """What the client prints, as JSON; some commands print nothing."""
        silent = words[1] in ("delete", "stop", "start", "reboot", "set", "unset") or words[:2] in (
            ("router", "add"), ("router", "remove")) or words[:3] in (
            ("security", "group", "delete"), ("floating", "ip", "delete"), ("server", "add", "floating"))
        said = self.run("openstack", *words, *([] if silent else ["-f", "json"]), cloud=cloud)
        return None if silent else json.loads(said)
