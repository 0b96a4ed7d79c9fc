"""Build the review card (title, remark, crop) of one mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hnm_core.live.unlabelled import RANKED_BY
from hnm_core.samples.close_ups import as_data_uri, draw_crop
from hnm_core.samples.gallery import color_of
from hnm_core.taxonomy import ROW_NAMES

from ..store import access
from ..store.access import ObjectId
from . import states
from .session import Review

if TYPE_CHECKING:
    import fiftyone as fo

TITLES = {
    **{"true_positive": "Lucky hit", "both": "Class and position both wrong", "missed": "Missed truth"},
    **{"confident": "Confident detection", "uncertain": "Uncertain detection", "gap": "Lost for a few frames"},
}


@dataclass(frozen=True)
class ReviewCard:
    """What a person sees of a mistake.

    Attributes:
        key: of the object.
        sample_id: id of its sample.
        title: error, class and confidence.
        remark: the nearest box of the other side and the suspicion; or why there is no picture.
        picture: the crop as a data URI, or None.
        of_truth: whether it is a truth, whose label cannot be missing.
    """

    key: str
    sample_id: str
    title: str
    remark: str
    picture: str | None
    of_truth: bool


def make_card(dataset: fo.Dataset, review: Review, key: str) -> ReviewCard:
    """Build the review card of a mistake of a run.

    Raises:
        ValueError: if the object is no mistake of the run.
    """
    row, run_key = review.row(key), review.settings.run_key
    error, of_truth = ROW_NAMES[review.mistakes.code[row]], bool(review.mistakes.of_truth[row])
    sample_id = review.sample_ids[row]
    fields = review.settings.gt_field, review.settings.pred_field
    own, other = fields if of_truth else fields[::-1]
    document = access.collection(dataset).find_one({"_id": ObjectId(sample_id)}, ["filepath", *_paths(fields, run_key)])
    boxes = _boxes(document, own)
    if review.label_ids[row] not in boxes:
        gone = "This object is no longer in the dataset: skip it, and mine again"
        return ReviewCard(key, sample_id, _title(error, {}, of_truth=of_truth), gone, None, of_truth)
    box = boxes[review.label_ids[row]]
    near = _boxes(document, other).get(box.get(f"{run_key}_near_id") or "")
    title = _title(error, box, of_truth=of_truth)
    remark = _remark(near, box.get(f"{run_key}_iou"), float(review.estimate_now().suspicion[row]), of_truth=of_truth)
    if review.settings.without_truth:
        remark = _proposed(review.settings.ranked_by, float(review.mistakes.difficulty[row]), of_truth=of_truth)
    edges = _edges(near) if near is not None else None
    try:
        crop = draw_crop(document["filepath"], _edges(box), edges, color_of(error), of_truth=of_truth)
    except OSError as problem:
        return ReviewCard(key, sample_id, title, f"{document['filepath']} cannot be shown: {problem}", None, of_truth)
    return ReviewCard(key, sample_id, title, remark, as_data_uri(crop), of_truth)


def _proposed(ranked_by: str, likely: float, *, of_truth: bool) -> str:
    """Describe a proposal, of which nobody knows the truth."""
    if of_truth:
        return "There is no ground truth here: did the model miss an object, where it saw one just before and after?"
    by = (
        f"by the verifier with {100 * likely:.0f} %"
        if ranked_by == RANKED_BY[0]
        else "maybe: the list is by confidence"
    )
    return f"There is no ground truth here: is it an error of the model ({by}), or is there such an object?"


def _paths(fields: tuple[str, str], key: str) -> list[str]:
    names = ("_id", "label", "bounding_box", "confidence", f"{key}_iou", f"{key}_near_id")
    return [f"{field}.detections.{name}" for field in fields for name in names]


def _boxes(document: Mapping[str, Any] | None, field: str) -> dict[str, Mapping[str, Any]]:
    return {str(box["_id"]): box for box in states.boxes_at(document, field)}


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
    """Describe the nearest box of the other side, and the suspicion."""
    wrong = "the label is wrong"
    if near is None:
        touch = "No prediction of its class touches it" if of_truth else "No truth touches it"
        wrong = wrong if of_truth else "a label is missing"
    else:
        score = f" {near['confidence']:.2f}" if near.get("confidence") is not None else ""
        drawn = "white" if of_truth else "white, dashed"
        touch = f"Nearest {'prediction' if of_truth else 'truth'} ({drawn}): {near['label']}{score}, IoU {iou or 0:.2f}"
    return f"{touch}. Probability that {wrong}: {100 * suspicion:.0f} %."
