"""Images that lie about their format, or reach for files of the host, are refused and stay queued."""

import struct

import pytest

from pileus.image.faults import BadFormat
from pileus.image.inspection import Inspection
from tests.image.conftest import OCTETS

MIB = 1 << 20


def qcow2(*, backing=b"", incompatible=0, size=64 * MIB):
    """A header of version 3 with room behind it."""
    offset = 512 if backing else 0
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, offset, len(backing), 16, size, 0, 1, 0x30000, 0x10000,
                         1, 0, 0, incompatible, 0, 0, 4, 104)
    return (header.ljust(512, b"\0") + backing).ljust(0x50000, b"\0")


def vdi():
    return (b"<<< disk image >>>".ljust(64, b"\n") + struct.pack("<I", 0xBEDA107F)).ljust(0x170, b"\0") + struct.pack(
        "<Q", 5 * MIB) + bytes(1000)


def vmdk(kind, extent="RW 20480 SPARSE \"disk.vmdk\""):
    text = f'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="{kind}"\n\n{extent}\n'.encode()
    header = struct.pack("<4sIIQQQQIQQQc4s2s", b"KDMV", 1, 3, 20480, 128, 1, 20, 512, 21, 26, 128, b"\0",
                         b"\n \r\n", b"\0\0")
    return header.ljust(512, b"\0") + text.ljust(20 * 512, b"\0") + bytes(128 * 512)


def iso():
    body = bytearray(0x9000)
    body[0x8000:0x8006] = b"\x01CD001"
    body[0x8050:0x8054] = struct.pack("<I", 18)
    body[0x8080:0x8082] = struct.pack("<H", 2048)
    return bytes(body)


def gpt():
    return (bytes(446) + b"\x80\x01\x01\x00\x83\xfe\xff\xff" + struct.pack("<II", 2048, 20480) + bytes(48)
            + b"\x55\xaa").ljust(MIB, b"\0")


def verdict(content, disk_format, container_format="bare", step=65536):
    inspection = Inspection(disk_format, container_format)
    for first in range(0, len(content), step):
        inspection.feed(content[first:first + step])
    return inspection.verdict()


@pytest.mark.parametrize(("content", "disk_format", "size"), [
    (qcow2(), "qcow2", 64 * MIB), (b"\0" * MIB, "raw", MIB), (b"x", "raw", 1), (b"", "raw", 0), (gpt(), "raw", MIB),
    (vdi(), "vdi", 5 * MIB), (vmdk("monolithicSparse"), "vmdk", 20480 * 512), (iso(), "iso", len(iso())),
    (vmdk("streamOptimized"), "vmdk", 20480 * 512), (b"kernel", "aki", None), (gpt(), "gpt", MIB)])
def test_honest_images(content, disk_format, size):
    for step in (512, 65536, 1 << 24):
        assert verdict(content, disk_format, step=step) == size


@pytest.mark.parametrize(("content", "disk_format"), [
    (qcow2(), "raw"), (qcow2(), "vmdk"), (qcow2(), "iso"), (vdi(), "raw"), (vmdk("monolithicSparse"), "raw"),
    (iso(), "qcow2"), (b"\0" * MIB, "qcow2"), (b"x" * 1024, "qcow2"), (b"", "qcow2"), (b"x", "vhd"), (b"x", "vdi"),
    (b"x" * MIB, "iso"), (b"x" * MIB, "vmdk"), (b"x" * MIB, "vhdx"), (qcow2(backing=b"/etc/passwd"), "qcow2"),
    (qcow2(incompatible=1 << 2), "qcow2"), (qcow2(incompatible=1 << 40), "qcow2"), (qcow2()[:50], "qcow2"),
    (vmdk("monolithicFlat", 'RW 20480 FLAT "/etc/passwd" 0'), "vmdk"), (vmdk("fullDevice"), "vmdk")])
def test_liars_and_reachers(content, disk_format):
    for step in (512, 65536, 1 << 24):
        with pytest.raises(BadFormat):
            verdict(content, disk_format, step=step)


async def test_formats_of_amazon_in_any_container(world):
    """Clients name no container for them, which makes it bare."""
    for disk_format, content in (("aki", b"kernel"), ("ari", b"ramdisk"), ("ami", bytes(MIB))):
        for container_format in ("bare", disk_format, "ovf"):
            image = await world.image(content, disk_format=disk_format, container_format=container_format)
            assert (await world.shown(image))["status"] == "active"


def test_containers_are_not_looked_into():
    assert verdict(b"tar", "vmdk", "ova") is None


@pytest.mark.parametrize("size", [2000, 9_000_000])
async def test_a_refused_image_stays_queued(world, size):
    image = await world.image(disk_format="qcow2")
    url = f"/v2/images/{image}"
    refused = await world.http.put(url + "/file", content=bytes(size), headers=OCTETS)
    assert refused.status_code == 400 and "qcow2" in refused.text
    assert (await world.shown(image))["status"] == "queued" and world.kept() == []
    assert (await world.http.put(url + "/file", content=qcow2(), headers=OCTETS)).status_code == 204
    assert (await world.shown(image))["virtual_size"] == 64 * MIB


async def test_where_the_format_need_not_match(make_world):
    """A setting; those who use images look themselves. What reaches outside is refused all the same."""
    world = await make_world(settings={"require_format_match": False})
    for content, size in ((qcow2(), 64 * MIB), (bytes(2000), None), (vdi(), None), (qcow2()[:50], None)):
        found = await world.shown(await world.image(content, disk_format="qcow2"))
        assert (found["status"], found["size"], found["virtual_size"]) == ("active", len(content), size)
    for claimed in ("qcow2", "raw", "vdi"):
        image = await world.image(disk_format=claimed)
        for content in (qcow2(backing=b"/etc/passwd"), vmdk("monolithicFlat", 'RW 20480 FLAT "/etc/passwd" 0')):
            refused = await world.http.put(f"/v2/images/{image}/file", content=content, headers=OCTETS)
            assert refused.status_code == 400, claimed
