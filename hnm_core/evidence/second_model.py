"""Evidence from a second model: a false positive that it detects too is more likely an object without a label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections, check_same_world
from ..labels.settled import alarms_of
from ..matching.greedy import match_detections
from ..result import MiningResult
from ..taxonomy import DUPLICATE, TRUE_POSITIVE
from .crop_classifier import LEAST_LABELLED, LEAST_SUSPECTS

__all__ = ["agreement_evidence"]

GRADES = (1e-9, 0.25, 0.5)
"""Scores that separate the four grades of agreement (chosen)."""


def agreement_evidence(result: MiningResult, second: Detections) -> NDArray[np.float64]:
    """Return evidence from a second model, for ``result.with_evidence({"agreement": ...})``.

    The best score of the second model at a box (same class, at the IoU threshold) gives one of four grades: none, below
    ¼, below ½, higher. The evidence is how much more frequent a grade is among the first model's true positives than
    among its false positives, as in :func:`~.crop_classifier.likeness`. The second model must have been trained
    independently, otherwise it only repeats the first.

    Args:
        result: a mining of the first model's predictions.
        second: another model's predictions, on the same images and classes, down to a low confidence.

    Returns:
        ``(n,)`` float64, a log-likelihood ratio per prediction; NaN without evidence: on true positives (but those
        that were false ones until their label was put right), duplicates, and classes with fewer than five false
        positives.

    Raises:
        ValueError: if the tables differ in images or classes.
    """
    p = result.predictions
    boxes = Detections(p.image, p.xyxy, p.label, None, p.images, p.classes)
    check_same_world(second, boxes)
    seen = match_detections(second, boxes, replace(result.settings, ignored=())).best_score
    grade = np.searchsorted(GRADES, seen, side="right")
    out = np.full(len(p), np.nan)
    alarms, code = alarms_of(result.errors, result.settled)
    right = np.setdiff1d(np.flatnonzero(result.errors.prediction == TRUE_POSITIVE), alarms)
    alarms = alarms[code != DUPLICATE]
    for label in range(len(p.classes)):
        rows, labelled = alarms[p.label[alarms] == label], right[p.label[right] == label]
        if len(rows) >= LEAST_SUSPECTS and len(labelled) >= LEAST_LABELLED:
            out[rows] = (_log_shares(grade[labelled]) - _log_shares(grade[rows]))[grade[rows]]
    return out


def _log_shares(grade: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of the share of each grade, with one pseudo-count per grade."""
    counts = np.bincount(grade, minlength=len(GRADES) + 1) + 1.0
    return np.asarray(np.log(counts / counts.sum()), dtype=np.float64)
