"""The process that owns a sandbox's namespaces: makes them (or joins a lost holder's), then waits for its end."""

import json
import os
import sys
import uuid
from contextlib import suppress
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pileus.sandbox import syscalls
from pileus.sandbox.processes import Process, replace

RESOLVER = "198.51.100.3"

# Numbers of namespaces are given out again as soon as they are free; this file in them is what nobody else has.
TOKEN = Path("/run/pileus-sandbox")
# The sandbox's own network, kept by the mounts: guests live in other networks, and one of them may be all that is left.
NETWORK = Path("/run/pileus-network")


def mount_private(state_dir: Path) -> None:
    """Own /run and /sys; mounts made here stay here, while what the machine unmounts goes away here as well."""
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
    resolver_file = Path(os.path.realpath("/etc/resolv.conf"))
    kept = [Path("/run/user")]
    if state_dir.is_relative_to("/run") and not state_dir.is_relative_to("/run/user"):
        kept.append(state_dir)
    handles = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in kept if path.exists()}
    syscalls.mount("tmpfs", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=64m")
    TOKEN.write_text(uuid.uuid4().hex)
    NETWORK.touch()
    syscalls.mount("/proc/self/ns/net", str(NETWORK), None, syscalls.MS_BIND)
    Path("/run/netns").mkdir()
    Path("/run/lock").mkdir(mode=0o1777)
    for path, handle in handles.items():
        path.mkdir(parents=True, exist_ok=True)
        syscalls.mount(f"/proc/self/fd/{handle}", str(path), None, syscalls.MS_BIND | syscalls.MS_REC)
        os.close(handle)
    _mount_resolver(resolver_file)
    _mount_sys()


def _mount_resolver(resolver_file: Path) -> None:
    """Names are asked of pasta: a resolver on the machine's own loopback is out of reach from inside."""
    text = f"nameserver {RESOLVER}\n"
    if resolver_file.is_relative_to("/run"):
        resolver_file.parent.mkdir(parents=True, exist_ok=True)
        resolver_file.write_text(text)
    elif resolver_file.exists():
        own = Path("/run/resolv.conf")
        own.write_text(text)
        syscalls.mount(str(own), str(resolver_file), None, syscalls.MS_BIND)


def _mount_sys() -> None:
    """/sys shows the network of whoever mounted it, so it is mounted anew; control groups are put back on top."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    groups = Path("/sys/fs/cgroup")
    handle = os.open(groups, os.O_PATH | os.O_CLOEXEC) if groups.is_dir() else None
    read_only = os.statvfs("/sys").f_flag & os.ST_RDONLY
    try:
        syscalls.mount("sysfs", "/sys", "sysfs", flags | (syscalls.MS_RDONLY if read_only else 0))
    except PermissionError as error:
        # Containers that hide parts of /sys may not show the whole of it: only /sys/class/net is then the machine's.
        print(f"/sys stays the machine's: {error}", file=sys.stderr, flush=True)
        handle = os.close(handle) if handle is not None else None
    if handle is not None:
        syscalls.mount(f"/proc/self/fd/{handle}", str(groups), None, syscalls.MS_BIND | syscalls.MS_REC)
        os.close(handle)


def make(state_dir: Path) -> bool:
    """Returns whether it made a user namespace too."""
    own_user = syscalls.needs_user_namespace()
    if own_user:
        syscalls.own_namespaces(os.geteuid(), os.getegid())
        syscalls.keep_capabilities()
    else:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
    mount_private(state_dir)
    syscalls.loopback_up()
    return own_user


def join(pid: int) -> bool:
    """Hold the namespaces of a process that has their mounts, whichever of the networks in there it is in."""
    own_user = os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino
    fd = os.pidfd_open(pid)
    syscalls.setns(fd, syscalls.joined_flags(own_user))
    os.close(fd)
    fd = os.open(NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(fd, syscalls.CLONE_NEWNET)
    os.close(fd)
    return own_user


def record(state_dir: Path, own_user: bool) -> None:
    """Tell whoever comes next who holds what. Done by the holder itself: its starter may be killed at any moment."""
    process = Process.of(os.getpid())
    kinds = ("user", "mnt", "net") if own_user else ("mnt", "net")
    namespaces = {kind: os.stat(f"/proc/self/ns/{kind}").st_ino for kind in kinds}
    text = json.dumps({"process": vars(process), "namespaces": namespaces, "token": TOKEN.read_text()})
    replace(state_dir / "run" / "sandbox.json", text)
    replace(state_dir / "run" / "sandbox.pid", f"{process.pid}\n")


def close_others(*kept: int) -> None:
    """Whatever else the starter had open must not stay open for as long as the sandbox lasts."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))


def main(state: str, ready_fd: str, lock_fd: str, joined: str | None = None) -> None:
    """Answers on one descriptor; the other is the lock, held until then though its starter may be killed meanwhile."""
    state_dir = Path(state)
    close_others(int(ready_fd), int(lock_fd))
    answer: dict[str, object] = {}
    try:
        own_user = join(int(joined)) if joined else make(state_dir)
        os.chdir("/")
        record(state_dir, own_user)
    except OSError as error:
        answer = {"errno": error.errno, "error": str(error)}
    os.close(int(lock_fd))
    os.write(int(ready_fd), json.dumps(answer).encode())
    os.close(int(ready_fd))
    if answer:
        sys.exit(1)
    # Nothing is left to do but to be there, for which an interpreter's memory is too much.
    os.execvp("sleep", ["sleep", "infinity"])


if __name__ == "__main__":
    main(*sys.argv[1:])
