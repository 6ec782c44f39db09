"""The inspector meets anything: it answers or refuses, never fails otherwise, and remembers little."""

import contextlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.image.attributes import DISK_FORMATS
from pileus.image.faults import BadFormat
from pileus.image.inspection import Inspection
from tests.examples import examples
from tests.image.test_formats import MIB, gpt, iso, qcow2, vdi, vmdk

LUKS = b"LUKS\xba\xbe\x00\x01".ljust(592, b"\0") + bytes(4096)
VHD = b"conectix".ljust(512, b"\0") + b"cxsparse".ljust(1024, b"\0")
VHDX = b"vhdxfile".ljust(65536, b"\0") + b"head".ljust(65536 * 2, b"\0") + b"regi".ljust(65536, b"\xff") + bytes(MIB)
SEEDS = [qcow2(), qcow2(backing=b"/x"), vdi(), vmdk("monolithicSparse"), vmdk("streamOptimized"), iso(), gpt(), LUKS,
         VHD, VHDX, b"QED\0".ljust(512, b"\xff"), b"conectix"]
REACH = 2048                                            # most of what is parsed stands at the beginning


def answered(content, disk_format, step):
    inspection = Inspection(disk_format, "bare")
    try:
        for first in range(0, len(content), step):
            inspection.feed(content[first:first + step])
        found = inspection.verdict()
    except BadFormat as refusal:
        return str(refusal)
    assert found is None or (isinstance(found, int) and found >= 0)
    return found


@settings(max_examples=examples(300), deadline=None)
@given(seed=st.sampled_from(SEEDS), disk_format=st.sampled_from(DISK_FORMATS),
       changes=st.lists(st.tuples(st.integers(0, REACH), st.binary(min_size=1, max_size=16)), max_size=12),
       end=st.one_of(st.none(), st.integers(0, REACH)), step=st.sampled_from([64, 512, 65536, 1 << 24]))
def test_changed_and_cut_images(seed, disk_format, changes, end, step):
    content = bytearray(seed)
    for at, written in changes:
        content[at:at + len(written)] = written
    answered(bytes(content[:end]), disk_format, step)


def test_a_header_that_ends_behind_the_content():
    content = bytearray(LUKS)
    content[104:105] = b"\x01"                           # where what is encrypted begins
    assert "cut off" in answered(bytes(content), "luks", 64)


@settings(max_examples=examples(300), deadline=None)
@given(content=st.binary(max_size=4096), disk_format=st.sampled_from(DISK_FORMATS),
       step=st.sampled_from([1, 100, 8192]))
def test_anything(content, disk_format, step):
    answered(content, disk_format, step)


@settings(max_examples=examples(100), deadline=None)
@given(text=st.text(max_size=400), kind=st.sampled_from(["monolithicSparse", "streamOptimized", "custom", ""]))
def test_descriptors_of_vmdk(text, kind):
    answered(vmdk(kind, text.encode()[:900].decode(errors="ignore")), "vmdk", 65536)


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_what_it_remembers_is_bounded(seed, filler):
    piece = filler * MIB
    for disk_format in ("raw", "qcow2", "vmdk", "vhdx", "iso"):
        inspection = Inspection(disk_format, "bare")
        tracemalloc.start()
        with contextlib.suppress(BadFormat):
            inspection.feed(seed)
            for _ in range(64):
                inspection.feed(piece)
            inspection.verdict()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * MIB, f"{disk_format}: {peak / MIB:.1f} MiB"
