"""Confidence thresholds chosen from data: one per class, where the detector is at its best or precise enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .matching import NONE, match_detections
from .settings import MiningSettings

__all__ = ["choose_confidence"]


def choose_confidence(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    target_precision: float | None = None,
) -> dict[str, float]:
    """The confidence threshold of every class, for ``MiningSettings(class_confidence=...)``.

    Choose on a validation split, mine on the train split. Greedy matching does not depend on the threshold, so each
    class's precision and recall at every score follow from one matching.

    Args:
        predictions: scored boxes of a validation split, kept down to a low confidence.
        truth: its ground truth.
        settings: ``iou_threshold``, ``class_iou`` and ``class_agnostic`` are read.
        target_precision: in (0, 1]; None asks for the highest F1.

    Returns:
        Threshold per class: the score of highest F1, of equals the highest; or the lowest score from which on precision
        is at least ``target_precision``. Classes for which there is none are left out, so that the default holds.

    Raises:
        ValueError: if ``target_precision`` lies outside (0, 1], or the tables do not fit each other.

    Example:
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections([0], [[0, 0, 9, 9]], [0], None, **world)
        >>> predictions = Detections([0, 0], [[0, 0, 9, 9], [50, 50, 60, 60]], [0, 0], [0.8, 0.3], **world)
        >>> choose_confidence(predictions, truth)
        {'cat': 0.8}
    """
    if target_precision is not None and not 0 < target_precision <= 1:
        raise ValueError(f"target_precision must lie in (0, 1], got {target_precision:g}")
    matches = match_detections(predictions, truth, settings)
    assert predictions.score is not None  # matching saw to it
    counted = np.flatnonzero(~matches.on_crowd)
    counted = counted[np.argsort(-predictions.score[counted], kind="stable")]
    truths = np.bincount(truth.label[~truth.is_crowd()], minlength=len(truth.classes)).tolist()
    chosen = {}
    for label, name in enumerate(truth.classes):
        rows = counted[predictions.label[counted] == label]
        score, right = predictions.score[rows], matches.matched[rows] != NONE
        best = _best_row(score, right, truths[label], target_precision)
        if best is not None:
            chosen[name] = float(score[best])
    return chosen


def _best_row(
    score: NDArray[np.float64], right: NDArray[np.bool_], truths: int, target_precision: float | None
) -> int | None:
    """Of predictions by falling score the last to count as confident; None if no threshold is good."""
    edges = np.flatnonzero(np.diff(score, append=-1.0))  # a threshold takes all predictions of equal score
    found = np.cumsum(right)[edges]
    if not found.size or not found[-1]:
        return None
    if target_precision is None:
        f1 = 2 * found / (edges + 1 + truths)
        return int(edges[np.argmax(f1)])
    precise = np.flatnonzero(found / (edges + 1) >= target_precision)
    return int(edges[precise[-1]]) if precise.size else None
