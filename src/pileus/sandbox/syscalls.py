"""The few system calls of namespaces, mounts and capabilities that the standard library lacks."""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000

CAP_NET_ADMIN = 12
CAP_SYS_ADMIN = 21

_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    """Join namespaces; with a pidfd, all the named ones of that process at once."""
    _check(_libc.setns(fd, flags), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    kind_bytes = kind.encode() if kind else None
    data = options.encode() if options else None
    result = _libc.mount(os.fsencode(source), os.fsencode(target), kind_bytes, ctypes.c_ulong(flags), data)
    _check(result, f"mount {kind or source} on {target}")


def effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise OSError("/proc/self/status has no line CapEff")


def holds(*capabilities: int) -> bool:
    held = effective_capabilities()
    return all(held >> number & 1 for number in capabilities)


def keep_capabilities() -> None:
    """Let programs started from here keep every capability held, though their uid is not 0 (ambient capabilities)."""
    header = struct.pack("=II", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data), "capget")
    low_effective, low, _, high_effective, high, _ = struct.unpack("=6I", data.raw)
    data.raw = struct.pack("=6I", low_effective, low, low, high_effective, high, high)
    _check(_libc.capset(header, data), "capset")
    permitted = low | high << 32
    for number in range(permitted.bit_length()):
        if permitted >> number & 1:
            _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0), f"capability {number}")


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", answer)[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def own_namespaces(uid: int, gid: int) -> None:
    """A new user namespace in which we stay who we are but may do everything, with new mounts and a new network."""
    unshare(CLONE_NEWUSER)
    # The kernel lets an ordinary user map a group only where setgroups is denied.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    unshare(CLONE_NEWNS | CLONE_NEWNET)


def needs_user_namespace() -> bool:
    """Root that may administer the machine joins no user namespace; root of a poor container does, as any user."""
    return not (os.geteuid() == 0 and holds(CAP_SYS_ADMIN, CAP_NET_ADMIN))


def joined_flags(own_user: bool) -> int:
    return CLONE_NEWNS | CLONE_NEWNET | (CLONE_NEWUSER if own_user else 0)
