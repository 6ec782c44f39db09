"""All a QEMU host keeps of one guest: a folder, with a state file that is written before what it speaks of is done."""

import fcntl
import os
import re
import shutil
import socket
import stat
from pathlib import Path

import msgspec

from pileus.compute.drivers.base import GuestSpec

STATE = "state.json"
LOCK = "lock"
MONITOR = "monitor"
CONSOLE = "console"
AGENT = "agent"
SOCKETS = (MONITOR, CONSOLE, AGENT)
CONSOLE_LOG = "console.log"
CONSOLE_LOG_OLD = "console.log.old"
QEMU_LOG = "qemu.log"
PID = "pid"
MEMORY = "memory"
SCREEN = "screen"
CONSOLE_LOG_BYTES = 4 << 20
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class GuestState(msgspec.Struct, kw_only=True):
    """The state file. `slots` keeps every device at its place on the bus; `taps` are all that may have been made."""

    spec: GuestSpec
    slots: dict[str, int] = {}
    taps: list[str] = []
    started: bool = True  # a QEMU was started, or is about to be, and nothing was heard of its end
    saved: bool = False  # the memory of a suspended guest is in its file, and where it goes on from
    pins: dict[int, int] = {}  # its processor -> that of the host, kept while it is off
    cells: dict[int, int] = {}  # its NUMA node -> that of the host, likewise
    devices: list[str] = []  # addresses of those of the host that it has, kept while it is off
    stopped: str = ""  # why the guest is off, where that was not asked for


class GuestFolder:
    """One guest's folder; knows nothing of QEMU but the names of its files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        return self.path.name

    def exists(self) -> bool:
        return self.path.is_dir()

    def read(self) -> GuestState | None:
        """The state, or None where there is no folder, or one that was made and no more."""
        try:
            return msgspec.json.decode((self.path / STATE).read_bytes(), type=GuestState)
        except FileNotFoundError:
            return None

    def write(self, state: GuestState) -> None:
        """Put the state in place whole, and on the disk, before anything it speaks of is begun."""
        # Configuration drives carry passwords.
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.path / f"{STATE}.new"
        with open(fresh, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path / STATE)

    def delete(self) -> None:
        """The state file goes last: until all else is gone it says what there is to clean."""
        for entry in os.scandir(self.path):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name != STATE:
                os.unlink(entry.path)
        (self.path / STATE).unlink(missing_ok=True)
        self.path.rmdir()

    def try_lock(self) -> int | None:
        """A lock that lives as long as any process that was given it, QEMU above all; None: somebody has it."""
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def locked(self) -> bool:
        """Whether a QEMU of this guest lives, or is about to, or a program makes its disks."""
        if not (self.path / LOCK).exists():
            return False
        descriptor = self.try_lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def listen(self, name: str) -> socket.socket:
        """A listening socket in this folder, however long its path: it is named through an open descriptor."""
        (self.path / name).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self._opened() as folder:
            listener.bind(f"/proc/self/fd/{folder}/{name}")
        listener.listen(8)
        return listener

    def connect(self, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._opened() as folder:
                connection.connect(f"/proc/self/fd/{folder}/{name}")
        except OSError:
            connection.close()
            raise
        connection.setblocking(False)
        return connection

    def pid(self) -> int | None:
        """What QEMU wrote when it started; means something only while the lock is held."""
        try:
            text = (self.path / PID).read_text().strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() else None

    def qemu_complaint(self) -> str:
        """The end of what QEMU printed."""
        try:
            text = (self.path / QEMU_LOG).read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return " ".join(text.split())[-1000:]

    def console_log(self, lines: int | None) -> bytes:
        self.trim_console()
        data = b""
        for name in (CONSOLE_LOG_OLD, CONSOLE_LOG):
            path = self.path / name
            if path.exists():
                data += path.read_bytes()
        if lines is None:
            return data
        return b"".join(data.splitlines(keepends=True)[-lines:]) if lines > 0 else b""

    def trim_console(self) -> None:
        """Keep the log's size within bounds. QEMU appends, so what it writes next begins the emptied file."""
        log = self.path / CONSOLE_LOG
        if log.exists() and log.stat().st_size > CONSOLE_LOG_BYTES:
            shutil.copyfile(log, self.path / f"{CONSOLE_LOG_OLD}.new")
            os.truncate(log, 0)
            (self.path / f"{CONSOLE_LOG_OLD}.new").replace(self.path / CONSOLE_LOG_OLD)

    def forget_memory(self) -> None:
        """Of a suspended guest, which then starts from its disks."""
        state = self.read()
        if state is not None and state.saved:
            self.write(msgspec.structs.replace(state, saved=False))
        (self.path / MEMORY).unlink(missing_ok=True)

    def _opened(self) -> "OpenedFolder":
        return OpenedFolder(self.path)


class OpenedFolder:
    """A folder held open by its descriptor."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> int:
        return self.descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def guest_folders(instances: Path) -> list[GuestFolder]:
    if not instances.is_dir():
        return []
    with os.scandir(instances) as entries:
        names = sorted(
            entry.name for entry in entries if ID.fullmatch(entry.name) and stat.S_ISDIR(entry.stat().st_mode)
        )
    return [GuestFolder(instances / name) for name in names]
