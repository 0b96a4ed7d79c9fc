"""Estimate label errors, image scores and weights from reviews, without the tables: fast enough for every click."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..report import MiningReport, Weighting
from ..settings import MiningSettings
from ..taxonomy import LOCALIZATION
from ..weighting.effect import describe_weighting
from ..weighting.images import Images
from ..weighting.pooling import PooledScores
from .mistakes import Mistakes
from .reviews import IGNORE
from .settled import Settled
from .suspicion import Suspicion, estimate_suspicion

__all__ = [
    "Estimate",
    "Suspicion",
    "estimate_labels",
    "estimate_suspicion",
    "image_scores_of",
    "image_weights_of",
    "with_estimate",
    "with_numbers",
]


@dataclass(frozen=True, eq=False)
class Estimate:
    """The estimate after the reviews so far: suspicion, image scores and weights.

    Attributes:
        suspicions: of every mistake, with strata and intervals.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, images with a higher weight because of their mistakes.
        weighting: the effect of the weights.
        expected_label_errors: how many of the mined objects are expected to be label errors.
        expected_interval: its 90 % interval.
        notes: limits that took effect, as sentences.
    """

    suspicions: Suspicion
    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    weighting: Weighting
    expected_label_errors: float
    expected_interval: tuple[float, float]
    notes: tuple[str, ...]

    @property
    def suspicion(self) -> NDArray[np.float64]:
        """``(k,)`` estimated probability that the label is wrong."""
        return self.suspicions.value


def estimate_labels(
    mistakes: Mistakes,
    state: Iterable[str] | NDArray[Any] | None,
    images: Images,
    settings: MiningSettings,
    *,
    evidence: Mapping[str, Any] | None = None,
    settled: Settled | None = None,
) -> Estimate:
    """Estimate suspicion, image scores and weights of mined mistakes from their reviews.

    This is the second half of :func:`~hnm_core.pipeline.mine`. Objects reviewed as ``ignore`` are left out; others take
    their place under the cap only when mining runs again.

    Args:
        mistakes: all mistakes, mined or not, and the mined lucky hits.
        state: ``(k,)`` review states by name, or answers as :data:`~.reviews.STATES` says; None for no reviews.
        images: the images that ``mistakes.image`` numbers.
        settings: ``use_suspicion`` and those of :func:`~hnm_core.weighting.weights.weigh_images`.
        evidence: per kind ``(k,)`` log-likelihood ratios, see :mod:`hnm_core.labels.evidence_weights`.
        settled: reviewed label errors that are put right; None for none.

    Raises:
        ValueError: if a state does not exist, or the number of states differs from that of the mistakes.

    Example:
        >>> from hnm_core.taxonomy import BACKGROUND
        >>> errors = [BACKGROUND] * 2, [0, 0], [0.9, 0.9], [0.9, 0.9], [False, False], [True, True]
        >>> mistakes = Mistakes([0, 1], *errors)  # two equal false positives in two images
        >>> images = Images(["a", "b", "c"], np.zeros(3, bool))
        >>> after = estimate_labels(mistakes, ["hard_negative", ""], images, MiningSettings())
        >>> after.suspicion.round(2).tolist(), after.suspicions.reviewed["hard_negative"]
        ([0.0, 0.24], 1)
    """
    suspicions = estimate_suspicion(mistakes, state, evidence, settled)
    rows, pooled = image_scores_of(mistakes, suspicions, images, settings)
    weighed = images.weigh(pooled, settings)
    expected, low, high = suspicions.strata.expected()
    return Estimate(
        suspicions=suspicions,
        image_scores=pooled.scores,
        weights=weighed.weights,
        repeats=weighed.repeats,
        hard_images=weighed.hard,
        weighting=describe_weighting(images, pooled, mistakes.code[rows], weighed),
        expected_label_errors=expected,
        expected_interval=(low, high),
        notes=weighed.notes,
    )


def with_estimate(report: MiningReport, estimate: Estimate) -> MiningReport:
    """Return the report with the numbers of the estimate: expected label errors, reviews and evidence."""
    found = estimate.suspicions
    expected = (estimate.expected_label_errors, *estimate.expected_interval)
    return with_numbers(report, expected, found.review_count, found.reviewed, found.evidence)


def with_numbers(
    report: MiningReport,
    expected: tuple[float, float, float],
    review_count: int,
    reviewed: Mapping[str, int],
    evidence: Mapping[str, float],
) -> MiningReport:
    """Return the report with expected label errors and their interval, reviews by state, and weights of evidence."""
    return replace(
        report,
        expected_label_errors=expected[0],
        expected_interval=expected[1:] if review_count else None,
        review_count=review_count,
        reviewed=reviewed,
        evidence=evidence,
    )


def image_weights_of(
    mistakes: Mistakes, suspicions: Suspicion, images: Images, settings: MiningSettings
) -> NDArray[np.float64]:
    """Return the weights of the images, ``(images,)``."""
    return images.weigh(image_scores_of(mistakes, suspicions, images, settings)[1], settings).weights


def image_scores_of(
    mistakes: Mistakes, suspicions: Suspicion, images: Images, settings: MiningSettings
) -> tuple[NDArray[np.int64], PooledScores]:
    """Return the rows that count, ``(c,)``, and the scores of the images with the parts of these rows in them."""
    rows = np.flatnonzero(mistakes.mined & (suspicions.state != IGNORE))
    rows = rows[np.argsort(mistakes.code[rows], kind="stable")]  # stable sort, so that equal shares are deterministic
    belief = 1.0 - suspicions.value[rows] * settings.use_suspicion
    missed = mistakes.of_truth[rows]
    false_positives = ~missed & (mistakes.code[rows] >= LOCALIZATION)
    return rows, PooledScores.of(
        mistakes.image[rows], mistakes.difficulty[rows] * belief, false_positives, missed, len(images)
    )
