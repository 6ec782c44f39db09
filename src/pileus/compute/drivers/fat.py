"""FAT images with long names, written from a mapping of names to contents: configuration drives of the other kind."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pileus.compute.drivers.disks import BadDisk

SECTOR = 512
PER_CLUSTER = 4
CLUSTER = SECTOR * PER_CLUSTER
RESERVED, FATS, ROOT_ENTRIES = 1, 2, 512
ROOT_SECTORS = ROOT_ENTRIES * 32 // SECTOR
# Between the two a FAT has entries of 16 bits.
LEAST_CLUSTERS, MOST_CLUSTERS = 8192, 65000
FOLDER, ARCHIVE, VOLUME, LONG = 0x10, 0x20, 0x08, 0x0F
DATE = (2000 - 1980) << 9 | 1 << 5 | 1
END = 0xFFFF

Tree = dict[str, "Tree | bytes"]


def tree_of(files: Mapping[str, bytes]) -> Tree:
    """Raises BadDisk for names that cannot be."""
    root: Tree = {}
    for path, content in files.items():
        folder = root
        *parents, name = path.strip("/").split("/")
        for part in [*parents, name]:
            if part in ("", ".", "..") or len(part) > 64 or any(c in '\\:*?"<>|' or c < " " for c in part):
                raise BadDisk(f"{path!r} cannot be on a configuration drive")
        for part in parents:
            below = folder.setdefault(part, {})
            if not isinstance(below, dict):
                raise BadDisk(f"{part!r} cannot be both a file and a folder of a configuration drive")
            folder = below
        if name in folder:
            raise BadDisk(f"{name!r} cannot be both a file and a folder of a configuration drive")
        folder[name] = content
    return root


class Fat:
    """The clusters, and which follows which."""

    def __init__(self) -> None:
        self.table = [0xFFF8, END]
        self.data = bytearray()

    def put(self, content: bytes) -> int:
        """The first cluster; 0 for nothing."""
        count = -(-len(content) // CLUSTER)
        if not count:
            return 0
        first = len(self.table)
        self.table += [*range(first + 1, first + count), END]
        self.data += content.ljust(count * CLUSTER, b"\0")
        return first

    def folder(self, tree: Tree, parent: int, own: int | None) -> bytes:
        """The entries; those of a folder below the root begin with itself and its parent."""
        entries = b""
        if own is not None:
            entries += short_entry(b".          ", FOLDER, own, 0) + short_entry(b"..         ", FOLDER, parent, 0)
        taken: set[bytes] = set()
        for name, content in sorted(tree.items()):
            short = short_name(name, taken)
            entries += long_entries(name, short)
            if isinstance(content, dict):
                entries += short_entry(short, FOLDER, self.put_folder(content, own or 0), 0)
            else:
                entries += short_entry(short, ARCHIVE, self.put(content), len(content))
        return entries

    def put_folder(self, tree: Tree, parent: int) -> int:
        """Its clusters come before what is in it, so that it can be told where it is."""
        size = 64 + sum(32 * (2 + len(name.encode("utf-16-le")) // 26) for name in tree)
        first = self.put(bytes(max(size, 1)))
        entries = self.folder(tree, parent, first)
        start = (first - 2) * CLUSTER
        self.data[start : start + len(entries)] = entries
        return first


def short_name(name: str, taken: set[bytes]) -> bytes:
    """Eight and three capitals, with a number at their end: readers go by the long name."""
    stem, _, ending = name.upper().rpartition(".") if "." in name.strip(".") else (name.upper(), "", "")
    stem, ending = ("".join(c if c.isascii() and c.isalnum() else "_" for c in part) for part in (stem, ending))
    for number in range(1, 100000):
        mark = f"~{number}"
        found = (stem[: 8 - len(mark)] + mark).ljust(8).encode() + ending[:3].ljust(3).encode()
        if found not in taken:
            taken.add(found)
            return found
    raise BadDisk("too many files of similar names")


def short_entry(name: bytes, kind: int, cluster: int, size: int) -> bytes:
    return struct.pack("<11sBBBHHHHHHHI", name, kind, 0, 0, 0, DATE, DATE, 0, 0, DATE, cluster, size)


def long_entries(name: str, short: bytes) -> bytes:
    """Thirteen characters to an entry, the last ones first."""
    total = 0
    for byte in short:
        total = ((total >> 1 | (total & 1) << 7) + byte) & 0xFF
    spelled = name.encode("utf-16-le")
    count = -(-len(spelled) // 26)
    if len(spelled) < count * 26:
        spelled = (spelled + b"\0\0").ljust(count * 26, b"\xff")
    found = b""
    for number in range(count, 0, -1):
        part = spelled[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        found += struct.pack("<B10sBBB12sH4s", order, part[:10], LONG, 0, total, part[10:22], 0, part[22:])
    return found


def fat_image(files: Mapping[str, bytes], label: str) -> bytes:
    """The image, as large as its files need. Raises BadDisk."""
    fat = Fat()
    # Readers find a drive by its label as it is written here.
    told = label.ljust(11)[:11].encode("ascii", "replace")
    root = short_entry(told, VOLUME, 0, 0) + fat.folder(tree_of(files), 0, None)
    if len(root) > ROOT_ENTRIES * 32:
        raise BadDisk("too many files at the top of a configuration drive")
    used = len(fat.table) - 2
    if used > MOST_CLUSTERS:
        raise BadDisk("its files are too large for a configuration drive")
    clusters = max(used, LEAST_CLUSTERS)
    fat_sectors = -(-(clusters + 2) * 2 // SECTOR)
    sectors = RESERVED + FATS * fat_sectors + ROOT_SECTORS + clusters * PER_CLUSTER
    small, large = (sectors, 0) if sectors < 1 << 16 else (0, sectors)
    boot = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x3c\x90", b"PILEUS  ", SECTOR, PER_CLUSTER, RESERVED, FATS,
                       ROOT_ENTRIES, small, 0xF8, fat_sectors, 63, 255, 0, large)  # fmt: skip
    boot += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x50494C45, told, b"FAT16   ")
    boot = boot.ljust(510, b"\0") + b"\x55\xaa"
    table = struct.pack(f"<{len(fat.table)}H", *fat.table).ljust(fat_sectors * SECTOR, b"\0")
    image = boot + table * FATS + root.ljust(ROOT_SECTORS * SECTOR, b"\0") + bytes(fat.data)
    return image.ljust(sectors * SECTOR, b"\0")
