"""Choose a confidence threshold per class from data: at the highest F1, or at a wanted precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .matching.greedy import NONE, match_detections
from .settings import MiningSettings

__all__ = ["choose_confidence"]


def choose_confidence(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    target_precision: float | None = None,
) -> dict[str, float]:
    """Return a confidence threshold per class, for ``MiningSettings(class_confidence=...)``.

    Choose on a validation split, mine on the train split. Greedy matching does not depend on the threshold, so each
    class's precision and recall at every score follow from one matching.

    Args:
        predictions: scored boxes of a validation split, down to a low confidence.
        truth: its ground truth.
        settings: ``iou_threshold``, ``class_iou`` and ``class_agnostic`` are read.
        target_precision: in (0, 1]; None chooses the highest F1.

    Returns:
        Threshold per class: the score of the highest F1 (ties: the highest score), or the lowest score at which
        precision is at least ``target_precision``. Classes without such a score are left out and keep the default.

    Raises:
        ValueError: if ``target_precision`` is outside (0, 1], or the tables differ in images or classes.

    Example:
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections([0], [[0, 0, 9, 9]], [0], None, **world)
        >>> predictions = Detections([0, 0], [[0, 0, 9, 9], [50, 50, 60, 60]], [0, 0], [0.8, 0.3], **world)
        >>> choose_confidence(predictions, truth)
        {'cat': 0.8}
    """
    if target_precision is not None and not 0 < target_precision <= 1:
        raise ValueError(f"target_precision must be in (0, 1], got {target_precision:g}")
    matches = match_detections(predictions, truth, settings)
    assert predictions.score is not None  # checked by matching
    counted = np.flatnonzero(~matches.ignored)
    counted = counted[np.argsort(-predictions.score[counted], kind="stable")]
    truths = np.bincount(truth.label[~matches.truth_ignored], minlength=len(truth.classes)).tolist()
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
    """Return the row of the last confident prediction, of rows by falling score; None if no threshold fits."""
    edges = np.flatnonzero(np.diff(score, append=-1.0))  # a threshold takes all predictions of equal score
    found = np.cumsum(right)[edges]
    if not found.size or not found[-1]:
        return None
    if target_precision is None:
        f1 = 2 * found / (edges + 1 + truths)
        return int(edges[np.argmax(f1)])
    precise = np.flatnonzero(found / (edges + 1) >= target_precision)
    return int(edges[precise[-1]]) if precise.size else None
