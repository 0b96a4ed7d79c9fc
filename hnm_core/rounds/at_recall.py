"""Count false positives at equal recall: fewer of them at a fixed confidence may only mean lower scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..counting import RecallCurve
from ..matching.matches import Matches
from ..matching.one_image import NONE
from ..selection.mined import MinedRows

__all__ = ["RESAMPLES", "Outcome", "fppi_at_recall", "resampled_images"]

RESAMPLES = 500
"""Bootstrap resamples of the images of which an interval is the middle 95 %."""

SPARE = 1.2
"""Resamples are looked for among the surest predictions that find so many times the truths asked for, then in all."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Which predictions are right, the surest first; what is ignored counts neither way.

    Attributes:
        score: ``(n,)`` confidence, descending.
        right: ``(n,)`` bool, whether a prediction matches a truth.
        image: ``(n,)`` row number of its image.
        truths: ``(images,)`` int64, truths that count, per image.
    """

    score: NDArray[np.float64]
    right: NDArray[np.bool_]
    image: NDArray[np.int64]
    truths: NDArray[np.int64]

    @classmethod
    def of(
        cls, predictions: Detections, truth: Detections, matches: Matches, classes: NDArray[np.bool_] | None = None
    ) -> Outcome:
        """Sort matched tables by confidence.

        Args:
            predictions: ``n`` rows.
            truth: ``m`` rows.
            matches: their match table.
            classes: ``(classes,)`` bool, the classes to count; None for all.
        """
        assert predictions.score is not None  # checked by matching
        counts, truth_counts = ~matches.ignored, ~matches.truth_ignored
        if classes is not None:
            counts, truth_counts = counts & classes[predictions.label], truth_counts & classes[truth.label]
        rows = np.flatnonzero(counts)
        rows = rows[np.argsort(-predictions.score[rows], kind="stable")]
        truths = np.bincount(truth.image[truth_counts], minlength=len(truth.images))
        return cls(predictions.score[rows], matches.matched[rows] != NONE, predictions.image[rows], truths)

    @property
    def most(self) -> float:
        """The recall of all predictions together, in [0, 1]; 0 without truths."""
        truths = int(self.truths.sum())
        return int(self.right.sum()) / truths if truths else 0.0

    def recall(self, confidence: float) -> float:
        """Return the share of the truths that predictions from a confidence on find; 0 without truths."""
        truths = int(self.truths.sum())
        return int((self.right & (self.score >= confidence)).sum()) / truths if truths else 0.0

    def confident_false_positives(self, confidence: float) -> int:
        """Return the number of false positives from a confidence on."""
        return int((~self.right & (self.score >= confidence)).sum())

    def false_positives(self, recall: float, times: NDArray[np.int64] | None = None) -> int:
        """Return the false positives at the highest confidence that reaches a recall; all, if none does.

        Args:
            recall: in [0, 1]; at 0 no prediction is needed.
            times: ``(images,)`` how often each image counts; None for once.
        """
        found = self._first(len(self.score), recall, times)
        assert found is not None
        return found

    def drawn_false_positives(self, recall: float, resamples: int = RESAMPLES) -> NDArray[np.int64]:
        """Return the same for bootstrap resamples of the images, ``(resamples,)``; always the same resamples."""
        sure = int(np.searchsorted(np.cumsum(self.right), recall * int(self.truths.sum()) * SPARE))
        head = int(self._end[sure]) if sure < len(self.score) else len(self.score)
        counts = []
        for times in resampled_images(len(self.truths), resamples):
            found = self._first(head, recall, times) if head < len(self.score) else None
            counts.append(self.false_positives(recall, times) if found is None else found)
        return np.array(counts, dtype=np.int64)

    def _first(self, head: int, recall: float, times: NDArray[np.int64] | None) -> int | None:
        """Count among the surest ``head`` predictions; None if these do not reach the recall and there are more."""
        truths = self.truths if times is None else times * self.truths
        needed = recall * int(truths.sum())
        if needed <= 0:
            return 0
        image, right = self.image[:head], self.right[:head]
        weight = np.ones(len(image), dtype=np.int64) if times is None else times[image]
        found = np.cumsum(weight * right)
        first = int(np.searchsorted(found, needed - 1e-9))
        if first == len(found) and head < len(self.score):
            return None
        last = len(found) if first == len(found) else int(self._end[first])
        return int(weight[:last].sum()) - (int(found[last - 1]) if last else 0)

    def fppi(self, recall: float, times: NDArray[np.int64] | None = None) -> float:
        """Return the same per image."""
        return self.false_positives(recall, times) / int(len(self.truths) if times is None else times.sum())

    @cached_property
    def _end(self) -> NDArray[np.int64]:
        """``(n,)`` the place behind the last prediction of the same score: all of them are taken, or none."""
        edges = np.flatnonzero(np.diff(self.score, append=-1.0)) + 1
        return edges[np.searchsorted(edges, np.arange(len(self.score)), side="right")]


def fppi_at_recall(result: MinedRows, recall: float) -> float | None:
    """Return the false positives per image at the highest confidence that reaches a recall.

    The confidence threshold of the mining has no influence.

    Args:
        result: a mining of predictions down to a low confidence.
        recall: in ``[0, 1]``; at 0 no prediction is needed and the answer is 0.

    Returns:
        False positives per image, or None if the recall is never reached or there are no truths.
    """
    return RecallCurve.of(result.predictions, result.truth, result.matches).fppi(recall)


def resampled_images(images: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """Yield how often each image is drawn, ``(images,)``, for every bootstrap resample of the images."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(images, size=images), minlength=images)
