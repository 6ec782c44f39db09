"""FAT configuration drives, read back as a FAT reader does it."""

import struct

import pytest

from pileus.compute.drivers.disks import BadDisk
from pileus.compute.drivers.fat import fat_image

NAMES = {"openstack/latest/meta_data.json": b"{}", "openstack/latest/user_data": bytes(range(256)) * 40,
         "openstack/content/0000": b"", "ec2/latest/meta-data.json": b"[]", "x" * 64 + "/ö ü.txt": b"umlaut",
         **{f"many/file-{number:04}-with-a-long-name": str(number).encode() for number in range(150)}}


def read_back(image: bytes) -> dict[str, bytes]:
    sector, per_cluster, reserved, fats, entries = struct.unpack_from("<HBHBH", image, 11)
    (fat_sectors,) = struct.unpack_from("<H", image, 22)
    table = struct.unpack_from(f"<{fat_sectors * sector // 2}H", image, reserved * sector)
    root = (reserved + fats * fat_sectors) * sector
    first = root + entries * 32
    cluster = sector * per_cluster

    def chain(number: int) -> bytes:
        found = b""
        while 2 <= number < 0xFFF8:
            found += image[first + (number - 2) * cluster : first + (number - 1) * cluster]
            number = table[number]
        return found

    found: dict[str, bytes] = {}

    def walk(data: bytes, path: str) -> None:
        long = ""
        for at in range(0, len(data), 32):
            entry = data[at : at + 32]
            if entry[0] == 0:
                return
            if entry[11] == 0x0F:
                long = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le").split("\0")[0] + long
                continue
            name, long = long, ""
            start, size = struct.unpack_from("<HI", entry, 26)
            if entry[0:1] == b"." or entry[11] & 8:
                continue
            if entry[11] & 0x10:
                walk(chain(start), f"{path}{name}/")
            else:
                found[path + name] = chain(start)[:size]

    walk(image[root:first], "")
    return found


def test_every_file_is_read_back() -> None:
    image = fat_image(NAMES, "config-2")
    assert read_back(image) == NAMES
    assert image[43:54] == b"config-2   "
    assert image[510:512] == b"\x55\xaa"


@pytest.mark.parametrize("name", ["a/../b", "a//b", "x" * 65, "a:b", "a\nb"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(BadDisk, match="cannot be on a configuration drive"):
        fat_image({name: b""}, "config-2")


def test_what_is_a_file_is_no_folder() -> None:
    for files in ({"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}):
        with pytest.raises(BadDisk, match="both a file and a folder"):
            fat_image(files, "config-2")
