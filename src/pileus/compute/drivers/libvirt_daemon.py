"""A libvirtd of our own: in a folder, in a network namespace, without systemd, apart from one the machine may have."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x1000, 0x4000, 0x40000, 2
# What libvirtd looks for at fixed places, when root runs it.
PLACES = {"etc": "/etc/libvirt", "lib": "/var/lib/libvirt", "run": "/run/libvirt", "log": "/var/log/libvirt",
          "cache": "/var/cache/libvirt"}  # fmt: skip
QEMU_CONFIG = """user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
UNIFIED = "/sys/fs/cgroup/unified"
USER = GROUP = "libvirt-qemu"
START_SECONDS = 30.0
LONGEST = 100  # characters of a socket's path


class DaemonFailed(Exception):
    """libvirtd did not start; the message says why."""


def socket_of(folder: Path) -> Path:
    return folder / ("run/libvirt-sock" if os.geteuid() == 0 else "run/libvirt/libvirt-sock")


def uri_of(folder: Path, scheme: str = "qemu") -> str:
    return f"{scheme}:///{'system' if os.geteuid() == 0 else 'session'}?socket={socket_of(folder)}"


def ensure_daemon(folder: Path, namespace: Path | None, scheme: str = "qemu", *,
                  certificates: Path | None = None) -> str:
    """The URI of the folder's libvirtd, which lives on when we do not. Already there: nothing more. `scheme`: which of
    its hypervisors is meant. `certificates`: of the host, by which guests get at volumes of others.

    The folder's path has to be short: sockets are in it. Raises DaemonFailed.
    """
    if len(str(socket_of(folder.absolute()))) > LONGEST:
        raise DaemonFailed(f"the path of {folder} is too long: sockets are in it")
    for name in (*PLACES, "config", "data"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "etc/qemu.conf").write_text(QEMU_CONFIG + (
        f'nbd_tls_x509_cert_dir = "{certificates}"\n' if certificates else ""))
    (folder / "etc/libvirtd.conf").write_text('auth_unix_rw = "none"\n')
    if not is_running(folder):
        inside = ["nsenter", f"--net={namespace}", "--"] if namespace is not None else []
        with open(folder / "output", "ab") as output:
            child = subprocess.Popen(
                [*inside, sys.executable, "-m", __name__, str(folder)], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True)  # fmt: skip
        await_answer(folder, child)
    return uri_of(folder, scheme)


def is_running(folder: Path) -> bool:
    """It holds a lock on its pid file as long as it lives."""
    try:
        with open(folder / "pid", "a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def await_answer(folder: Path, child: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if child.poll() is not None:
            break
        asked = subprocess.run(["virsh", "-q", "-c", uri_of(folder), "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return
        time.sleep(0.1)
    told = (folder / "output").read_text(errors="replace").strip().splitlines()
    raise DaemonFailed(f"libvirtd did not start: {' '.join(told[-2:])}")


def stop_daemon(folder: Path) -> None:
    """Guests run on. None there: do nothing. Raises DaemonFailed if it does not end."""
    if is_running(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
        give_up = time.monotonic() + START_SECONDS
        while is_running(folder):
            if time.monotonic() > give_up:
                raise DaemonFailed(f"libvirtd in {folder} does not end")
            time.sleep(0.05)


def named(folder: Path) -> None:
    """It asks for its user and group before it reads that it is to use others."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        for file, line in (("passwd", f"{USER}:x:64055:64055::/nonexistent:/usr/sbin/nologin\n"),
                           ("group", f"{GROUP}:x:64055:\n")):  # fmt: skip
            text = Path("/etc", file).read_text()
            known = any(each.startswith(f"{line.partition(':')[0]}:") for each in text.splitlines())
            (folder / file).write_text(text if known else f"{text.rstrip()}\n{line}")
            bind(folder / file, Path("/etc", file))


def bind(source: Path, target: Path) -> None:
    mount(str(source), str(target), MS_BIND)


def mount(source: str, target: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), None, flags, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def main(folder: Path) -> None:
    """In the place of this process: libvirtd with the folder for everything it keeps."""
    environment = dict(os.environ)
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "no mount namespace of its own")
        mount("none", "/", MS_REC | MS_PRIVATE)
        if os.path.ismount(UNIFIED):  # beside the older kind, libvirt 9.0 starts no container with it
            libc.umount2(UNIFIED.encode(), MNT_DETACH)
        for name, place in PLACES.items():
            Path(place).mkdir(parents=True, exist_ok=True)
            bind(folder / name, Path(place))
        named(folder)
    else:
        environment |= {"XDG_RUNTIME_DIR": str(folder / "run"), "XDG_CONFIG_HOME": str(folder / "config"),
                        "XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data")}  # fmt: skip
    words = ["libvirtd", "--config", str(folder / "etc/libvirtd.conf"), "--pid-file", str(folder / "pid")]
    os.execvpe("libvirtd", words, environment)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
