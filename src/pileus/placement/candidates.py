"""Which providers can serve a request: masks over columns where one provider does, combinations where trees do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from pileus.placement.columns import Columns, Mask
from pileus.placement.model.names import SHARING
from pileus.placement.queries import Group, Traits, Wanted

Chance = np.random.Generator


class Candidate(msgspec.Struct, frozen=True):
    """Amounts by row of the columns, and the rows that serve each group."""

    amounts: dict[int, dict[str, int]]
    mappings: dict[str, tuple[int, ...]]

    def key(self) -> frozenset[tuple[int, str, int]]:
        return frozenset((row, name, amount) for row, wanted in self.amounts.items() for name, amount in wanted.items())


class Found(msgspec.Struct, frozen=True):
    """`single`: rows that serve the one group alone; `combined`: all other candidates."""

    single: list[int]
    combined: list[Candidate]


def find(columns: Columns, wanted: Wanted, *, at_most: int, chance: Chance | None = None) -> Found:
    """Every way to serve `wanted`, no more than its limit (or `at_most`), in the order of the providers: the first
    ones, or with `chance` some of them."""
    return _Search(columns, wanted, min(wanted.limit or at_most, at_most), chance).run()


def allowed_by(columns: Columns, group: Group, *, whole_tree: bool = True) -> Mask:
    """Providers that aggregates, tree and forbidden traits leave; `whole_tree`: members' trees are members."""
    mask = columns.every()
    for aggregates in group.aggregates:
        mask = mask & _members(columns, aggregates, whole_tree)
    if group.forbidden_aggregates:
        mask = mask & ~_members(columns, group.forbidden_aggregates, whole_tree)
    if group.in_tree is not None:
        mask = mask & columns.in_tree_of(group.in_tree)
    for name in group.traits.forbidden:
        mask = mask & ~columns.with_trait(name)
    return mask


def _members(columns: Columns, aggregates: frozenset[str], whole_tree: bool) -> Mask:
    mask = columns.in_any_aggregate(aggregates)
    return mask | mask[columns.root[:columns.rows]] if whole_tree else mask


def with_traits(columns: Columns, traits: Traits) -> Mask:
    """Providers that have one of each set by themselves."""
    mask = columns.every()
    for one_of in traits.any_of:
        any_mask = columns.none()
        for name in one_of:
            any_mask = any_mask | columns.with_trait(name)
        mask = mask & any_mask
    return mask


class _Offer(msgspec.Struct):
    """What each group could use: masks over all providers."""

    group: Group
    by_class: dict[str, Mask]
    alone: Mask                   # providers that serve the whole group


class _Search:
    def __init__(self, columns: Columns, wanted: Wanted, limit: int, chance: Chance | None):
        self.columns, self.wanted, self.limit, self.chance = columns, wanted, limit, chance
        self.offers = [self._offer(group) for group in wanted.groups]
        self.roots = with_traits(columns, wanted.root_traits)
        for name in wanted.root_traits.forbidden:
            self.roots = self.roots & ~columns.with_trait(name)

    def _offer(self, group: Group) -> _Offer:
        allowed = allowed_by(self.columns, group)
        by_class = {name: self.columns.fits(name, amount) & allowed for name, amount in group.resources.items()}
        alone = allowed & with_traits(self.columns, group.traits)
        for mask in by_class.values():
            alone = alone & mask
        return _Offer(group, by_class, alone)

    def run(self) -> Found:
        columns = self.columns
        root = columns.root[:columns.rows]
        if len(self.offers) > 1 or self.offers[0].group.suffix:
            hopeful = columns.every()
            return Found([], self._combine(self._roots(hopeful)))
        offer = self.offers[0]
        serving = columns.none()
        for mask in offer.by_class.values():
            serving = serving | mask
        serving = serving & self.roots[root]
        shared = serving & columns.with_trait(SHARING)
        complex_roots: list[int] = []
        single = offer.alone & self.roots[root]
        if columns.trees or shared.any():
            crowded = np.bincount(root[serving], minlength=columns.rows) > 1
            if shared.any():
                crowded = crowded | self._attached(offer)
            complex_roots = np.flatnonzero(crowded).tolist()
            single = single & ~crowded[root]
        rows = self._some(np.flatnonzero(single)).tolist()
        return Found(rows, self._combine(complex_roots, self.limit - len(rows)) if complex_roots else [])

    def _some(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.chance is None or len(rows) <= self.limit:
            return rows[:self.limit]
        return np.sort(self.chance.choice(rows, self.limit, replace=False))

    def _attached(self, offer: _Offer) -> Mask:
        """Roots whose trees share an aggregate with a provider that shares."""
        columns = self.columns
        aggregates = frozenset[str]()
        for row in np.flatnonzero(columns.with_trait(SHARING)).tolist():
            aggregates |= columns.entries[row].aggregates
        attached = columns.none()
        attached[columns.root[:columns.rows][columns.in_any_aggregate(aggregates)]] = True
        return attached

    def _roots(self, hopeful: Mask) -> list[int]:
        """Roots of trees in which, or through a sharing provider, every group can be served."""
        columns = self.columns
        root = columns.root[:columns.rows]
        sharing = bool(columns.with_trait(SHARING).any())
        for offer in self.offers:
            if sharing:
                break
            for mask in [offer.alone] if offer.group.suffix else offer.by_class.values():
                there = columns.none()
                there[root[mask]] = True
                hopeful = hopeful & there
        return np.flatnonzero(hopeful & self.roots & (root == np.arange(columns.rows))).tolist()

    # -- one tree at a time -----------------------------------------------------------------

    def _combine(self, roots: list[int], limit: int | None = None) -> list[Candidate]:
        limit = self.limit if limit is None else limit
        found: dict[frozenset[tuple[int, str, int]], Candidate] = {}
        if self.chance is not None and len(roots) > limit:
            roots = self.chance.permutation(roots).tolist()
        for root in roots:
            if not self.roots[root]:
                continue
            for candidate in self._in_tree(root):
                if len(found) >= limit:
                    return list(found.values())
                found.setdefault(candidate.key(), candidate)
        return list(found.values())

    def _in_tree(self, root: int) -> Iterator[Candidate]:
        columns = self.columns
        rows = columns.tree(root)
        aggregates = frozenset[str]().union(*(columns.entries[row].aggregates for row in rows))
        sharing = columns.with_trait(SHARING) & columns.in_any_aggregate(aggregates)
        rows = rows + [row for row in np.flatnonzero(sharing).tolist() if row not in rows]
        choices = [list(self._assignments(offer, rows)) for offer in self.offers]
        for chosen in itertools.product(*choices):
            candidate = self._merge(chosen)
            if candidate is not None:
                yield candidate

    def _assignments(self, offer: _Offer, rows: list[int]) -> Iterator[dict[int, dict[str, int]]]:
        """The ways the providers `rows` can serve one group."""
        group = offer.group
        if group.suffix:
            yield from ({row: group.resources} for row in rows if offer.alone[row])
            return
        names = list(group.resources)
        for serving in itertools.product(*([row for row in rows if offer.by_class[name][row]] for name in names)):
            traits = frozenset[str]().union(*(self.columns.entries[row].traits for row in serving))
            if all(traits & one_of for one_of in group.traits.any_of):
                amounts: dict[int, dict[str, int]] = {}
                for row, name in zip(serving, names, strict=True):
                    amounts.setdefault(row, {})[name] = group.resources[name]
                yield amounts

    def _merge(self, chosen: tuple[dict[int, dict[str, int]], ...]) -> Candidate | None:
        """The groups' choices as one candidate, if they go together."""
        amounts: dict[int, dict[str, int]] = {}
        mappings: dict[str, tuple[int, ...]] = {}
        for offer, choice in zip(self.offers, chosen, strict=True):
            mappings[offer.group.suffix] = tuple(choice)
            for row, wanted in choice.items():
                if not wanted:
                    continue
                sums = amounts.setdefault(row, {})
                for name, amount in wanted.items():
                    sums[name] = sums.get(name, 0) + amount
        if self.wanted.isolate:
            isolated = [mappings[offer.group.suffix][0] for offer in self.offers
                        if offer.group.suffix and offer.group.resources]
            if len(set(isolated)) < len(isolated):
                return None
        if not all(self._one_subtree([mappings[suffix][0] for suffix in group]) for group in self.wanted.subtrees):
            return None
        if len(self.offers) > 1 and not self._sums_fit(amounts):
            return None
        return Candidate(amounts, mappings)

    def _sums_fit(self, amounts: dict[int, dict[str, int]]) -> bool:
        for row, wanted in amounts.items():
            for name, amount in wanted.items():
                column = self.columns.classes[name]
                if column.free[row] < amount or column.maximum[row] < amount:
                    return False
        return True

    def _one_subtree(self, rows: list[int]) -> bool:
        """Whether one of `rows` is above, or is, every one of them."""
        return bool(set.intersection(*(self._ancestors(row) for row in rows)) & set(rows))

    def _ancestors(self, row: int) -> set[int]:
        found = {row}
        while (parent := self.columns.entries[row].parent_id) is not None:
            row = self.columns.row_of[parent]
            found.add(row)
        return found
