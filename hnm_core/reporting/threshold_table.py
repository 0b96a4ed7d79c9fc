"""Counts at other confidence thresholds, per class and hundredth of the score, without matching again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..counting.scores import EDGES, OUTCOMES
from ..report import ratio
from ..result import Mined

__all__ = ["ThresholdTable"]


@dataclass(frozen=True, eq=False)
class ThresholdTable:
    """Predictions of any score by class, outcome and hundredth of the score, and the truths that can be missed.

    Exact at every multiple of .01: greedy matching goes by score, so that a higher threshold takes no truth from a
    surer prediction (with class-wise matching).

    Attributes:
        classes: class names.
        counts: ``(3, classes, 101)`` int64, predictions that are right, wrong or ignored, by ⌊100 · score⌋.
        truths: ``(classes,)`` int64, truths that count.

    Example:
        >>> from hnm_core import Detections, mine
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections([0], [[0, 0, 9, 9]], [0], None, **world)
        >>> found = Detections([0, 0], [[0, 0, 9, 9], [20, 20, 29, 29]], [0, 0], [0.9, 0.6], **world)
        >>> table = ThresholdTable.of(mine(found, truth))
        >>> [(row["false_positives"], row["false_negatives"]) for row in table.rows([0.5, 0.7, 0.95])]
        [(1, 0), (0, 0), (0, 1)]
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    truths: NDArray[np.int64]

    @classmethod
    def of(cls, result: Mined) -> ThresholdTable:
        """Return the counts of a mining."""
        found = result.thresholds
        return cls(result.classes, found.counts, found.truths)

    def rows(self, thresholds: Sequence[float], name: str | None = None) -> list[dict[str, Any]]:
        """Return the counts and rates at some thresholds, of all classes or of one.

        Args:
            thresholds: multiples of .01 in [0, 1]; others are rounded up to the next one.
            name: of a class; None for all together.

        Returns:
            Per threshold ``threshold, true_positives, false_positives, false_negatives, ignored, precision, recall``.

        Raises:
            ValueError: if there is no such class.
        """
        if name is not None and name not in self.classes:
            raise ValueError(f"there is no class {name!r}; classes are {', '.join(self.classes[:10])}")
        chosen = slice(None) if name is None else [self.classes.index(name)]
        counts, truths = self.counts[:, chosen].sum(axis=1), int(self.truths[chosen].sum())
        above = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
        found = []
        for threshold in thresholds:
            right, wrong, ignored = above[:, np.searchsorted(EDGES, threshold)].tolist()
            found.append(
                {
                    **{"threshold": float(threshold), "true_positives": right, "false_positives": wrong},
                    **{"false_negatives": truths - right, "ignored": ignored},
                    **{"precision": ratio(right, right + wrong), "recall": ratio(right, truths)},
                }
            )
        return found

    def in_one(self) -> ThresholdTable:
        """Return the table of all classes together, under the name ``all``; its size does not grow with them."""
        return ThresholdTable(("all",), self.counts.sum(axis=1, keepdims=True), self.truths.sum(keepdims=True))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: per class its truths and, per outcome, ``[hundredth, count]`` where not 0."""
        return {
            name: {
                "truths": int(self.truths[i]),
                **{
                    outcome: [[int(step), int(self.counts[o, i, step])] for step in np.flatnonzero(self.counts[o, i])]
                    for o, outcome in enumerate(OUTCOMES)
                },
            }
            for i, name in enumerate(self.classes)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ThresholdTable:
        """Return the table that :meth:`as_dict` gave."""
        counts = np.zeros((len(OUTCOMES), len(values), len(EDGES)), dtype=np.int64)
        for i, of_class in enumerate(values.values()):
            for o, outcome in enumerate(OUTCOMES):
                for step, count in of_class[outcome]:
                    counts[o, i, step] = count
        truths = np.array([of_class["truths"] for of_class in values.values()], dtype=np.int64)
        return cls(tuple(values), counts, truths)
