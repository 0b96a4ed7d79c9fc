"""The numbers of a report: counts with their rates, and the effect of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import add

__all__ = ["Counts", "Weighting", "percent", "ratio"]


@dataclass(frozen=True)
class Counts:
    """Counts that can be added: of one mining, one class, or many calls.

    ``hard_negatives`` are the mined false positives and false negatives; lucky hits are counted separately.
    """

    total_predictions: int = 0
    counted_predictions: int = 0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    ignored: int = 0
    hard_negatives: int = 0
    lucky_hits: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the sums of the counts."""
        return Counts(*map(add, vars(self).values(), vars(other).values()))

    @property
    def precision(self) -> float:
        """Share of correct ones among the confident predictions, without ignored ones; 0 if there are none."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the truths that a confident prediction matches; 0 if there are none."""
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1_score(self) -> float:
        """Return the harmonic mean of precision and recall."""
        return ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class Weighting:
    """The effect of the weights on a training.

    Attributes:
        hard_images: images with a higher weight because of their mistakes.
        mean_weight: of all images; also the factor by which an epoch with repeats is longer.
        effective_sample_size: of the weights, over the number of images.
        effective_sample_size_of_repeats: the same of the whole-number repeats.
        background_share: share of all weight on images without any truth.
        extra_by_error: share of the extra weight by the error type of the false positive that causes it, ``missed``
            for all false negatives, or ``lucky_hit``.
        miss_share: the same of all false negatives, after all limits.
        balance: λ, see :func:`~hnm_core.weighting.weights.weigh_images`; below 1 if misses were limited.
        class_exposure: per class, boxes per drawn image, ratio of with to without weights.
    """

    hard_images: int
    mean_weight: float
    effective_sample_size: float
    effective_sample_size_of_repeats: float
    background_share: float
    extra_by_error: Mapping[str, float]
    miss_share: float
    balance: float
    class_exposure: Mapping[str, float]


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``, or 0 if ``whole`` is 0."""
    return part / whole if whole else 0.0


def percent(part: float, whole: float) -> str:
    """Format a share as ``12.3 %``, or ``–`` if ``whole`` is 0."""
    return f"{100 * part / whole:.1f} %" if whole else "–"
