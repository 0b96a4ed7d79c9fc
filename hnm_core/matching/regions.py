"""How much of a box lies within the union of regions, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..boxes import IOU_STEPS, area
from ..columns import Detections

__all__ = ["share_in_regions"]


def share_in_regions(table: Detections, regions: Detections) -> NDArray[np.float64]:
    """Return the share of every box's area within the union of its image's regions, ``(n,)`` float64 in [0, 1].

    Args:
        table: boxes.
        regions: boxes that may overlap each other, over the same images, in the same unit.

    Returns:
        Rounded to 10 decimals as IoUs are; 0 for boxes without size.

    Example:
        >>> world = dict(images=["a"], classes=["any"])
        >>> regions = Detections([0, 0], [[0, 0, 10, 10], [5, 0, 15, 10]], [0, 0], None, **world)
        >>> share_in_regions(Detections([0], [[10, 0, 20, 10]], [0], None, **world), regions).tolist()
        [0.5]
    """
    inside = np.zeros(len(table))
    order = np.argsort(table.image, kind="stable")
    images = table.image[order]
    for image in np.unique(regions.image):
        rows = order[np.searchsorted(images, image) : np.searchsorted(images, image, side="right")]
        inside[rows] = _area_within(table.xyxy[rows], regions.xyxy[regions.image == image])
    own = area(table.xyxy)
    share = np.divide(inside, own, out=np.zeros(len(table)), where=own > 0)
    return np.rint(share * IOU_STEPS) / IOU_STEPS


def _area_within(boxes: NDArray[np.float64], regions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of each box within the union of the regions: the lines of the regions cut the plane in cells."""
    x, y = (np.unique(regions[:, [side, side + 2]]) for side in (0, 1))
    left, right = (np.searchsorted(x, regions[:, side]) for side in (0, 2))
    top, bottom = (np.searchsorted(y, regions[:, side]) for side in (1, 3))
    covered = np.zeros((len(x) - 1, len(y) - 1), dtype=bool)
    for x0, x1, y0, y1 in zip(left, right, top, bottom, strict=True):
        covered[x0:x1, y0:y1] = True
    widths, heights = (
        np.maximum(0.0, np.minimum(boxes[:, [side + 2]], edges[1:]) - np.maximum(boxes[:, [side]], edges[:-1]))
        for side, edges in ((0, x), (1, y))
    )
    within: NDArray[np.float64] = (widths @ covered * heights).sum(axis=1)
    return within
