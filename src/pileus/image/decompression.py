"""Taking compressed images apart while they stream: gzip, zip with one file in it, xz. Memory stays bounded."""

from __future__ import annotations

import asyncio
import lzma
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

OUTPUT = 1 << 20                # bytes that one turn of a decoder may give, however little went in
XZ_MEMORY = 256 << 20           # what a dictionary may take; the strongest preset asks for 65 MiB
BROKEN = (zlib.error, lzma.LZMAError, EOFError)
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_ZIP, _ZIP_LIST, _ZIP_SUM = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SUM_FOLLOWS = 1, 8
_LONGEST_MAGIC = 6


class NotDecompressible(Exception):
    """The message says what is wrong with the bytes."""


class _Deflated:
    """Streams of zlib's, one after another where `many`."""

    def __init__(self, wbits: int, *, many: bool):
        self.make, self.many = lambda: zlib.decompressobj(wbits), many
        self.decoder: Any = self.make()
        self.rest, self.whole = b"", False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self.rest += piece
        while self.rest or self.decoder.unconsumed_tail:
            if self.decoder.eof:
                if not self.many or not self.rest.strip(b"\0"):
                    return
                self.decoder, self.whole = self.make(), False
            found = self.decoder.decompress(self.rest, OUTPUT)
            self.rest = self.decoder.unconsumed_tail or self.decoder.unused_data
            self.whole = self.decoder.eof
            if found:
                yield found
            elif not self.decoder.eof:
                return

    def end(self) -> None:
        if not self.whole:
            raise EOFError("it ends too early")


class _Xz:
    def __init__(self) -> None:
        self.decoder, self.begun = self._new(), False

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        rest = piece
        while True:
            if self.decoder.eof:
                rest = (self.decoder.unused_data if self.begun else b"") + rest
                rest, self.begun = rest.lstrip(b"\0"), False
                if not rest:
                    return
                self.decoder = self._new()
            self.begun = True
            found = self.decoder.decompress(rest, OUTPUT)
            rest = b""
            if found:
                yield found
            if self.decoder.needs_input and not self.decoder.eof:
                return

    def end(self) -> None:
        if not self.decoder.eof:
            raise EOFError("it ends too early")


class _Zip:
    """The one file of an archive, by its local header: the list at the end comes too late for a stream."""

    def __init__(self) -> None:
        self.head, self.tail, self.sum, self.size = b"", b"", 0, 0
        self.decoder: _Deflated | None = None
        self.told_sum, self.left, self.flags, self.begun = 0, 0, 0, False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        if not self.begun:
            self.head += piece
            piece = self._begin()
            if not self.begun:
                return
        for found in self._decoded(piece):
            self.sum = zlib.crc32(found, self.sum)
            yield found

    def _begin(self) -> bytes:
        """Read the header, once it is there; what follows it is returned."""
        if len(self.head) < _LOCAL.size:
            return b""
        _, _, self.flags, method, _, _, self.told_sum, packed, _, name, extra = _LOCAL.unpack_from(self.head)
        begins = _LOCAL.size + name + extra
        if len(self.head) < begins:
            return b""
        if self.flags & _ENCRYPTED or method not in (_STORED, _DEFLATED) or (
                method == _STORED and (self.flags & _SUM_FOLLOWS or packed == 0xFFFFFFFF)):
            raise NotDecompressible("its file is packed in a way we do not know")
        self.begun = True
        self.left = packed
        self.decoder = _Deflated(-zlib.MAX_WBITS, many=False) if method == _DEFLATED else None
        rest, self.head = self.head[begins:], b""
        return rest

    def _decoded(self, piece: bytes) -> Iterator[bytes]:
        if self.decoder is None:
            found, piece = piece[:self.left], piece[self.left:]
            self.left -= len(found)
            if found:
                yield found
        elif not self.decoder.whole:
            yield from self.decoder.feed(piece)
            piece, self.decoder.rest = (self.decoder.rest, b"") if self.decoder.whole else (b"", self.decoder.rest)
        self.tail = (self.tail + piece)[:64]

    def end(self) -> None:
        if not self.begun or self.left * (self.decoder is None):
            raise EOFError("it ends too early")
        if self.decoder is not None:
            self.decoder.end()
        if self.flags & _SUM_FOLLOWS:
            told = self.tail.removeprefix(_ZIP_SUM)
            self.told_sum = int.from_bytes(told[:4], "little")
            after = (told[12:16], told[20:24])               # sizes of 4 bytes, or of 8
        else:
            after = (self.tail[:4],)
        if _ZIP_LIST not in after:
            raise NotDecompressible("more than one file is in it" if _ZIP in after else "it has no list of files")
        if self.told_sum != self.sum:
            raise NotDecompressible("its checksum is wrong")


KINDS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b\x08", lambda: _Deflated(zlib.MAX_WBITS | 16, many=True)), (_ZIP, _Zip), (b"\xfd7zXZ\0", _Xz))


async def decompressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What `pieces` hold. Raises NotDecompressible."""
    begun, decoder = b"", None
    try:
        async for piece in pieces:
            begun += piece
            if len(begun) < _LONGEST_MAGIC:
                continue
            decoder = decoder or _decoder_of(begun)
            found, begun = decoder.feed(begun), b""
            while (part := await asyncio.to_thread(next, found, None)) is not None:
                yield part
        decoder = decoder or _decoder_of(begun)
        for part in decoder.feed(begun):             # a few bytes
            yield part
        decoder.end()
    except BROKEN as error:
        raise NotDecompressible(f"it is broken: {error}") from error


def _decoder_of(begun: bytes) -> Any:
    for magic, make in KINDS:
        if begun.startswith(magic):
            return make()
    raise NotDecompressible("it is compressed neither by gzip, zip nor xz")
