"""Count the false positives that come with each right prediction: enough to tell them at any recall, without scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..matching.matches import Matches
from ..matching.one_image import NONE

__all__ = ["RecallCurve", "counted_scores", "wrong_between"]


@dataclass(frozen=True, eq=False)
class RecallCurve:
    """False positives by recall, of predictions of any score.

    Attributes:
        wrong: ``(k + 1,)`` int64, per right prediction, the surest first, the false positives that are at least as
            sure; last all of them.
        truths: truths that count.
        images: number of images.
    """

    wrong: NDArray[np.int64]
    truths: int
    images: int

    @classmethod
    def of(cls, predictions: Detections, truth: Detections, matches: Matches) -> RecallCurve:
        """Count two tables."""
        right, wrong = counted_scores(predictions, matches)
        truths = int((~matches.truth_ignored).sum())
        return cls.of_counts(wrong_between(wrong, right), truths, len(truth.images))

    @classmethod
    def of_counts(cls, counts: NDArray[np.int64], truths: int, images: int) -> RecallCurve:
        """Return the curve of what :func:`wrong_between` counted, of all images together."""
        return cls(np.cumsum(counts[::-1]), truths, images)

    def fppi(self, recall: float) -> float | None:
        """Return the false positives per image at the highest confidence that reaches a recall.

        Returns:
            None if the recall is never reached or there are no truths.

        Example:
            >>> RecallCurve(np.array([0, 3, 7]), truths=4, images=2).fppi(0.5)
            1.5
        """
        found = len(self.wrong) - 1
        if not self.truths or found / self.truths < recall - 1e-12:
            return None
        needed = recall * self.truths
        place = max(math.ceil(needed - 1e-9), 1) - 1
        return int(self.wrong[min(place, found)]) / self.images if needed > 0 else 0.0


def counted_scores(predictions: Detections, matches: Matches) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of right and of wrong predictions, rising; what is ignored is neither."""
    assert predictions.score is not None  # checked by matching
    right, counts = matches.matched != NONE, ~matches.ignored
    return np.sort(predictions.score[counts & right]), np.sort(predictions.score[counts & ~right])


def wrong_between(wrong: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return ``(k + 1,)`` how many wrong predictions are at least as sure as exactly 0, 1, … of the ``k`` right ones.

    Counts of parts of the wrong predictions add up.

    Args:
        wrong: their scores.
        right: scores of all right ones, rising.
    """
    counts: NDArray[np.int64] = np.bincount(np.searchsorted(right, wrong, side="right"), minlength=len(right) + 1)
    return counts
