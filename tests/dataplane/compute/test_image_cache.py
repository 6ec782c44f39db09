"""The image cache of a host: one fetch, checked, whole or not at all, and kept as long as a guest needs it."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pileus.compute.drivers.disks import qemu_img
from pileus.compute.drivers.image_cache import ImageCache, ImageUnusable, Write

CONTENT = [b"pileus" * 1000, b"image" * 3000]
CHECKSUM = hashlib.sha512(b"".join(CONTENT)).hexdigest()
KILLED = """
import asyncio, os, sys
from pathlib import Path
from pileus.compute.drivers.image_cache import ImageCache

async def fetch(write):
    await write(b"half of it")
    os.kill(os.getpid(), 9)

asyncio.run(ImageCache(Path(sys.argv[1])).ensure("image", "", fetch))
"""


class Source:
    """Somewhere images come from, which counts how often it is asked."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks or CONTENT
        self.asked = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def fetch(self, write: Write) -> None:
        self.asked += 1
        self.begun.set()
        for chunk in self.chunks:
            await self.go_on.wait()
            await write(chunk)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(folder: Path) -> ImageCache:
    return ImageCache(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(path: Path) -> bytes:
    return path.read_bytes()


async def test_fetched_once_and_named_by_its_content(cache: ImageCache, folder: Path) -> None:
    source = Source()
    path = await cache.ensure("image", CHECKSUM, source.fetch)
    assert contents(path) == b"".join(CONTENT)
    assert names(folder) == [f"sha512-{CHECKSUM}"]
    assert await cache.ensure("another image of the same content", CHECKSUM, source.fetch) == path
    assert await ImageCache(folder).ensure("image", CHECKSUM, source.fetch) == path
    assert source.asked == 1


async def test_all_who_ask_share_one_fetch(cache: ImageCache) -> None:
    source = Source()
    source.go_on.clear()
    asking = [asyncio.create_task(cache.ensure("image", CHECKSUM, source.fetch)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    source.go_on.set()
    got = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(got[0], asyncio.CancelledError)
    assert len(set(map(str, got[1:]))) == 1
    assert source.asked == 1


@pytest.mark.parametrize(("kind", "name"), [("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vdi", "vdi"), ("vpc", "vhd"),
                                            ("vhdx", "vhdx")])
async def test_no_other_format_passes_for_raw(cache: ImageCache, folder: Path, tmp_path: Path, kind: str,
                                              name: str) -> None:
    made = tmp_path / "made"
    process = await asyncio.create_subprocess_exec("qemu-img", "create", "-q", "-f", kind, str(made), "8M")
    assert await process.wait() == 0
    for claimed in ("raw", "aki"):
        with pytest.raises(ImageUnusable, match=f"image file is {name}, though it is said to be {claimed}"):
            await cache.ensure("image", "", Source(contents(made)).fetch, disk_format=claimed)
    assert names(folder) == []


async def test_what_is_not_what_it_should_be_is_not_kept(cache: ImageCache, folder: Path) -> None:
    with pytest.raises(ImageUnusable, match="checksum"):
        await cache.ensure("image", CHECKSUM, Source(b"something else").fetch)
    assert names(folder) == []
    await cache.ensure("image", CHECKSUM, Source().fetch)


async def test_troubles_of_the_source_come_through(cache: ImageCache, folder: Path) -> None:
    async def fetch(write: Write) -> None:
        await write(b"a part")
        raise ConnectionResetError("the other side went away")

    with pytest.raises(ConnectionResetError):
        await cache.ensure("image", CHECKSUM, fetch)
    assert names(folder) == []
    await cache.ensure("image", CHECKSUM, Source().fetch)


async def test_an_image_without_a_checksum_is_named_by_its_id(cache: ImageCache, folder: Path) -> None:
    await cache.ensure("3f0c", "", Source().fetch)
    assert names(folder) == ["id-3f0c"]
    for image_id, checksum in (("../up", ""), ("", ""), ("image", "../up"), ("image", "abc")):
        with pytest.raises(ImageUnusable):
            await cache.ensure(image_id, checksum, Source().fetch)


def killed_while_fetching(folder: Path) -> None:
    child = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert child.returncode == -signal.SIGKILL


async def test_killed_while_fetching(folder: Path) -> None:
    await asyncio.to_thread(killed_while_fetching, folder)
    assert names(folder) == [".fetching-id-image"]
    cache = ImageCache(folder)
    assert names(folder) == []
    assert contents(await cache.ensure("image", "", Source().fetch)) == b"".join(CONTENT)


async def test_closing_stops_a_fetch(cache: ImageCache, folder: Path) -> None:
    source = Source()
    source.go_on.clear()
    asking = asyncio.create_task(cache.ensure("image", CHECKSUM, source.fetch))
    await source.begun.wait()
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert names(folder) == []


async def test_pruning_spares_what_is_new_or_in_use(cache: ImageCache, folder: Path, tmp_path: Path) -> None:
    old, used, new = [await cache.ensure(name, "", Source().fetch) for name in ("old", "used", "new")]
    for path in (old, used):
        os.utime(path, (0, 0))
    os.link(used, tmp_path / "base of a guest")
    assert cache.prune(older_than_seconds=60) == [old]
    assert names(folder) == [new.name, used.name]
    os.unlink(tmp_path / "base of a guest")
    assert cache.prune(older_than_seconds=60) == [used]


def qcow2(path: Path, *arguments: str) -> bytes:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *arguments, str(path), "8M"], check=True)
    return path.read_bytes()


async def test_qcow2_images(cache: ImageCache, folder: Path, tmp_path: Path) -> None:
    sound = qcow2(tmp_path / "sound")
    await cache.ensure("sound", "", Source(sound).fetch, disk_format="qcow2")
    refused = {
        "no qcow2": b"".join(CONTENT),
        "backing file": qcow2(tmp_path / "backed", "-b", "/etc/passwd", "-F", "raw"),
        "another file": qcow2(tmp_path / "spread", "-o", f"data_file={tmp_path / 'data'}"),
        "damaged": sound[:70000] + b"\xff" * 2000 + sound[72000:],
    }
    for reason, data in refused.items():
        with pytest.raises(ImageUnusable, match=reason):
            await cache.ensure("refused", "", Source(data).fetch, disk_format="qcow2")
    assert names(folder) == ["id-sound"]
    with pytest.raises(ImageUnusable, match="vmdk"):
        await cache.ensure("other", "", Source().fetch, disk_format="vmdk")


def made(path: Path, kind: str, *options: str) -> bytes:
    """8 MiB that begin with what tells them apart."""
    raw = path.with_name("raw")
    raw.write_bytes(b"content".ljust(8 << 20, b"\0"))
    subprocess.run(["qemu-img", "convert", "-q", "-f", "raw", "-O", kind, *options, str(raw), str(path)], check=True)
    return path.read_bytes()


@pytest.mark.parametrize(("disk_format", "kind", "options"), [
    ("vmdk", "vmdk", ()), ("vmdk", "vmdk", ("-o", "subformat=streamOptimized")), ("vdi", "vdi", ()),
    ("vhd", "vpc", ("-o", "force_size=on")), ("vhdx", "vhdx", ())])
async def test_foreign_formats_are_brought_to_qcow2(cache: ImageCache, folder: Path, tmp_path: Path, disk_format: str,
                                                    kind: str, options: tuple[str, ...]) -> None:
    image = made(tmp_path / "image", kind, *options)
    path = await cache.ensure("image", "", Source(image).fetch, disk_format=disk_format)
    assert names(folder) == [f"id-image-of-{disk_format}"] and contents(path).startswith(b"QFI\xfb")
    await qemu_img("convert", "-f", "qcow2", "-O", "raw", str(path), str(tmp_path / "back"))
    assert contents(tmp_path / "back").rstrip(b"\0") == b"content"
    for lie, reason in (("qcow2", "no qcow2"), ("vdi" if disk_format != "vdi" else "vhdx", "though it is said to be")):
        with pytest.raises(ImageUnusable, match=reason):
            await cache.ensure("lie", "", Source(image).fetch, disk_format=lie)
    with pytest.raises(ImageUnusable):
        await cache.ensure("torn", "", Source(image[:300]).fetch, disk_format=disk_format)
    assert names(folder) == [f"id-image-of-{disk_format}"]


async def test_a_foreign_image_that_names_other_files_is_refused(cache: ImageCache, folder: Path,
                                                                 tmp_path: Path) -> None:
    (tmp_path / "image-flat.vmdk").write_bytes(b"secret")
    image = made(tmp_path / "image.vmdk", "vmdk", "-o", "subformat=monolithicFlat")
    with pytest.raises(ImageUnusable):
        await cache.ensure("image", "", Source(image).fetch, disk_format="vmdk")
    assert names(folder) == []
