"""What mining found → fields and tags of the dataset, and all of it away again. The only writer.

Everything one sample gets is one update, guarded by the ids its lists held when they were read, so that an edit made
meanwhile is never overwritten. Objects are set by their place in the list: one float on every object takes FiftyOne's
own ``set_values`` about twenty times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import fiftyone as fo
import numpy as np
from bson import ObjectId
from fiftyone.core.sample import Sample
from numpy.typing import NDArray
from pymongo import UpdateOne

from hnm_core import Detections, MiningResult

from .bridge import Lists, Tables, ids_of
from .settings import RunSettings

TAG = "hard_negative"
CHUNK = 1000
"""Samples to a bulk write: a few megabytes."""

ATTEMPTS = 3
"""How often a sample that someone else edits meanwhile is aligned anew."""

OBJECT_FIELDS = {
    "error": (fo.StringField, "What kind of mistake this object is"),
    "difficulty": (fo.FloatField, "How hard a mistake it is, 0 to 1"),
    "iou": (fo.FloatField, "Best overlap with a box of the other side"),
    "near_id": (fo.StringField, "Id of the box with that overlap"),
    "suspicion": (fo.FloatField, "Probability that the label is wrong rather than the model"),
    "state": (fo.StringField, "Review state of a hard negative"),
}
SAMPLE_FIELDS = {
    "score": (fo.FloatField, "How hard the mistakes in this image are, 0 to 1"),
    "weight": (fo.FloatField, "Sample weight for training, 1 and up"),
    "count": (fo.IntField, "Hard negatives in this image"),
}


class Tagged(NamedTuple):
    """Ids of samples and of labels that carry the tag."""

    samples: list[str]
    labels: list[str]


def fields_of(key: str, settings: RunSettings) -> dict[str, tuple[type, str]]:
    """Every field a run of this key writes: path → type and description."""
    of_objects = {
        f"{field}.detections.{key}_{name}": kind
        for field in (settings.pred_field, settings.gt_field)
        for name, kind in OBJECT_FIELDS.items()
    }
    of_samples = {name: kind for name, kind in SAMPLE_FIELDS.items() if name != "weight" or settings.weighs}
    return of_objects | {f"{key}_{name}": kind for name, kind in of_samples.items()}


def save(dataset: Any, tables: Tables, result: MiningResult, settings: RunSettings) -> None:
    """Declare the fields of the run, write them, tag what is hard, and index the image score.

    Raises:
        RuntimeError: if samples keep changing under the writer's hands; what was written is left to be undone.
    """
    for path, (kind, description) in fields_of(settings.run_key, settings).items():
        dataset.add_sample_field(path, kind, description=description)  # undeclared, it would break loading samples
    job = _Job(tables, result, settings)
    _mend_tags(dataset._sample_collection, job)
    for start in range(0, len(tables.sample_ids), CHUNK):
        _write(dataset._sample_collection, job, range(start, min(start + CHUNK, len(tables.sample_ids))))
    dataset.create_index(f"{settings.run_key}_score")
    _reload(dataset)


def to_tag(tables: Tables, result: MiningResult, settings: RunSettings) -> Tagged:
    """What a run tags: its hard samples, unless they are held out, and its mined objects."""
    images = np.flatnonzero(result.hard_images) if settings.weighs else ()
    labels = [*ids_of(tables.predictions)[result.prediction_hard], *ids_of(tables.truth)[result.truth_hard]]
    return Tagged([str(tables.sample_ids[i]) for i in images], list(map(str, labels)))


def tagged_already(dataset: Any, settings: RunSettings) -> Tagged:
    """What carries the tag now, whoever put it there."""
    collection = dataset._sample_collection
    samples = [str(document["_id"]) for document in collection.find({"tags": TAG}, {"_id": 1})]
    labels: list[str] = []
    for field in (settings.pred_field, settings.gt_field):
        path = f"{field}.detections"
        for document in collection.find({f"{path}.tags": TAG}, {f"{path}._id": 1, f"{path}.tags": 1}):
            boxes = document[field]["detections"]
            labels.extend(str(box["_id"]) for box in boxes if TAG in (box.get("tags") or ()))
    return Tagged(samples, labels)


def erase(dataset: Any, fields: Iterable[str]) -> None:
    """Remove these fields, values and declaration, and nothing else.

    One ``$unset`` for all attributes of a list; FiftyOne's own deletion of a dozen attributes takes a hundred times as
    long.
    """
    declared = [path for path in fields if dataset.get_field(path) is not None]
    within = [path for path in declared if "." in path]
    for field in {path.rpartition(".")[0] for path in within}:
        leaves = {f"{field}.$[].{path.rpartition('.')[2]}": "" for path in within if path.startswith(f"{field}.")}
        dataset._sample_collection.update_many({field: {"$type": "array"}}, {"$unset": leaves, "$set": _now()})
    if within:
        dataset.remove_dynamic_sample_fields(within)
    of_samples = [path for path in declared if "." not in path]
    if of_samples:
        dataset.delete_sample_fields(of_samples)
    _reload(dataset)


def untag(dataset: Any, tagged: Tagged, fields: Iterable[str]) -> None:
    """Take the tag from these samples, and from these labels in the fields of Detections given."""
    collection = dataset._sample_collection
    for some in _chunks(tagged.samples):
        collection.update_many({"_id": {"$in": some}}, {"$pull": {"tags": TAG}, "$set": _now()})
    for some in _chunks(tagged.labels):
        for field in fields:
            collection.update_many(
                {f"{field}.detections.tags": TAG},
                {"$pull": {f"{field}.detections.$[label].tags": TAG}, "$set": _now()},
                array_filters=[{"label._id": {"$in": some}, "label.tags": TAG}],
            )
    _reload(dataset)


class _Side:
    """What is written on the boxes of one field: per row and attribute a value, None for none."""

    def __init__(self, name: str, table: Detections, other: Detections, lists: Lists, result: MiningResult) -> None:
        def column(attribute: str) -> Any:
            return getattr(result, f"{name}_{attribute}")

        self.field, self.path, self.lists = lists.field, f"{lists.field}.detections", lists.ids
        self.image, self.ids, self.hard = table.image, ids_of(table), column("hard")
        near = ids_of(other)
        self.start = np.searchsorted(table.image, np.arange(len(table.images) + 1)).tolist()
        self.columns = {
            "error": column("error").tolist(),
            "difficulty": _present(column("difficulty")),
            "iou": column("iou").tolist(),
            "near_id": [str(near[row]) if row >= 0 else None for row in column("near").tolist()],
            "suspicion": _present(column("suspicion")),
            "state": ["unreviewed" if hard else None for hard in self.hard.tolist()],
        }


class _Job:
    """Everything one run writes, in plain Python values."""

    def __init__(self, tables: Tables, result: MiningResult, settings: RunSettings) -> None:
        self.key, self.sample_ids = settings.run_key, tables.sample_ids
        self.tagged = result.hard_images & settings.weighs
        self.sides = (
            _Side("prediction", tables.predictions, tables.truth, tables.prediction_lists, result),
            _Side("truth", tables.truth, tables.predictions, tables.truth_lists, result),
        )
        self.columns = {"score": result.image_scores.tolist(), "count": result.hard_counts.tolist()}
        if settings.weighs:
            self.columns["weight"] = result.weights.tolist()

    def ids(self, images: NDArray[Any]) -> list[Any]:
        """Sample ids of the images, given as a mask or as row numbers."""
        chosen = np.flatnonzero(images) if images.dtype == bool else np.unique(images)
        return [self.sample_ids[i] for i in chosen.tolist()]

    def update(self, image: int, lists: Sequence[list[Any]]) -> UpdateOne:
        """The one update of a sample whose lists hold these ids; a box that is gone from its list is passed over."""
        values = {f"{self.key}_{name}": column[image] for name, column in self.columns.items()} | _now()
        tags = {"tags": TAG} if self.tagged[image] else {}
        guards = []
        for side, ids in zip(self.sides, lists, strict=True):
            place = {box: n for n, box in enumerate(ids)}
            if place:
                guards.append({"$eq": [f"${side.path}._id", ids]})
            for row in range(side.start[image], side.start[image + 1]):
                n = place.get(side.ids[row])
                if n is None:
                    continue
                for name, column in side.columns.items():
                    if column[row] is not None:
                        values[f"{side.path}.{n}.{self.key}_{name}"] = column[row]
                if side.hard[row]:
                    tags[f"{side.path}.{n}.tags"] = TAG
        change: dict[str, Any] = {"$set": values, "$addToSet": tags} if tags else {"$set": values}
        return UpdateOne({"_id": self.sample_ids[image], "$expr": {"$and": guards}}, change)


def _write(collection: Any, job: _Job, images: Sequence[int]) -> None:
    """Write these images; where the guard misses, look where the boxes stand now, and write all of them again."""
    lists = {i: [side.lists[i] for side in job.sides] for i in images}
    for _ in range(ATTEMPTS):
        updates = [job.update(i, ids) for i, ids in lists.items()]
        if not updates or collection.bulk_write(updates, ordered=False).matched_count == len(updates):
            return
        lists = _lists_now(collection, job, images)
    raise RuntimeError(
        f"samples are being edited while they are written, between {job.sample_ids[images[0]]} and "
        f"{job.sample_ids[images[-1]]}: mine again when nobody else works on this dataset"
    )


def _lists_now(collection: Any, job: _Job, images: Sequence[int]) -> dict[int, list[list[Any]]]:
    """Per image that still exists, the ids of its lists as they stand in the database."""
    number = {job.sample_ids[i]: i for i in images}
    paths = {f"{side.path}._id": 1 for side in job.sides}
    return {
        number[document["_id"]]: [
            [box["_id"] for box in (document.get(side.field) or {}).get("detections") or ()] for side in job.sides
        ]
        for document in collection.find({"_id": {"$in": list(number)}}, paths)
    }


def _mend_tags(collection: Any, job: _Job) -> None:
    """Nothing can be added to tags that are null, as some importers leave them: make them empty lists."""
    collection.update_many({"_id": {"$in": job.ids(job.tagged)}, "tags": None}, {"$set": {"tags": []}})
    null = {"$type": "null"}
    for side in job.sides:
        collection.update_many(
            {"_id": {"$in": job.ids(side.image[side.hard])}, side.path: {"$elemMatch": {"tags": null}}},
            {"$set": {f"{side.path}.$[label].tags": []}},
            array_filters=[{"label.tags": null}],
        )


def _present(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # NaN is unlike itself


def _now() -> dict[str, datetime]:
    return {"last_modified_at": datetime.now(timezone.utc)}


def _chunks(ids: Sequence[str], size: int = 100_000) -> Iterator[list[ObjectId]]:
    return ([ObjectId(i) for i in ids[start : start + size]] for start in range(0, len(ids), size))


def _reload(dataset: Any) -> None:
    """Let samples that are in memory see what was written behind their back."""
    Sample._reload_docs(dataset._sample_collection_name)
