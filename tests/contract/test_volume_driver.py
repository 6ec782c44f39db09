"""What every volume driver does, whatever keeps the bytes."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pileus.volume.drivers import qcow2
from pileus.volume.drivers.base import Export, ExportOptions, Key, Origin, VolumeFailed
from pileus.volume.drivers.daemon import Daemon
from pileus.volume.drivers.fake import FakeDriver
from pileus.volume.drivers.file import FileDriver
from pileus.volume.drivers.lvm import LvmDriver
from pileus.volume.drivers.nfs import NfsDriver, Share

GIB, BLOCK = 1 << 30, 1 << 16
FIRST, SECOND = b"a" * BLOCK, b"b" * BLOCK


# Another process of the tests has a share, mounted where only it sees that, or an LVM group: test_nfs_driver.py and
# test_lvm_driver.py.
KINDS = os.environ.get("PILEUS_TEST_VOLUME_DRIVERS", "fake,file").split(",")
SHARE = os.environ.get("PILEUS_TEST_NFS_SHARE")


def make(kind, name, folder):
    """A driver of that kind; all in a folder are back ends of one node."""
    if kind == "nfs" and SHARE:
        return NfsDriver(name, folder / name, Share(source=SHARE, options="vers=4.2,noresvport"),
                         folder / "run" / name, sockets=folder / "sockets")
    if kind == "nfs":
        share = folder / f"share-of-{name}"
        share.mkdir(exist_ok=True)
        return NfsDriver(name, folder / name, Share(source=str(share), command=("mount", "--bind")),
                         folder / "run" / name, sockets=folder / "sockets")
    if kind == "lvm":
        return LvmDriver(name, folder / name, os.environ["PILEUS_TEST_LVM_GROUP"], sockets=folder / "sockets")
    return {"fake": FakeDriver, "file": FileDriver}[kind](name, folder / name, sockets=folder / "sockets")


@pytest.fixture(params=KINDS)
async def driver(request, tmp_path):
    made = make(request.param, "here", tmp_path)
    assert (await made.facts()).total_gb > 0
    yield made
    for held in await made.held():
        await made.remove(held.id)


def afresh(driver):
    """As a later process of ours finds it."""
    return make(driver.kind, driver.name, driver.folder.parent)


async def content(driver, volume_id, snapshot_id=None):
    """Blocks that are not all zeros, by their number."""
    found: dict[int, bytearray] = {}
    async for offset, piece in driver.read(volume_id, snapshot_id):
        for at in range(0, len(piece), BLOCK):
            block = piece[at:at + BLOCK]
            if block.count(0) != len(block):
                found[(offset + at) // BLOCK] = block
    return found


async def put(driver, tmp_path, volume_id, blocks):
    image = tmp_path / "image"
    with image.open("wb") as file:
        for number, block in blocks.items():
            file.seek(number * BLOCK)
            file.write(block)
    await driver.fill(volume_id, str(image), "raw")


async def test_a_new_volume_is_empty_and_made_once(driver, tmp_path):
    await driver.ensure("v", 1)
    assert await content(driver, "v") == {}
    await put(driver, tmp_path, "v", {0: FIRST, 5: SECOND})
    await driver.ensure("v", 1)
    assert await content(driver, "v") == {0: FIRST, 5: SECOND}
    assert await content(afresh(driver), "v") == {0: FIRST, 5: SECOND}
    assert [(held.id, held.size_gb) for held in await driver.held()] == [("v", 1)]


async def test_removing_twice_and_what_was_never_there(driver):
    await driver.ensure("v", 1)
    await driver.remove("v")
    await driver.remove("v")
    await driver.remove_snapshot("v", "s")
    await driver.export("v", None)
    assert await driver.held() == []
    for work in (driver.resize("v", 2), driver.ensure_snapshot("v", "s"), driver.revert("v", "s"),
                 driver.fill("v", "/nothing", "raw"), driver.rename("v", "w"),
                 driver.export("v", ExportOptions()), driver.ensure("w", 1, Origin(volume_id="v"))):
        with pytest.raises(VolumeFailed):
            await work
    assert await driver.held() == []


async def test_snapshots_keep_what_was(driver, tmp_path):
    await driver.ensure("v", 1)
    await put(driver, tmp_path, "v", {0: FIRST})
    await driver.ensure_snapshot("v", "s")
    await put(driver, tmp_path, "v", {0: SECOND, 9: SECOND})
    await driver.ensure_snapshot("v", "s")
    assert await content(driver, "v", "s") == {0: FIRST}
    assert (await driver.held())[0].snapshots == ("s",)
    await driver.ensure("of-snapshot", 2, Origin(volume_id="v", snapshot_id="s"))
    await driver.ensure("of-volume", 1, Origin(volume_id="v"))
    await driver.revert("v", "s")
    assert await content(driver, "v") == {0: FIRST}
    await driver.remove_snapshot("v", "s")
    await driver.remove("v")
    assert await content(driver, "of-snapshot") == {0: FIRST}
    assert await content(driver, "of-volume") == {0: SECOND, 9: SECOND}
    assert {held.id: held.size_gb for held in await driver.held()} == {"of-snapshot": 2, "of-volume": 1}
    assert all(held.snapshots == () for held in await driver.held())


async def test_extending_and_renaming(driver, tmp_path):
    await driver.ensure("v", 1)
    await put(driver, tmp_path, "v", {3: FIRST})
    await driver.resize("v", 3)
    await driver.resize("v", 2)
    assert await driver.rename("v", "w") == 3
    assert await driver.rename("v", "w") == 3
    assert await content(driver, "w") == {3: FIRST}
    assert [held.id for held in await driver.held()] == ["w"]


async def test_an_image_that_is_too_large_is_refused_and_changes_nothing(driver, tmp_path):
    await driver.ensure("v", 1)
    await put(driver, tmp_path, "v", {1: FIRST})
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(GIB + BLOCK)
    with pytest.raises(VolumeFailed):
        await driver.fill("v", str(large), "raw")
    assert await content(driver, "v") == {1: FIRST}


async def test_what_is_served_is_not_reverted(driver):
    await driver.ensure("v", 1)
    await driver.ensure_snapshot("v", "s")
    export = await driver.export("v", ExportOptions())
    assert isinstance(export, Export) and export == await driver.export("v", ExportOptions())
    with pytest.raises(VolumeFailed):
        await driver.revert("v", "s")
    await driver.export("v", None)
    await driver.revert("v", "s")


async def test_facts(driver):
    facts = await driver.facts()
    assert facts.name == "here" and 0 < facts.free_gb <= facts.total_gb


# -- the bytes of a served volume, by an NBD client of our own ------------------------------------

class Nbd:
    """Enough of the protocol to read and write."""

    def __init__(self, export: Export):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(export.socket)
        assert self._take(16) == b"NBDMAGICIHAVEOPT"
        self._take(2)
        name = export.name.encode()
        self.socket.sendall(struct.pack(">I", 3) + struct.pack(">QII", 0x49484156454F5054, 1, len(name)) + name)
        self.size, self.flags = struct.unpack(">QH", self._take(10))

    def _take(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            assert piece, "the server hung up"
            data += piece
        return data

    def _ask(self, kind, offset, length, data=b""):
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, 7, offset, length) + data)
        magic, error, handle = struct.unpack(">IIQ", self._take(16))
        assert (magic, handle) == (0x67446698, 7)
        return error

    def read(self, offset, length):
        assert self._ask(0, offset, length) == 0
        return self._take(length)

    def write(self, offset, data):
        error = self._ask(1, offset, len(data), data)
        return error or self._ask(3, 0, 0)

    def close(self):
        self.socket.close()


def pid_of(driver):
    """Of the daemon that serves its volume v."""
    return Daemon(driver.folder / "v", run=getattr(driver, "run", driver.folder) / "v").pid()


def kill(pid):
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


@pytest.fixture(params=[kind for kind in KINDS if kind != "fake"])
async def served(request, tmp_path):
    """Of those drivers that a qemu-storage-daemon serves."""
    made = make(request.param, "here", tmp_path)
    assert (await made.facts()).total_gb > 0
    yield made
    for held in await made.held():
        await made.remove(held.id)


async def test_a_write_that_was_acknowledged_survives_the_servers_death(served):
    await served.ensure("v", 1)
    client = Nbd(await served.export("v", ExportOptions()))
    assert client.size == GIB
    assert client.write(0, FIRST) == 0
    kill(pid_of(served))
    client.close()
    again = Nbd(await afresh(served).export("v", ExportOptions()))
    assert again.read(0, BLOCK) == FIRST
    again.close()


async def test_a_served_volume_is_snapshot_copied_and_extended(served):
    await served.ensure("v", 1)
    export = await served.export("v", ExportOptions())
    client = Nbd(export)
    client.write(0, FIRST)
    await served.ensure_snapshot("v", "s")
    client.write(0, SECOND)
    await served.ensure("copy", 1, Origin(volume_id="v"))
    assert await content(served, "v", "s") == {0: FIRST}
    assert await content(served, "copy") == {0: SECOND}
    client.close()
    await served.resize("v", 2)
    larger = Nbd(export)
    assert (larger.size, larger.read(0, BLOCK)) == (2 * GIB, SECOND)
    larger.close()
    await served.remove_snapshot("v", "s")
    assert (await served.held())[1].snapshots == ()


async def test_the_server_outlives_the_driver_and_is_found_again(served):
    await served.ensure("v", 1)
    await served.export("v", ExportOptions())
    before = pid_of(served)
    other = afresh(served)
    assert os.getsid(before) != os.getsid(0)
    await other.export("v", ExportOptions())
    assert pid_of(other) == before
    await other.export("v", None)
    assert pid_of(other) is None


async def test_a_server_that_died_is_told_of_until_the_volume_is_served_again(served):
    for volume_id in ("v", "w"):
        await served.ensure(volume_id, 1)
        await served.export(volume_id, ExportOptions())
    assert (await served.facts()).lost == ()
    kill(pid_of(served))
    assert (await served.facts()).lost == ("v",) == (await afresh(served).facts()).lost
    await served.export("v", ExportOptions())
    assert (await served.facts()).lost == ()
    kill(pid_of(served))
    await served.export("v", None)
    assert (await served.facts()).lost == ()


async def test_a_read_only_export_takes_no_writes(served):
    await served.ensure("v", 1)
    client = Nbd(await served.export("v", ExportOptions(read_only=True)))
    assert client.write(0, FIRST) != 0
    client.close()


async def test_limits_hold(served):
    await served.ensure("v", 1)
    client = Nbd(await served.export("v", ExportOptions(limits={"write_iops_sec": 20})))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(40):
        client.write(number * BLOCK, FIRST)
    assert loop.time() - began > 0.8
    client.close()


@pytest.mark.parametrize(("disk_format", "how"), [
    ("qcow2", ["-b", "{secret}", "-F", "raw"]), ("qcow2", ["-o", "data_file={secret},data_file_raw=on"]),
    ("vmdk", ["-o", "subformat=monolithicFlat"])])
async def test_images_that_name_other_files_are_refused(served, tmp_path, disk_format, how):
    (tmp_path / "secret").write_bytes(b"secret" * 100_000)
    image = tmp_path / "image"
    words = [word.format(secret=tmp_path / "secret") for word in how]
    process = await asyncio.create_subprocess_exec(
        "qemu-img", "create", "-q", "-f", disk_format, *words, str(image), "600K")
    assert await process.wait() == 0
    await served.ensure("v", 1)
    with pytest.raises(VolumeFailed, match="other files"):
        await served.fill("v", str(image), disk_format)
    assert await content(served, "v") == {}


@pytest.mark.parametrize("disk_format", qcow2.IMAGE_FORMATS)
async def test_content_as_an_image_of_any_format(tmp_path, disk_format):
    raw, image, back = tmp_path / "raw", tmp_path / "image", tmp_path / "back"
    raw.write_bytes(b"content".ljust(3 << 20, b"\0"))
    await qcow2.write_image(raw, image, disk_format)
    await qcow2.convert(str(image), qcow2.IMAGE_FORMATS[disk_format], back, target_format="raw")
    assert back.read_bytes() == raw.read_bytes()


@pytest.mark.parametrize(("version", "header"), [(1, 4 << 20), (2, 16 << 20)])
async def test_an_encrypted_volume_is_plain_only_where_it_is_served(served, tmp_path, version, header):
    """Snapshots, growth and copies need no key; the volume and its copy are read with the same one."""
    key, image = Key(secret="correct horse", algorithm="aes-128", luks=version), tmp_path / "image"
    image.write_bytes(b"of the image".ljust(BLOCK, b"."))
    await served.ensure("v", 1, key=key)
    await served.fill("v", str(image), "raw", key)
    options = ExportOptions(encrypted=True, limits={"write_iops_sec": 5000})
    client = Nbd(await served.export("v", options, key))
    assert client.read(0, BLOCK) == image.read_bytes() and GIB - header <= client.size < GIB
    assert client.write(BLOCK, FIRST) == 0
    client.close()
    await served.ensure_snapshot("v", "s")
    await served.resize("v", 2)
    client = Nbd(await served.export("v", options, key))
    assert client.read(BLOCK, BLOCK) == FIRST and client.size >= 2 * GIB - header
    assert client.write(BLOCK, SECOND) == 0
    client.close()
    await served.ensure("copy", 2, Origin(volume_id="v", snapshot_id="s"))
    client = Nbd(await served.export("copy", options, key))
    assert client.read(BLOCK, BLOCK) == FIRST
    client.close()
    stored = b"".join([piece async for _, piece in served.read("v")])
    assert stored.startswith(b"LUKS\xba\xbe\0" + bytes([version]))
    assert image.read_bytes() not in stored and SECOND not in stored
    await served.export("v", None)
    with pytest.raises(VolumeFailed):
        await served.export("v", options, Key(secret="wrong"))


async def test_others_open_a_device_of_version_2(served, tmp_path):
    """By its own header, which QEMU does not look at; what it protects is what is read by the one QEMU uses."""
    key, stored, opened, secret = Key(secret="correct horse", luks=2), *(tmp_path / name for name in (
        "stored", "opened", "secret"))
    secret.write_text(key.secret)
    await served.ensure("v", 1, key=key)
    client = Nbd(await served.export("v", ExportOptions(encrypted=True), key))
    assert client.write(0, FIRST) == 0
    client.close()
    await served.export("v", None)
    with stored.open("wb") as file:
        file.truncate(GIB)
        async for offset, piece in served.read("v"):
            file.seek(offset)
            file.write(piece)
    told = await qcow2.run("cryptsetup", "luksDump", str(stored))
    assert b"offset: 16777216" in told and b"cipher: aes-xts-plain64" in told and b"Area length:258048" in told
    await qcow2.run("cryptsetup", "luksDump", "--batch-mode", "--dump-volume-key", "--volume-key-file", str(opened),
                    "--key-file", str(secret), str(stored))
    content = stored.read_bytes()[16 << 20:]
    for sector in (0, BLOCK // 512 - 1):
        cipher = Cipher(algorithms.AES(opened.read_bytes()), modes.XTS(sector.to_bytes(16, "little"))).decryptor()
        assert cipher.update(content[sector * 512:sector * 512 + 512]) == FIRST[:512]


async def test_what_is_stored_encrypted_is_brought_back_as_it_was(served, tmp_path):
    """As backups do: into a volume that was encrypted with another key, and is larger."""
    key, stored = Key(secret="correct horse"), tmp_path / "stored"
    await served.ensure("v", 1, key=key)
    client = Nbd(await served.export("v", ExportOptions(encrypted=True), key))
    assert client.write(BLOCK, FIRST) == 0
    client.close()
    with stored.open("wb") as file:
        file.truncate(GIB)
        async for offset, piece in served.read("v"):
            file.seek(offset)
            file.write(piece)
    await served.ensure("other", 2, key=Key(secret="another"))
    await served.fill("other", str(stored), "raw")
    client = Nbd(await served.export("other", ExportOptions(encrypted=True), key))
    assert client.read(BLOCK, BLOCK) == FIRST
    client.close()
    await served.export("other", None)
    await served.export("v", None)
