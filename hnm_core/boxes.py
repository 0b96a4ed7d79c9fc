"""Boxes as plain arrays: conversions and overlaps, nothing that knows what a box means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["area", "pair_iou", "xywh_to_xyxy", "xyxy_to_xywh"]


def xywh_to_xyxy(boxes: ArrayLike) -> NDArray[np.float64]:
    """Corner boxes from ``x, y, width, height`` boxes (COCO, FiftyOne).

    Args:
        boxes: ``(n, 4)``, any unit; ``x, y`` is the top left corner.

    Returns:
        ``(n, 4)`` float64, ``x0 y0 x1 y1`` in the same unit.

    Example:
        >>> xywh_to_xyxy([[1, 2, 3, 4]]).tolist()
        [[1.0, 2.0, 4.0, 6.0]]
    """
    out = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    out[:, 2:] += out[:, :2]
    return out


def xyxy_to_xywh(boxes: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`xywh_to_xyxy`: ``(n, 4)`` in, ``(n, 4)`` float64 out.

    Example:
        >>> xyxy_to_xywh([[1, 2, 4, 6]]).tolist()
        [[1.0, 2.0, 3.0, 4.0]]
    """
    out = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    out[:, 2:] -= out[:, :2]
    return out


def area(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of ``(n, 4)`` corner boxes as ``(n,)``, in the unit of the boxes, squared."""
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def pair_iou(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    crowd: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Intersection over union of given pairs of boxes.

    The same arithmetic, in the same order, as pycocotools' ``bbIou``: pairs that do not overlap, boxes of zero
    size among them, have IoU 0, never 0/0.

    Args:
        first: ``(n, 4)`` corner boxes.
        second: ``(m, 4)`` corner boxes in the same unit.
        rows: ``(k,)`` rows of ``first``.
        others: ``(k,)`` rows of ``second``; pair ``i`` is ``first[rows[i]]`` with ``second[others[i]]``.
        crowd: ``(m,)`` bool; with a crowd region the overlap is intersection / area of the first box, so that one
            person of a crowd overlaps it wholly (COCO).

    Returns:
        ``(k,)`` float64 in ``[0, 1]``.

    Example:
        >>> a, b = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 5, 5]])
        >>> pair_iou(a, b, np.array([0, 0]), np.array([0, 1])).round(3).tolist()
        [0.333, 0.0]
    """
    left, top, right, bottom = first.T
    left_2, top_2, right_2, bottom_2 = second.T
    width = np.minimum(right[rows], right_2[others]) - np.maximum(left[rows], left_2[others])
    height = np.minimum(bottom[rows], bottom_2[others]) - np.maximum(top[rows], top_2[others])
    iou = np.zeros(len(rows))
    hit = np.flatnonzero((width > 0) & (height > 0))
    rows, others = rows[hit], others[hit]
    shared = width[hit] * height[hit]
    own, other = area(first)[rows], area(second)[others]
    union = own + other - shared
    if crowd is not None:
        union = np.where(crowd[others], own, union)
    iou[hit] = shared / union
    return iou
