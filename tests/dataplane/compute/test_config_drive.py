"""Configuration drives, read back the way a reader of Joliet volumes does it."""

import struct

import pytest

from pileus.compute.drivers.config_drive import SECTOR, config_drive
from pileus.compute.drivers.disks import BadDisk


def read_back(image: bytes) -> dict[str, bytes]:
    """All files of the Joliet tree."""
    descriptor = image[17 * SECTOR : 18 * SECTOR]
    assert descriptor[:6] == b"\x02CD001"
    assert descriptor[88:91] == b"%/E"
    found: dict[str, bytes] = {}

    def walk(extent: int, size: int, path: str) -> None:
        data = image[extent * SECTOR : extent * SECTOR + size]
        position = 0
        while position < size:
            length = data[position]
            if length == 0:  # the rest of a sector
                position = (position // SECTOR + 1) * SECTOR
                continue
            record = data[position : position + length]
            start, about = struct.unpack_from("<I", record, 2)[0], struct.unpack_from("<I", record, 10)[0]
            name = record[33 : 33 + record[32]]
            position += length
            if name in (b"\0", b"\1"):
                continue
            whole = f"{path}/{name.decode('utf-16-be')}".lstrip("/")
            if record[25] & 2:
                walk(start, about, whole)
            else:
                found[whole] = image[start * SECTOR : start * SECTOR + about]

    root = descriptor[156:190]
    walk(struct.unpack_from("<I", root, 2)[0], struct.unpack_from("<I", root, 10)[0], "")
    return found


def test_files_come_back_as_they_were() -> None:
    files = {
        "openstack/latest/meta_data.json": b'{"uuid": "1"}',
        "openstack/latest/user_data": bytes(range(256)) * 33,
        "openstack/latest/network_data.json": b"",
        "openstack/2018-08-27/meta_data.json": b"{}",
        "ec2/latest/meta-data.json": b"{}",
    }
    files |= {f"openstack/content/{number:04}": b"x" * number for number in range(150)}
    image = config_drive(files)
    assert read_back(image) == files
    assert len(image) % SECTOR == 0


def test_both_volumes_carry_the_label_and_the_size() -> None:
    image = config_drive({"a": b"b"})
    plain, joliet = image[16 * SECTOR : 17 * SECTOR], image[17 * SECTOR : 18 * SECTOR]
    assert plain[:6] == b"\x01CD001"
    assert plain[40:72].rstrip() == b"config-2"
    assert joliet[40:72].decode("utf-16-be").rstrip() == "config-2"
    for descriptor in (plain, joliet):
        assert struct.unpack_from("<I", descriptor, 80)[0] * SECTOR == len(image)
        assert struct.unpack_from(">I", descriptor, 84)[0] * SECTOR == len(image)


def test_an_empty_drive() -> None:
    assert read_back(config_drive({})) == {}


@pytest.mark.parametrize("name", ["", "../up", "a//b", "a/./b", "x" * 65, "nul\0"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(BadDisk, match="cannot be on a configuration drive"):
        config_drive({name: b""})


def test_a_name_is_either_a_file_or_a_folder() -> None:
    with pytest.raises(BadDisk, match="both"):
        config_drive({"a": b"", "a/b": b""})
    with pytest.raises(BadDisk, match="both"):
        config_drive({"a/b": b"", "a": b""})
