"""What all providers have free, as NumPy columns in memory: one row per provider, four columns per resource class.

The database stays the truth. A reader asks it for one number, the value of `change`; if that is ahead of ours, the
providers marked since are read again. A column that is behind costs a claim that is refused, never an overcommit.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from pileus.kit.db import Connection, Db
from pileus.placement.model.inventories import Inventory, from_row
from pileus.placement.model.tables import (
    allocations,
    change,
    inventories,
    provider_aggregates,
    provider_traits,
    providers,
)

Mask = NDArray[np.bool_]
_FIRST = 64                      # rows there is room for at the start


class Stock(msgspec.Struct, frozen=True):
    """One inventory and what is taken of it."""

    capacity: int
    used: int


class Entry(msgspec.Struct, kw_only=True):
    """What is known of one provider besides its numbers."""

    id: str
    name: str
    generation: int
    updated_at: float
    parent_id: str | None
    root_id: str
    traits: frozenset[str] = frozenset()
    aggregates: frozenset[str] = frozenset()
    stock: dict[str, Stock] = {}
    summary: str = ""            # JSON fragment of the newest shape, made when first asked for


class ClassColumn:
    """Free capacity and portions of one resource class. A provider without it has a maximum of 0: nothing fits."""

    def __init__(self, room: int):
        self.free, self.maximum = np.zeros(room, np.int64), np.zeros(room, np.int64)
        self.minimum, self.step = np.ones(room, np.int64), np.ones(room, np.int64)

    def grow(self, room: int) -> None:
        more = ClassColumn(room - len(self.free))
        for name in ("free", "maximum", "minimum", "step"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(more, name)]))

    def put(self, row: int, inventory: Inventory, used: int) -> None:
        self.free[row], self.maximum[row] = inventory.capacity - used, inventory.max_unit
        self.minimum[row], self.step[row] = inventory.min_unit, inventory.step_size

    def clear(self, row: int) -> None:
        self.maximum[row] = 0

    def fits(self, amount: int, rows: int) -> Mask:
        step = self.step[:rows]
        fits = (self.free[:rows] >= amount) & (self.minimum[:rows] <= amount) & (self.maximum[:rows] >= amount)
        return fits if (step == 1).all() else fits & (amount % step == 0)


class Columns:
    """All providers as of change number `value`. Everything but `refresh` is synchronous, hence consistent."""

    def __init__(self, db: Db):
        self._db, self._turn = db, asyncio.Lock()
        self._forget()

    def _forget(self) -> None:
        self.value, self.removals = 0, -1
        self.entries: list[Entry] = []
        self.row_of: dict[str, int] = {}
        self.classes: dict[str, ClassColumn] = {}
        self.traits: dict[str, Mask] = {}
        self.aggregates: dict[str, Mask] = {}
        self.root: NDArray[np.int64] = np.zeros(_FIRST, np.int64)
        self.trees: dict[int, list[int]] = {}             # root -> rows, of the trees with more than one row

    @property
    def rows(self) -> int:
        return len(self.entries)

    # -- keeping up -------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Catch up with the database: one tiny query when nothing changed."""
        async with self._db.read() as reader:
            value, removals = await _position(reader)
            if (value, removals) == (self.value, self.removals):
                return
        async with self._turn, self._db.read() as reader:
            value, removals = await _position(reader)
            if value == self.value and removals == self.removals:
                return
            first = removals != self.removals             # rows cannot be taken out: begin anew
            found = await _changed_since(reader, 0 if first else self.value)
            if first:
                self._forget()
            self._take(found)
            self.value, self.removals = value, removals

    def _take(self, found: _Changes) -> None:
        for entry in found.entries:
            row = self.row_of.get(entry.id)
            if row is None:
                row = self.row_of[entry.id] = len(self.entries)
                self.entries.append(entry)
                if row == len(self.root):
                    self._grow(2 * row)
            else:
                self._clear(row)
                self.entries[row] = entry
        for entry in found.entries:
            self._put(self.row_of[entry.id], entry, found)
        if any(entry.parent_id for entry in found.entries) or self.trees:
            self._find_trees()

    def _grow(self, room: int) -> None:
        more = room - len(self.root)
        self.root = np.concatenate([self.root, np.zeros(more, np.int64)])
        for column in self.classes.values():
            column.grow(room)
        for masks in (self.traits, self.aggregates):
            for name, mask in masks.items():
                masks[name] = np.concatenate([mask, np.zeros(more, np.bool_)])

    def _clear(self, row: int) -> None:
        old = self.entries[row]
        for name in old.stock:
            self.classes[name].clear(row)
        for name in old.traits:
            self.traits[name][row] = False
        for name in old.aggregates:
            self.aggregates[name][row] = False

    def _put(self, row: int, entry: Entry, found: _Changes) -> None:
        room = len(self.root)
        self.root[row] = self.row_of[entry.root_id]
        for name, (inventory, used) in found.stock.get(entry.id, {}).items():
            if name not in self.classes:
                self.classes[name] = ClassColumn(room)
            self.classes[name].put(row, inventory, used)
        for masks, names in ((self.traits, entry.traits), (self.aggregates, entry.aggregates)):
            for name in names:
                if name not in masks:
                    masks[name] = np.zeros(room, np.bool_)
                masks[name][row] = True

    def _find_trees(self) -> None:
        roots = self.root[:self.rows]
        crowded = np.bincount(roots, minlength=self.rows) > 1
        trees: dict[int, list[int]] = defaultdict(list)
        for row in np.flatnonzero(crowded[roots]).tolist():
            trees[int(roots[row])].append(row)
        self.trees = dict(trees)

    # -- asking -----------------------------------------------------------------------------

    def every(self) -> Mask:
        return np.ones(self.rows, np.bool_)

    def none(self) -> Mask:
        return np.zeros(self.rows, np.bool_)

    def fits(self, resource_class: str, amount: int) -> Mask:
        column = self.classes.get(resource_class)
        return column.fits(amount, self.rows) if column is not None else self.none()

    def with_trait(self, trait: str) -> Mask:
        mask = self.traits.get(trait)
        return mask[:self.rows] if mask is not None else self.none()

    def in_any_aggregate(self, aggregate_ids: frozenset[str]) -> Mask:
        mask = self.none()
        for aggregate_id in aggregate_ids:
            if aggregate_id in self.aggregates:
                mask = mask | self.aggregates[aggregate_id][:self.rows]
        return mask

    def in_tree_of(self, provider_id: str) -> Mask:
        row = self.row_of.get(provider_id)
        return self.root[:self.rows] == self.root[row] if row is not None else self.none()

    def tree(self, root: int) -> list[int]:
        """The rows of a whole tree."""
        return self.trees.get(root, [root])


class _Changes(msgspec.Struct):
    entries: list[Entry]
    stock: dict[str, dict[str, tuple[Inventory, int]]]


async def _position(reader: Connection) -> tuple[int, int]:
    row = (await reader.execute(_POSITION)).one()
    return row.value, row.removals


_POSITION = sa.select(change.c.value, change.c.removals)


async def _changed_since(reader: Connection, value: int) -> _Changes:
    ids = sa.select(providers.c.id).where(providers.c.changed > value)
    used = {(row.provider_id, row.resource_class): int(row.used) for row in await reader.execute(
        sa.select(allocations.c.provider_id, allocations.c.resource_class,
                  sa.func.sum(allocations.c.used).label("used"))
        .where(allocations.c.provider_id.in_(ids))
        .group_by(allocations.c.provider_id, allocations.c.resource_class))}
    stock: dict[str, dict[str, tuple[Inventory, int]]] = defaultdict(dict)
    for row in await reader.execute(sa.select(inventories).where(inventories.c.provider_id.in_(ids))):
        stock[row.provider_id][row.resource_class] = from_row(row), used.get((row.provider_id, row.resource_class), 0)
    traits = await _sets(reader, provider_traits.c.trait, ids)
    aggregates = await _sets(reader, provider_aggregates.c.aggregate_id, ids)
    entries = [Entry(
        id=row.id, name=row.name, generation=row.generation, updated_at=row.updated_at, parent_id=row.parent_id,
        root_id=row.root_id, traits=traits.get(row.id, frozenset()), aggregates=aggregates.get(row.id, frozenset()),
        stock={name: Stock(inventory.capacity, taken) for name, (inventory, taken) in stock.get(row.id, {}).items()})
        for row in await reader.execute(sa.select(providers).where(providers.c.changed > value).order_by(
            providers.c.changed, providers.c.id))]
    return _Changes(entries, stock)


async def _sets(reader: Connection, column: sa.Column[Any], ids: sa.Select[Any]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    owner = column.table.c.provider_id
    for row in await reader.execute(sa.select(owner, column.label("name")).where(owner.in_(ids))):
        found[row.provider_id].add(row.name)
    return {provider_id: frozenset(names) for provider_id, names in found.items()}
