"""Processes that outlive their starters, known by pid and start time so that no reused pid is taken for them."""

import json
import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

EXITING = 0x4              # PF_EXITING of the kernel's flags of a process


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[bytes] | None:
    """What /proc/PID/stat says from the third field on, or None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold blanks and parentheses.
    return stat[stat.rindex(b")") + 2 :].split()


def start_time(pid: int) -> int | None:
    """Clock ticks between the machine's boot and the start of this process, or None if there is no such process."""
    words = _stat(pid)
    return int(words[19]) if words else None


@dataclass(frozen=True)
class Process:
    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        start = start_time(pid)
        if start is None:
            raise ProcessLookupError(f"process {pid} does not exist")
        return cls(pid, start, boot_id())

    @classmethod
    def read(cls, path: Path) -> "Process | None":
        """What `write` left there; None if nothing or half a file is there."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        replace(path, json.dumps({"pid": self.pid, "start": self.start, "boot": self.boot}))

    def open(self) -> int | None:
        """A pidfd of this very process while it runs, else None. The caller closes it."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # The pidfd is pinned first, so a start time that matches now belongs to what it points to.
        if not exited(fd) and start_time(self.pid) == self.start and boot_id() == self.boot:
            return fd
        os.close(fd)
        return None

    @property
    def alive(self) -> bool:
        fd = self.open()
        if fd is None:
            return False
        os.close(fd)
        return True

    @property
    def is_ending(self) -> bool:
        """Gone, or taken apart, which may take a while: its links go when no other link is being changed."""
        words = _stat(self.pid)
        return words is None or bool(int(words[6]) & EXITING)


def exited(pidfd: int) -> bool:
    """True for a zombie too: its work is over, whoever has yet to collect it."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def end(processes: Iterable[Process], grace: float = 3.0) -> list[Process]:
    """Ask them to end, kill after `grace` seconds, wait; returns those that a kill could not end within a second."""
    running = {fd: process for process in processes if (fd := process.open()) is not None}
    try:
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
            left = [fd for fd in running if not exited(fd)]
            for fd in left:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, number)
            _await_exit(left, seconds)
        return [process for fd, process in running.items() if not exited(fd)]
    finally:
        for fd, process in running.items():
            collect(process.pid)
            os.close(fd)


def _await_exit(pidfds: list[int], seconds: float) -> None:
    until = time.monotonic() + seconds
    for fd in pidfds:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(max(0.0, until - time.monotonic()) * 1000)


def collect(pid: int) -> None:
    """Take the exit status if the process is an ended child of ours; everyone else's is left to their parents."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def replace(path: Path, text: str) -> None:
    """Write a whole file or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    os.replace(draft, path)
