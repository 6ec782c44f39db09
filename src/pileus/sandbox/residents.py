"""Who lives in a sandbox: every process in its namespaces, or in a network namespace made within it."""

import os
from collections.abc import Iterator
from pathlib import Path

from pileus.sandbox.holder import TOKEN
from pileus.sandbox.processes import Process


def namespace_of(pid: int | str, kind: str) -> int | None:
    """The number of a process's namespace; None if the process is gone or somebody else's."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def anchor(namespaces: dict[str, int], token: str) -> Process | None:
    """A process that has the mounts of these namespaces, and with them the token that nobody else has.

    It may be in another network: those of guests are not the sandbox's own.
    """
    inside = {kind: number for kind, number in namespaces.items() if kind != "net"}
    for process in _running():
        if all(namespace_of(process.pid, kind) == number for kind, number in inside.items()):
            try:
                found = Path(f"/proc/{process.pid}/root{TOKEN}").read_text()
            except OSError:
                continue
            if found == token:
                return process
    return None


def residents(namespaces: dict[str, int], token: str, but: set[int]) -> list[Process]:
    """Processes in any of these namespaces, with those in networks that one of them has put under /run/netns."""
    if not anchor(namespaces, token):
        return []
    found = {process.pid: process for process in _within(namespaces)}
    inner = set()
    for pid in found:
        inner |= _inner_networks(pid)
    for process in _running():
        if namespace_of(process.pid, "net") in inner:
            found[process.pid] = process
    return [process for process in found.values() if process.pid not in but]


def ancestors() -> set[int]:
    """Ourselves and whoever started us, up to init."""
    pids: set[int] = set()
    pid = os.getpid()
    while pid > 1 and pid not in pids:
        pids.add(pid)
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        pid = int(stat[stat.rindex(b")") + 2 :].split()[1])
    return pids


def _within(namespaces: dict[str, int]) -> Iterator[Process]:
    for process in _running():
        if any(namespace_of(process.pid, kind) == number for kind, number in namespaces.items()):
            yield process


def _inner_networks(pid: int) -> set[int]:
    folder = Path(f"/proc/{pid}/root/run/netns")
    try:
        return {entry.stat().st_ino for entry in folder.iterdir()}
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return set()


def _running() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield Process.of(int(entry.name))
            except ProcessLookupError:
                continue
