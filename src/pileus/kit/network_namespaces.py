"""Network namespaces, entered only while one socket is opened or one setting is written."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def entered(path: str | Path) -> Iterator[None]:
    """The calling thread is in the namespace inside the block: no await in it, and nothing that starts a thread. It
    needs no right to stay where it is. Raises OSError."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            leaves = not os.path.sameopenfile(home, there)
            if leaves:
                _set(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            if leaves:
                _set(home)
    finally:
        os.close(home)


def _set(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter network namespace: {os.strerror(number)}")
