"""What this machine lacks for a sandbox, each with the reason and the cure."""

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pileus.sandbox import syscalls

TUN = Path("/dev/net/tun")
BRIDGE_FILTER = Path("/proc/sys/net/bridge")
SYSCTLS = Path("/proc/sys")


@dataclass(frozen=True)
class Missing:
    what: str
    why: str
    cure: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}\n    cure: {self.cure}"


class SandboxError(Exception):
    """The sandbox cannot be made or joined; `missing` says what to change, where a check knows it."""

    def __init__(self, text: str, missing: list[Missing] | None = None) -> None:
        self.missing = missing or []
        super().__init__("\n".join([text, *map(str, self.missing)]))


def all_missing(state_dir: Path, ports: list[int]) -> list[Missing]:
    found = [state_folder(state_dir), user_namespaces(), tun(), bridge_filter(), pasta(), *map(port, ports)]
    return [missing for missing in found if missing]


def program(name: str) -> str | None:
    """Where a program is; system folders count though they are on no ordinary user's PATH."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin"]))


def pasta() -> Missing | None:
    if program("pasta"):
        return None
    return Missing(
        "pasta",
        "the program that links the cloud's network with this machine is not installed",
        "sudo apt-get install passt    (Debian 12, Ubuntu 23.04 or newer)",
    )


def tun() -> Missing | None:
    if not TUN.exists():
        return Missing(
            str(TUN),
            "it does not exist, so guests cannot be given network cards",
            "sudo modprobe tun    (in a container: start it with --device /dev/net/tun)",
        )
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError:
        return Missing(
            str(TUN),
            f"user {os.geteuid()} may not read and write it, so guests cannot be given network cards",
            "sudo chmod 0666 /dev/net/tun    (the usual mode; it gives nobody a right over the machine's network)",
        )
    except OSError as error:
        return Missing(str(TUN), f"it does not open: {error.strerror}", "sudo modprobe tun")
    return None


def bridge_filter() -> Missing | None:
    """Bridged packets meet the filters of security groups only where the kernel has this part, often a module."""
    if BRIDGE_FILTER.exists():
        return None
    return Missing(
        "br_netfilter",
        "the kernel filters no bridged packets, so security groups would not hold",
        "sudo modprobe br_netfilter; echo br_netfilter | sudo tee /etc/modules-load.d/pileus.conf",
    )


def user_namespaces() -> Missing | None:
    """Tries it in a child, and looks for the reason only where that fails."""
    if not syscalls.needs_user_namespace():
        return None
    error = _try_namespaces()
    return refusal(error, sysctl) if error else None


def _try_namespaces() -> str | None:
    uid, gid = os.geteuid(), os.getegid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.own_namespaces(uid, gid)
            # AppArmor of Ubuntu lets the namespace be made, and then refuses what it was made for.
            syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
            syscalls.loopback_up()
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text or None


def refusal(error: str, sysctl: Callable[[str], int | None]) -> Missing:
    """Why namespaces are refused, as the kernel's settings tell it."""
    what = "user namespaces"
    more = _sysctl_cure("user.max_user_namespaces=10000")
    if sysctl("kernel.unprivileged_userns_clone") == 0:
        cure = _sysctl_cure("kernel.unprivileged_userns_clone=1")
        return Missing(what, "kernel.unprivileged_userns_clone is 0, so only root may make them", cure)
    if sysctl("user.max_user_namespaces") == 0:
        return Missing(what, "user.max_user_namespaces is 0, so nobody may make any", more)
    if sysctl("kernel.apparmor_restrict_unprivileged_userns") == 1:
        return Missing(
            what,
            f"AppArmor gives users no rights in them (kernel.apparmor_restrict_unprivileged_userns is 1): {error}",
            "allow them to this program alone:\n"
            f"        printf 'abi <abi/4.0>,\\nprofile pileus {_interpreter()} flags=(unconfined) {{ userns, }}\\n' | "
            "sudo tee /etc/apparmor.d/pileus && sudo apparmor_parser -r /etc/apparmor.d/pileus\n"
            f"      or to every program: {_sysctl_cure('kernel.apparmor_restrict_unprivileged_userns=0')}",
        )
    if "No space" in error:
        return Missing(what, f"as many as user.max_user_namespaces allows are in use: {error}", more)
    return Missing(
        what,
        f"the kernel or the container around us refuses them: {error}",
        "in a container: start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --device /dev/net/tun; elsewhere: run as root (sudo)",
    )


def _interpreter() -> str:
    """The path AppArmor sees: that of the program itself, behind the links of a virtual environment."""
    return os.path.realpath(sys.executable)


def _sysctl_cure(setting: str) -> str:
    return f"sudo sysctl -w {setting} && echo '{setting}' | sudo tee /etc/sysctl.d/60-pileus.conf"


def sysctl(name: str) -> int | None:
    path = SYSCTLS / name.replace(".", "/")
    return int(path.read_text()) if path.exists() else None


def state_folder(folder: Path) -> Missing | None:
    """The nearest folder that exists decides: what is missing below it will be made."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        return Missing(f"state folder {folder}", f"{nearest} is a file", "name another folder with --state DIR")
    if os.access(nearest, os.W_OK | os.X_OK) and not os.statvfs(nearest).f_flag & os.ST_RDONLY:
        return None
    owner = nearest.stat().st_uid
    return Missing(
        f"state folder {folder}",
        f"user {os.geteuid()} may not write in {nearest} (it belongs to user {owner})",
        f"name another folder with --state DIR, or: sudo chown {os.geteuid()} {nearest}",
    )


def port(number: int) -> Missing | None:
    what = f"port {number}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
            probe.listen(1)
        except PermissionError:
            lowest = sysctl("net.ipv4.ip_unprivileged_port_start")
            return Missing(what, f"ports below {lowest} are root's", f"take another: --port {free_port()}")
        except OSError as error:
            owner = port_owner(number)
            why = f"{owner} listens on it" if owner else f"127.0.0.1:{number}: {error.strerror}"
            return Missing(what, why, f"end that program, or take another port: --port {free_port()}")
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_owner(number: int) -> str | None:
    """Name and pid of the program that listens on a port, as far as we may look into other people's processes."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            inodes |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{number:04X}")}
    for entry in Path("/proc").iterdir():
        if inodes and entry.name.isdigit() and _has_open(entry, inodes):
            return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return None


def _has_open(process: Path, names: set[str]) -> bool:
    try:
        return any(os.readlink(handle.path) in names for handle in os.scandir(process / "fd"))
    except OSError:
        # It ended meanwhile, or is somebody else's.
        return False
