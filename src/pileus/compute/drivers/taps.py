"""Tap interfaces of guests: made, and taken away again, inside a network namespace."""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

TUN_DEVICE = "/dev/net/tun"
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
SIOCGIFINDEX, SIOCSIFMTU = 0x8933, 0x8922
CLONE_NEWNET = 0x40000000

T = TypeVar("T")


def ensure_tap(name: str, mtu: int, namespace: Path | None, *, many_queues: bool = False) -> None:
    """A persistent tap of this name and MTU, down. One that is there keeps its state. Raises OSError."""

    def make() -> None:
        if not persist(name, True, many_queues=many_queues):
            raise OSError(errno.EEXIST, "an interface of that name is there and is no tap", name)
        request = struct.pack("16si12x", name.encode(), mtu)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SIOCSIFMTU, request)

    in_namespace(namespace, make)


def remove_tap(name: str, namespace: Path | None) -> None:
    """No tap of this name. Already so, or no such namespace any more: do nothing. Raises OSError.

    An interface of that name that is no tap is not ours, and stays.
    """

    def unmake() -> None:
        if interface_exists(name) and not persist(name, False):
            persist(name, False, many_queues=True)

    if namespace is None or namespace.exists():
        in_namespace(namespace, unmake)


def taps_present(names: list[str], namespace: Path | None) -> list[str]:
    if namespace is not None and not namespace.exists():
        return []
    return in_namespace(namespace, lambda: [name for name in names if interface_exists(name)])


def interface_exists(name: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, SIOCGIFINDEX, struct.pack("16s24x", name.encode()))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
    return True


def persist(name: str, wanted: bool, *, many_queues: bool = False) -> bool:
    """Attach to the tap, making it if need be, and say whether it stays when nobody is; False if it is no tap, or
    not of that kind."""
    descriptor = os.open(TUN_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if many_queues else 0)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fcntl.ioctl(descriptor, TUNSETPERSIST, int(wanted))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        error.filename = name
        raise
    finally:
        os.close(descriptor)
    return True


def in_namespace(namespace: Path | None, work: Callable[[], T]) -> T:
    """Do `work` in a thread of its own that enters the namespace and ends there: the others stay where they are."""
    if namespace is None:
        return work()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def enter_and_work() -> None:
        try:
            enter(namespace)
            outcome.append(work())
        except BaseException as error:  # handed to the caller below
            failure.append(error)

    thread = threading.Thread(target=enter_and_work, name=f"in {namespace.name}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def enter(namespace: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(namespace))
    finally:
        os.close(descriptor)
