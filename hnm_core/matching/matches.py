"""The match table: matched and nearest rows of every prediction and truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .one_image import NONE

__all__ = ["Matches"]


@dataclass(frozen=True, eq=False)
class Matches:
    r"""For every row of two tables, the matched row and the nearest rows of the other table.

    ``n`` predictions, ``m`` truths. Row numbers are -1 where there is no such row. Ignored truths are never matched,
    and never the nearest truth.

    Attributes:
        matched: ``(n,)`` int32, row of the matched truth.
        reason: ``(n,)`` int8, why a prediction is ignored: index in :data:`~hnm_core.matching.ignored.RULES` plus 1; 0
            if it is not.
        same_iou: ``(n,)`` float64, *u*: best IoU with a truth of the prediction's class.
        same_row: ``(n,)`` int32, that truth.
        other_iou: ``(n,)`` float64, *v*: best IoU with a truth of another class.
        other_row: ``(n,)`` int32, that truth.
        found_by: ``(m,)`` int32, row of the matched prediction.
        best_iou: ``(m,)`` float64, best IoU with a prediction of the truth's class, whatever its score.
        best_row: ``(m,)`` int32, that prediction; of equal IoUs the most confident.
        best_score: ``(m,)`` float64, *s\\**: best score of the truth's class at IoU ≥ the IoU threshold, else 0.
        loose_score: ``(m,)`` float64, the same at IoU ≥ .3.
        truth_reason: ``(m,)`` int8, why a truth is ignored.
    """

    matched: NDArray[np.int32]
    reason: NDArray[np.int8]
    same_iou: NDArray[np.float64]
    same_row: NDArray[np.int32]
    other_iou: NDArray[np.float64]
    other_row: NDArray[np.int32]
    found_by: NDArray[np.int32]
    best_iou: NDArray[np.float64]
    best_row: NDArray[np.int32]
    best_score: NDArray[np.float64]
    loose_score: NDArray[np.float64]
    truth_reason: NDArray[np.int8]

    @classmethod
    def none(cls, predictions: int, truths: int) -> Matches:
        """Return an empty match table (all rows unmatched)."""

        def rows(n: int) -> NDArray[np.int32]:
            return np.full(n, NONE, dtype=np.int32)

        n, m = predictions, truths
        return cls(
            *(rows(n), np.zeros(n, dtype=np.int8), np.zeros(n), rows(n), np.zeros(n), rows(n)),
            *(rows(m), np.zeros(m), rows(m), np.zeros(m), np.zeros(m), np.zeros(m, dtype=np.int8)),
        )

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """``(n,)`` bool, predictions that are neither correct nor wrong, whatever their score."""
        return self.reason > 0

    @property
    def truth_ignored(self) -> NDArray[np.bool_]:
        """``(m,)`` bool, truths that do not count: never missed, and not to be found."""
        return self.truth_reason > 0

    @property
    def iou(self) -> NDArray[np.float64]:
        """``(n,)`` float64, *a* = max(u, v): best IoU of each prediction with any truth of its image."""
        return np.maximum(self.same_iou, self.other_iou)
