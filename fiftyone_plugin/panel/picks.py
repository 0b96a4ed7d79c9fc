"""A mark in a chart ↔ the view it stands for. Every bar and point carries its id, and the id says what to filter by."""

from __future__ import annotations

from typing import Any

from bson import ObjectId
from fiftyone import ViewField as F

from hnm_core.charts import BINS, bin_range
from hnm_core.taxonomy import ROW_NAMES

from ..settings import RunSettings
from ..views import known

ATTRIBUTES = ("confidence", "iou")
SIDES = ("false_positives", "false_negatives")


def of_error(side: str, error: str) -> str:
    """Id of a bar of false positives or false negatives."""
    return f"error:{side}:{error}"


def of_bin(attribute: str, index: int, name: str) -> str:
    """Id of a bar of a histogram."""
    return f"{attribute}:{index}:{name}"


def of_object(sample_id: str, label_id: str) -> str:
    """Id of a point."""
    return f"object:{sample_id}:{label_id}"


def view_of(dataset: Any, settings: RunSettings, pick: str) -> Any:
    """The samples and objects that a bar or point stands for; samples hardest first.

    Args:
        dataset: the whole dataset: a chart shows the run, whatever the grid shows.
        settings: the settings of the run that the chart shows.
        pick: an id, made by the functions above.

    Raises:
        ValueError: if no bar or point has such an id.
    """
    kind, *rest = pick.split(":")
    if len(rest) != 2:
        raise ValueError(f"no bar or point is called {pick!r}")
    if kind == "object":
        sample_id, label_id = rest
        return dataset.select(sample_id).filter_labels(settings.pred_field, F("_id") == ObjectId(label_id))
    field = settings.pred_field
    if kind == "error":
        side, error = rest
        field = settings.gt_field if known("side", side, SIDES) == "false_negatives" else field
        wanted = F(f"{settings.run_key}_error") == known("error", error, ROW_NAMES)
    else:
        index, name = rest
        wanted = _in_bin(settings.run_key, known("chart", kind, ATTRIBUTES), int(index))
        wanted &= F(f"{settings.run_key}_error") == known("error", name, ROW_NAMES)
    return dataset.filter_labels(field, wanted).sort_by(f"{settings.run_key}_score", reverse=True)


def _in_bin(key: str, attribute: str, index: int) -> Any:
    """The filter for one bin: with its lower edge, and without the upper one unless it is the last."""
    value = F("confidence") if attribute == "confidence" else F(f"{key}_iou")
    low, high = bin_range(index)
    return (value >= low) & ((value <= high) if index == BINS - 1 else (value < high))
