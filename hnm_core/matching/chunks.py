"""Cut two tables into chunks of images, and find their pairs of boxes that may overlap, so that memory stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections

__all__ = ["Chunk", "chunks_of", "near_pairs"]

PAIRS_AT_ONCE = 300_000
"""Pairs of boxes per chunk: large enough for numpy, small enough for the processor's cache."""

SORTED_AT_ONCE = 10_000_000
"""Pairs of the images that are sorted together by their number of truths: the more, the farther apart they lie."""

FEW_ROWS = 400
"""Rows below which a pass over them takes longer than listing their pairs."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some whole images, or some of the predictions of one large image.

    Attributes:
        rows: prediction rows, image by image.
        others: truth rows, image by image.
        size: per image, how many of ``rows`` are its; with ``by_score`` 1 for every row.
        first: per image, or row, the place in ``others`` where its candidate truths begin.
        count: how many these are, falling from image to image.
        sorted: whether ``others`` are in the order of their rows within each image.
        by_score: whether this is part of one large image, whose predictions come by falling score (if they have one),
            part after part.
    """

    rows: Rows
    others: Rows
    size: Rows
    first: Rows
    count: Rows
    sorted: bool = True
    by_score: bool = False

    def boxes(self, first: Detections, second: Detections) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the boxes of ``rows`` and of ``others``, each coordinate in one piece of memory."""
        sides = ((first, self.rows), (second, self.others))
        one, other = (np.asfortranarray(table.xyxy.take(rows, axis=0)) for table, rows in sides)
        return one, other

    def pairs(self, boxes: NDArray[np.float64], other_boxes: NDArray[np.float64]) -> tuple[Rows, Rows]:
        """Return the pairs of one image that may overlap, as indices into ``rows`` and ``others``.

        All that overlap are among them: float32 rounds, and so can make a limit equal to another one, but never swaps
        two. The pairs of a row come by rising index into ``others``, and those of the latter by rising row.

        Args:
            boxes: those of ``rows``.
            other_boxes: those of ``others``.
        """
        if self.by_score:
            return self._all_pairs(0, len(self.size))
        with np.errstate(over="ignore"):  # to infinity
            low = np.concatenate([boxes.T[:2], -boxes.T[2:]]).astype(np.float32, order="C")
            high = np.concatenate([other_boxes.T[2:], -other_boxes.T[:2]]).astype(np.float32, order="C")
        images = np.searchsorted(-self.count, -np.arange(self.count[0] + 1))  # with more than 0, 1, … truths
        rows = np.append(0, np.cumsum(self.size))[images]
        passes = int((rows >= FEW_ROWS).sum())
        found: list[Rows] = []
        # One truth of every image in a pass, its limits repeated for all rows of the image: no pair needs an index.
        for turn, (some, n) in enumerate(zip(images[:passes].tolist(), rows.tolist(), strict=False)):
            limits = np.repeat(high.take(self.first[:some] + turn, axis=1), self.size[:some], axis=1)
            found.append(np.flatnonzero((low[:, :n] <= limits).all(axis=0)))
        rest = self._all_pairs(passes, images[passes])
        first = np.repeat(self.first, self.size)
        t = [first.take(near) + turn for turn, near in enumerate(found)]
        return np.concatenate([*found, rest[0]]), np.concatenate([*t, rest[1]])

    def _all_pairs(self, turn: int, images: int) -> tuple[Rows, Rows]:
        """Return all pairs of the first images, without the first truths of each, ordered by both."""
        size = self.size[:images]
        count, first = np.repeat(self.count[:images] - turn, size), np.repeat(self.first[:images] + turn, size)
        p = np.repeat(np.arange(len(count)), count)
        return p, np.arange(len(p)) + np.repeat(first - (np.cumsum(count) - count), count)


def chunks_of(predictions: Detections, truth: Detections, truth_rows: Rows | None = None) -> Iterator[Chunk]:
    """Yield all images that have boxes in both tables, in chunks of about ``PAIRS_AT_ONCE`` pairs.

    Args:
        predictions: boxes, scored or not.
        truth: boxes of the same images.
        truth_rows: the truths that take part, in rising order; None for all.
    """
    truth_rows = np.arange(len(truth)) if truth_rows is None else truth_rows
    image_of, n_images = truth.image[truth_rows], len(truth.images)
    by_image, truth_by_image = _by_image(predictions.image, n_images), _by_image(image_of, n_images)
    size, count = np.bincount(predictions.image, minlength=n_images), np.bincount(image_of, minlength=n_images)
    pairs = size * count
    for image in np.flatnonzero(pairs > PAIRS_AT_ONCE)[:, None]:
        yield from _by_range(predictions, truth, by_image(image), truth_rows[truth_by_image(image)])
    images = np.flatnonzero((pairs > 0) & (pairs <= PAIRS_AT_ONCE))
    part = np.cumsum(pairs[images]) // SORTED_AT_ONCE
    images = images[np.lexsort((-count[images], part))]
    number = np.cumsum(pairs[images]) // PAIRS_AT_ONCE
    for some in np.split(images, np.flatnonzero(np.diff(number) | np.diff(part)) + 1):
        if len(some):
            first = np.cumsum(count[some]) - count[some]
            yield Chunk(by_image(some), truth_rows[truth_by_image(some)], size[some], first, count[some])


def near_pairs(
    first: Detections, second: Detections, least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return all pairs of boxes of one image with an IoU of at least ``least``, of any class: both rows, and the IoU.

    They are ordered by the rows of ``first``, then by those of ``second``.

    Args:
        first: boxes.
        second: boxes of the same images, in the same unit.
        least: above 0, at most 1.

    Example:
        >>> boxes = Detections([0, 0], [[0, 0, 9, 9], [0, 0, 9, 6]], [0, 1], None, images=["a"], classes=["cat", "dog"])
        >>> rows, others, iou = near_pairs(boxes, boxes.take(np.array([0])), 0.5)
        >>> rows.tolist(), others.tolist(), iou.round(2).tolist()
        ([0, 1], [0, 0], [1.0, 0.67])
    """
    parts = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))]
    for chunk in chunks_of(first, second):
        boxes = chunk.boxes(first, second)
        rows, others, iou = overlapping(*boxes, *chunk.pairs(*boxes))
        near = iou >= least
        parts.append((chunk.rows[rows[near]], chunk.others[others[near]], iou[near]))
    one, other, shared = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((other, one))
    return one[order], other[order], shared[order]


def _by_range(predictions: Detections, truth: Detections, rows: Rows, others: Rows) -> Iterator[Chunk]:
    """Yield one large image in parts, by score; with small boxes only truths that overlap in x are candidates."""
    if predictions.score is not None:
        rows = rows[np.argsort(-predictions.score[rows], kind="stable")]
    by_left = others[np.argsort(truth.xyxy[others, 0], kind="stable")]
    left, right = truth.xyxy[by_left, 0], truth.xyxy[by_left, 2]
    first = np.searchsorted(np.maximum.accumulate(right), predictions.xyxy[rows, 0], side="right")
    count = np.maximum(np.searchsorted(left, predictions.xyxy[rows, 2], side="left") - first, 0)
    few = 2 * count.sum() < len(rows) * len(others)  # else sorting the pairs again takes longer
    if few:
        others = by_left
    else:
        first, count = np.zeros_like(first), np.full_like(count, len(others))
    number = np.cumsum(count) // PAIRS_AT_ONCE
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(number)) + 1):
        yield Chunk(rows[part], others, np.ones_like(part), first[part], count[part], sorted=not few, by_score=True)


def _by_image(image: Rows, n_images: int) -> Callable[[Rows], Rows]:
    """Return a function that gives the rows of some images, image by image, each in their order."""
    size = np.bincount(image, minlength=n_images)
    start = np.cumsum(size) - size
    # Most tables are sorted by image already: no index is needed.
    order = None if (image[1:] >= image[:-1]).all() else np.argsort(image, kind="stable")

    def rows_of(images: Rows) -> Rows:
        sizes = size[images]
        places: Rows = np.arange(sizes.sum()) + np.repeat(start[images] - (np.cumsum(sizes) - sizes), sizes)
        return places if order is None else order[places]

    return rows_of
