"""Compressed images come apart as they stream, in any pieces; what is broken or a bomb is refused and costs little."""

import gzip
import io
import itertools
import lzma
import random
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.image.decompression import NotDecompressible, decompressed
from tests.examples import examples

DATA = random.Random(1).randbytes(70_000) + bytes(300_000)
MIB = 1 << 20


class Pipe(io.RawIOBase):
    """Cannot seek: zip then writes sums behind the data."""

    def __init__(self):
        self.written = b""

    def writable(self):
        return True

    def write(self, data):
        self.written += bytes(data)
        return len(data)


def zipped(*contents, method=zipfile.ZIP_DEFLATED, out=None):
    out = out or io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for number, content in enumerate(contents):
            with archive.open(f"disk{number}.img", "w") as file:
                file.write(content)
    return out.getvalue() if isinstance(out, io.BytesIO) else out.written


GOOD = {"gzip": gzip.compress(DATA), "gzip twice": gzip.compress(DATA[:50_000]) + gzip.compress(DATA[50_000:]),
        "gzip padded": gzip.compress(DATA) + bytes(512), "xz": lzma.compress(DATA),
        "xz twice": lzma.compress(DATA[:9]) + bytes(8) + lzma.compress(DATA[9:]), "zip": zipped(DATA),
        "zip stored": zipped(DATA, method=zipfile.ZIP_STORED), "zip piped": zipped(DATA, out=Pipe())}


async def taken_apart(content, step=65536):
    async def pieces():
        for first in range(0, len(content), step):
            yield content[first:first + step]

    return b"".join([piece async for piece in decompressed(pieces())])


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("step", [997, 1 << 20])
async def test_each_kind(kind, step):
    assert await taken_apart(GOOD[kind], step) == DATA


async def test_byte_by_byte():
    for make in (gzip.compress, lzma.compress, zipped):
        assert await taken_apart(make(b"small"), 1) == b"small"


@pytest.mark.parametrize("content", [
    b"", b"x", b"neither of them", GOOD["gzip"][:-9], GOOD["xz"][:-9], GOOD["zip"][:60_000], GOOD["zip"][:20],
    GOOD["zip piped"][:-200], zipped(b"one", b"two"), zipped(b"one", b"two", out=Pipe()),
    GOOD["gzip"][:1000] + b"\xff" * 20 + GOOD["gzip"][1020:], GOOD["zip"][:1000] + b"\xff" * 20 + GOOD["zip"][1020:],
    GOOD["zip stored"][:1000] + b"\xff" * 20 + GOOD["zip stored"][1020:], zipped(b"x", method=zipfile.ZIP_LZMA)],
    ids=itertools.count())
async def test_what_is_broken(content):
    with pytest.raises(NotDecompressible):
        await taken_apart(content)


@settings(max_examples=examples(150), deadline=None)
@given(seed=st.sampled_from(sorted(GOOD)), changes=st.lists(
    st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=8)), max_size=4), end=st.integers(0, 100_000))
async def test_whatever_comes(seed, changes, end):
    content = bytearray(GOOD[seed])
    for at, written in changes:
        content[at:at + len(written)] = written
    try:
        await taken_apart(bytes(content[:end]), 4096)
    except NotDecompressible as refusal:
        assert str(refusal)


@pytest.mark.parametrize("make", [gzip.compress, lzma.compress, zipped])
async def test_a_bomb_is_never_held_at_once(make):
    bomb, seen = make(bytes(32 * MIB)), 0

    async def whole():
        yield bomb

    tracemalloc.start()
    async for piece in decompressed(whole()):
        seen += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == 32 * MIB and peak < 16 * MIB
