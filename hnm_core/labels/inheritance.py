"""What reviews say of the boxes of a later run, of whatever model: boxes are paired by overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections
from .reviews import BOGUS_LABEL, SAME_IOU, Reviews, states_of

__all__ = ["inherit_answers", "inherit_reviews", "removed_labels"]


def inherit_reviews(
    reviews: Reviews, predictions: Detections, truth: Detections
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return the review state of every row of two tables, whichever run or model made the reviewed boxes.

    Reviews and rows of the same image, side and class are paired one to one by falling IoU, down to .5; of equal IoUs
    the newest review comes first, then the row of higher score. Identical boxes are paired even if they have no area.
    Reviews of other images or classes than those of the tables are ignored.

    Args:
        reviews: boxes in the unit of the tables.
        predictions: ``n`` rows.
        truth: ``m`` rows.

    Returns:
        ``(n,)`` and ``(m,)`` int8, indices in :data:`STATES`; 0, ``unreviewed``, without a review.

    Example:
        >>> from hnm_core.labels.reviews import STATES
        >>> reviews = Reviews.of(
        ...     [{"image": "a", "side": "prediction", "class": "cat", "bbox": [0, 0, 9, 9], "state": "missing_label"}]
        ... )
        >>> world = dict(images=["a"], classes=["cat"])
        >>> predictions = Detections([0, 0], [[0, 0, 9, 6], [0, 0, 9, 8]], [0, 0], [0.9, 0.8], **world)
        >>> [STATES[code] for code in inherit_reviews(reviews, predictions, Detections.empty(**world))[0]]
        ['unreviewed', 'missing_label']
    """
    of_prediction, of_truth = inherit_answers(reviews, predictions, truth)
    return states_of(of_prediction), states_of(of_truth)


def inherit_answers(
    reviews: Reviews, predictions: Detections, truth: Detections
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return the answer on every row of two tables, ``(n,)`` and ``(m,)``; see :func:`inherit_reviews`."""
    return _inherit(reviews, ~reviews.of_truth, predictions), _inherit(reviews, reviews.of_truth, truth)


def removed_labels(reviews: Reviews, truth: Detections) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return image and class of every label that was reviewed as ``bogus_label`` and is in the table no more."""
    bogus = np.flatnonzero(reviews.of_truth & (reviews.state == BOGUS_LABEL))
    image, label = (
        _renumbered(names, into)[numbers[bogus]]
        for names, into, numbers in (
            (reviews.images, truth.images, reviews.image),
            (reviews.classes, truth.classes, reviews.label),
        )
    )
    gone = (image >= 0) & (label >= 0) & ~np.isin(bogus, _pairs(reviews, reviews.of_truth, truth)[1])
    return image[gone], label[gone]


def _inherit(reviews: Reviews, side: NDArray[np.bool_], table: Detections) -> NDArray[np.int8]:
    """Return the answers on the rows of one table, from the reviews of its side."""
    state = np.zeros(len(table), dtype=np.int8)
    row, review = _pairs(reviews, side, table)
    state[row] = reviews.state[review]
    return state


def _pairs(reviews: Reviews, side: NDArray[np.bool_], table: Detections) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of one table that have a review of its side, and these reviews."""
    image, label = _renumbered(reviews.images, table.images), _renumbered(reviews.classes, table.classes)
    known = np.flatnonzero(side & (image[reviews.image] >= 0) & (label[reviews.label] >= 0))
    if not known.size or not len(table):
        return known[:0], known[:0]
    among = max(len(table.classes), 1)
    key = image[reviews.image[known]] * among + label[reviews.label[known]]
    order = np.argsort(key, kind="stable")
    known, key = known[order], key[order]

    reviewed = np.zeros(len(table.images), dtype=bool)
    reviewed[key // among] = True
    rows = np.flatnonzero(reviewed[table.image])
    own = table.image[rows] * among + table.label[rows]
    start = np.searchsorted(key, own, side="left")
    count = np.searchsorted(key, own, side="right") - start
    row = np.repeat(rows, count)
    begin = np.cumsum(count) - count
    review = known[np.arange(len(row)) + np.repeat(start - begin, count)]

    exact = np.flatnonzero((table.xyxy[row] == reviews.xyxy[review]).all(axis=1))
    pairs = overlapping(table.xyxy, reviews.xyxy, row, review)
    close = pairs[2] >= SAME_IOU
    row, review = (
        np.concatenate([ends[close], all_of[exact]]) for ends, all_of in zip(pairs[:2], (row, review), strict=True)
    )
    iou = np.concatenate([pairs[2][close], np.ones(len(exact))])
    score = np.zeros(len(table)) if table.score is None else table.score
    best = np.lexsort((row, *table.xyxy[row].T, -score[row], -review, -iou))  # only exact ties fall back to row order
    taken = _one_to_one(row[best], review[best])
    return row[best][taken], review[best][taken]


def _renumbered(names: tuple[str, ...], into: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the index of every name in another list, -1 where it is not in it."""
    place = {name: i for i, name in enumerate(into)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)


def _one_to_one(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Select pairs greedily, best first, so that every end is in one pair only; vectorised in a few rounds.

    In a round every pair that is the first remaining one of both its ends is kept; pairs that share an end are dropped.
    """
    kept = []
    left = np.arange(len(first))
    free = [np.ones(int(ends.max(initial=-1)) + 1, dtype=bool) for ends in (first, second)]
    while len(left):
        leads = np.ones(len(left), dtype=bool)
        for ends in (first, second):
            at = np.full(int(ends.max()) + 1, len(first))
            np.minimum.at(at, ends[left], left)
            leads &= at[ends[left]] == left
        kept.append(left[leads])
        free[0][first[left[leads]]] = False
        free[1][second[left[leads]]] = False
        left = left[free[0][first[left]] & free[1][second[left]]]
    return np.concatenate(kept) if kept else left
