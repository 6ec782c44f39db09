"""Configuration drives: an ISO 9660 image, with Joliet names, or a FAT one, written from names and contents."""

import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pileus.compute.drivers.disks import BadDisk
from pileus.compute.drivers.fat import fat_image

SECTOR = 2048
SYSTEM_SECTORS = 16
LABEL = "config-2"


class Folder:
    """A folder of the image, with its place in each of the two trees (plain and Joliet)."""

    def __init__(self, name: str, parent: "Folder | None") -> None:
        self.name = name
        self.parent = parent or self
        self.folders: dict[str, Folder] = {}
        self.files: dict[str, bytes] = {}
        self.starts: dict[str, int] = {}  # where each file's data lie
        self.extent = 0
        self.size = 0
        self.number = 0

    def all(self) -> "list[Folder]":
        """This folder and those below, each level before the next, as path tables have it."""
        found: list[Folder] = [self]
        for folder in found:
            found += [folder.folders[name] for name in sorted(folder.folders)]
        return found


def config_drive(files: Mapping[str, bytes], label: str = LABEL) -> bytes:
    """The image. Raises BadDisk for names that cannot be: empty parts, `..`, over 64 characters."""
    root = Folder("", None)
    for path, content in files.items():
        folder = root
        *parents, name = path.strip("/").split("/")
        for part in [*parents, name]:
            if part in ("", ".", "..") or len(part) > 64 or "\0" in part:
                raise BadDisk(f"{path!r} cannot be on a configuration drive")
        for part in parents:
            folder = folder.folders.setdefault(part, Folder(part, folder))
        folder.files[name] = content
    for folder in root.all():
        if both := folder.files.keys() & folder.folders.keys():
            raise BadDisk(f"{min(both)!r} cannot be both a file and a folder of a configuration drive")
    return Writer(root, label).image()


class Names:
    """How one of the two trees spells names."""

    def __init__(self, encode: Callable[[str, set[bytes], bool], bytes]) -> None:
        self.encode = encode

    def of(self, folder: Folder) -> list[tuple[bytes, str, bool]]:
        """(name on the disk, name, is a folder) of all in a folder, in the order of the disk."""
        taken: set[bytes] = set()
        found = []
        for name, is_folder in [(n, True) for n in sorted(folder.folders)] + [(n, False) for n in sorted(folder.files)]:
            spelled = self.encode(name, taken, is_folder)
            taken.add(spelled)
            found.append((spelled, name, is_folder))
        return sorted(found)


def plain_name(name: str, taken: set[bytes], is_folder: bool) -> bytes:
    """Eight and three capitals, as the oldest readers want it; numbered where two would be the same."""
    stem, _, ending = name.upper().rpartition(".") if "." in name.strip(".") else (name.upper(), "", "")
    stem, ending = ("".join(c if c.isascii() and c.isalnum() else "_" for c in part) for part in (stem, ending))
    for number in range(1000):
        short = stem[:8] if number == 0 else f"{stem[: 8 - len(str(number))]}{number}"
        spelled = short.encode() if is_folder else f"{short}.{ending[:3]};1".encode()
        if spelled not in taken:
            return spelled
    raise BadDisk("too many files of similar names")


def joliet_name(name: str, taken: set[bytes], is_folder: bool) -> bytes:
    return name.encode("utf-16-be")


PLAIN, JOLIET = Names(plain_name), Names(joliet_name)


class Writer:
    """Lays out both trees, then writes them with the files' data behind."""

    def __init__(self, root: Folder, label: str) -> None:
        self.root = root
        self.label = label
        self.when = time.gmtime()
        self.data = bytearray(SYSTEM_SECTORS * SECTOR)

    def image(self) -> bytes:
        # Sectors: 16 and 17 the two descriptors, 18 their end, 19 to 22 path tables; then folders, then data.
        folders = self.root.all()
        for number, folder in enumerate(folders, 1):
            folder.number = number
        tables = {}
        trees = {}
        sector = 19
        for names in (PLAIN, JOLIET):
            size = len(self._path_table(folders, names, "<"))
            tables[names] = (sector, size)
            sector += 2 * sectors(size)
        for names in (PLAIN, JOLIET):
            trees[names] = sector
            sector += sum(sectors(len(self._records(folder, names))) for folder in folders)
        for folder in folders:
            for name in sorted(folder.files):
                folder.starts[name] = sector
                sector += sectors(len(folder.files[name]))
        total = sector + 1
        bodies = bytearray()
        descriptors = bytearray()
        path_tables = bytearray()
        for names in (PLAIN, JOLIET):
            self._place(folders, names, trees[names])
            descriptors += self._descriptor(names, total, *tables[names])
            for order in "<>":
                path_tables += padded(self._path_table(folders, names, order))
            for folder in folders:
                bodies += padded(self._records(folder, names))
        self.data += descriptors + padded(b"\xffCD001\x01") + path_tables + bodies
        for folder in folders:
            for name in sorted(folder.files):
                self.data += padded(folder.files[name])
        return bytes(self.data.ljust(total * SECTOR, b"\0"))

    def _place(self, folders: list[Folder], names: Names, sector: int) -> None:
        for folder in folders:
            folder.extent = sector
            folder.size = sectors(len(self._records(folder, names))) * SECTOR
            sector += folder.size // SECTOR

    def _records(self, folder: Folder, names: Names) -> bytes:
        data = bytearray()
        entries = [(b"\0", folder.extent, folder.size, True), (b"\1", folder.parent.extent, folder.parent.size, True)]
        for spelled, name, is_folder in names.of(folder):
            if is_folder:
                entries.append((spelled, folder.folders[name].extent, folder.folders[name].size, True))
            else:
                entries.append((spelled, folder.starts.get(name, 0), len(folder.files[name]), False))
        for entry in entries:
            record = self._record(*entry)
            if len(data) % SECTOR + len(record) > SECTOR:  # a record never spans two sectors
                data = bytearray(padded(data))
            data += record
        return bytes(data)

    def _record(self, name: bytes, extent: int, size: int, is_folder: bool) -> bytes:
        when = struct.pack("7B", self.when.tm_year - 1900, *self.when[1:6], 0)
        length = 33 + len(name) + (1 - len(name) % 2)
        fixed = struct.pack("<BB", length, 0) + both32(extent) + both32(size) + when
        fixed += struct.pack("<BBB", 2 if is_folder else 0, 0, 0) + both16(1) + bytes([len(name)])
        return (fixed + name).ljust(length, b"\0")

    def _path_table(self, folders: list[Folder], names: Names, order: str) -> bytes:
        data = b""
        spelled = {id(f.folders[n]): s for f in folders for s, n, is_folder in names.of(f) if is_folder}
        for folder in folders:
            name = spelled.get(id(folder), b"\0")
            data += struct.pack(f"{order}BBIH", len(name), 0, folder.extent, folder.parent.number)
            data += name + b"\0" * (len(name) % 2)
        return data

    def _descriptor(self, names: Names, total: int, table: int, table_size: int) -> bytes:
        joliet = names is JOLIET

        def text(value: str, size: int) -> bytes:
            if joliet:
                return (value.encode("utf-16-be") + b"\0 " * size)[: size - size % 2].ljust(size, b"\0")
            return value.encode("ascii", "replace").ljust(size)[:size]

        stamp = time.strftime("%Y%m%d%H%M%S00", self.when).encode() + b"\0"
        never = b"0" * 16 + b"\0"
        data = struct.pack("B5sBB", 2 if joliet else 1, b"CD001", 1, 0) + text("", 32) + text(self.label, 32)
        data += bytes(8) + both32(total) + (b"%/E" if joliet else b"").ljust(32, b"\0")
        data += both16(1) + both16(1) + both16(SECTOR) + both32(table_size)
        data += struct.pack("<II", table, 0) + struct.pack(">II", table + sectors(table_size), 0)
        data += self._record(b"\0", self.root.extent, self.root.size, True)
        data += b"".join(text("", size) for size in (128, 128, 128, 128, 37, 37, 37))
        return padded(data + stamp + stamp + never + never + b"\x01\0")


def write_config_drive(path: Path, files: Mapping[str, bytes], kind: str = "iso9660") -> None:
    path.write_bytes(fat_image(files, LABEL) if kind == "vfat" else config_drive(files))


def sectors(size: int) -> int:
    return -(-size // SECTOR)


def padded(data: bytes | bytearray) -> bytes:
    return bytes(data).ljust(sectors(len(data)) * SECTOR, b"\0")


def both16(number: int) -> bytes:
    return struct.pack("<H", number) + struct.pack(">H", number)


def both32(number: int) -> bytes:
    return struct.pack("<I", number) + struct.pack(">I", number)
