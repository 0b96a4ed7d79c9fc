"""Classify errors as TIDE does (Bolya et al., ECCV 2020, arXiv:2008.08115): its names, its order of tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .matching.greedy import NONE, per_class
from .matching.matches import Matches
from .settings import MiningSettings

__all__ = ["ERROR_TYPES", "PROPOSALS", "ROW_NAMES", "Errors", "classify_errors"]

PROPOSALS = ("confident", "uncertain", "gap")
"""What may be wrong where there is no ground truth: detections from the confidence threshold, those below it, and
objects that a model lost for a few frames of a video."""

ROW_NAMES = (
    "true_positive",
    "below_threshold",
    "ignored",
    "localization",
    "classification",
    "duplicate",
    "background",
    "both",
    "missed",
    *PROPOSALS,
)
"""All names that a row can have; the code of a row is the index in this tuple."""

ERROR_TYPES = ROW_NAMES[3 : -len(PROPOSALS)]
"""The names of mistakes: those of false positives, and ``missed``."""

TRUE_POSITIVE, BELOW_THRESHOLD, IGNORED, LOCALIZATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH, MISSED = range(9)
CONFIDENT, UNCERTAIN, GAP = range(9, 12)

BACKGROUND_IOU = 0.1
"""TIDE's background threshold: up to this IoU a prediction touches no object."""


@dataclass(frozen=True, eq=False)
class Errors:
    """The error type of every row as a code, an index in :data:`ROW_NAMES`.

    Attributes:
        prediction: ``(n,)`` int8.
        truth: ``(m,)`` int8; a truth is ``true_positive``, ``ignored``, or one of the three ways to be missed.
        confident: ``(n,)`` bool, predictions at or above their confidence threshold.
    """

    prediction: NDArray[np.int8]
    truth: NDArray[np.int8]
    confident: NDArray[np.bool_]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """``(n,)`` bool, confident predictions that are not ignored: those in all rates and in the cap."""
        counted: NDArray[np.bool_] = self.confident & (self.prediction != IGNORED)
        return counted

    @property
    def false_positive(self) -> NDArray[np.bool_]:
        """``(n,)`` bool, confident predictions without a match."""
        return self.prediction >= LOCALIZATION

    @property
    def false_negative(self) -> NDArray[np.bool_]:
        """``(m,)`` bool, truths that no confident prediction matches."""
        return self.truth >= LOCALIZATION


def classify_errors(
    predictions: Detections, truth: Detections, matches: Matches, settings: MiningSettings | None = None
) -> Errors:
    """Give every row of both tables its name: an error type, or what it is instead.

    With *u* the best IoU with a truth of the prediction's class, *v* with one of another class, *a* = max(u, v) and
    τ the IoU threshold, a confident prediction that matched nothing is the first that holds:
    ``localization`` .1 ≤ u ≤ τ; ``classification`` v ≥ τ; ``duplicate`` IoU ≥ τ with an already taken truth of its
    class; ``background`` a ≤ .1; ``both``. In an image without truths it is ``background``. A missed truth is
    ``localization`` or ``classification`` if such a false positive points at it, else ``missed``.

    Args:
        predictions: scored boxes.
        truth: the ground truth they were matched with.
        matches: what :func:`~hnm_core.matching.greedy.match_detections` found.
        settings: the confidence and IoU thresholds, also per class.

    Returns:
        A code per row of both tables.

    Example:
        >>> from hnm_core.matching.greedy import match_detections
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections([0], [[0, 0, 10, 10]], [0], None, **world)
        >>> predictions = Detections([0], [[0, 0, 10, 4]], [0], [0.9], **world)
        >>> errors = classify_errors(predictions, truth, match_detections(predictions, truth))
        >>> ROW_NAMES[errors.prediction[0]], ROW_NAMES[errors.truth[0]]
        ('localization', 'localization')
    """
    settings = settings or MiningSettings()
    if predictions.score is None:
        raise ValueError("the predictions have no score column; are predictions and ground truth swapped?")
    confidence = per_class(settings.confidence_threshold, settings.class_confidence, predictions.classes)
    confident = predictions.score >= confidence[predictions.label]
    code = _prediction_codes(predictions, matches, confident, settings)
    return Errors(code, _truth_codes(truth, matches, confident, code), confident)


def _prediction_codes(
    predictions: Detections, matches: Matches, confident: NDArray[np.bool_], settings: MiningSettings
) -> NDArray[np.int8]:
    code = np.full(len(predictions), BELOW_THRESHOLD, dtype=np.int8)
    code[confident & (matches.matched != NONE)] = TRUE_POSITIVE
    code[confident & matches.ignored] = IGNORED
    wrong = np.flatnonzero(confident & (matches.matched == NONE) & ~matches.ignored)
    threshold = per_class(settings.iou_threshold, settings.class_iou, predictions.classes)
    tau = threshold[predictions.label[wrong]]
    same, other = matches.same_iou[wrong], matches.other_iou[wrong]
    # Unmatched although u > τ: the truth was taken by a prediction of higher score.
    named = np.full(
        len(wrong), BOTH, dtype=np.int8
    )  # from the last test to the first, so that the first one that holds wins
    named[np.maximum(same, other) <= BACKGROUND_IOU] = BACKGROUND
    named[same >= tau] = DUPLICATE
    named[other >= tau] = CLASSIFICATION
    named[(same >= BACKGROUND_IOU) & (same <= tau)] = LOCALIZATION
    code[wrong] = named
    return code


def _truth_codes(
    truth: Detections, matches: Matches, confident: NDArray[np.bool_], prediction_code: NDArray[np.int8]
) -> NDArray[np.int8]:
    code = np.full(len(truth), MISSED, dtype=np.int8)
    for error, pointed_at in ((CLASSIFICATION, matches.other_row), (LOCALIZATION, matches.same_row)):
        code[pointed_at[prediction_code == error]] = error  # localization last, because TIDE tests it first
    finder = matches.found_by
    if len(confident):
        code[(finder != NONE) & confident[finder]] = TRUE_POSITIVE
    code[matches.truth_ignored] = IGNORED
    return code
