"""File systems, archives and disks made in plain files, without root and without mounting anything."""

import gzip
import os
import stat
import struct
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pileus.guest_image.programs import run

SECTOR = 512
MIB = 1 << 20


class Cpio:
    """A newc archive, as the kernel takes for an initramfs."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.inode = 0

    def add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields)
        self.data += encoded
        self._pad()
        self.data += data
        self._pad()

    def folder(self, name: str) -> None:
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self.add(name, stat.S_IFREG | mode, data)

    def device(self, name: str, major: int, minor: int) -> None:
        self.add(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self.data)

    def _pad(self) -> None:
        self.data += b"\0" * (-len(self.data) % 4)


def make_initramfs(busybox: bytes, init: bytes, modules: Iterable[Path]) -> bytes:
    archive = Cpio()
    for name in ("bin", "dev", "modules"):
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3)
    archive.file("bin/busybox", busybox, 0o755)
    archive.file("init", init, 0o755)
    names = []
    for path in modules:
        archive.file(f"modules/{path.name}", path.read_bytes())
        names.append(path.name)
    archive.file("modules/order", "".join(f"{name}\n" for name in names).encode())
    return gzip.compress(archive.finish(), 9, mtime=0)


def make_ext4(root: Path, target: Path, size: int, label: str, identity: str) -> None:
    """An ext4 file system holding a folder; root owns everything but what lies below /home."""
    with open(target, "wb") as file:
        file.truncate(size)
    run(
        "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "8192", "-m", "1", "-L", label, "-U", identity,
        "-J", "size=4", "-E", f"root_owner=0:0,hash_seed={identity},lazy_itable_init=0", "-d", root, target,
        environment={"E2FSPROGS_FAKE_TIME": "1700000000"},
    )  # fmt: skip
    commands: list[str] = []
    for path in sorted(root.rglob("*")):
        name = "/" + str(path.relative_to(root))
        owner = 1000 if name.startswith("/home/") else 0
        if os.geteuid() != 0 or owner:
            commands += [f'sif "{name}" uid {owner}', f'sif "{name}" gid {owner}']
        if name == "/usr/libexec/as-root":
            commands += [f'sif "{name}" gid 10', f'sif "{name}" mode 0104750']
        if name == "/usr/bin/busybox":             # lets go of root by itself but for ping and its like
            commands += [f'sif "{name}" mode 0104755']
    run("debugfs", "-w", "-f", "-", target, text_in="\n".join(commands))


def make_fat(target: Path, start: int, files: Mapping[str, bytes], installer: Path) -> None:
    """A FAT file system that SYSLINUX starts from, meant for sector `start` of a disk, as large as its files need."""
    size = (sum(map(len, files.values())) // MIB + 4) * MIB
    with open(target, "wb") as file:
        file.truncate(size)
    run("mformat", "-i", target, "-v", "BOOT", "-N", "20231114", "-T", str(size // SECTOR), "-h", "16", "-s", "32",
        "-H", str(start), "::")  # fmt: skip
    made: set[str] = set()
    for name, data in files.items():
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            if folder not in made:
                run("mmd", "-i", target, f"::/{folder}")
                made.add(folder)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            run("mcopy", "-i", target, file.name, f"::/{name}")
    run(installer, "--install", target)


def make_disk(target: Path, code: bytes, boot: Path, root: Path) -> None:
    """An MBR disk: the root is entry 1, but lies last so that it can grow; the boot partition before it is active."""
    boot_start = MIB // SECTOR
    boot_sectors = boot.stat().st_size // SECTOR
    root_start = boot_start + boot_sectors
    root_sectors = root.stat().st_size // SECTOR
    table = b"".join(
        struct.pack("<B3sB3sII", flag, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, length)
        for flag, kind, start, length in (
            (0x00, 0x83, root_start, root_sectors),
            (0x80, 0xEF, boot_start, boot_sectors),
        )
    )
    sector = code[:440].ljust(440, b"\0") + struct.pack("<IH", 0x1F0C10AD, 0)
    sector += table.ljust(64, b"\0") + b"\x55\xaa"
    with open(target, "wb") as disk:
        disk.write(sector)
        for source, start in ((boot, boot_start), (root, root_start)):
            disk.seek(start * SECTOR)
            with open(source, "rb") as file:
                while block := file.read(MIB):
                    if block.count(0) == len(block):
                        disk.seek(len(block), os.SEEK_CUR)
                    else:
                        disk.write(block)
        disk.truncate((root_start + root_sectors) * SECTOR)
