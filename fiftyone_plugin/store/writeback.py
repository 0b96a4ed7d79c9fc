"""Write a mining result into fields and tags of the dataset.

The update of one sample, and the guard that keeps it from overwriting an edit made meanwhile, are in ``updates``.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from hnm_core import MiningResult

from ..settings import RunSettings
from . import access, checks, schema, tags
from .access import Fence
from .box_tables import Tables, ids_of
from .updates import Ids, Job

CHUNK = 250
"""Samples per bulk write: some megabytes."""

WRITERS = 2
"""Parallel bulk writes, so that the server writes one while the next is prepared."""

ATTEMPTS = 3
"""How often a sample that is edited meanwhile is tried."""

OBJECT_FIELDS = {
    "error": (fo.StringField, "Error type of this object, or its row name"),
    "difficulty": (fo.FloatField, "Difficulty of the mistake, 0 to 1"),
    "iou": (fo.FloatField, "Best IoU with a box of the other side"),
    "near_id": (fo.StringField, "Id of the box with that IoU"),
    "suspicion": (fo.FloatField, "Estimated probability that the label is wrong, not the model"),
    "state": (fo.StringField, "Review state of a hard negative"),
}
NEAREST = ("iou", "near_id")
"""Fields of objects that name the nearest box of the other side: a run without ground truth has none."""

SAMPLE_FIELDS = {
    "score": (fo.FloatField, "Difficulty of the mistakes in this image, 0 to 1"),
    "weight": (fo.FloatField, "Sample weight for training, 1 or more"),
    "count": (fo.IntField, "Hard negatives in this image"),
}


def fields_of(key: str, settings: RunSettings) -> dict[str, tuple[type, str]]:
    """Return every field that a run of this key writes: path → type and description."""
    of_objects = {
        f"{field}.detections.{key}_{name}": kind
        for field in (settings.pred_field, settings.gt_field)
        for name, kind in OBJECT_FIELDS.items()
        if not (settings.without_truth and name in NEAREST)
    }
    own: dict[str, tuple[type, str]] = (
        {settings.gt_field: (fo.Detections, checks.MISSED)} if settings.without_truth else {}
    )
    of_samples = {name: kind for name, kind in SAMPLE_FIELDS.items() if name != "weight" or settings.weighs}
    return own | of_objects | {f"{key}_{name}": kind for name, kind in of_samples.items()}


def tags_of(settings: RunSettings) -> list[str]:
    """Return the paths of the tags that a run with these settings may change."""
    fields = () if settings.without_truth else (settings.pred_field, settings.gt_field)
    return [*(f"{field}.detections.tags" for field in fields), *(["tags"] if settings.weighs else [])]


def save(
    fence: Fence,
    dataset: fo.Dataset,
    job: Job,
    settings: RunSettings,
    ours: tags.Held,
    images: NDArray[np.bool_] | None = None,
) -> None:
    """Declare the fields of the run, write them, tag hard samples and objects, and index the image score.

    Args:
        fence: the right to write.
        dataset: the dataset.
        job: what to write.
        settings: the settings of the run.
        ours: what the run tags itself, as its list of tags holds it.
        images: ``(images,)`` bool, which to write; None for all.

    Raises:
        RuntimeError: if samples are edited all the time; what was written must then be removed by the caller.
    """
    fields = fields_of(settings.run_key, settings)
    schema.declare(fence, dataset, fields)
    tags.tag_null(fence, dataset, ours)
    chosen = np.ones(len(job.sample_ids), dtype=bool) if images is None else images
    _write_all(fence, access.collection(dataset), job, chosen)
    fence.check()
    access.collection(dataset).create_index(f"{settings.run_key}_score")
    schema.declare(fence, dataset, fields)  # somebody may have saved the schema as it was before


def to_tag(tables: Tables, result: MiningResult, settings: RunSettings) -> tags.Tagged:
    """Return what a run tags: its hard samples, unless they are held out, and its mined objects; no proposals."""
    if settings.without_truth:
        return tags.Tagged([], [])
    images = np.flatnonzero(result.hard_images) if settings.weighs else ()
    predictions, truths = ids_of(tables.predictions, result.prediction_hard), ids_of(tables.truth, result.truth_hard)
    labels = [(settings.pred_field, i) for i in predictions] + [(settings.gt_field, i) for i in truths]
    return tags.Tagged([str(tables.sample_ids[i]) for i in images], labels)


def _write_all(fence: Fence, collection: Any, job: Job, images: NDArray[np.bool_]) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        try:
            for done in [pool.submit(_write, fence, collection, job, chunk) for chunk in _chunks(images)]:
                done.result()
        except BaseException:  # nothing may be written while the caller removes what was written
            pool.shutdown(cancel_futures=True)
            raise


def _chunks(images: NDArray[np.bool_]) -> list[list[range]]:
    """Return the images to write as ranges of neighbours, as many together as one bulk write takes."""
    rows = np.flatnonzero(images)
    breaks = np.flatnonzero((np.diff(rows) > 1) | (np.arange(1, len(rows)) % CHUNK == 0)) + 1 if len(rows) else ()
    chunks: list[list[range]] = []
    room = 0
    for part in np.split(rows, breaks) if len(rows) else ():
        if len(part) > room:
            chunks.append([])
            room = CHUNK
        chunks[-1].append(range(int(part[0]), int(part[-1]) + 1))
        room -= len(part)
    return chunks


def _write(fence: Fence, collection: Any, job: Job, parts: Sequence[range]) -> None:
    """Write these images. If a guard fails, read the positions of the boxes again and write all of them again."""
    lists = [job.read(images) for images in parts]
    for _ in range(ATTEMPTS):
        updates = [update for images, of_part in zip(parts, lists, strict=True) for update in job.of(images, of_part)]
        fence.check()
        if not updates or collection.bulk_write(updates, ordered=False).matched_count == len(updates):
            return
        for images in parts:
            job.doubt(images)
        lists = [_lists_now(collection, job, images) for images in parts]
    raise RuntimeError(
        f"samples are being edited while they are written, between {job.sample_ids[parts[0][0]]} and "
        f"{job.sample_ids[parts[-1][-1]]}: mine again when nobody else edits this dataset"
    )


def _lists_now(collection: Any, job: Job, images: Sequence[int]) -> dict[int, list[Ids]]:
    """Return, per image that still exists, the ids of its lists in the database now."""
    number = {job.sample_ids[i]: i for i in images}
    paths = {f"{side.path}._id": 1 for side in job.sides}
    return {
        number[document["_id"]]: [
            [box["_id"].binary for box in (document.get(side.field) or {}).get("detections") or ()]
            for side in job.sides
        ]
        for document in collection.find({"_id": {"$in": list(number)}}, paths)
    }
