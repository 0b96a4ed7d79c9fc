"""Evidence from the detector itself, asked again under views of the same images, see :mod:`hnm_core.training.views`.

A real object is found again when the image is flipped or scaled; what the detector only took for one often is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections, check_same_world
from ..labels.settled import alarms_of
from ..labels.stats import logit
from ..matching.chunks import chunks_of
from ..result import MiningResult
from ..taxonomy import LOCALIZATION, TRUE_POSITIVE
from .label_suspects import LabelSuspects, suspects_of

__all__ = ["LEAST_SCORE", "Seen", "ViewEvidence", "seen_in", "views_evidence"]

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]

LEAST_SCORE = 0.01
"""Score of what a view does not see; views are asked down to it."""

SAME_IOU, NEAR_IOU, TOUCHING_IOU = 0.5, 0.3, 0.1
"""IoU from which a box in a view is the same box, is about the same object, and may be about it (chosen)."""

MOST_LOST = 1.0
"""A view in which matched predictions lose more log odds than this, on average, is dropped: the objects do not look so
(measured: digits lose 6 when they are flipped, valid views less than 1)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a view sees at the boxes of a table, ``n`` rows.

    Attributes:
        own: ``(n,)`` float64, best score of the box's class at IoU ≥ .5, .01 if none.
        other: ``(n,)``, the same of the other classes.
        near: ``(n,)``, best score of any class at IoU ≥ .3, .01 if none.
        iou: ``(n,)``, IoU with the box of the class that has the highest score × IoU, from IoU .1; NaN if none.
    """

    own: NDArray[np.float64]
    other: NDArray[np.float64]
    near: NDArray[np.float64]
    iou: NDArray[np.float64]


def seen_in(view: Detections, boxes: Detections) -> Seen:
    """Return what a view sees at the boxes of a table.

    Args:
        view: detections under the view, as boxes of the image as it is.
        boxes: of the same images and classes, in the same unit.

    Raises:
        ValueError: if the tables differ in images or classes.

    Example:
        >>> world = dict(images=["a"], classes=["cat", "dog"])
        >>> view = Detections([0, 0], [[0, 0, 9, 9], [0, 0, 9, 6]], [0, 1], [0.8, 0.3], **world)
        >>> seen = seen_in(view, Detections([0, 0], [[0, 0, 9, 6], [20, 0, 29, 9]], [0, 0], None, **world))
        >>> seen.own.tolist(), seen.other.tolist(), seen.near.tolist(), seen.iou.round(2).tolist()
        ([0.8, 0.01], [0.3, 0.01], [0.8, 0.01], [0.67, nan])
    """
    plain = Detections(boxes.image, boxes.xyxy, boxes.label, None, boxes.images, boxes.classes)
    check_same_world(view, plain)
    assert view.score is not None
    n = len(boxes)
    own, other, near = (np.full(n, LEAST_SCORE) for _ in range(3))
    most, iou_of = np.zeros(n), np.full(n, np.nan)
    for chunk in chunks_of(view, plain):
        both = chunk.boxes(view, plain)
        v, b, iou = overlapping(*both, *chunk.pairs(*both))
        seen, box = chunk.rows[v], chunk.others[b]
        score, same = view.score[seen], view.label[seen] == plain.label[box]
        for best, rows in (
            (own, same & (iou >= SAME_IOU)),
            (other, ~same & (iou >= SAME_IOU)),
            (near, iou >= NEAR_IOU),
        ):
            np.maximum.at(best, box[rows], score[rows])
        rows = same & (iou >= TOUCHING_IOU)
        np.maximum.at(most, box[rows], (score * iou)[rows])
        rows &= score * iou == most[box]
        iou_of[box[rows]] = iou[rows]
    return Seen(own, other, near, iou_of)


@dataclass(frozen=True, eq=False)
class ViewEvidence:
    """What asking again tells of the mistakes and of the labels.

    Attributes:
        views: ``(n,)`` and ``(m,)`` float64 per row of the tables, standardised over the mistakes of a side; higher if
            the label is likelier wrong; NaN where a row is no mistake. Of a false positive the mean log odds over the
            views and its own score; of a badly placed one also how steady its box is. Of a miss the most suspicious
            of the three ways in which its label may be wrong.
        steady: ``(n,)`` and ``(m,)``, mean IoU of a false positive with the box of its class in the views,
            standardised: which way it points is for reviews to say (photographs: up, look-alikes: down).
        suspects: how suspicious each label is.
        dropped: names of the views that do not count, with the log odds that matched predictions lose in them.
    """

    views: Pair
    steady: Pair
    suspects: LabelSuspects
    dropped: Mapping[str, float]

    @property
    def kinds(self) -> dict[str, Pair]:
        """What counts as evidence on the mistakes, by kind, see :data:`hnm_core.labels.evidence_weights.KINDS`."""
        return {"views": self.views, "steady": self.steady}

    @property
    def notes(self) -> list[str]:
        """A sentence on every view that does not count."""
        return [
            f"view {name!r} does not count: right predictions lose {loss:.1f} log odds in it"
            for name, loss in self.dropped.items()
        ]


def views_evidence(result: MiningResult, views: Mapping[str, Detections]) -> ViewEvidence:
    """Return the evidence of views, for ``result.with_evidence(found.kinds)``.

    Args:
        result: a mining of the detector's predictions.
        views: what the same detector detects under each view, by its name; see
            :func:`hnm_core.training.asking.ask_again`.

    Raises:
        ValueError: if a table differs in images or classes, or no view counts.
    """
    lost = lost_in(result, views)
    dropped = {name: loss for name, loss in lost.items() if loss > MOST_LOST}
    kept = [view for name, view in views.items() if name not in dropped]
    if not kept:
        raise ValueError(
            f"the model finds in no view what it found: its right predictions lose {min(lost.values()):.1f} log odds "
            f"at least; is it the model that made the predictions?"
        )
    false_positives, code = alarms_of(result.errors, result.settled)
    own = result.predictions.take(false_positives)
    assert own.score is not None
    seen = [seen_in(view, own) for view in kept]
    said = [*(logit(each.own) for each in seen), logit(np.clip(own.score, LEAST_SCORE, 1.0 - LEAST_SCORE))]
    steady = standardised(np.array([np.nan_to_num(each.iou) for each in seen]).mean(axis=0))
    found = standardised(np.array(said).mean(axis=0))
    badly_placed = code == LOCALIZATION
    found = standardised(np.where(badly_placed, found + steady, found))

    labels = [seen_in(view, result.truth) for view in kept]
    seen_at = (np.array([getattr(each, f.name) for each in labels]) for f in fields(Seen))
    own_class, other, near, iou = seen_at
    suspects = suspects_of(own_class, other, near, iou, result.matches.truth_ignored)
    missed = np.flatnonzero(result.errors.false_negative)
    ways = [standardised(known(column[missed])) for column in suspects.columns().values()]
    n, m = len(result.predictions), len(result.truth)
    return ViewEvidence(
        views=(at(n, false_positives, found), at(m, missed, standardised(np.max(ways, axis=0)))),
        steady=(at(n, false_positives, steady), np.full(m, np.nan)),
        suspects=suspects,
        dropped=dropped,
    )


def lost_in(result: MiningResult, views: Mapping[str, Detections]) -> dict[str, float]:
    """Return how many log odds the matched predictions lose in each view, on average; 0 without any."""
    right = result.predictions.take(np.flatnonzero(result.errors.prediction == TRUE_POSITIVE))
    if not len(right):
        return dict.fromkeys(views, 0.0)
    assert right.score is not None
    before = logit(np.clip(right.score, LEAST_SCORE, 1.0 - LEAST_SCORE))
    return {name: float((before - logit(seen_in(view, right).own)).mean()) for name, view in views.items()}


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with mean 0 and standard deviation 1; zeros if they do not differ."""
    spread = float(values.std()) if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with their mean in place of NaN; zeros if none is known."""
    there = np.isfinite(values)
    return np.where(there, values, values[there].mean() if there.any() else 0.0)


def at(length: int, rows: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a column of a table, NaN but at some rows."""
    column = np.full(length, np.nan)
    column[rows] = values
    return column
