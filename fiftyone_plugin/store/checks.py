"""Checks of what can be mined: the same in the form and from Python, each refusal in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fiftyone as fo
from pymongo.errors import ExecutionTimeout

from ..settings import RunSettings
from . import access, journal, owners, views

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

HIDING = (fo.FilterLabels, fo.SelectLabels, fo.ExcludeLabels, fo.LimitLabels)
"""Stages of views that hide some boxes of a sample."""

RENAMING = (fo.MapLabels, fo.SetField)
"""Stages of views that can show other classes than the stored ones."""

MISSED = "Objects that the model lost for a few frames of a video, proposed for review"
"""Description of the field of boxes that only a run without ground truth has."""

AT_ONCE = 100_000
"""Ids per query: the database accepts queries of up to 16 MB."""


def detection_fields(samples: SampleCollection) -> list[str]:
    """Return the names of the fields of type Detections, but for those that belong to a run."""
    found = samples.get_field_schema(ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    return [name for name, field in found.items() if field.description != MISSED]


def check_fields(samples: SampleCollection, *names: str) -> None:
    """Refuse collections that cannot be mined, and fields that are not of type Detections.

    Raises:
        ValueError: naming what was found, and what is needed; or that a field was not written completely.
    """
    if samples._is_generated:
        raise ValueError("this view shows patches, frames or clips: mine the dataset, or a view of whole samples")
    if samples.media_type == "group" and access.root(samples).media_type != "group":
        raise ValueError("this view groups samples (group_by): mine it without this stage")
    if samples.media_type not in ("image", None):
        cure = "select one slice with select_group_slices()" if samples.media_type == "group" else "mine images"
        raise ValueError(f"dataset {access.root(samples).name!r} has media of type {samples.media_type!r}: {cure}")
    for name in names:
        _check_shown(samples, name)
        check_finished(access.root(samples), name)
        found = samples.get_field(name)
        if isinstance(found, fo.EmbeddedDocumentField) and issubclass(found.document_type, fo.Detections):
            continue
        problem = "does not exist" if found is None else f"is of type {_type_name(found)}"
        fit = ", ".join(detection_fields(samples)) or "none"
        raise ValueError(
            f"field {name!r} {problem}, but mining needs Detections; fields of Detections in this dataset: {fit}"
        )


def _check_shown(samples: SampleCollection, field: str) -> None:
    """Refuse a view that shows boxes elsewhere than they are stored, or with another confidence."""
    shown = {f"{field}.detections", *(f"{field}.detections.{name}" for name in ("bounding_box", "confidence"))}
    for stage in getattr(samples, "_stages", ()):
        if isinstance(stage, fo.SetField) and stage.field in shown:
            raise ValueError(
                f"this view shows other values of {stage.field!r} than are stored (SetField), and a run is written on "
                f"the stored boxes: mine without this stage"
            )


def check_finished(dataset: fo.Dataset, field: str) -> None:
    """Refuse a field that was not written completely.

    Raises:
        ValueError: saying what is or was being done, by whom, and what helps.
    """
    note = journal.read(dataset, f"{journal.FIELD}{field}")
    if note is not None and note.state in journal.STATES and dataset.get_field(field) is not None:
        raise ValueError(journal.unfinished(note, held=note.begun_by_owner and owners.is_held(note)))


def _type_name(found: Any) -> str:
    return getattr(found, "document_type", type(found)).__name__


def check_minable(samples: SampleCollection, settings: RunSettings) -> Any:
    """Return the samples of the split to mine, if there is anything to mine. Fast enough for every keystroke.

    Raises:
        ValueError: naming what is missing, and what to do.
    """
    check_fields(samples, settings.pred_field, settings.gt_field)
    _check_classes(samples, settings)
    chosen = views.of_split(samples, settings.mine_split, settings.split_field)
    if any_sample(chosen, *map(_has_boxes, (settings.pred_field, settings.gt_field))):
        return chosen  # the usual case, after one query
    if not any_sample(samples):
        raise ValueError("the view has no samples: clear its filters, or choose another target view")
    if not any_sample(chosen):
        raise ValueError(
            f"none of the {samples.count()} samples is in split {settings.mine_split!r} by {_splitter(settings)}: "
            f"choose another mine_split (val and test can be mined, but are never weighted) or split_field"
        )
    for field, what, cure in (
        (settings.pred_field, "predictions", "run a model on them first, or choose another pred_field"),
        (
            *(settings.gt_field, "ground truth"),
            "mining needs labelled samples; choose another gt_field or view, or say unlabelled='background' if it is "
            "known that they hold no object",
        ),
    ):
        pool = field == settings.gt_field and settings.unlabelled == "background"
        if not pool and not any_sample(chosen, _has_boxes(field)):
            raise ValueError(f"field {field!r} has no {what} in the {chosen.count()} samples to mine: {cure}")
    return chosen


def check_proposable(samples: SampleCollection, pred_field: str) -> None:
    """Refuse samples without any prediction. Fast enough for every keystroke.

    Raises:
        ValueError: naming what is missing, and what to do.
    """
    check_fields(samples, pred_field)
    for stage in getattr(samples, "_stages", ()):
        if isinstance(stage, RENAMING) and stage.field in _class_paths(pred_field):
            raise ValueError(
                f"this view renames classes of {pred_field!r} ({type(stage).__name__}), and reviews would not find "
                f"their objects: mine without this stage"
            )
    if not any_sample(samples, _has_boxes(pred_field)):
        what = f"field {pred_field!r} has no predictions in these {samples.count()} samples: run a model on them first"
        raise ValueError(
            what if any_sample(samples) else "the view has no samples: clear its filters, or choose another"
        )


def check_shapes(samples: SampleCollection, *fields: str) -> None:
    """Refuse samples with boxes or tags of another shape than FiftyOne gives them, which no write could reach.

    This scans the stored samples: not for forms.

    Raises:
        ValueError: naming the field, how many samples, and the first of them.
    """
    collection, odd = access.collection(samples), {field: _odd(field) for field in fields}
    if collection.find_one({"$or": [each for queries in odd.values() for each in queries]}, ["_id"]) is None:
        return  # the usual case, after one query
    for field, queries in odd.items():
        found = {each["_id"] for each in collection.find({"$or": queries}, ["_id"])}
        if found and getattr(samples, "_stages", None):
            found &= set(samples.select([str(i) for i in found]).values("_id"))
        if found:
            raise ValueError(
                f"{len(found)} samples (first {min(found)}) hold in field {field!r} no list of boxes, or tags that are "
                f"no list: FiftyOne cannot load them either; write these values anew, or leave the samples out"
            )


def shared_id(field: str) -> str:
    """Return what boxes have that share their id, and what helps."""
    boxes = f"sample[{field!r}].detections"
    return (
        f"the id of another box of the field, so that a review, a tag or an edit of one would be one of both. Give "
        f"them ids of their own, as copies have: {boxes} = [box.copy() for box in {boxes}]"
    )


def _odd(field: str) -> list[dict[str, Any]]:
    """Return queries, one of which a sample fulfils whose boxes or tags FiftyOne cannot load."""
    boxes, tags = f"{field}.detections", {"tags": _neither("array", "null")}
    lists = [{field: _neither("object", "null")}, {field: {"$type": "array"}}, {boxes: _neither("array", "null")}]
    items = [{boxes: {"$elemMatch": {"$not": {"$type": "object"}}}}, {boxes: {"$elemMatch": tags}}]
    return [*lists, *items, tags]


def _neither(*types: str) -> dict[str, Any]:
    """Return the query of a value that is there and of none of these types."""
    return {"$exists": True, "$not": {"$type": list(types)}}


def _check_classes(samples: SampleCollection, settings: RunSettings) -> None:
    """Refuse views that rename classes: reviews use the stored names, so they would not find their objects.

    Raises:
        ValueError: naming the stage, and what to use instead.
    """
    renamed = {path: field for field in (settings.pred_field, settings.gt_field) for path in _class_paths(field)}
    for stage in getattr(samples, "_stages", ()):
        if isinstance(stage, RENAMING) and stage.field in renamed:
            raise ValueError(
                f"this view renames classes of {renamed[stage.field]!r} ({type(stage).__name__}), and reviews would "
                f"not find their objects: mine without this stage, and use class_map, prediction class → truth class"
            )


def _class_paths(field: str) -> tuple[str, str]:
    return field, f"{field}.detections.label"


def any_sample(samples: SampleCollection, *conditions: dict[str, Any], among: int | None = None) -> bool:
    """Return whether any sample, or any of the first ``among``, fulfils all conditions on stored values."""
    limit = [] if among is None else [{"$limit": among}]
    first = [*limit, *({"$match": condition} for condition in conditions), {"$limit": 1}, {"$project": {"_id": 1}}]
    return any(True for _ in samples._aggregate(post_pipeline=first))


def any_stored(samples: SampleCollection, *conditions: dict[str, Any], among: int | None = None) -> bool:
    """Return the same for the stored samples, whatever fields or labels the view hides."""
    collection = access.collection(samples)
    narrowed = getattr(samples, "_stages", ()) or among is not None
    ids = (samples if among is None else samples.limit(among)).values("_id") if narrowed else [None]
    for start in range(0, len(ids), AT_ONCE):
        which = {"_id": {"$in": ids[start : start + AT_ONCE]}} if narrowed else {}
        if collection.find_one({"$and": [which, *conditions]}, ["_id"]) is not None:
            return True
    return False


def count_within(samples: SampleCollection, milliseconds: int) -> int | None:
    """Count the samples, or return None if the database needs longer."""
    pipeline = samples._pipeline(post_pipeline=[{"$count": "n"}])
    try:
        found = list(access.collection(samples).aggregate(pipeline, maxTimeMS=milliseconds))
    except ExecutionTimeout:
        return None
    return int(found[0]["n"]) if found else 0


def first_values(dataset: fo.Dataset, path: str, among: int = 100) -> list[str]:
    """Return the values of a list field in the first samples, sorted; a form has no time to read all samples."""
    first = [{"$limit": among}, {"$project": {"value": f"${path}"}}, {"$unwind": "$value"}]
    found = access.collection(dataset).aggregate([*first, {"$group": {"_id": "$value"}}])
    return sorted(str(row["_id"]) for row in found if row["_id"] is not None)


def _has_boxes(field: str) -> dict[str, Any]:
    return {f"{field}.detections.0": {"$exists": True}}


def _splitter(settings: RunSettings) -> str:
    return f"field {settings.split_field!r}" if settings.split_field else "sample tags"


def hidden_notes(samples: SampleCollection) -> list[str]:
    """Return a note on a view that shows only some of the boxes of its samples."""
    hiding = sorted({type(stage).__name__ for stage in getattr(samples, "_stages", ()) if isinstance(stage, HIDING)})
    if not hiding:
        return []
    names = ", ".join(hiding)
    return [
        f"this view hides boxes ({names}): rates and weights are computed from the visible ones only; clear the "
        f"view to mine all"
    ]


def split_notes(samples: SampleCollection, chosen: Any, settings: RunSettings) -> list[str]:
    """Return notes on samples that the split leaves out, and on those that count as train without a split."""
    total, count, by = samples.count(), chosen.count(), _splitter(settings)
    notes = []
    if count < total:
        why = "held-out images are never weighted" if settings.weighs else "a run mines one split"
        notes.append(
            f"{total - count} of {total} samples are not in split {settings.mine_split!r} by {by} and are left out: "
            f"{why}"
        )
    unsaid = views.without_split(chosen, settings.split_field).count() if settings.weighs else 0
    if unsaid:
        notes.append(f"{unsaid} of {count} samples have no split by {by}: they count as train")
    if not settings.weighs:
        notes.append("this run mines a held-out split to monitor it: it writes no weights and tags no samples")
    return notes
