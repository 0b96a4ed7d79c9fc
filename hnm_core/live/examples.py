"""Detections of a labelled run that are known to be right or wrong: what a verifier learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..labels.inheritance import inherit_reviews
from ..labels.reviews import (
    HARD_NEGATIVE,
    IGNORE,
    LABEL_ERRORS,
    MISSING_LABEL,
    UNREVIEWED,
    Reviews,
)
from ..result import MiningResult
from ..taxonomy import CONFIDENT, DUPLICATE, TRUE_POSITIVE, classify_errors

__all__ = ["LEAST_CONFIDENCE", "MOST", "Examples", "examples_of"]

LEAST_CONFIDENCE = 0.05
"""Confidence from which detections are looked at (the pilot's)."""

MOST = 1_000
"""Largest number of right and of wrong detections of a class to learn from; of more, so many are drawn at random."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Detections that are known to be right or wrong.

    Attributes:
        rows: ``(k,)`` int64, ascending rows of the predictions.
        wrong: ``(k,)`` bool, errors of the model; the others are right.
        notes: sentences on what counts and what does not.
    """

    rows: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    notes: tuple[str, ...]


def examples_of(result: MiningResult, reviews: Reviews | None = None) -> Examples:
    """Return the detections of a mining that are known to be right or wrong, from confidence .05.

    Right is what matched a truth, and a false positive whose label is wrong, as reviewed; wrong is every other false
    positive. Left out are duplicates, whose crop shows an object in any case, what is ignored, by rule or by review,
    and what lies on a truth whose label is wrong, as reviewed. Of proposals, where there is no ground truth, nothing is
    known but what is reviewed.

    Args:
        result: a mining.
        reviews: None for those that it was mined with.
    """
    predictions, seed = result.predictions, result.settings.seed
    low = replace(result.settings, confidence_threshold=LEAST_CONFIDENCE, class_confidence={})
    errors = classify_errors(predictions, result.truth, result.matches, low)
    right = errors.prediction == TRUE_POSITIVE
    wrong = errors.false_positive & (errors.prediction != DUPLICATE)
    proposed = bool((result.errors.prediction >= CONFIDENT).any())
    reviews = result.reviews if reviews is None else reviews
    state = np.zeros(len(predictions), dtype=np.int8)
    if reviews is not None:
        state, of_truth = inherit_reviews(reviews, predictions, result.truth)
        labels = np.isin(state, LABEL_ERRORS)
        right, wrong = right | (wrong & labels), wrong & ~labels & (state != IGNORE)
        near = result.prediction_near
        doubted = np.append(np.isin(of_truth, (*LABEL_ERRORS, IGNORE)), False)[near] & (state == UNREVIEWED)
        right, wrong = right & ~doubted, wrong & ~doubted
    if proposed:
        right, wrong = state == MISSING_LABEL, state == HARD_NEGATIVE
    rows = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *_drawn(predictions.label, right, wrong, seed)]))
    return Examples(rows, wrong[rows], tuple(_notes(result, right, wrong, state, len(rows))))


def _drawn(
    label: NDArray[np.int64], right: NDArray[np.bool_], wrong: NDArray[np.bool_], seed: int
) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    for kind in (right, wrong):
        for each in np.unique(label[kind]):
            yield rng.permutation(np.flatnonzero(kind & (label == each)))[:MOST]


def _notes(
    result: MiningResult, right: NDArray[np.bool_], wrong: NDArray[np.bool_], state: NDArray[np.int8], used: int
) -> Iterator[str]:
    known = int(right.sum() + wrong.sum())
    if used < known:
        yield f"{known - used:,} of {known:,} detections are left out: {MOST:,} of a class and kind are enough"
    reviewed = int((wrong & (state != UNREVIEWED)).sum())
    at = wrong & (state == UNREVIEWED) & (result.prediction_suspicion >= 0)  # False for NaN
    expected = float(result.prediction_suspicion[at].sum())
    if expected > at.sum() / 2:
        yield (
            f"of {int(at.sum()):,} confident false positives without a review about {expected:,.0f} are expected to be "
            f"label errors ({reviewed:,} are reviewed): a verifier learns that they are wrong. Review them first"
        )
