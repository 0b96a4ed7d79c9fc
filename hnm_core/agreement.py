"""Does a second model see it too? Then it is likelier that something is there which nobody labelled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .columns import Detections, check_same_world
from .likeness import LEAST_LABELLED, LEAST_SUSPECTS
from .matching import match_detections
from .result import MiningResult
from .taxonomy import DUPLICATE, TRUE_POSITIVE

__all__ = ["agreement_evidence"]

GRADES = (1e-9, 0.25, 0.5)
"""Scores of the second model from which it says more (chosen)."""


def agreement_evidence(result: MiningResult, second: Detections) -> NDArray[np.float64]:
    """Evidence from a second model, for ``mine(..., evidence={"agreement": ...})``.

    What it says of a box is its best score there, same class, at the IoU threshold, in four grades: nothing, below ¼,
    below ½, more. A grade speaks for a missing label by how much commoner it is among the first model's true positives
    than among its false positives, as in :func:`~hnm_core.likeness.likeness`. The second model's training must have
    been another, or it only repeats the first.

    Args:
        result: a mining of the first model's predictions.
        second: another model's predictions, on the same images and classes, down to a low confidence.

    Returns:
        ``(n,)`` float64, a log-likelihood ratio per prediction; NaN where nothing is said: true positives, duplicates,
        and classes with fewer than five false positives.

    Raises:
        ValueError: if the tables name different images or classes.
    """
    p = result.predictions
    boxes = Detections(p.image, p.xyxy, p.label, None, p.images, p.classes)
    check_same_world(second, boxes)
    seen = match_detections(second, boxes, result.settings).best_score
    grade = np.searchsorted(GRADES, seen, side="right")
    out = np.full(len(p), np.nan)
    alarm = result.errors.false_positive & (result.errors.prediction != DUPLICATE)
    right = result.errors.prediction == TRUE_POSITIVE
    for label in range(len(p.classes)):
        of_class = p.label == label
        rows, labelled = np.flatnonzero(alarm & of_class), np.flatnonzero(right & of_class)
        if len(rows) >= LEAST_SUSPECTS and len(labelled) >= LEAST_LABELLED:
            out[rows] = (_log_shares(grade[labelled]) - _log_shares(grade[rows]))[grade[rows]]
    return out


def _log_shares(grade: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logarithm of the share of each grade, one more counted of each than there are."""
    counts = np.bincount(grade, minlength=len(GRADES) + 1) + 1.0
    return np.asarray(np.log(counts / counts.sum()), dtype=np.float64)
