"""Say of boxes that were read what can hardly be meant: corners in place of widths, predictions of other images."""

from __future__ import annotations

from hnm_core import Detections
from hnm_core.io.doubts import place_doubts

from ..settings import RunSettings
from .box_tables import Tables

__all__ = ["doubts_of"]

BEYOND = 0.01
"""Share of the side of an image by which a box reaches beyond it, more than rounding and padding do (chosen)."""

MANY, FEW = 0.25, 10
"""Share of the boxes of a field, and number, from which boxes beyond the image are doubted (chosen): of corners that
are read as widths and heights, most lie there."""


def doubts_of(tables: Tables, settings: RunSettings) -> list[str]:
    """Return doubts on both fields of a run, as sentences."""
    sides = (settings.pred_field, tables.predictions), (settings.gt_field, tables.truth)
    beyond = [note for field, table in sides if (note := _beyond(table, field))]
    places = place_doubts(tables.predictions, tables.truth, *(f"field {field!r}" for field, _ in sides))
    return [*beyond, *places]


def _beyond(table: Detections, field: str) -> str:
    """Return a note on boxes that reach far beyond their image."""
    beyond = (table.xyxy[:, 2:] > 1.0 + BEYOND).any(axis=1)
    count = int(beyond.sum())
    if count < max(MANY * len(table), FEW):
        return ""
    first = table.images[int(table.image[beyond.argmax()])]
    return (
        f"{count} of {len(table)} boxes in field {field!r} (first in sample {first}) reach beyond the right or lower "
        f"edge of their image: boxes are [x, y, width, height] as fractions of it; are these corners, x0 y0 x1 y1?"
    )
