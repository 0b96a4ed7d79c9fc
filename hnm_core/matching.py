"""Which prediction found which truth: COCO's greedy matching, over all images at once.

Everything later (error types, difficulty, counts) is a mask over the columns made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .boxes import pair_iou
from .columns import Detections, check_same_world
from .settings import MiningSettings

__all__ = ["Matches", "match_detections", "per_class"]

LOOSE_IOU = 0.3
"""Overlap at which a prediction speaks of a truth at all (the loss of a missed truth; chosen)."""

PAIRS_AT_ONCE = 200_000
"""Pairs of boxes per chunk: large enough for numpy, small enough for the processor's cache."""

NONE = -1


@dataclass(frozen=True, eq=False)
class Matches:
    r"""What every row of two tables has to do with the other table.

    ``n`` predictions, ``m`` truths; a row number of the other table is -1 where there is none. Crowds are matched,
    but are never anybody's nearest truth.

    Attributes:
        matched: ``(n,)`` int32, truth row taken by the prediction.
        on_crowd: ``(n,)`` bool, the prediction took a crowd region: neither right nor wrong.
        same_iou: ``(n,)`` float64, *u*: best IoU with a truth of the prediction's class.
        same_row: ``(n,)`` int32, that truth.
        other_iou: ``(n,)`` float64, *v*: best IoU with a truth of another class.
        other_row: ``(n,)`` int32, that truth.
        found_by: ``(m,)`` int32, prediction row that took the truth.
        best_iou: ``(m,)`` float64, best IoU with a prediction of the truth's class, whatever its score.
        best_row: ``(m,)`` int32, that prediction.
        best_score: ``(m,)`` float64, *s\\**: best score of the truth's class at IoU ≥ the IoU threshold, else 0.
        loose_score: ``(m,)`` float64, the same at IoU ≥ .3.
    """

    matched: NDArray[np.int32]
    on_crowd: NDArray[np.bool_]
    same_iou: NDArray[np.float64]
    same_row: NDArray[np.int32]
    other_iou: NDArray[np.float64]
    other_row: NDArray[np.int32]
    found_by: NDArray[np.int32]
    best_iou: NDArray[np.float64]
    best_row: NDArray[np.int32]
    best_score: NDArray[np.float64]
    loose_score: NDArray[np.float64]

    @classmethod
    def none(cls, predictions: int, truths: int) -> Matches:
        """Nobody has anything to do with anybody: where matching starts."""

        def rows(n: int) -> NDArray[np.int32]:
            return np.full(n, NONE, dtype=np.int32)

        n, m = predictions, truths
        return cls(
            *(rows(n), np.zeros(n, dtype=bool), np.zeros(n), rows(n), np.zeros(n), rows(n)),
            *(rows(m), np.zeros(m), rows(m), np.zeros(m), np.zeros(m)),
        )

    @property
    def iou(self) -> NDArray[np.float64]:
        """``(n,)`` float64, *a* = max(u, v): best IoU of each prediction with any truth of its image."""
        return np.maximum(self.same_iou, self.other_iou)


def match_detections(predictions: Detections, truth: Detections, settings: MiningSettings | None = None) -> Matches:
    """Match predictions with truths as COCO does (Lin et al., ECCV 2014; pycocotools ``evaluateImg``).

    Per image and class, predictions in the order of their scores (stable) each take the still free truth of highest
    IoU ≥ the IoU threshold; of equal IoUs the later truth; normal truths before crowds. All predictions take part,
    whatever their score: the confidence threshold can change later without matching again.

    Args:
        predictions: scored boxes.
        truth: boxes without score, same ``images`` and ``classes``.
        settings: ``iou_threshold``, ``class_iou`` and ``class_agnostic`` are read.

    Returns:
        One row per prediction and per truth, in the order of the tables given.

    Raises:
        ValueError: if the tables name different images or classes.

    Example:
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections([0], [[0, 0, 10, 10]], [0], None, **world)
        >>> predictions = Detections([0, 0], [[0, 0, 10, 9], [0, 0, 9, 9]], [0, 0], [0.8, 0.9], **world)
        >>> match_detections(predictions, truth).matched.tolist()  # the surer one takes it
        [-1, 0]
    """
    settings = settings or MiningSettings()
    check_same_world(predictions, truth)
    threshold = np.minimum(
        per_class(settings.iou_threshold, settings.class_iou, truth.classes), 1 - 1e-10
    )  # pycocotools' guard: an exact match passes at 1.0
    matches = Matches.none(len(predictions), len(truth))
    for rows, others, n_others in _chunks(predictions, truth):
        _match_chunk(predictions, truth, rows, others, n_others, threshold, settings.class_agnostic, matches)
    return matches


def per_class(default: float, exceptions: object, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """A threshold per class, ``(classes,)`` float64: the default, or what a class is given of its own.

    Raises:
        ValueError: if an exception names a class that does not exist.
    """
    values = np.full(len(classes), float(default))
    position = {name: i for i, name in enumerate(classes)}
    unknown = [name for name in dict(exceptions) if name not in position]  # type: ignore[call-overload]
    if unknown:
        raise ValueError(
            f"thresholds are given for {len(unknown)} unknown classes, first {unknown[0]!r}; classes are "
            f"{', '.join(map(repr, classes[:10]))}{' …' if len(classes) > 10 else ''}"
        )
    for name, value in dict(exceptions).items():  # type: ignore[call-overload]
        values[position[name]] = value
    return values


Chunk = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _chunks(predictions: Detections, truth: Detections) -> Iterator[Chunk]:
    """Runs of whole images with about ``PAIRS_AT_ONCE`` pairs each.

    Yields:
        Prediction rows by image, then by falling score; truth rows by image; and per prediction row the number of
        truths in its image.
    """
    assert predictions.score is not None  # check_same_world saw to it
    n_images = len(truth.images)
    by_image = np.lexsort((-predictions.score, predictions.image))
    truth_by_image = np.argsort(truth.image, kind="stable")
    count = np.bincount(predictions.image, minlength=n_images)
    truth_count = np.bincount(truth.image, minlength=n_images)
    end, truth_end = np.cumsum(count), np.cumsum(truth_count)
    chunk = np.cumsum(count * truth_count) // PAIRS_AT_ONCE
    last = np.append(np.flatnonzero(np.diff(chunk)), n_images - 1) if n_images else ()
    start = truth_start = first = 0
    for image in last:
        rows, others = by_image[start : end[image]], truth_by_image[truth_start : truth_end[image]]
        start, truth_start = int(end[image]), int(truth_end[image])
        if len(rows) and len(others):
            yield rows, others, np.repeat(truth_count[first : image + 1], count[first : image + 1])
        first = image + 1


def _match_chunk(
    predictions: Detections,
    truth: Detections,
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    n_others: NDArray[np.int64],
    threshold: NDArray[np.float64],
    class_agnostic: bool,
    matches: Matches,
) -> None:
    """Match one run of images and write the outcome into ``matches``, at the tables' own rows."""
    boxes, label = predictions.xyxy[rows], predictions.label[rows]
    truth_boxes, truth_label = truth.xyxy[others], truth.label[others]
    crowd = truth.is_crowd()[others]

    p, t = _pairs(predictions.image[rows], truth.image[others], n_others)
    iou = pair_iou(boxes, truth_boxes, p, t, crowd if crowd.any() else None)
    met = np.flatnonzero(iou > 0)
    p, t, iou = p[met], t[met], iou[met]
    same = label[p] == truth_label[t]
    normal = ~crowd[t]

    near, far = np.flatnonzero(same & normal), np.flatnonzero(~same & normal)
    matches.same_iou[rows], matches.same_row[rows] = _best(p[near], t[near], iou[near], len(rows), others)
    matches.other_iou[rows], matches.other_row[rows] = _best(p[far], t[far], iou[far], len(rows), others)
    by_truth = near[np.argsort(t[near], kind="stable")]
    matches.best_iou[others], matches.best_row[others] = _best(
        t[by_truth], p[by_truth], iou[by_truth], len(others), rows
    )

    close = iou >= threshold[truth_label[t]]
    score = predictions.score[rows]  # type: ignore[index]
    matches.best_score[others] = _best_score(score, p, t, np.flatnonzero(close & same), len(others))
    matches.loose_score[others] = _best_score(score, p, t, near[iou[near] >= LOOSE_IOU], len(others))

    may_match = close if class_agnostic else close & same
    taken = np.flatnonzero(may_match & normal)
    matched, found_by = _greedy(p[taken], t[taken], iou[taken], len(rows), len(others))
    on_crowd = np.zeros(len(rows), dtype=bool)
    on_crowd[p[may_match & ~normal]] = True
    matches.on_crowd[rows] = on_crowd & (matched == NONE)
    matches.matched[rows] = np.where(matched == NONE, NONE, others[matched])
    matches.found_by[others] = np.where(found_by == NONE, NONE, rows[found_by])


def _pairs(
    image: NDArray[np.int64], truth_image: NDArray[np.int64], n_others: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of one image, ordered by prediction, then truth; both tables sorted by image."""
    first = np.searchsorted(truth_image, image)
    p = np.repeat(np.arange(len(image)), n_others)
    start_of_run = np.cumsum(n_others) - n_others
    t = np.arange(len(p)) - np.repeat(start_of_run - first, n_others)
    return p, t


def _best(
    row: NDArray[np.int64],
    other: NDArray[np.int64],
    iou: NDArray[np.float64],
    n: int,
    names: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Per row the highest IoU and whose it is (by ``names``; the first of equals, as TIDE), pairs sorted by row."""
    best, whose = np.zeros(n), np.full(n, NONE, dtype=np.int64)
    if len(row):
        start = np.flatnonzero(np.diff(row, prepend=-1))
        best[row[start]] = np.maximum.reduceat(iou, start)
        top = np.flatnonzero(iou == best[row])[::-1]  # reversed: where a row comes twice, the last written stays
        whose[row[top]] = names[other[top]]
    return best, whose


def _best_score(
    score: NDArray[np.float64], p: NDArray[np.int64], t: NDArray[np.int64], pairs: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    best = np.zeros(n)
    np.maximum.at(best, t[pairs], score[p[pairs]])
    return best


def _greedy(
    p: NDArray[np.int64], t: NDArray[np.int64], iou: NDArray[np.float64], n: int, m: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Serial choice by rank, solved in a few rounds over all images at once.

    Predictions are numbered by rank, and every truth prefers the lower number. Then deferred acceptance (Gale and
    Shapley, 1962) has one stable outcome, and it is the one in which each prediction in turn takes the best truth
    left: COCO's greedy matching. In a round all predictions without a truth ask their best one that has not turned
    them down; each truth keeps the best rank that ever asked.

    Args:
        p: ``(k,)`` prediction of each pair that may match, ascending.
        t: ``(k,)`` truth of each pair.
        iou: ``(k,)`` its overlap.
        n: number of predictions.
        m: number of truths.

    Returns:
        ``(n,)`` truth per prediction and ``(m,)`` prediction per truth, -1 for none.
    """
    order = np.lexsort((-t, -iou, p))  # of equal IoUs the later truth first, as pycocotools
    p, t = p[order], t[order]
    wish, end = np.searchsorted(p, np.arange(n)), np.searchsorted(p, np.arange(n), side="right")
    held = np.full(m, n)  # the rank each truth keeps; n is nobody
    asking = np.flatnonzero(wish < end)
    while len(asking):
        asked = t[wish[asking]]
        before = held[asked]
        np.minimum.at(held, asked, asking)
        refused = asking[held[asked] != asking]
        dropped = np.unique(before[(before < n) & (before != held[asked])])
        asking = np.concatenate([refused, dropped])
        wish[asking] += 1
        asking = asking[wish[asking] < end[asking]]
    matched = np.full(n, NONE, dtype=np.int64)
    holds = np.flatnonzero(held < n)
    matched[held[holds]] = holds
    return matched, np.where(held < n, held, NONE)
