"""What mends each kind of label error: accept a prediction, take its class or its box, or remove a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections
from ..taxonomy import BACKGROUND_IOU
from .reviews import BOGUS_LABEL, MISSING_LABEL, SAME_IOU, WRONG_BOX, WRONG_LABEL

__all__ = ["Remedies", "find_remedies"]

Pairs = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Remedies:
    """What reviews ask to be changed of the labels.

    Attributes:
        accepted: ``(a,)`` int64, rows of the predictions that become labels.
        relabelled: ``(r, 2)`` int64, row of a truth and of the prediction whose class it takes.
        moved: ``(m, 2)`` int64, row of a truth and of the prediction whose box it takes.
        removed: ``(d,)`` int64, rows of truths that go.
        open_predictions: rows of predictions whose label is wrong with nothing to mend it.
        open_truth: the same of truths.
    """

    accepted: NDArray[np.int64]
    relabelled: Pairs
    moved: Pairs
    removed: NDArray[np.int64]
    open_predictions: NDArray[np.int64]
    open_truth: NDArray[np.int64]


def find_remedies(
    predictions: Detections,
    truth: Detections,
    prediction_state: NDArray[np.int8],
    truth_state: NDArray[np.int8],
) -> Remedies:
    """Return the remedy of every label error that was reviewed.

    A missing label is accepted, unless a truth of its class is there already (IoU ≥ .5); a bogus one is removed. A
    wrong class is that of the truth of another class with the largest IoU, from .1 on, and a wrong box that of the
    truth of the same class; where the truth itself was reviewed, the prediction with the largest IoU mends it. No truth
    takes two classes or two boxes: the largest IoU counts.

    Args:
        predictions: ``n`` rows.
        truth: ``m`` rows, of the same images and classes.
        prediction_state: ``(n,)`` review states, as index in :data:`~hnm_core.labels.reviews.STATES`.
        truth_state: ``(m,)``.

    Example:
        >>> world = dict(images=["a"], classes=["cat", "dog"])
        >>> predictions = Detections([0, 0], [[0, 0, 9, 9], [0, 0, 9, 8]], [1, 0], [0.9, 0.8], **world)
        >>> truth = Detections([0], [[0, 0, 9, 9]], [0], None, **world)
        >>> found = find_remedies(predictions, truth, np.array([WRONG_LABEL, 0], np.int8), np.zeros(1, np.int8))
        >>> found.relabelled.tolist(), len(found.accepted)
        ([[0, 0]], 0)
    """
    t, p, iou = overlapping(truth.xyxy, predictions.xyxy, *_in_one_image(truth.image, predictions.image))
    iou = np.round(iou, 10)
    same = truth.label[t] == predictions.label[p]
    removed = np.flatnonzero(truth_state == BOGUS_LABEL)
    stays = ~np.isin(t, removed)

    def pairs(state: int, fit: NDArray[np.bool_]) -> Pairs:
        asked = (prediction_state[p] == state) | (truth_state[t] == state)
        some = np.flatnonzero(asked & fit & stays & (iou >= BACKGROUND_IOU))
        some = some[np.lexsort((p[some], t[some], -iou[some]))]
        taken: dict[int, int] = {}
        used: set[int] = set()
        for truth_row, row in zip(t[some].tolist(), p[some].tolist(), strict=True):
            if truth_row not in taken and not (row in used and truth_state[truth_row] != state):
                taken[truth_row] = row
                used.add(row)
        return np.array(sorted(taken.items()), dtype=np.int64).reshape(-1, 2)

    relabelled, moved = pairs(WRONG_LABEL, ~same), pairs(WRONG_BOX, same)
    there = np.zeros(len(predictions), dtype=bool)
    there[p[same & stays & (iou >= SAME_IOU)]] = True
    missing = prediction_state == MISSING_LABEL
    mends = np.zeros(len(predictions), dtype=bool)
    mends[[*relabelled[:, 1], *moved[:, 1]]] = True
    mended = np.zeros(len(truth), dtype=bool)
    mended[[*relabelled[:, 0], *moved[:, 0]]] = True
    wrong = (WRONG_LABEL, WRONG_BOX)
    return Remedies(
        accepted=np.flatnonzero(missing & ~there),
        relabelled=relabelled,
        moved=moved,
        removed=removed,
        open_predictions=np.flatnonzero(np.isin(prediction_state, wrong) & ~mends),
        open_truth=np.flatnonzero(np.isin(truth_state, wrong) & ~mended),
    )


def _in_one_image(first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of rows of two tables that are in the same image."""
    order = np.argsort(second, kind="stable")
    start = np.searchsorted(second[order], first, side="left")
    count = np.searchsorted(second[order], first, side="right") - start
    row = np.repeat(np.arange(len(first)), count)
    begin = np.cumsum(count) - count
    return row, order[np.arange(len(row)) + np.repeat(start - begin, count)]
