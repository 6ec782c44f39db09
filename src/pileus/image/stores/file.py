"""The file store: one file per content in a folder; what is being written stands in a folder beside it."""

from __future__ import annotations

import asyncio
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pileus.image.stores.base import NoSuchData, Piece, StoreFull
from pileus.kit.ids import is_uuid

_FULL = (errno.ENOSPC, errno.EDQUOT)
SMALL = 1 << 16                 # reads up to this size are not worth a thread
_VECTOR = 512                   # pieces per system call
_FLUSH = 32 << 20               # bytes brought to the disk while more come, so that little is left at the end


_flushers = ThreadPoolExecutor(8, "flush")            # not the loop's own threads, which a slow disk would occupy


@contextmanager
def _telling_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(str(error)) from error
        raise


def _write_all(fd: int, pieces: list[Piece]) -> None:
    """writev writes as much as it likes; go on until all is written."""
    for first in range(0, len(pieces), _VECTOR):
        group = pieces[first:first + _VECTOR]
        left = sum(len(piece) for piece in group) - os.writev(fd, group)
        if left:
            rest = memoryview(b"".join(group))[-left:]
            while rest:
                rest = rest[os.write(fd, rest):]


class FileWriting:
    def __init__(self, draft: Path, final: Path, opened: int):
        self.draft, self.final = draft, final
        self.fd: int | None = opened
        self.size = self.flushed = 0
        self.flush: Future[None] | None = None

    def write(self, pieces: Iterable[Piece]) -> None:
        if self.fd is None:
            raise OSError(errno.EBADF, "written to after the end", str(self.draft))
        given = list(pieces)
        with _telling_full():
            _write_all(self.fd, given)
            self.size += sum(map(len, given))
            if self.size - self.flushed >= _FLUSH and (self.flush is None or self.flush.done()):
                self._await_flush()
                self.flush, self.flushed = _flushers.submit(os.fdatasync, self.fd), self.size

    def _await_flush(self) -> None:
        """Raises what the disk said to what it was given; it says so once."""
        if self.flush is not None:
            self.flush.result()

    async def finish(self) -> None:
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        if self.fd is None:
            return
        with _telling_full():
            self._await_flush()
            os.fdatasync(self.fd)
            self._close()
            self.draft.rename(self.final)
        folder = os.open(self.final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _close(self) -> None:
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)

    async def discard(self) -> None:
        if self.flush is not None:                   # it uses the file
            await asyncio.gather(asyncio.wrap_future(self.flush), return_exceptions=True)
        self._close()
        self.draft.unlink(missing_ok=True)


class FileReading:
    def __init__(self, path: Path):
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchData(str(path)) from None
        self.size = os.fstat(self._fd).st_size

    async def read(self, offset: int, length: int) -> bytes:
        if length <= SMALL:
            return os.pread(self._fd, length, offset)
        return await asyncio.to_thread(os.pread, self._fd, length, offset)

    async def close(self) -> None:
        os.close(self._fd)


class FileStore:
    def __init__(self, directory: Path, *, name: str = "file", opener: Callable[[Path, int, int], int] = os.open):
        self.name = name
        self.data, self.drafts, self.opener = directory / "data", directory / "incoming", opener
        for folder in (self.data, self.drafts):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, data_id: str) -> Path:
        if not is_uuid(data_id):                     # it becomes a part of a path
            raise NoSuchData(data_id)
        return self.data / data_id

    async def write(self, data_id: str) -> FileWriting:
        draft = self.drafts / f"{data_id}.{uuid.uuid4().hex}"
        with _telling_full():
            opened = self.opener(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return FileWriting(draft, self.path(data_id), opened)

    async def read(self, data_id: str) -> FileReading:
        return FileReading(self.path(data_id))

    async def remove(self, data_id: str) -> None:
        await asyncio.to_thread(self.path(data_id).unlink, missing_ok=True)

    def url(self, data_id: str) -> str:
        return self.path(data_id).absolute().as_uri()

    def details(self) -> dict[str, str]:
        return {"data_dir": str(self.data)}

    async def contents(self, older_than: float) -> list[str]:
        return [path.name for path in await asyncio.to_thread(_older, self.data, older_than)]

    async def sweep(self, older_than: float) -> None:
        for path in await asyncio.to_thread(_older, self.drafts, older_than):
            path.unlink(missing_ok=True)


def _older(folder: Path, seconds: float) -> list[Path]:
    found: list[Path] = []
    latest = time.time() - seconds
    for entry in os.scandir(folder):
        try:
            if entry.stat().st_mtime <= latest:
                found.append(Path(entry.path))
        except FileNotFoundError:
            continue                                 # finished or removed while we looked
    return found
