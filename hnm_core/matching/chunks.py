"""Cut two tables into chunks of pairs of boxes of the same image, so that memory does not grow with the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections

__all__ = ["Chunk", "chunks_of", "near_pairs"]

PAIRS_AT_ONCE = 200_000
"""Pairs of boxes per chunk: large enough for numpy, small enough for the processor's cache."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some whole images, or some of the predictions of one large image.

    Attributes:
        rows: prediction rows, by image.
        others: truth rows, by image.
        first: per prediction row, the place in ``others`` where its candidate truths begin.
        count: per prediction row, how many these are.
        sorted: whether ``others`` are in the order of their rows within each image.
        by_score: whether this is part of one large image, whose predictions come by falling score (if they have one),
            part after part.
    """

    rows: NDArray[np.int64]
    others: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    sorted: bool = True
    by_score: bool = False

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all pairs of the same image as indices into ``rows`` and ``others``, ordered by both."""
        p = np.repeat(np.arange(len(self.rows)), self.count)
        start_of_run = np.cumsum(self.count) - self.count
        return p, np.arange(len(p)) + np.repeat(self.first - start_of_run, self.count)


def chunks_of(
    predictions: Detections, truth: Detections, truth_rows: NDArray[np.int64] | None = None
) -> Iterator[Chunk]:
    """Yield all images that have boxes in both tables, in chunks of about ``PAIRS_AT_ONCE`` pairs.

    Args:
        predictions: boxes, scored or not.
        truth: boxes of the same images.
        truth_rows: the truths that take part, in rising order; None for all.
    """
    truth_rows = np.arange(len(truth)) if truth_rows is None else truth_rows
    n_images, image_of = len(truth.images), truth.image[truth_rows]
    by_image, truth_by_image = _by_image(predictions.image), _by_image(image_of)
    count = np.bincount(predictions.image, minlength=n_images)
    truth_count = np.bincount(image_of, minlength=n_images)
    end, truth_end = np.cumsum(count), np.cumsum(truth_count)
    number = np.cumsum(count * truth_count) // PAIRS_AT_ONCE
    last = np.append(np.flatnonzero(np.diff(number)), n_images - 1) if n_images else ()
    first = start = truth_start = 0
    for image in last:
        rows, others = by_image(start, end[image]), truth_rows[truth_by_image(truth_start, truth_end[image])]
        if len(rows) and len(others):
            images = slice(first, image + 1)
            begin = truth_end[images] - truth_count[images] - truth_start
            per_row = [np.repeat(per_image, count[images]) for per_image in (begin, truth_count[images])]
            yield from _parts(predictions, truth, Chunk(rows, others, per_row[0], per_row[1]))
        first, start, truth_start = image + 1, int(end[image]), int(truth_end[image])


def near_pairs(
    first: Detections, second: Detections, least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return all pairs of boxes of one image with an IoU of at least ``least``, of any class: both rows, and the IoU.

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
        rows, others, iou = overlapping(first.xyxy[chunk.rows], second.xyxy[chunk.others], *chunk.pairs())
        near = iou >= least
        parts.append((chunk.rows[rows[near]], chunk.others[others[near]], iou[near]))
    one, other, shared = (np.concatenate(column) for column in zip(*parts, strict=True))
    return one, other, shared


def _parts(predictions: Detections, truth: Detections, chunk: Chunk) -> Iterator[Chunk]:
    """Yield the chunk with its large images split, so that memory does not grow with predictions × truths."""
    image = predictions.image[chunk.rows]
    start = np.flatnonzero(np.diff(image, prepend=-1))
    large = np.add.reduceat(chunk.count, start) > PAIRS_AT_ONCE
    if not large.any():
        yield chunk
        return
    ends = np.append(start[1:], len(image))
    small = np.repeat(~large, ends - start)
    if small.any():
        yield Chunk(chunk.rows[small], chunk.others, chunk.first[small], chunk.count[small])
    for begin, end in zip(start[large].tolist(), ends[large].tolist(), strict=True):
        first = chunk.first[begin]
        yield from _by_range(
            predictions, truth, chunk.rows[begin:end], chunk.others[first : first + chunk.count[begin]]
        )


def _by_range(
    predictions: Detections, truth: Detections, rows: NDArray[np.int64], others: NDArray[np.int64]
) -> Iterator[Chunk]:
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
        yield Chunk(rows[part], others, first[part], count[part], sorted=not few, by_score=True)


def _by_image(image: NDArray[np.int64]) -> Callable[[int, int], NDArray[np.int64]]:
    """Return a function that gives a slice of the rows sorted by image."""
    if (image[1:] >= image[:-1]).all():  # most tables are sorted by image already: no index is needed
        return lambda start, stop: np.arange(start, stop)
    order = np.argsort(image, kind="stable")
    return lambda start, stop: order[start:stop]
