"""What can be mined and what can't, in one sentence each: the same in the form and from Python."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
from pymongo.errors import ExecutionTimeout

from . import views
from .settings import RunSettings

HIDING = (fo.FilterLabels, fo.SelectLabels, fo.ExcludeLabels, fo.LimitLabels)
"""Stages of views that leave samples with some of their boxes."""

RENAMING = (fo.MapLabels, fo.SetField)
"""Stages of views that may show other classes than are stored."""

AT_ONCE = 100_000
"""Ids in one question to the database, which takes 16 MB of them."""


def detection_fields(samples: Any) -> list[str]:
    """Names of the fields of type Detections."""
    return list(samples.get_field_schema(ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections))


def check_fields(samples: Any, *names: str) -> None:
    """Refuse collections that can't be mined and fields that hold no Detections.

    Raises:
        ValueError: naming what was found and what is needed.
    """
    if samples._is_generated:
        raise ValueError("this view shows patches, frames or clips: mine the dataset, or a view of its samples")
    if samples.media_type not in ("image", None):
        cure = "take one slice with select_group_slices()" if samples.media_type == "group" else "mine images"
        raise ValueError(f"{samples._root_dataset.name!r} holds media of type {samples.media_type!r}: {cure}")
    for name in names:
        found = samples.get_field(name)
        if isinstance(found, fo.EmbeddedDocumentField) and issubclass(found.document_type, fo.Detections):
            continue
        problem = "does not exist" if found is None else f"holds {_type_name(found)}"
        fit = ", ".join(detection_fields(samples)) or "none"
        raise ValueError(f"field {name!r} {problem}, mining needs Detections; fields of Detections here: {fit}")


def _type_name(found: Any) -> str:
    return getattr(found, "document_type", type(found)).__name__


def check_minable(samples: Any, settings: RunSettings) -> Any:
    """The samples of the split to mine, if there is anything to mine in them. Fast enough for every keystroke.

    Raises:
        ValueError: saying what is missing, and where it may be found.
    """
    check_fields(samples, settings.pred_field, settings.gt_field)
    _check_classes(samples, settings)
    chosen = views.of_split(samples, settings.mine_split, settings.split_field)
    if any_sample(chosen, *map(_has_boxes, (settings.pred_field, settings.gt_field))):
        return chosen  # as nearly always, after one query
    if not any_sample(samples):
        raise ValueError("the view holds no samples: clear its filters, or choose another target view")
    if not any_sample(chosen):
        raise ValueError(
            f"none of the {samples.count()} samples belongs to split {settings.mine_split!r} by {_splitter(settings)}: "
            f"choose another mine_split (val and test are mined to monitor, never weighted) or split_field"
        )
    for field, what, cure in (
        (settings.pred_field, "predictions", "run a model on them first, or choose another pred_field"),
        (settings.gt_field, "ground truth", "mining needs labelled samples; choose another gt_field or view"),
    ):
        if not any_sample(chosen, _has_boxes(field)):
            raise ValueError(f"field {field!r} holds no {what} in the {chosen.count()} samples to mine: {cure}")
    return chosen


def _check_classes(samples: Any, settings: RunSettings) -> None:
    """Refuse views that rename classes: reviews name those that are stored, so that none would reach its object.

    Raises:
        ValueError: naming the stage, and what to use instead.
    """
    renamed = {path: field for field in (settings.pred_field, settings.gt_field) for path in _class_paths(field)}
    for stage in getattr(samples, "_stages", ()):
        if isinstance(stage, RENAMING) and stage.field in renamed:
            raise ValueError(
                f"this view renames classes of {renamed[stage.field]!r} ({type(stage).__name__}), and reviews would "
                f"not find their objects: mine without it, and use class_map, prediction class → truth class"
            )


def _class_paths(field: str) -> tuple[str, str]:
    return field, f"{field}.detections.label"


def any_sample(samples: Any, *conditions: dict[str, Any], among: int | None = None) -> bool:
    """Whether any sample, or any of the first ones, fulfils all conditions on what is stored; stops at the first."""
    limit = [] if among is None else [{"$limit": among}]
    first = [*limit, *({"$match": condition} for condition in conditions), {"$limit": 1}, {"$project": {"_id": 1}}]
    return any(True for _ in samples._aggregate(post_pipeline=first))


def any_stored(samples: Any, *conditions: dict[str, Any], among: int | None = None) -> bool:
    """The same of what is stored of these samples, whatever fields or labels the view hides."""
    collection = samples._root_dataset._sample_collection
    narrowed = getattr(samples, "_stages", ()) or among is not None
    ids = (samples if among is None else samples.limit(among)).values("_id") if narrowed else [None]
    for start in range(0, len(ids), AT_ONCE):
        which = {"_id": {"$in": ids[start : start + AT_ONCE]}} if narrowed else {}
        if collection.find_one({"$and": [which, *conditions]}, ["_id"]) is not None:
            return True
    return False


def count_within(samples: Any, milliseconds: int) -> int | None:
    """How many samples there are, or None if that takes the database longer."""
    pipeline = samples._pipeline(post_pipeline=[{"$count": "n"}])
    try:
        found = list(samples._root_dataset._sample_collection.aggregate(pipeline, maxTimeMS=milliseconds))
    except ExecutionTimeout:
        return None
    return int(found[0]["n"]) if found else 0


def first_values(dataset: Any, path: str, among: int = 100) -> list[str]:
    """What stands in a list of the first samples, sorted: a form has no time for all of them."""
    first = [{"$limit": among}, {"$project": {"value": f"${path}"}}, {"$unwind": "$value"}]
    found = dataset._sample_collection.aggregate([*first, {"$group": {"_id": "$value"}}])
    return sorted(str(row["_id"]) for row in found if row["_id"] is not None)


def _has_boxes(field: str) -> dict[str, Any]:
    return {f"{field}.detections.0": {"$exists": True}}


def _splitter(settings: RunSettings) -> str:
    return f"field {settings.split_field!r}" if settings.split_field else "sample tags"


def hidden_notes(samples: Any) -> list[str]:
    """What a view that shows only some of the boxes of its samples does to mining."""
    hiding = sorted({type(stage).__name__ for stage in getattr(samples, "_stages", ()) if isinstance(stage, HIDING)})
    if not hiding:
        return []
    names = ", ".join(hiding)
    return [f"this view hides boxes ({names}): rates and weights know only those that it shows; clear it to mine all"]


def split_notes(samples: Any, chosen: Any, settings: RunSettings) -> list[str]:
    """What the split leaves out, and what it takes in though nobody said so."""
    total, count, by = samples.count(), chosen.count(), _splitter(settings)
    notes = []
    if count < total:
        why = "held-out images are never weighted" if settings.weighs else "one split is mined at a time"
        notes.append(
            f"{total - count} of {total} samples are not of split {settings.mine_split!r} by {by}, so they stay out: "
            f"{why}"
        )
    unsaid = views.without_split(chosen, settings.split_field).count() if settings.weighs else 0
    if unsaid:
        notes.append(f"{unsaid} of {count} samples name no split by {by}: they count as train")
    if not settings.weighs:
        notes.append("this run monitors a held-out split: it writes no weights and tags no samples")
    return notes
