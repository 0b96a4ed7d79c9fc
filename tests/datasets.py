"""Datasets of a few boxes, built from the scenes of ``scenes.py`` in the FiftyOne database of the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import fiftyone as fo
from PIL import Image

from fiftyone_plugin.store import model_record
from fiftyone_plugin.store.lock import lease
from hnm_core import Detections

from .scenes import Tables, everything_at_once

SIDE = 1024
"""What a scene's unit is divided by: a power of two, so that every IoU stays exactly what it was."""

MINE, VIEW, TRIAGE, SHEET, APPLY, ACCEPT, MEND, EXPORT, DELETE, RENAME, PROPOSE = (
    f"@hnm/hard-negative-mining/{name}"
    for name in (
        "mine_hard_negatives",
        "view_hard_negatives",
        "triage_hard_negatives",
        "review_sheet",
        "apply_reviews",
        "accept_missing_labels",
        "mend_labels",
        "export_weighted_subset",
        "delete_mining_run",
        "rename_mining_run",
        "mine_without_truth",
    )
)
FIELDS = {"pred_field": "predictions", "gt_field": "ground_truth"}

_numbers = count()


def dataset_of(
    tables: Tables | None = None, folder: Path | None = None, tags: Mapping[str, Sequence[str]] | None = None
) -> fo.Dataset:
    """A dataset of a scene: fields ``predictions`` and ``ground_truth``, a sample per image, in order.

    Args:
        tables: both tables; None for one image per name that a row can have.
        folder: where to put small real images; None for paths to nothing.
        tags: tags of single images by name.
    """
    predictions, truth = tables or everything_at_once()
    dataset = fo.Dataset(f"scene_{next(_numbers)}")
    samples = []
    for number, name in enumerate(truth.images):
        path = (folder or Path("nowhere")) / f"{name}.jpg"
        if folder:
            Image.new("RGB", (32, 24), (40 * number % 256, 80, 120)).save(path)
        sample = fo.Sample(filepath=str(path), tags=list((tags or {}).get(name, ())))
        sample["predictions"] = _detections(predictions, number)
        sample["ground_truth"] = _detections(truth, number)
        samples.append(sample)
    dataset.add_samples(samples)
    return dataset


def by_name(samples: Any) -> dict[str, fo.Sample]:
    """Samples by the name of their image."""
    return {Path(sample.filepath).stem: sample for sample in samples}


def stored(dataset: fo.Dataset) -> dict[str, Any]:
    """Everything a run may change, as the database holds it: documents, schema, indexes and runs."""
    documents = list(dataset._sample_collection.find({}, {"last_modified_at": 0}))
    schema = {path: type(field) for path, field in dataset.get_field_schema(flat=True).items()}
    return {"documents": documents, "schema": schema, "indexes": dataset.list_indexes(), "runs": dataset.list_runs()}


@contextmanager
def being(dataset: fo.Dataset, key: str, state: str = "writing") -> Iterator[None]:
    """Make a run look as while an operator is writing it, and afterwards as one that died left it."""
    with lease(dataset, f"run:{key}", operator="mine_hard_negatives") as held:
        held.begin(f"run:{key}", state, {})
        yield


def note_models(dataset: fo.Dataset, field: str, known: list[dict[str, Any]]) -> None:
    """Record which models predicted into a field."""
    with lease(dataset, f"field:{field}", operator="predict_with_yolo") as held:
        model_record.declare(held, dataset, field, known)
    dataset.reload()


def _detections(table: Detections, image: int) -> fo.Detections:
    found = []
    for row in (table.image == image).nonzero()[0]:
        x0, y0, x1, y1 = table.xyxy[row].tolist()
        box = [x0 / SIDE, y0 / SIDE, (x1 - x0) / SIDE, (y1 - y0) / SIDE]
        detection = fo.Detection(label=table.classes[table.label[row]], bounding_box=box)
        if table.score is not None:
            detection.confidence = float(table.score[row])
        if table.is_crowd()[row]:
            detection["iscrowd"] = 1  # dynamic, and not declared in the schema
        found.append(detection)
    return fo.Detections(detections=found)
