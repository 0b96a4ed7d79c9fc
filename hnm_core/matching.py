"""Which prediction found which truth: COCO's greedy matching, over all images at once.

Everything later (error types, difficulty, counts) is a mask over the columns made here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .boxes import overlapping
from .columns import Detections, check_same_world
from .few import NONE as NONE
from .few import match_few
from .settings import MiningSettings

__all__ = ["Matches", "match_detections", "per_class"]

LOOSE_IOU = 0.3
"""Overlap at which a prediction speaks of a truth at all (the loss of a missed truth; chosen)."""

PAIRS_AT_ONCE = 200_000
"""Pairs of boxes per chunk: large enough for numpy, small enough for the processor's cache."""

FEW_PAIRS = 500
"""Pairs of boxes up to which a single image is quicker matched in plain Python."""


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
        best_row: ``(m,)`` int32, that prediction; of equals the surest.
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
    if len(truth.images) == 1 and len(predictions) * len(truth) <= FEW_PAIRS:
        return Matches(**match_few(predictions, truth, threshold, LOOSE_IOU, settings.class_agnostic))
    matches = Matches.none(len(predictions), len(truth))
    may_match = [
        _meet(predictions, truth, chunk, threshold, settings.class_agnostic, matches)
        for chunk in _chunks(predictions, truth)
    ]
    if may_match:
        p, t, iou = map(np.concatenate, zip(*may_match, strict=True))
        may_match.clear()  # as large as what was made of it
        taker, taken = _greedy(p, t, iou, predictions.score, len(truth))  # type: ignore[arg-type]
        matches.matched[taker] = taken
        matches.found_by[taken] = taker
        matches.on_crowd[taker] = False
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


@dataclass(frozen=True, eq=False)
class _Chunk:
    """A run of whole images.

    Attributes:
        rows: prediction rows, by image.
        others: truth rows, by image.
        first: per prediction row, the place in ``others`` where the truths of its image begin.
        count: per prediction row, how many these are.
    """

    rows: NDArray[np.int64]
    others: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All pairs of one image, as places in ``rows`` and in ``others``, ordered by both."""
        p = np.repeat(np.arange(len(self.rows)), self.count)
        start_of_run = np.cumsum(self.count) - self.count
        return p, np.arange(len(p)) + np.repeat(self.first - start_of_run, self.count)


def _chunks(predictions: Detections, truth: Detections) -> Iterator[_Chunk]:
    """All images that have boxes on both sides, in runs of about ``PAIRS_AT_ONCE`` pairs each."""
    n_images = len(truth.images)
    by_image, truth_by_image = _by_image(predictions.image), _by_image(truth.image)
    count = np.bincount(predictions.image, minlength=n_images)
    truth_count = np.bincount(truth.image, minlength=n_images)
    end, truth_end = np.cumsum(count), np.cumsum(truth_count)
    number = np.cumsum(count * truth_count) // PAIRS_AT_ONCE
    last = np.append(np.flatnonzero(np.diff(number)), n_images - 1) if n_images else ()
    first = start = truth_start = 0
    for image in last:
        rows, others = by_image(start, end[image]), truth_by_image(truth_start, truth_end[image])
        if len(rows) and len(others):
            images = slice(first, image + 1)
            begin = truth_end[images] - truth_count[images] - truth_start
            repeated = (np.repeat(per_image, count[images]) for per_image in (begin, truth_count[images]))
            yield _Chunk(rows, others, *repeated)
        first, start, truth_start = image + 1, int(end[image]), int(truth_end[image])


def _by_image(image: NDArray[np.int64]) -> Callable[[int, int], NDArray[np.int64]]:
    """The rows from one place to another, if all were put in the order of their images."""
    if (image[1:] >= image[:-1]).all():  # most tables are in this order, and then there is nothing to keep
        return lambda start, stop: np.arange(start, stop)
    order = np.argsort(image, kind="stable")
    return lambda start, stop: order[start:stop]


def _meet(
    predictions: Detections,
    truth: Detections,
    chunk: _Chunk,
    threshold: NDArray[np.float64],
    class_agnostic: bool,
    matches: Matches,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Who meets whom in one run of images: all of ``matches`` but who takes whom, at the tables' own rows.

    Returns:
        The pairs that may match, as rows of predictions, rows of truths and IoU, ordered by prediction, then truth; no
        crowds.
    """
    rows, others = chunk.rows, chunk.others
    n, m = len(rows), len(others)
    score, label, truth_label = predictions.score[rows], predictions.label[rows], truth.label[others]  # type: ignore[index]
    crowd = truth.is_crowd()[others]
    p, t, iou = overlapping(predictions.xyxy[rows], truth.xyxy[others], *chunk.pairs(), crowd if crowd.any() else None)
    same, normal = label[p] == truth_label[t], ~crowd[t]
    close = iou >= threshold[truth_label[t]]

    near, far = np.flatnonzero(same & normal), np.flatnonzero(~same & normal)
    matches.same_iou[rows], matches.same_row[rows] = _best(p[near], others[t[near]], iou[near], n)
    matches.other_iou[rows], matches.other_row[rows] = _best(p[far], others[t[far]], iou[far], n)
    best_of_truth = _best(t[near], rows[p[near]], iou[near], m, score[p[near]])
    matches.best_iou[others], matches.best_row[others] = best_of_truth
    for best, pairs in (
        (matches.best_score, np.flatnonzero(close & same)),
        (matches.loose_score, near[iou[near] >= LOOSE_IOU]),
    ):
        best[others] = _highest(t[pairs], score[p[pairs]], m)

    may_match = close if class_agnostic else close & same
    matches.on_crowd[rows[p[may_match & ~normal]]] = True
    free = np.flatnonzero(may_match & normal)
    return rows[p[free]].astype(np.int32), others[t[free]].astype(np.int32), iou[free]


def _highest(row: NDArray[np.int64], value: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Per row the highest of its values, 0 without any."""
    highest = np.zeros(n)
    np.maximum.at(highest, row, value)
    return highest


def _best(
    row: NDArray[np.int64],
    other: NDArray[np.int64],
    iou: NDArray[np.float64],
    n: int,
    score: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Per row the highest IoU and whose it is, 0 and -1 without any; of equals the surest, then the first, as TIDE."""
    best, whose = _highest(row, iou, n), np.full(n, NONE, dtype=np.int64)
    top = np.flatnonzero(iou == best[row])[::-1]  # reversed: where a row comes twice, the last written stays
    if score is not None:
        top = top[np.argsort(score[top], kind="stable")]
    whose[row[top]] = other[top]
    return best, whose


def _greedy(
    p: NDArray[np.int32], t: NDArray[np.int32], iou: NDArray[np.float64], score: NDArray[np.float64], m: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each prediction in the order of scores takes the best truth left, in a few rounds over all images at once.

    Every truth prefers the surer prediction. Then deferred acceptance (Gale and Shapley, 1962) has one stable outcome,
    and it is the one of COCO's greedy matching. In a round all predictions without a truth ask their best one that
    has not turned them down; each truth keeps the first in rank that ever asked.

    Args:
        p: ``(k,)`` prediction of each pair that may match; the pairs of one stand together.
        t: ``(k,)`` truth of each pair.
        iou: ``(k,)`` its overlap.
        score: confidence of every prediction; of equals the earlier one comes first.
        m: number of truths.

    Returns:
        The predictions that take a truth, and the truths they take.
    """
    start = np.flatnonzero(np.diff(p, prepend=-1))
    asker, wishes = p[start], np.diff(start, append=len(p))
    several = np.flatnonzero(np.repeat(wishes > 1, wishes))
    group = np.repeat(np.arange(len(asker)), wishes)[several]
    t = t.copy()
    t[several] = t[several][
        np.lexsort((-t[several], -iou[several], group))
    ]  # of equals the later truth, as pycocotools

    nobody = len(asker)
    held = np.full(m, nobody)  # the rank each truth keeps
    by_rank = np.argsort(-score[asker], kind="stable")
    wish, end = start[by_rank], (start + wishes)[by_rank]
    asking = np.arange(nobody)  # by rank
    while len(asking):
        asked = t[wish[asking]]
        before = held[asked]
        np.minimum.at(held, asked, asking)
        refused = asking[held[asked] != asking]
        dropped = np.unique(before[(before != nobody) & (before != held[asked])])
        asking = np.concatenate([refused, dropped])
        wish[asking] += 1
        asking = asking[wish[asking] < end[asking]]
    taken = np.flatnonzero(held != nobody)
    return asker[by_rank[held[taken]]], taken
