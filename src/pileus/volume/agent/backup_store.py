"""Backups as files: per backup an index with the hash of every chunk, and the chunks that its parent does not hold."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from pileus.volume.messages import BackupWritten

CHUNK = 1 << 20
INDEX, CHUNKS = "index", "chunks"


class BackupUnusable(Exception):
    """A backup that is needed is not there, or not what it was when it was written."""


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """`at` is None where an earlier backup of the lineage holds the bytes."""

    sha256: bytes
    at: int | None
    length: int


class Index(msgspec.Struct, kw_only=True):
    size: int
    parent_id: str | None
    chunks: dict[int, Chunk] = {}        # by number; one that is not here is all zeros


class BackupStore:
    def __init__(self, folder: Path):
        self.folder = folder

    async def write(self, backup_id: str, content: AsyncIterator[tuple[int, bytes]], size: int,
                    parent_id: str | None) -> BackupWritten:
        """Already there: what it is. The index is put in place last, whole."""
        place = self.folder / backup_id
        if (place / INDEX).exists():
            return self._written(place)
        parent = self.index(parent_id) if parent_id else Index(size=0, parent_id=None)
        index = Index(size=size, parent_id=parent_id)
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        place.mkdir(parents=True)
        with (place / CHUNKS).open("wb") as file:
            async for number, piece in _chunks(content):
                index.chunks[number] = await asyncio.to_thread(_store, file, piece, parent.chunks.get(number))
            await asyncio.to_thread(_flush, file)
        fresh = place / f"{INDEX}.new"
        with fresh.open("wb") as file:
            file.write(msgspec.msgpack.encode(index))
            await asyncio.to_thread(_flush, file)
        fresh.replace(place / INDEX)
        return self._written(place)

    def index(self, backup_id: str) -> Index:
        try:
            return msgspec.msgpack.decode((self.folder / backup_id / INDEX).read_bytes(), type=Index)
        except (FileNotFoundError, msgspec.DecodeError) as error:
            raise BackupUnusable(f"The data of backup {backup_id} cannot be read: {error}") from error

    def _written(self, place: Path) -> BackupWritten:
        index = self.index(place.name)
        return BackupWritten(object_count=sum(1 for each in index.chunks.values() if each.at is not None) + 1,
                             stored_bytes=(place / CHUNKS).stat().st_size)

    async def restore(self, lineage: tuple[str, ...], target: Path) -> None:
        """Write the content of the last of `lineage` to `target`, a sparse file. Every byte is checked."""
        indexes = {backup_id: self.index(backup_id) for backup_id in lineage}
        newest = indexes[lineage[-1]]
        with target.open("wb") as file:
            file.truncate(newest.size)
            for number in sorted(newest.chunks):
                wanted = newest.chunks[number]
                file.seek(number * CHUNK)
                await asyncio.to_thread(lambda each=number, sha=wanted.sha256: file.write(
                    self._chunk(lineage, indexes, each, sha)))

    def _chunk(self, lineage: tuple[str, ...], indexes: dict[str, Index], number: int, sha256: bytes) -> bytes:
        for backup_id in reversed(lineage):
            chunk = indexes[backup_id].chunks.get(number)
            if chunk is not None and chunk.at is not None and chunk.sha256 == sha256:
                with (self.folder / backup_id / CHUNKS).open("rb") as file:
                    file.seek(chunk.at)
                    piece = _unpacked(file.read(chunk.length))
                if hashlib.sha256(piece).digest() == sha256:
                    return piece
        raise BackupUnusable(f"Chunk {number} of backup {lineage[-1]} is not what was written.")

    async def remove(self, backup_id: str) -> None:
        """Unknown backup: do nothing."""
        (self.folder / backup_id / INDEX).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self.folder / backup_id, ignore_errors=True)


async def _chunks(content: AsyncIterator[tuple[int, bytes]]) -> AsyncIterator[tuple[int, bytes]]:
    """(number, bytes) of each chunk that is not all zeros, made of pieces of any size in ascending order."""
    number, held = -1, bytearray()
    async for offset, piece in content:
        at = 0
        while at < len(piece):
            here, inside = divmod(offset + at, CHUNK)
            if here != number:
                if number >= 0:
                    yield number, bytes(held)
                number, held = here, bytearray(CHUNK)
            take = min(CHUNK - inside, len(piece) - at)
            held[inside:inside + take] = piece[at:at + take]
            at += take
    if number >= 0:
        yield number, bytes(held)


def _unpacked(packed: bytes) -> bytes:
    """Empty where it is not what was packed, which its hash then tells."""
    try:
        return zlib.decompress(packed)
    except zlib.error:
        return b""


def _store(file, piece: bytes, before: Chunk | None) -> Chunk:
    sha256 = hashlib.sha256(piece).digest()
    if before is not None and before.sha256 == sha256:
        return Chunk(sha256, None, 0)
    at, packed = file.tell(), zlib.compress(piece, 1)
    file.write(packed)
    return Chunk(sha256, at, len(packed))


def _flush(file) -> None:
    file.flush()
    os.fsync(file.fileno())
