"""Boxes as plain arrays: conversions and overlaps, nothing that knows what a box means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["area", "overlapping", "xywh_to_xyxy", "xyxy_to_xywh"]


Column = NDArray[np.float64]


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


def overlapping(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    crowd: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Of given pairs of boxes those that overlap, and their intersection over union.

    The same arithmetic, in the same order, as pycocotools' ``bbIou``, on corners instead of widths: decimals may
    differ in the last bit, whole pixels never. Boxes of zero size overlap nothing: there is never 0/0.

    Args:
        first: ``(n, 4)`` corner boxes.
        second: ``(m, 4)`` corner boxes in the same unit.
        rows: ``(k,)`` rows of ``first``.
        others: ``(k,)`` rows of ``second``; pair ``i`` is ``first[rows[i]]`` with ``second[others[i]]``.
        crowd: ``(m,)`` bool; with a crowd region the overlap is intersection / area of the first box, so that one
            person of a crowd overlaps it wholly (COCO).

    Returns:
        ``rows`` and ``others`` of the pairs that overlap, in the order given, and their IoU in ``(0, 1]``.

    Example:
        >>> a, b = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 5, 5]])
        >>> rows, others, iou = overlapping(a, b, np.array([0, 0]), np.array([0, 1]))
        >>> others.tolist(), iou.round(3).tolist()
        ([0], [0.333])
    """
    left, top, right, bottom = np.ascontiguousarray(first.T)
    left_2, top_2, right_2, bottom_2 = np.ascontiguousarray(second.T)

    def shared_side(low: Column, high: Column, low_2: Column, high_2: Column) -> Column:
        ends = np.minimum(high.take(rows, mode="clip"), high_2.take(others, mode="clip"))  # clip: unchecked, quicker
        return ends - np.maximum(low.take(rows, mode="clip"), low_2.take(others, mode="clip"))

    width = shared_side(left, right, left_2, right_2)
    rows, others, width = _where(width > 0, rows, others, width)
    height = shared_side(top, bottom, top_2, bottom_2)
    rows, others, width, height = _where(height > 0, rows, others, width, height)
    shared = width * height
    own = area(first)[rows]
    union = own + area(second)[others] - shared
    if crowd is not None:
        union = np.where(crowd[others], own, union)
    return rows, others, shared / union


def _where(condition: NDArray[np.bool_], *columns: NDArray[Any]) -> list[NDArray[Any]]:
    rows = np.flatnonzero(condition)
    return [column.take(rows) for column in columns]
