"""What somebody labelled: samples without ground truth, classes that were checked, shapes that are no plain boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections

from ..settings import RunSettings
from . import access, checks

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

POSITIVE, NEGATIVE = "positive_labels", "negative_labels"
"""Fields of image-level labels as FiftyOne's importer of Open Images names them."""

CHECKED = "Importers also write None for images without objects; if these were checked, use unlabelled='background'"
"""What a person can do about samples without ground truth."""

SHAPES: dict[str, dict[str, Any]] = {
    "a rotation": {"rotation": {"$nin": [None, 0]}},
    "a mask": {"$or": [{"mask": {"$ne": None}}, {"mask_path": {"$ne": None}}]},
}
"""What a box may have beside its corners: how it is called → how the database finds it."""

SHAPED = ("rotation", "mask", "mask_path")
"""The attributes that these conditions read."""


def unlabelled(counts: NDArray[np.int64], settings: RunSettings) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which samples are left out since nobody labelled them, ``(samples,)`` bool, and notes.

    Args:
        counts: ``(samples,)`` truths of every sample; -1 for None.
        settings: ``unlabelled`` says what None means.

    Raises:
        ValueError: if no sample is left.
    """
    none = counts < 0
    number, total = int(none.sum()), len(none)
    if not number:
        return none, []
    what = f"{number} of {total} samples {'has' if number == 1 else 'have'} no ground truth (None)"
    if settings.unlabelled == "background":
        return np.zeros_like(none), [f"{what}: counted as images without objects, as unlabelled='background' asks for"]
    if number == total:
        raise ValueError(f"{what}. {CHECKED}")
    return none, [f"{what} and {'is' if number == 1 else 'are'} left out. {CHECKED}"]


def shape_notes(samples: SampleCollection, settings: RunSettings) -> list[str]:
    """Return notes on rotated boxes and masks: what is compared is the box as it is stored, upright."""
    notes: list[str] = []
    fields = (settings.pred_field, settings.gt_field)
    if not access.may_hold(samples, [f"{f}.detections.{name}" for f in fields for name in SHAPED], samples._pipeline()):
        return notes
    for field in fields:
        for what, condition in SHAPES.items():
            if checks.any_sample(samples, {f"{field}.detections": {"$elemMatch": condition}}):
                boxes = _count(samples, field, condition)
                notes.append(f"{boxes} boxes in field {field!r} have {what}: only their upright boxes are compared")
    return notes


def _count(samples: SampleCollection, field: str, condition: dict[str, Any]) -> int:
    path = f"{field}.detections"
    inner = {f"{path}.{key}": value for key, value in condition.items() if key != "$or"}
    either = [{f"{path}.{key}": value for key, value in each.items()} for each in condition.get("$or", ())]
    match = {**inner, **({"$or": either} if either else {})}
    stages: list[dict[str, Any]] = [
        {"$project": {path: 1}},
        {"$unwind": f"${path}"},
        {"$match": match},
        {"$count": "n"},
    ]
    return sum(int(row["n"]) for row in samples._aggregate(post_pipeline=stages))


def with_verified(truth: Detections, samples: SampleCollection, settings: RunSettings) -> Detections:
    """Return the truths with the classes that were checked in each image, if image-level labels say so.

    A sample without any such label was checked for everything, as in FiftyOne's Open Images evaluation.

    Raises:
        ValueError: if a field that the settings name is not of type Classifications.
    """
    asked = ((settings.pos_label_field, POSITIVE), (settings.neg_label_field, NEGATIVE))
    fields = [field for given, usual in asked if (field := _field(samples, given, usual)) is not None]
    if not fields:
        return truth
    number = {name: label for label, name in enumerate(truth.classes)}
    row = {name: image for image, name in enumerate(truth.images)}
    pairs: set[tuple[int, int]] = set(zip(truth.image.tolist(), truth.label.tolist(), strict=True))
    columns = samples.values(["id", *(f"{name}.classifications.label" for name in fields)])
    for sample_id, *labels in zip(*columns, strict=True):
        image = row.get(sample_id)
        if image is None:
            continue
        if all(of_field is None for of_field in labels):
            pairs |= {(image, label) for label in number.values()}
        pairs |= {(image, number[name]) for of_field in labels for name in of_field or () if name in number}
    return replace(truth, verified=np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2))


def _field(samples: SampleCollection, name: str | None, usual: str) -> str | None:
    found = samples.get_field(name or usual)
    if isinstance(found, fo.EmbeddedDocumentField) and issubclass(found.document_type, fo.Classifications):
        return name or usual
    if name is None:
        return None
    raise ValueError(
        f"field {name!r} {'does not exist' if found is None else 'is of another type'}, but image-level labels are "
        f"Classifications"
    )
