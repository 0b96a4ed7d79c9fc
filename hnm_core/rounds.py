"""From one round of mining to the next: which errors persist, which are new, which are fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .matching import NONE, match_detections
from .pipeline import MiningResult
from .settings import MiningSettings

__all__ = ["RoundChanges", "compare_rounds", "fppi_at_recall"]

SAME_IOU = 0.5
"""Overlap from which two errors of one image, side and class are the same error."""


@dataclass(frozen=True, eq=False)
class RoundChanges:
    """What became of every error.

    Attributes:
        before: the earlier round.
        after: the later round.
        prediction_persists: ``(n_after,)`` bool, false positives that were there before; its other ones are new.
        truth_persists: ``(m_after,)`` bool, likewise false negatives.
        prediction_fixed: ``(n_before,)`` bool, false positives that are gone.
        truth_fixed: ``(m_before,)`` bool, likewise false negatives.
    """

    before: MiningResult
    after: MiningResult
    prediction_persists: NDArray[np.bool_]
    truth_persists: NDArray[np.bool_]
    prediction_fixed: NDArray[np.bool_]
    truth_fixed: NDArray[np.bool_]

    def as_dict(self) -> dict[str, Any]:
        """Counts of both kinds of error, and how often there is a false alarm at the recall of the earlier round.

        ``fppi_at_recall`` compares at equal recall: fewer false positives at a fixed confidence may be nothing but
        lower scores. It is None where a round never reaches that recall.
        """
        after = self.after.errors
        recall = self.before.report.counts.recall
        return {
            "false_positives": {
                "persistent": int(self.prediction_persists.sum()),
                "new": int((after.false_positive & ~self.prediction_persists).sum()),
                "fixed": int(self.prediction_fixed.sum()),
            },
            "false_negatives": {
                "persistent": int(self.truth_persists.sum()),
                "new": int((after.false_negative & ~self.truth_persists).sum()),
                "fixed": int(self.truth_fixed.sum()),
            },
            "recall": recall,
            "fppi_at_recall": {
                "before": fppi_at_recall(self.before, recall),
                "after": fppi_at_recall(self.after, recall),
            },
        }

    def __str__(self) -> str:
        """The counts as a table for people."""
        changes = self.as_dict()
        lines = ["Since the round before", f"  {'error':<18}{'persistent':>12}{'new':>8}{'fixed':>8}"]
        for kind in ("false_positives", "false_negatives"):
            count = changes[kind]
            name = kind.replace("_", " ")
            lines.append(f"  {name:<18}{count['persistent']:>12}{count['new']:>8}{count['fixed']:>8}")
        at = ("–" if value is None else f"{value:.3f}" for value in changes["fppi_at_recall"].values())
        lines.append(f"  false positives per image at recall {changes['recall']:.3f}: {' → '.join(at)}")
        return "\n".join(lines)


def compare_rounds(before: MiningResult, after: MiningResult) -> RoundChanges:
    """Follow errors from one round to the next.

    An error persists if the other round has one in the same image, on the same side, of the same class, at IoU ≥ .5;
    one to one, the surer (or the larger overlap) first. Images and classes meet by name; what only one round looked
    at cannot persist.

    Example:
        >>> from hnm_core import mine
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections.empty(**world)
        >>> first = mine(Detections([0, 0], [[0, 0, 9, 9], [20, 20, 30, 30]], [0, 0], [0.9, 0.8], **world), truth)
        >>> second = mine(Detections([0], [[0, 0, 9, 8]], [0], [0.7], **world), truth)
        >>> compare_rounds(first, second).as_dict()["false_positives"]
        {'persistent': 1, 'new': 0, 'fixed': 1}
    """
    predictions = _same(
        (before.predictions, before.errors.false_positive), (after.predictions, after.errors.false_positive)
    )
    truths = _same((before.truth, before.errors.false_negative), (after.truth, after.errors.false_negative))
    return RoundChanges(
        before=before,
        after=after,
        prediction_persists=predictions[1],
        truth_persists=truths[1],
        prediction_fixed=before.errors.false_positive & ~predictions[0],
        truth_fixed=before.errors.false_negative & ~truths[0],
    )


def fppi_at_recall(result: MiningResult, recall: float) -> float | None:
    """False positives per image at the highest confidence that reaches a recall, whatever the threshold was.

    Args:
        result: a mining of predictions that were kept down to a low confidence.
        recall: in ``[0, 1]``; 0 needs no prediction.

    Returns:
        False positives per image, or None if the recall is never reached or there are no truths.
    """
    matches, score = result.matches, result.predictions.score
    assert score is not None  # mining saw to it
    truths = int((~result.truth.is_crowd()).sum())
    if not truths or not len(result.truth.images):
        return None
    rows = np.flatnonzero(~matches.on_crowd)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    found = np.cumsum(matches.matched[rows] != NONE)
    edges = np.flatnonzero(np.diff(score[rows], append=-1.0))
    enough = edges[found[edges] >= recall * truths - 1e-9]
    if recall <= 0:
        return 0.0
    if not enough.size:
        return None
    return float((enough[0] + 1 - found[enough[0]]) / len(result.truth.images))


def _same(
    before: tuple[Detections, NDArray[np.bool_]], after: tuple[Detections, NDArray[np.bool_]]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows of either table are the same error: those that COCO's matching pairs, the later round choosing."""
    images = _union(before[0].images, after[0].images)
    classes = _union(before[0].classes, after[0].classes)
    rows = [np.flatnonzero(wrong) for _, wrong in (before, after)]
    old, new = (_in_world(table.take(r), images, classes) for (table, _), r in zip((before, after), rows, strict=True))
    score = np.ones(len(new)) if new.score is None else new.score
    matches = match_detections(
        Detections(new.image, new.xyxy, new.label, score, images, classes),
        Detections(old.image, old.xyxy, old.label, None, images, classes),
        MiningSettings(iou_threshold=SAME_IOU),
    )
    was, stays = np.zeros(len(before[0]), dtype=bool), np.zeros(len(after[0]), dtype=bool)
    was[rows[0][matches.found_by != NONE]] = True
    stays[rows[1][matches.matched != NONE]] = True
    return was, stays


def _union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _in_world(table: Detections, images: tuple[str, ...], classes: tuple[str, ...]) -> Detections:
    """The same boxes with images and classes numbered as in a larger world."""
    image, label = ({name: i for i, name in enumerate(names)} for names in (images, classes))
    renumber_image = np.array([image[name] for name in table.images], dtype=np.int64)
    renumber_label = np.array([label[name] for name in table.classes], dtype=np.int64)
    return Detections(
        renumber_image[table.image], table.xyxy, renumber_label[table.label], table.score, images, classes
    )
