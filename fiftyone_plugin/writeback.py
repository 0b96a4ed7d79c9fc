"""What mining found → fields and tags of the dataset, and all of it away again. The only writer.

What one sample gets, and how it is kept from overwriting an edit made meanwhile, is in ``updates``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import fiftyone as fo
import numpy as np
from bson import ObjectId
from fiftyone.core.sample import Sample
from numpy.typing import NDArray

from hnm_core import MiningResult

from .bridge import Tables, ids_of
from .settings import RunSettings
from .updates import TAG, Ids, Job, now

CHUNK = 250
"""Samples to a bulk write: some megabytes."""

WRITERS = 2
"""Bulk writes under way at once, so that the server writes one while the next is made."""

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
    """Ids of samples that carry the tag, and of labels, each with its field: a copy of a field has the same ids."""

    samples: list[str]
    labels: list[tuple[str, str]]

    def without(self, others: Tagged) -> Tagged:
        """What is here alone, in order."""
        samples, labels = set(others.samples), set(others.labels)
        return Tagged([i for i in self.samples if i not in samples], [i for i in self.labels if i not in labels])


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
    declare(dataset, fields_of(settings.run_key, settings))
    job = Job(tables, result, settings)
    _mend_tags(dataset._sample_collection, job)
    _write_all(dataset._sample_collection, job, len(tables.sample_ids))
    dataset.create_index(f"{settings.run_key}_score")
    reload(dataset)


def to_tag(tables: Tables, result: MiningResult, settings: RunSettings) -> Tagged:
    """What a run tags: its hard samples, unless they are held out, and its mined objects."""
    images = np.flatnonzero(result.hard_images) if settings.weighs else ()
    predictions, truths = ids_of(tables.predictions, result.prediction_hard), ids_of(tables.truth, result.truth_hard)
    labels = [(settings.pred_field, i) for i in predictions] + [(settings.gt_field, i) for i in truths]
    return Tagged([str(tables.sample_ids[i]) for i in images], labels)


def tagged_already(dataset: Any, settings: RunSettings) -> Tagged:
    """What carries the tag now, whoever put it there."""
    collection = dataset._sample_collection
    samples = [str(document["_id"]) for document in collection.find({"tags": TAG}, {"_id": 1})]
    labels: list[tuple[str, str]] = []
    for field in (settings.pred_field, settings.gt_field):
        path = f"{field}.detections"
        for document in collection.find({f"{path}.tags": TAG}, {f"{path}._id": 1, f"{path}.tags": 1}):
            boxes = document[field]["detections"]
            labels.extend((field, str(box["_id"])) for box in boxes if TAG in (box.get("tags") or ()))
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
        dataset._sample_collection.update_many({field: {"$type": "array"}}, {"$unset": leaves, "$set": now()})
    if within:
        dataset.remove_dynamic_sample_fields(within)
    of_samples = [path for path in declared if "." not in path]
    if of_samples:
        dataset.delete_sample_fields(of_samples)
    reload(dataset)


def untag(dataset: Any, tagged: Tagged) -> None:
    """Take the tag from these samples and labels."""
    collection = dataset._sample_collection
    for some in _chunks(tagged.samples):
        collection.update_many({"_id": {"$in": some}}, {"$pull": {"tags": TAG}, "$set": now()})
    for field in {field for field, _ in tagged.labels}:
        for some in _chunks([label_id for of_field, label_id in tagged.labels if of_field == field]):
            collection.update_many(
                {f"{field}.detections.tags": TAG},
                {"$pull": {f"{field}.detections.$[label].tags": TAG}, "$set": now()},
                array_filters=[{"label._id": {"$in": some}, "label.tags": TAG}],
            )
    reload(dataset)


def declare(dataset: Any, fields: dict[str, tuple[type, str]]) -> None:
    """Undeclared, they would break loading samples. All at once: one by one, each saves the whole dataset document."""
    dataset._sample_doc_cls.merge_field_schema({path: kind(description=text) for path, (kind, text) in fields.items()})
    dataset._reload()


def _write_all(collection: Any, job: Job, images: int) -> None:
    chunks = [range(start, min(start + CHUNK, images)) for start in range(0, images, CHUNK)]
    with ThreadPoolExecutor(WRITERS) as pool:
        try:
            for done in [pool.submit(_write, collection, job, chunk) for chunk in chunks]:
                done.result()
        except BaseException:  # nothing may be written any more while what was written is undone
            pool.shutdown(cancel_futures=True)
            raise


def _write(collection: Any, job: Job, images: range) -> None:
    """Write these images; where the guard misses, look where the boxes stand now, and write all of them again."""
    lists = job.read(images)
    for _ in range(ATTEMPTS):
        updates = job.of(images, lists)
        if not updates or collection.bulk_write(updates, ordered=False).matched_count == len(updates):
            return
        lists = _lists_now(collection, job, images)
    raise RuntimeError(
        f"samples are being edited while they are written, between {job.sample_ids[images[0]]} and "
        f"{job.sample_ids[images[-1]]}: mine again when nobody else works on this dataset"
    )


def _lists_now(collection: Any, job: Job, images: Sequence[int]) -> dict[int, list[Ids]]:
    """Per image that still exists, the ids of its lists as they stand in the database."""
    number = {job.sample_ids[i]: i for i in images}
    paths = {f"{side.path}._id": 1 for side in job.sides}
    return {
        number[document["_id"]]: [
            [box["_id"].binary for box in (document.get(side.field) or {}).get("detections") or ()]
            for side in job.sides
        ]
        for document in collection.find({"_id": {"$in": list(number)}}, paths)
    }


def _mend_tags(collection: Any, job: Job) -> None:
    """Nothing can be added to tags that are null, as some importers leave them: make them empty lists."""
    collection.update_many(
        {"_id": {"$in": _chosen(job, np.flatnonzero(job.tagged))}, "tags": None}, {"$set": {"tags": []}}
    )
    null = {"$type": "null"}
    for side in job.sides:
        collection.update_many(
            {"_id": {"$in": _chosen(job, np.unique(side.image[side.hard]))}, side.path: {"$elemMatch": {"tags": null}}},
            {"$set": {f"{side.path}.$[label].tags": []}},
            array_filters=[{"label.tags": null}],
        )


def _chosen(job: Job, images: NDArray[Any]) -> list[Any]:
    return [job.sample_ids[i] for i in images.tolist()]


def _chunks(ids: Sequence[str], size: int = 100_000) -> Iterator[list[ObjectId]]:
    return ([ObjectId(i) for i in ids[start : start + size]] for start in range(0, len(ids), size))


def reload(dataset: Any) -> None:
    """Let samples that are in memory see what was written behind their back."""
    Sample._reload_docs(dataset._root_dataset._sample_collection_name)
