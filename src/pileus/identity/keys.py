"""Key repositories: a folder of numbered Fernet keys, shared by every process that reads what they signed.

The highest number is the primary key, which signs; 0 is the staged one, which signs after the next rotation, so that
every process knows a key before anything is signed with it; the others only verify. A file's time is when it became
primary.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pileus.kit.clock import Clock, SystemClock


class BadSignature(Exception):
    """None of the keys made this."""


class KeyRepository:
    def __init__(self, folder: Path, clock: Clock | None = None):
        self.folder, self.clock = folder, clock or SystemClock()
        self._loaded: tuple[int, MultiFernet] | None = None

    def prepare(self) -> None:
        """Make the folder and its first keys if they are not there."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._numbers():
            self._write(0)
            self._write(1)

    def new_key(self) -> bytes:
        return Fernet.generate_key()

    def encrypt(self, plain: bytes) -> str:
        return self._keys().encrypt(plain).decode().rstrip("=")

    def decrypt(self, token: str) -> bytes:
        """Raises BadSignature."""
        raw = token.encode()
        raw += b"=" * (-len(raw) % 4)
        try:
            return self._keys().decrypt(raw)
        except (InvalidToken, ValueError, TypeError) as error:
            raise BadSignature from error

    def rotate(self, keep_seconds: float, *, older_than: float = 0.0) -> bool:
        """Sign with the staged key from now on, and stage a new one, if the key that signs now does so for longer than
        `older_than` seconds. Keys that may have signed something not older than `keep_seconds` stay."""
        with self._alone():
            if self.clock() - self.signing_since() < older_than:
                return False
            self._rotate(keep_seconds)
            return True

    def signing_since(self) -> float:
        return (self.folder / str(self._numbers()[-1])).stat().st_mtime

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process rotates meanwhile."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _rotate(self, keep_seconds: float) -> None:
        numbers = self._numbers()
        newest = numbers[-1] + 1
        self._write(newest, (self.folder / "0").read_bytes())
        self._write(0)
        for number, successor in zip(numbers[1:], [*numbers[2:], newest], strict=True):
            if (self.folder / str(successor)).stat().st_mtime + keep_seconds < self.clock():
                (self.folder / str(number)).unlink()
        self._loaded = None

    def keep_only(self, most: int) -> None:
        """Forget all but the staged key and the `most` newest: what the others made has been made anew."""
        with self._alone():
            for number in self._numbers()[1:-most]:
                (self.folder / str(number)).unlink()
        self._loaded = None

    def _numbers(self) -> list[int]:
        return sorted(int(file.name) for file in self.folder.iterdir() if file.name.isdigit())

    def _write(self, number: int, key: bytes = b"") -> None:
        """Readers in other processes see a whole key or none."""
        half = self.folder / f".{number}.{os.getpid()}"
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(key or self.new_key())
            file.flush()
            os.fsync(file.fileno())
        os.utime(half, (self.clock(), self.clock()))
        os.replace(half, self.folder / str(number))

    def _keys(self) -> MultiFernet:
        """The folder's time tells when another process has rotated."""
        changed = self.folder.stat().st_mtime_ns
        if self._loaded is None or self._loaded[0] != changed:
            self._loaded = (changed, MultiFernet([Fernet(key) for key in self._read()]))
        return self._loaded[1]

    def _read(self) -> list[bytes]:
        """The primary key first; a rotation may take an old key away between listing and reading."""
        found = []
        for number in reversed(self._numbers()):
            with contextlib.suppress(FileNotFoundError):
                found.append((self.folder / str(number)).read_bytes())
        return found
