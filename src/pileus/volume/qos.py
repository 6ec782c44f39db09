"""What the limits of a type come to for a volume of some size. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kit.numbers import digits

BASES = tuple(f"{which}_{what}_sec" for what in ("iops", "bytes") for which in ("total", "read", "write"))
SIZE = "size_iops_sec"                 # bytes beyond which a request counts as more than one


def limits_of(specs: Mapping[str, str], size_gb: int) -> dict[str, int]:
    """By their names in types. Those per GiB count for a volume's size, and are at least what `_per_gb_min` says;
    `_max` is for bursts of `_max_length` seconds. What means nothing without another limit is left out."""
    given = {name: number for name, value in specs.items() if (number := digits(value)) is not None}
    found: dict[str, int] = {}
    for base in BASES:
        limit = given.get(base, 0)
        if (each := given.get(f"{base}_per_gb", 0)) > 0:
            limit = max(each * size_gb, given.get(f"{base}_per_gb_min", 0))
        if limit <= 0:
            continue
        found[base] = limit
        if (most := given.get(f"{base}_max", 0)) > 0:
            found[f"{base}_max"] = max(most, limit)
            if (length := given.get(f"{base}_max_length", 0)) > 0:
                found[f"{base}_max_length"] = length
    if given.get(SIZE, 0) > 0 and any("iops" in name for name in found):
        found[SIZE] = given[SIZE]
    return found
