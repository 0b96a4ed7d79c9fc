"""Convert boxes, compute overlaps and tell equal rows, on plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FRACTIONS_OF",
    "FRACTION_LIMIT",
    "IOU_STEPS",
    "MIX",
    "SIZES",
    "SIZE_EDGES",
    "UnitOfBoxes",
    "are_fractions",
    "area",
    "check_units",
    "overlapping",
    "refuse_mixed_units",
    "row_digests",
    "sizes_of",
    "unit_name",
    "unit_of",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]

IOU_STEPS = 1e10
"""IoUs are rounded to 10 decimals, as FiftyOne's Open Images evaluation does, before they are compared with anything:
boxes in pixels and the same boxes as fractions of the image differ in the last bits only, and then agree."""

SIZES = ("small", "medium", "large")
"""COCO's box sizes: areas up to 32² pixels, up to 96² pixels, and above."""

SIZE_EDGES = (32.0**2, 96.0**2)
"""Largest area of a small and of a medium box, in squared pixels."""

FRACTIONS_OF = 640.0**2
"""Assumed image area in pixels if boxes are fractions of the image (chosen: the usual input size of a detector)."""

FRACTION_LIMIT = 2.0
"""Largest absolute coordinate of boxes that are fractions of their image. Boxes may reach beyond the image, whose side
is 1; boxes in pixels exceed 2 in nearly every image (chosen)."""

LEAST_BOXES = 3
"""Boxes from which a unit is judged (chosen: one small box in the corner of an image is no evidence)."""

MIX = np.uint64(0x9E3779B97F4A7C15)
"""2⁶⁴ divided by the golden ratio: multiplying by it spreads neighbouring numbers (Knuth, TAOCP 6.4)."""

Column = NDArray[np.float64]


def are_fractions(*boxes: NDArray[np.float64]) -> bool:
    """Return True if no coordinate exceeds :data:`FRACTION_LIMIT`: the boxes are fractions of the image, not pixels.

    Args:
        boxes: arrays of any shape; tables that share a unit are given together. True for arrays without boxes.

    Example:
        >>> are_fractions(np.array([[0, 0.1, 1, 1.01]])), are_fractions(np.array([[0, 0, 0.5, 1], [0, 0, 30, 20]]))
        (True, False)
    """
    return all(b.max(initial=0.0) <= FRACTION_LIMIT and b.min(initial=0.0) >= -FRACTION_LIMIT for b in boxes)


def check_units(predictions: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
    """Refuse two tables of boxes that overlap nowhere if one is in pixels and the other in fractions of the image.

    Args:
        predictions: ``(n, 4)`` corner boxes that overlap no truth.
        truth: ``(m, 4)`` corner boxes.

    Raises:
        ValueError: if at least three boxes of the one are fractions, not all whole numbers, and the others are pixels.
    """
    refuse_mixed_units(UnitOfBoxes.of(predictions), UnitOfBoxes.of(truth))


class UnitOfBoxes(NamedTuple):
    """What tells the unit of some boxes; the units of parts of a table add up to that of the whole."""

    boxes: int
    fractions: bool
    whole: bool
    first: tuple[float, ...]

    @classmethod
    def of(cls, boxes: NDArray[np.float64]) -> UnitOfBoxes:
        """Return the unit of ``(n, 4)`` corner boxes."""
        first = tuple(boxes[0].tolist()) if len(boxes) else ()
        return cls(len(boxes), are_fractions(boxes), not (boxes != np.floor(boxes)).any(), first)

    def plus(self, other: UnitOfBoxes) -> UnitOfBoxes:
        """Return the unit of these and further boxes."""
        both = self.fractions and other.fractions, self.whole and other.whole
        return UnitOfBoxes(self.boxes + other.boxes, *both, self.first or other.first)


def refuse_mixed_units(predictions: UnitOfBoxes, truth: UnitOfBoxes) -> None:
    """Refuse boxes that overlap nowhere as :func:`check_units` does, from what is known of them."""
    for small, large, which in ((predictions, truth, "predictions"), (truth, predictions, "ground truth")):
        mixed = small.boxes >= LEAST_BOXES and small.fractions and large.boxes and not large.fractions
        if mixed and not small.whole:
            other = "ground truth" if which == "predictions" else "predictions"
            raise ValueError(
                f"no box overlaps another: the {small.boxes} boxes of the {which} are fractions of the image "
                f"(first {np.round(small.first, 4).tolist()}), the {large.boxes} of the {other} are pixels (first "
                f"{np.round(large.first, 2).tolist()}). Convert one of them: fractions times width and height are "
                f"pixels"
            )


def unit_of(*boxes: NDArray[np.float64]) -> str:
    """Return ``fractions`` or ``pixels``: the unit that files say their boxes are in."""
    return unit_name(fractions=are_fractions(*boxes))


def unit_name(*, fractions: bool) -> str:
    """Return what files call the unit of boxes that are fractions of their image, or are not."""
    return "fractions" if fractions else "pixels"


def xywh_to_xyxy(boxes: ArrayLike) -> NDArray[np.float64]:
    """Convert ``x, y, width, height`` boxes (COCO, FiftyOne) to corner boxes.

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
    """Convert corner boxes to ``x, y, width, height``, ``(n, 4)`` to ``(n, 4)`` float64.

    Example:
        >>> xyxy_to_xywh([[1, 2, 4, 6]]).tolist()
        [[1.0, 2.0, 3.0, 4.0]]
    """
    out = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    out[:, 2:] -= out[:, :2]
    return out


def area(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas of ``(n, 4)`` corner boxes, ``(n,)`` float64 in the squared unit of the boxes."""
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def sizes_of(xyxy: NDArray[np.float64], *, fractions: bool) -> NDArray[np.int8]:
    """Return the size of every box as index in :data:`SIZES`, ``(n,)`` int8.

    Args:
        xyxy: ``(n, 4)`` corner boxes.
        fractions: whether they are fractions of the image, not pixels; see :data:`FRACTIONS_OF`.

    Example:
        >>> sizes_of(np.array([[0, 0, 32, 32], [0, 0, 33, 32], [0, 0, 100, 100]]), fractions=False).tolist()
        [0, 1, 2]
    """
    pixels = area(xyxy) * (FRACTIONS_OF if fractions else 1.0)
    small, at_most_medium = (pixels <= edge for edge in SIZE_EDGES)
    return np.int8(2) - small - at_most_medium


def overlapping(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    crowd: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return those of the given pairs of boxes that overlap, and their intersection over union (IoU).

    The same arithmetic, in the same order, as pycocotools' ``bbIou``, on corners instead of widths: decimals may
    differ in the last bit, whole pixels never. The result is rounded to 10 decimals (:data:`IOU_STEPS`). Boxes of zero
    size overlap nothing, so there is no 0/0.

    Args:
        first: ``(n, 4)`` corner boxes.
        second: ``(m, 4)`` corner boxes in the same unit.
        rows: ``(k,)`` rows of ``first``.
        others: ``(k,)`` rows of ``second``; pair ``i`` is ``first[rows[i]]`` with ``second[others[i]]``.
        crowd: ``(m,)`` bool; with a crowd region the overlap is intersection / area of the first box (COCO), so one
            person inside a crowd region has overlap 1.

    Returns:
        ``rows`` and ``others`` of the pairs that overlap, in the order given, and their IoU in ``(0, 1]``; pairs whose
        IoU rounds to 0 are left out.

    Example:
        >>> a, b = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 5, 5]])
        >>> rows, others, iou = overlapping(a, b, np.array([0, 0]), np.array([0, 1]))
        >>> others.tolist(), iou.round(3).tolist()
        ([0], [0.333])
    """
    left, top, right, bottom = np.ascontiguousarray(first.T)
    left_2, top_2, right_2, bottom_2 = np.ascontiguousarray(second.T)

    def of_pairs(column: Column, at: NDArray[np.int64]) -> Column:
        return column.take(at, mode="clip")  # clip: skips the bounds check, faster

    def shared_side(low: Column, high: Column, low_2: Column, high_2: Column) -> Column:
        ends = of_pairs(high, rows)
        np.minimum(ends, of_pairs(high_2, others), out=ends)
        starts = of_pairs(low, rows)
        ends -= np.maximum(starts, of_pairs(low_2, others), out=starts)
        return ends

    width, height = shared_side(left, right, left_2, right_2), shared_side(top, bottom, top_2, bottom_2)
    rows, others, width, height = _where((width > 0) & (height > 0), rows, others, width, height)
    shared = np.multiply(width, height, out=width)
    own = of_pairs(area(first), rows)
    union = own + of_pairs(area(second), others)
    union -= shared
    if crowd is not None:
        union = np.where(crowd[others], own, union)
    iou = np.divide(shared, union, out=union)
    iou *= IOU_STEPS
    np.rint(iou, out=iou)
    iou /= IOU_STEPS
    if len(iou) and not iou.all():
        rows, others, iou = _where(iou > 0, rows, others, iou)
    return rows, others, iou


def row_digests(columns: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """Return ``(n,)`` uint64, a number per row of a table of boxes: equal rows have equal ones, others hardly ever.

    Args:
        columns: at least one, ``(n,)`` each, of eight bytes a value; bits count, so that -0.0 and 0.0 differ.

    Example:
        >>> one, two, three = row_digests([np.array([1, 1, 2]), np.array([0.5, 0.5, 0.5])]).tolist()
        >>> one == two, one == three
        (True, False)
    """
    mixed = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        mixed = (mixed ^ np.ascontiguousarray(column).view(np.uint64)) * MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _where(condition: NDArray[np.bool_], *columns: NDArray[Any]) -> list[NDArray[Any]]:
    rows = np.flatnonzero(condition)
    return [column.take(rows, mode="clip") for column in columns] if len(rows) < len(condition) else list(columns)
