"""Estimate label errors, image scores and weights from reviews, without the tables."""

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
from ..weighting.pooling import ImageScores, PooledScores, Pools
from ..weighting.weights import SampleWeights
from .grouped import Grouped
from .mistakes import Mistakes
from .reviews import IGNORE
from .settled import Settled
from .suspicion import Suspicion, estimate_suspicion, suspicion_of

__all__ = [
    "Estimate",
    "Estimator",
    "Outlook",
    "Suspicion",
    "estimate_labels",
    "estimate_suspicion",
    "image_scores_of",
    "with_estimate",
    "with_numbers",
]


@dataclass(frozen=True, eq=False)
class Outlook:
    """What reviews so far let expect: suspicion, image scores and weights.

    Attributes:
        suspicions: of every mistake, with strata and intervals.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, images with a higher weight because of their mistakes.
        expected_label_errors: how many of the mined objects are expected to be label errors.
        expected_interval: its 90 % interval.
        notes: limits that took effect, as sentences.
    """

    suspicions: Suspicion
    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    expected_label_errors: float
    expected_interval: tuple[float, float]
    notes: tuple[str, ...]

    @property
    def suspicion(self) -> NDArray[np.float64]:
        """``(k,)`` estimated probability that the label is wrong."""
        return self.suspicions.value


@dataclass(frozen=True, eq=False)
class Estimate(Outlook):
    """The same, with what the weights do to a training.

    Attributes:
        weighting: the effect of the weights.
    """

    weighting: Weighting


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
    weighting = describe_weighting(images, pooled, mistakes.code[rows], weighed)
    return Estimate(**_outlook(suspicions, pooled.scores, weighed), weighting=weighting)


def _outlook(suspicions: Suspicion, scores: NDArray[np.float64], weighed: SampleWeights) -> dict[str, Any]:
    """Return the values of an :class:`Outlook`."""
    expected, low, high = suspicions.strata.expected()
    return {
        "suspicions": suspicions,
        "image_scores": scores,
        "weights": weighed.weights,
        "repeats": weighed.repeats,
        "hard_images": weighed.hard,
        "expected_label_errors": expected,
        "expected_interval": (low, high),
        "notes": weighed.notes,
    }


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


def image_scores_of(
    mistakes: Mistakes, suspicions: Suspicion, images: Images, settings: MiningSettings
) -> tuple[NDArray[np.int64], PooledScores]:
    """Return the rows that count, ``(c,)``, and the scores of the images with the parts of these rows in them."""
    rows = _by_type(mistakes, mistakes.mined & (suspicions.state != IGNORE))
    belief = 1.0 - suspicions.value[rows] * settings.use_suspicion
    missed, false_positives = _sides_of(mistakes, rows)
    return rows, PooledScores.of(
        mistakes.image[rows], mistakes.difficulty[rows] * belief, false_positives, missed, len(images)
    )


def _by_type(mistakes: Mistakes, some: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return rows by error type, in the order in which equals are pooled."""
    rows = np.flatnonzero(some)
    return rows[np.argsort(mistakes.code[rows], kind="stable")]  # stable sort, so that equal shares are deterministic


def _sides_of(mistakes: Mistakes, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of some rows are missed truths, and which are false positives."""
    missed = mistakes.of_truth[rows]
    return missed, ~missed & (mistakes.code[rows] >= LOCALIZATION)


class Estimator:
    """The estimate of the same mistakes, for review after review: what no review changes is computed once.

    Args:
        mistakes: as for :func:`estimate_labels`, and so are the others. None of them may change any more.
        images: the images.
        settings: the settings.
        evidence: the evidence.
        settled: what is settled.

    Example:
        >>> from hnm_core.taxonomy import BACKGROUND
        >>> errors = [BACKGROUND] * 2, [0, 0], [0.9, 0.9], [0.9, 0.9], [False, False], [True, True]
        >>> estimator = Estimator(Mistakes([0, 1], *errors), Images(["a", "b"], np.zeros(2, bool)), MiningSettings())
        >>> [estimator.outlook(state).suspicion.round(2).tolist() for state in (["", ""], ["hard_negative", ""])]
        [[0.8, 0.8], [0.0, 0.24]]
    """

    def __init__(
        self,
        mistakes: Mistakes,
        images: Images,
        settings: MiningSettings,
        evidence: Mapping[str, Any] | None = None,
        settled: Settled | None = None,
    ) -> None:
        self.mistakes, self.settings = mistakes, settings
        self._images, self._kinds = images, list(evidence or {})
        self._grouped = Grouped.of(mistakes, evidence, settled)
        rows = _by_type(mistakes, mistakes.mined)
        self._rows = rows[np.argsort(mistakes.image[rows], kind="stable")]  # what is pooled together lies together
        missed, false_positives = _sides_of(mistakes, self._rows)
        self._pools = Pools(mistakes.image[self._rows], false_positives, missed, len(images))
        self._difficulty = mistakes.difficulty[self._rows]

    def outlook(self, state: Iterable[str] | NDArray[Any] | None) -> Outlook:
        """Return what reviews let expect: the numbers of :func:`estimate_labels`, to the last bit.

        Raises:
            ValueError: if a state does not exist, or the number of states differs from that of the mistakes.
        """
        suspicions = self.suspicion(state)
        scores = self._scores(suspicions)
        return Outlook(**_outlook(suspicions, scores.scores, self._images.weigh(scores, self.settings)))

    def suspicion(self, state: Iterable[str] | NDArray[Any] | None) -> Suspicion:
        """Return the suspicion of every mistake."""
        return suspicion_of(self._grouped, state, self._kinds)

    def weights(self, suspicions: Suspicion, settings: MiningSettings | None = None) -> NDArray[np.float64]:
        """Return the weights of the images, ``(images,)``; ``settings`` may limit them otherwise."""
        return self._images.weigh(self._scores(suspicions), settings or self.settings).weights

    def _scores(self, suspicions: Suspicion) -> ImageScores:
        difficulty = self._difficulty * (1.0 - suspicions.value[self._rows] * self.settings.use_suspicion)
        difficulty[suspicions.answers[self._rows] == IGNORE] = 0.0
        return self._pools.score(difficulty)
