"""Which shared libraries an x86-64 program links to, read from its ELF headers."""

import struct
from pathlib import Path

LOAD, DYNAMIC, INTERPRETER = 1, 2, 3
TAG_NEEDED, TAG_STRING_TABLE = 1, 5


def elf_needs(path: Path) -> tuple[str | None, list[str]]:
    """The interpreter, and the names of shared libraries; (None, []) for what is no 64-bit ELF file."""
    data = path.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return None, []
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    loads: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    interpreter: str | None = None
    for index in range(count):
        kind, _, start, address, _, length = struct.unpack_from("<IIQQQQ", data, offset + index * size)
        if kind == LOAD:
            loads.append((address, start, length))
        elif kind == DYNAMIC:
            dynamic = start, length
        elif kind == INTERPRETER:
            interpreter = data[start : start + length - 1].decode()
    if dynamic is None:
        return interpreter, []
    names: list[int] = []
    table = 0
    for position in range(dynamic[0], sum(dynamic), 16):
        tag, value = struct.unpack_from("<QQ", data, position)
        if tag == TAG_NEEDED:
            names.append(value)
        elif tag == TAG_STRING_TABLE:
            table = value
    table = next(start + table - address for address, start, length in loads if address <= table < address + length)
    return interpreter, [data[table + name : data.index(b"\0", table + name)].decode() for name in names]
