"""The link between a sandbox and the machine: one `pasta` process per sandbox, listening on loopback only."""

import hashlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pileus.sandbox import checks
from pileus.sandbox.checks import SandboxError
from pileus.sandbox.holder import RESOLVER
from pileus.sandbox.processes import Process, collect

NAME = "eth0"
# Of a network reserved for documentation: it must collide neither with the networks of users nor with the machine's.
ADDRESS = "198.51.100.2"
GATEWAY = "198.51.100.1"

START_SECONDS = 5.0


@dataclass(frozen=True)
class Uplink:
    """`ports` of the machine's 127.0.0.1 lead inside."""

    ports: tuple[int, ...] = ()

    def argv(self, holder: Process, own_user_namespace: bool) -> list[str]:
        argv = ["pasta", "--foreground", "--quiet", "--ipv4-only", "--config-net", "--ns-ifname", NAME]
        argv += ["--address", ADDRESS, "--netmask", "24", "--gateway", GATEWAY, "--dns-forward", RESOLVER]
        argv += ["--no-map-gw", "--mac-addr", mark(holder)]
        if not has_default_route():
            # Without one pasta finds no interface to copy from, and gives up unless told which.
            argv += ["--interface", "lo"]
        forwards = [word for port in self.ports for word in ("--tcp-ports", f"127.0.0.1/{port}")]
        argv += [*(forwards or ["--tcp-ports", "none"]), "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]
        if own_user_namespace:
            return [*argv, str(holder.pid)]
        # Root's pasta would become nobody and then may not open the network; it is handed over as standard input.
        return [*argv, "--runas", "0", "--netns-only", "--netns", "/proc/self/fd/0"]


def mark(holder: Process) -> str:
    """The gateway's hardware address: the place where a pasta's arguments tell whose it is."""
    digest = hashlib.sha256(f"{holder.boot} {holder.pid} {holder.start}".encode()).hexdigest()
    return "02:" + ":".join(digest[at : at + 2] for at in range(0, 10, 2))


def has_default_route() -> bool:
    rows = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    return any(row[1] == "00000000" and row[7] == "00000000" for row in rows)


def start(uplink: Uplink, holder: Process, own_user_namespace: bool, log: Path) -> Process:
    program = checks.program("pasta")
    missing = [found for found in (checks.pasta(), *map(checks.port, uplink.ports)) if found]
    if missing or program is None:
        raise SandboxError("the sandbox has no link to this machine", missing)
    log.write_text("")
    argv = uplink.argv(holder, own_user_namespace)
    network = "/dev/null" if own_user_namespace else f"/proc/{holder.pid}/ns/net"
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, network, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_APPEND, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in inheritable_files()]
    # Python ignores SIGPIPE, and pasta refuses to start where that is inherited.
    spawned = os.posix_spawn(program, argv, os.environ, file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE])
    process = Process.of(spawned)
    until = time.monotonic() + START_SECONDS
    while not is_up(holder):
        if not process.alive:
            collect(process.pid)
            tun = checks.tun()
            raise SandboxError(f"pasta ended at once: {_last_words(log)}", [tun] if tun else [])
        if time.monotonic() > until:
            raise SandboxError(f"pasta made no link within {START_SECONDS:g} s: {_last_words(log)}")
        time.sleep(0.002)
    return process


def inheritable_files() -> list[int]:
    """What whoever started us left open: a process that lasts must not hold it."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            # The one that listed the folder.
            continue
    return found


def is_up(holder: Process) -> bool:
    """True when the network of the holder has the default route that pasta makes last."""
    path = Path(f"/proc/{holder.pid}/net/route")
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return any(row[0] == NAME and row[1] == "00000000" for row in rows)


def find(holder: Process) -> Process | None:
    """The pasta of this holder by its arguments: its starter may have been killed before it noted the pid."""
    word = mark(holder).encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and word in _arguments(entry):
            process = Process.of(int(entry.name))
            if process.alive:
                return process
    return None


def _arguments(process: Path) -> list[bytes]:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return words if words[0].endswith(b"pasta") else []


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if "to syslog" not in line]
    return "; ".join(lines[-3:]) or "it said nothing"
