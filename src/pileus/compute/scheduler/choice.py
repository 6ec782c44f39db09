"""Filters, then weighers: the verdict says per filter how many hosts were left and why not the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from pileus.compute.scheduler.columns import Columns
from pileus.compute.scheduler.filters import FILTERS
from pileus.compute.scheduler.weighers import total, weigh
from pileus.compute.scheduler.wishes import Wish

NO_VALID_HOST = "No valid host was found."


class Sifted(msgspec.Struct, frozen=True, kw_only=True):
    """One filter's row of the table in `pileus trace`. Filters that nothing was asked of have none."""

    filter: str
    hosts_in: int
    hosts_out: int
    why: str = ""                             # said where it refused any


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts in the order of preference, and how it came to that."""

    hosts: tuple[str, ...]
    table: tuple[Sifted, ...]

    @property
    def sentence(self) -> str:
        """For the fault of the server; empty when there is a host."""
        if self.hosts:
            return ""
        if not self.table:
            return f"{NO_VALID_HOST} There are no hosts: none has reported yet."
        last = self.table[-1]
        seen = [f"{row.filter} left {row.hosts_out} of {row.hosts_in}." for row in self.table[:-1]
                if row.hosts_out != row.hosts_in]
        return " ".join([NO_VALID_HOST, *seen, f"{last.filter} left 0 of {last.hosts_in}: {last.why}"])


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One host in a dry run: what refused it and why, or what it weighs."""

    host: str
    filter: str = ""
    why: str = ""
    weight: float = 0.0
    weights: dict[str, float] = {}


def select(hosts: Columns, wish: Wish, multipliers: Mapping[Any, float] = {}, *, most: int = 5) -> Verdict:
    """Up to `most` hosts, the best first; none, with the reason, when a filter left none."""
    table: list[Sifted] = []
    left = np.ones(len(hosts), dtype=np.bool_)
    count = len(hosts)
    for each in FILTERS if count else ():
        passed = each.passes(hosts, wish)
        if passed is None:
            continue
        refused = np.flatnonzero(left & ~passed)
        left &= passed
        table.append(Sifted(filter=each.name, hosts_in=count, hosts_out=count - len(refused),
                            why=each.why(hosts, refused, wish) if len(refused) else ""))
        count -= len(refused)
        if not count:
            break
    rows = np.flatnonzero(left)
    if not len(rows):
        return Verdict(hosts=(), table=tuple(table))
    order = np.argsort(-total(weigh(hosts, rows, wish, multipliers), len(rows)), kind="stable")[:most]
    return Verdict(hosts=tuple(hosts.hosts[int(rows[i])].name for i in order), table=tuple(table))


def judge(hosts: Columns, wish: Wish, multipliers: Mapping[Any, float] = {}) -> list[Judged]:
    """Every host by itself: those that would do, the best first; then the others, each with the first filter that
    refused it."""
    left = np.ones(len(hosts), dtype=np.bool_)
    refused: list[Judged] = []
    for each in FILTERS:
        passed = each.passes(hosts, wish)
        if passed is not None:
            refused += [Judged(host=hosts.hosts[int(row)].name, filter=each.name,
                               why=each.why(hosts, np.array([row]), wish)) for row in np.flatnonzero(left & ~passed)]
            left &= passed
    rows = np.flatnonzero(left)
    if not len(rows):
        return refused
    weights = weigh(hosts, rows, wish, multipliers)
    sums = total(weights, len(rows))
    return [Judged(host=hosts.hosts[int(rows[i])].name, weight=float(sums[i]),
                   weights={name: float(values[i]) for name, values in weights.items()})
            for i in np.argsort(-sums, kind="stable")] + refused
