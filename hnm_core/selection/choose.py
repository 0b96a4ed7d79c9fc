"""Choose the first rows in one strict order, within a quota per group, of rows that lie in one place or in many.

Nobody sees all rows at once: rounds of histograms over the digits of the order's keys find where each group's quota
ends, and only the rows in that last bucket are compared one by one. The choice is the same however the rows are split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ask", "Cut", "Ordered", "Ranked", "ascending", "choose", "in_order"]

DIGIT, DIGITS = 16, 4
"""Bits of a key that one round looks at, and the rounds of a key of 64 bits."""

FEW = 2_000
"""Rows from which on another round is faster than sorting them (chosen)."""

Keys = NDArray[np.uint64]


class Ordered(Protocol):
    """Rows in a strict order, given by keys that are compared one after the other."""

    @property
    def group(self) -> NDArray[np.int64]:
        """Return the group of every row, ``(k,)``, from 0."""

    @property
    def depth(self) -> int:
        """Return the number of keys."""

    def key(self, part: int, rows: NDArray[np.int64]) -> Keys:
        """Return one key of some rows; the smallest come first."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Where the quota of every group ends, as far as it is known.

    Attributes:
        bounds: per key so far, ``(groups,)`` uint64, the leading digits of the last row that is kept.
        digits: how many digits of the last of these keys are known.
        need: ``(groups,)`` int64, rows that are kept among those with exactly these digits.
        limited: ``(groups,)`` bool, groups with more rows than their quota.
    """

    bounds: tuple[Keys, ...]
    digits: int
    need: NDArray[np.int64]
    limited: NDArray[np.bool_]

    @property
    def shift(self) -> np.uint64:
        """Return how far the last key is shifted, so that only its known digits are left."""
        return np.uint64(DIGIT * (DIGITS - self.digits))


@dataclass(frozen=True, eq=False)
class Ranked:
    """Some rows to choose from: one of the places where they lie."""

    rows: Ordered

    def sizes(self, groups: int) -> NDArray[np.int64]:
        """Return the number of rows of each group."""
        return np.bincount(self.rows.group, minlength=groups)

    def sides(self, cut: Cut) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which rows are kept for sure, ``(k,)`` bool, and the rows of which nothing is known yet."""
        group = self.rows.group
        limited = cut.limited[group]
        kept, open_rows = ~limited, np.flatnonzero(limited)
        for part, bound in enumerate(cut.bounds):
            key = self.rows.key(part, open_rows)
            if part == len(cut.bounds) - 1 and cut.digits < DIGITS:
                key = key >> cut.shift
            edge = bound[group[open_rows]]
            kept[open_rows[key < edge]] = True
            open_rows = open_rows[key == edge]
        return kept, open_rows

    def histogram(self, cut: Cut, part: int, digits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return group × 2¹⁶ + next digit of the open rows, each once in rising order, and their numbers."""
        _, rows = self.sides(cut)
        key = self.rows.key(part, rows) >> np.uint64(DIGIT * (DIGITS - 1 - digits))
        place = (key & np.uint64(2**DIGIT - 1)).astype(np.int64)
        if len(cut.need) == 1:
            counts = np.bincount(place)
            places = np.flatnonzero(counts)
            return places, counts[places]
        places, number = np.unique((self.rows.group[rows] << DIGIT) + place, return_counts=True)
        return places, number

    def open_rows(self, cut: Cut) -> tuple[NDArray[Any], ...]:
        """Return group and all keys of the open rows, the group first."""
        _, rows = self.sides(cut)
        return self.rows.group[rows], *(self.rows.key(part, rows) for part in range(self.rows.depth))

    def kept(self, cut: Cut, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which rows are kept, ``(k,)`` bool; ``chosen`` says which of the open ones are."""
        kept, rows = self.sides(cut)
        kept[rows[chosen]] = True
        return kept


Ask = Callable[..., Sequence[Any]]
"""Calls a method of :class:`Ranked`, by name, wherever rows lie, and returns the answers in a fixed order."""


def choose(ask: Ask, quota: int, groups: int, depth: int) -> tuple[Cut, list[NDArray[np.bool_]]] | None:
    """Find the first ``quota`` rows of every group.

    Args:
        ask: asks every place where rows lie.
        quota: rows of a group at most.
        groups: number of groups.
        depth: number of keys of the order. Rows that are equal in all of them stay in the order of their places.

    Returns:
        What :meth:`Ranked.kept` needs: the cut, and for every place which of its open rows are kept; None if all rows
        are within the quota.
    """
    limited = sum(ask("sizes", groups)) > quota
    if not np.any(limited):
        return None
    cut = Cut((), DIGITS, np.full(groups, quota, dtype=np.int64), np.asarray(limited))
    while (digits := cut.digits % DIGITS) or len(cut.bounds) < depth:
        part = len(cut.bounds) - bool(digits)
        places, number = _added(ask("histogram", cut, part, digits))
        group, digit = places >> DIGIT, (places & (2**DIGIT - 1)).astype(np.uint64)
        through = np.cumsum(number)
        first = np.searchsorted(group, group)
        before = through - number - (through - number)[first]  # rows of the group in earlier buckets
        at = np.flatnonzero((before < cut.need[group]) & (before + number >= cut.need[group]))
        bound = np.zeros(groups, dtype=np.uint64)
        if digits:
            bound = cut.bounds[part] << np.uint64(DIGIT)
        bound[group[at]] |= digit[at]
        need = cut.need.copy()
        need[group[at]] -= before[at]
        cut = Cut((*cut.bounds[:part], bound), digits + 1, need, cut.limited)
        if number[at].sum() <= FEW:
            break
    answers = ask("open_rows", cut)
    group, *keys = (np.concatenate(column) for column in zip(*answers, strict=True))
    order = np.lexsort((*keys[::-1], group))  # stable
    rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order] = rank < cut.need[group[order]]
    return cut, np.split(chosen, np.cumsum([len(answer[0]) for answer in answers])[:-1])


def in_order(rows: Ordered) -> NDArray[np.int64]:
    """Return the rows in their order, ``(k,)``; rows that are equal in all keys stay as they are.

    A key is read only of rows that are equal in all keys before it.
    """
    order = np.arange(len(rows.group))
    at, run = order.copy(), np.zeros_like(order)  # places that are not settled, and which of them are equal
    for part in range(rows.depth):
        key = rows.key(part, order[at])
        by_key = np.lexsort((key, run))
        order[at], key = order[at[by_key]], key[by_key]  # a run keeps its places
        first = np.ones(len(at) + 1, dtype=bool)
        first[1:-1] = (key[1:] != key[:-1]) | (run[1:] != run[:-1])
        open_rows = np.flatnonzero(~(first[1:] & first[:-1]))
        at, run = at[open_rows], np.cumsum(first[:-1])[open_rows]
    return order


def ascending(values: NDArray[Any]) -> Keys:
    """Return keys in the order of the values, floats or whole numbers: 64 bits that compare as unsigned numbers do.

    Example:
        >>> keys = ascending(np.array([-1.5, -0.0, 0.0, 2.0]))
        >>> bool(keys[0] < keys[1] == keys[2] < keys[3])
        True
    """
    if values.dtype.kind != "f":
        return values.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
    bits = (values + 0.0).view(np.uint64)  # + 0.0 turns -0.0 into 0.0
    return np.where(bits >> np.uint64(63) == 1, ~bits, bits | np.uint64(1 << 63))


def _added(
    answers: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add sparse histograms."""
    if len(answers) == 1:
        return answers[0]
    places, at = np.unique(np.concatenate([answer[0] for answer in answers]), return_inverse=True)
    number = np.zeros(len(places), dtype=np.int64)
    np.add.at(number, at, np.concatenate([answer[1] for answer in answers]))
    return places, number
