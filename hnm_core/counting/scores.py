"""Count predictions by their scores, for thresholds and for charts. Counts of parts add up to the same bits.

Sums of scores and IoUs are kept as whole numbers of 2⁻⁶⁰ in two halves, so that no mean depends on the order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..matching.matches import Matches
from ..matching.one_image import NONE
from ..taxonomy import BELOW_THRESHOLD, ROW_NAMES, Errors

__all__ = ["EDGES", "FINEST", "OUTCOMES", "ScoreCells", "ThresholdCounts", "mean_of", "places_of"]

STEPS = 100
"""Thresholds are multiples of 1 / STEPS."""

EDGES = np.arange(STEPS + 1) / STEPS
OUTCOMES = ("right", "wrong", "ignored")

FINEST = 200
"""Cells per side of the finest grid; every coarser one must divide it, so that its cells are made of whole ones."""

HALF = 30
"""Bits of each half of a value; float64 adds so many halves of a block without rounding:"""

ROWS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class ThresholdCounts:
    """Predictions of any score by class, outcome and hundredth of the score, and the truths that can be missed.

    Attributes:
        counts: ``(3, classes, 101)`` int64, predictions that are right, wrong or ignored, by ⌊100 · score⌋.
        truths: ``(classes,)`` int64, truths that count.
    """

    counts: NDArray[np.int64]
    truths: NDArray[np.int64]

    @classmethod
    def of(cls, predictions: Detections, truth: Detections, matches: Matches) -> ThresholdCounts:
        """Count the rows of two tables."""
        n = len(truth.classes)
        outcome = np.where(matches.matched != NONE, 0, np.where(matches.ignored, 2, 1))
        step = np.searchsorted(EDGES, np.asarray(predictions.score), side="right") - 1
        cell = (outcome * n + predictions.label) * len(EDGES) + step
        counts = np.bincount(cell, minlength=len(OUTCOMES) * n * len(EDGES)).reshape(len(OUTCOMES), n, len(EDGES))
        truths = np.bincount(truth.label[~matches.truth_ignored], minlength=n)
        return cls(counts.astype(np.int64), truths.astype(np.int64))

    def __add__(self, other: ThresholdCounts) -> ThresholdCounts:
        """Return the sums."""
        return ThresholdCounts(self.counts + other.counts, self.truths + other.truths)


@dataclass(frozen=True, eq=False)
class ScoreCells:
    """Predictions by name and by the cell of confidence × IoU that they lie in, in a grid of 200 × 200.

    Attributes:
        cell: ``(k,)`` int64, (code of the name · 200 + column) · 200 + row of the cells that hold any, rising.
        count: ``(k,)`` int64, predictions in each.
        sums: ``(k, 4)`` int64, upper and lower halves of the sums of their scores, then of their IoUs.
    """

    cell: NDArray[np.int64]
    count: NDArray[np.int64]
    sums: NDArray[np.int64]

    @classmethod
    def of(cls, score: NDArray[np.float64], iou: NDArray[np.float64], code: NDArray[np.integer[Any]]) -> ScoreCells:
        """Count predictions, ``(n,)`` each: score and IoU in [0, 1], and index of the name in ``ROW_NAMES``."""
        place = (code * FINEST + places_of(score, FINEST)) * FINEST + places_of(iou, FINEST)
        number = np.bincount(place, minlength=1)
        held = np.flatnonzero(number)
        if not len(held):
            return cls(held, held, np.zeros((0, 4), dtype=np.int64))
        mark = (np.cumsum(number > 0) - 1)[place]
        sums = np.zeros((len(held), 4), dtype=np.int64)
        for start in range(0, len(place), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            for at, values in ((0, score[rows]), (2, iou[rows])):
                upper = np.rint(values * 2.0**HALF)
                lower = np.rint((values * 2.0**HALF - upper) * 2.0**HALF)
                for half, part in enumerate((upper, lower)):
                    sums[:, at + half] += np.bincount(mark[rows], part, len(held)).astype(np.int64)
        return cls(held, number[held], sums)

    @classmethod
    def of_confident(cls, predictions: Detections, errors: Errors, matches: Matches) -> ScoreCells:
        """Count the confident predictions of a table."""
        rows = np.flatnonzero(errors.prediction != BELOW_THRESHOLD)
        assert predictions.score is not None  # checked by matching
        return cls.of(predictions.score[rows], matches.iou[rows], errors.prediction[rows].astype(np.int64))

    def occupied(self, bins: int, most: int) -> NDArray[np.int64] | None:
        """Return the cells of a coarser grid that hold any prediction, rising; None if they are more than ``most``."""
        cells = np.unique(self._coarse(bins))
        return None if len(cells) > most else cells

    def marks(self, bins: int) -> tuple[NDArray[np.int64], ...]:
        """Return cells of a coarser grid, rising, with the numbers of their predictions and the sums."""
        cells, at = np.unique(self._coarse(bins), return_inverse=True)
        count, sums = np.zeros(len(cells), dtype=np.int64), np.zeros((len(cells), 4), dtype=np.int64)
        np.add.at(count, at.reshape(-1), self.count)
        np.add.at(sums, at.reshape(-1), self.sums)
        return cells, count, sums

    def bars(self, bins: int) -> NDArray[np.int64]:
        """Return ``(2, names, bins)`` how many predictions of each name have a score, and an IoU, in each bin."""
        found = np.zeros((2, len(ROW_NAMES), bins), dtype=np.int64)
        code, rest = np.divmod(self.cell, FINEST**2)
        for side, place in enumerate(np.divmod(rest, FINEST)):
            np.add.at(found[side], (code, place // (FINEST // bins)), self.count)
        return found

    def _coarse(self, bins: int) -> NDArray[np.int64]:
        code, rest = np.divmod(self.cell, FINEST**2)
        column, row = (place // (FINEST // bins) for place in np.divmod(rest, FINEST))
        places: NDArray[np.int64] = (code * bins + column) * bins + row
        return places


def mean_of(sums: NDArray[np.int64], count: NDArray[np.int64]) -> list[list[float]]:
    """Return ``[mean score, mean IoU]`` of marks, each the float64 nearest to the exact mean.

    Example:
        >>> some = ScoreCells.of(np.array([0.1, 0.1]), np.array([0.3, 0.3]), np.array([0, 0]))
        >>> mean_of(some.sums, some.count)
        [[0.1, 0.3]]
    """
    return [
        [((row[at] << HALF) + row[at + 1]) / (number << 2 * HALF) for at in (0, 2)]
        for row, number in zip(sums.tolist(), count.tolist(), strict=True)
    ]


def places_of(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return the bin of each value by comparing with the edges, so that a filter by edges finds the same values.

    Example:
        >>> places_of(np.array([0.0, 0.05, 1.0]), 20).tolist()
        [0, 1, 19]
    """
    return np.minimum(np.searchsorted(np.arange(bins + 1) / bins, values, side="right") - 1, bins - 1)
