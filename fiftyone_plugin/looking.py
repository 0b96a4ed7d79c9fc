"""One mistake as a person is asked about it: what it is in words, and a picture of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from hnm_core.io.gallery import color_of
from hnm_core.taxonomy import ROW_NAMES

from . import crops, states
from .review import Review

TITLES = {"true_positive": "Lucky hit", "both": "Class and place both wrong", "missed": "Missed truth"}


@dataclass(frozen=True)
class Look:
    """What is shown.

    Attributes:
        key: of the object.
        sample_id: id of its sample.
        title: what it is: error, class, confidence.
        remark: the nearest box of the other side, and how the label is suspected; or why there is no picture.
        picture: address that holds the picture, None where there is none.
        of_truth: whether it is a truth: one whose label is there, whatever else is wrong.
    """

    key: str
    sample_id: str
    title: str
    remark: str
    picture: str | None
    of_truth: bool


def look(dataset: Any, review: Review, key: str) -> Look:
    """What to show of a mistake of a run.

    Raises:
        ValueError: if it is no mistake of the run.
    """
    row, run_key = review.row(key), review.settings.run_key
    error, of_truth = ROW_NAMES[review.mistakes.code[row]], bool(review.mistakes.of_truth[row])
    sample_id = review.sample_ids[row]
    fields = review.settings.gt_field, review.settings.pred_field
    own, other = fields if of_truth else fields[::-1]
    document = dataset._sample_collection.find_one({"_id": ObjectId(sample_id)}, ["filepath", *_paths(fields, run_key)])
    boxes = _boxes(document, own)
    if review.label_ids[row] not in boxes:
        gone = "It is no longer in the dataset: skip it, and mine again"
        return Look(key, sample_id, _title(error, {}, of_truth=of_truth), gone, None, of_truth)
    box = boxes[review.label_ids[row]]
    near = _boxes(document, other).get(box.get(f"{run_key}_near_id") or "")
    title = _title(error, box, of_truth=of_truth)
    remark = _remark(near, box.get(f"{run_key}_iou"), float(review.now().suspicion[row]), of_truth=of_truth)
    edges = _edges(near) if near is not None else None
    try:
        crop = crops.draw_crop(document["filepath"], _edges(box), edges, color_of(error), of_truth=of_truth)
    except OSError as problem:
        return Look(key, sample_id, title, f"{document['filepath']} can't be shown: {problem}", None, of_truth)
    return Look(key, sample_id, title, remark, crops.as_data_uri(crop), of_truth)


def _paths(fields: tuple[str, str], key: str) -> list[str]:
    names = ("_id", "label", "bounding_box", "confidence", f"{key}_iou", f"{key}_near_id")
    return [f"{field}.detections.{name}" for field in fields for name in names]


def _boxes(document: Mapping[str, Any] | None, field: str) -> dict[str, Mapping[str, Any]]:
    return {str(box["_id"]): box for box in states.list_at(document, field)}


def _edges(box: Mapping[str, Any]) -> tuple[float, ...]:
    x, y, width, height = box["bounding_box"]
    return x, y, x + width, y + height


def _title(error: str, box: Mapping[str, Any], *, of_truth: bool) -> str:
    name = TITLES.get(error, f"{'Missed truth, ' if of_truth else ''}{error} error")
    parts = [name[0].upper() + name[1:], *([box["label"]] if "label" in box else [])]
    if box.get("confidence") is not None:
        parts.append(f"confidence {box['confidence']:.2f}")
    return " · ".join(parts)


def _remark(near: Mapping[str, Any] | None, iou: float | None, suspicion: float, *, of_truth: bool) -> str:
    """The box of the other side in words, and how sure the label is."""
    wrong = "The label is wrong"
    if near is None:
        touch = "No prediction of its class touches it" if of_truth else "No truth touches it"
        wrong = wrong if of_truth else "A label is missing"
    else:
        score = f" {near['confidence']:.2f}" if near.get("confidence") is not None else ""
        drawn = "white" if of_truth else "white, dashed"
        touch = f"Nearest {'prediction' if of_truth else 'truth'} ({drawn}): {near['label']}{score}, IoU {iou or 0:.2f}"
    return f"{touch}. {wrong} with a probability of {100 * suspicion:.0f} %."
