"""Network namespaces: made and removed by name, entered only while one socket is opened or one setting written."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TypeVar

from pileus.kit import network_namespaces
from pileus.network.engine.linux import names
from pileus.network.engine.linux.run import run

T = TypeVar("T")
FOLDER = Path("/run/netns")
HERE = "/proc/self/ns/net"     # the namespace the process runs in


def path_of(namespace: str) -> str:
    if namespace == HERE:
        return _own()
    return namespace if "/" in namespace else str(FOLDER / namespace)


@cache
def _own() -> str:
    """The process's own namespace, held open: its first thread may be in another one just when this is asked."""
    return f"/proc/self/fd/{os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)}"


def entered(namespace: str) -> AbstractContextManager[None]:
    return network_namespaces.entered(path_of(namespace))


def inside(namespace: str, make: Callable[[], T]) -> T:
    with entered(namespace):
        return make()


def present() -> set[str]:
    return set(os.listdir(FOLDER)) if FOLDER.exists() else set()


def namespaces_of(host: str) -> set[str]:
    """Those that an agent of this host made."""
    pattern = names.namespaces_of(host)
    return {name for name in present() if pattern.fullmatch(name)}


def exists(namespace: str) -> bool:
    return Path(path_of(namespace)).exists()


async def add(names: list[str]) -> None:
    if names:
        await run(["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in names))


async def remove(names: list[str]) -> None:
    if names:
        await run(["ip", "-batch", "-"], "".join(f"netns delete {name}\n" for name in names))


def write_settings(namespace: str, settings: dict[str, str]) -> None:
    """`settings` are paths below /proc/sys/net; one that already has its value is not written."""
    with entered(namespace):
        for name, value in settings.items():
            setting = Path("/proc/sys/net", name)
            if setting.read_text().strip() != value:
                setting.write_text(value)
