"""A detector's predictions → a field of Detections, with the low confidences that mining needs.

Everything is predicted before anything is written: a run that fails leaves the dataset as it was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.training.detecting import BATCH, detect

from . import checkpoints

LEAST_CONFIDENCE = 0.01
"""What is kept by default: recall at low confidences says which misses are right boxes with low scores."""

RECORD = "predicted_by"
"""Where a field's ``info`` keeps which models made it."""

CHUNK = 500
"""Samples to a bulk write."""

Say = Callable[[float, str], None]


def silent(share: float, label: str) -> None:
    """Tell nobody."""


def predict(
    samples: Any,
    model_path: str | Path,
    field: str,
    confidence: float = LEAST_CONFIDENCE,
    imgsz: int | None = None,
    batch: int = BATCH,
    device: str | None = None,
    *,
    overwrite: bool = False,
    download: bool = False,
    progress: Say = silent,
) -> dict[str, Any]:
    """Predict on the images of a dataset or view, and keep the boxes in a field.

    Loading a checkpoint runs what is in it: only the file named here is ever loaded.

    Args:
        samples: a dataset or a view of images.
        model_path: an Ultralytics checkpoint (``.pt``).
        field: a new field, or one of predictions; of type Detections.
        confidence: the lowest confidence that is kept, in ``[0, 1]``.
        imgsz: longer side in pixels that images are scaled to; None for the one the checkpoint was trained with.
        batch: images predicted at once.
        device: as Ultralytics names it, ``cpu`` or ``0``; None for a GPU if there is one.
        overwrite: replace the boxes that the field holds in these samples.
        download: fetch a checkpoint of Ultralytics' own, such as ``yolo11n.pt``, if there is no such file.
        progress: told the share done, and what is being done.

    Returns:
        ``field``, ``model`` (what is recorded of it), numbers of ``samples``, ``images_read``, ``detections``, and
        ``warnings`` in sentences; JSON-clean.

    Raises:
        ValueError: in one sentence, if the field or the model is not fit, or no image can be read.
        FileNotFoundError: if there is no such checkpoint.
    """
    import fiftyone as fo

    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence must lie in [0, 1], got {confidence}")
    if batch < 1:
        raise ValueError(f"batch must be 1 or more images, got {batch}")
    check_field(samples, field, overwrite=overwrite)
    sample_ids, files = samples.values(["_id", "filepath"])
    if not files:
        raise ValueError("the view holds no samples: clear its filters, or choose another target view")
    path = checkpoints.find_model(model_path, download=download)
    progress(0.0, f"Loading {path.name}, which may run code")
    model = checkpoints.load(path)
    found: list[NDArray[np.float32] | None] = []
    asked = {"conf": confidence, "imgsz": imgsz, "device": device}
    for boxes in detect(model, files, batch=batch, **{k: v for k, v in asked.items() if v is not None}):
        found.append(boxes)
        if len(found) % batch == 0:
            progress(0.95 * len(found) / len(files), f"{len(found):,} of {len(files):,} images")
    unread = [file for file, boxes in zip(files, found, strict=True) if boxes is None]
    if len(unread) == len(files):
        raise ValueError(f"none of the {len(files)} images can be read, the first is {files[0]!r}")
    progress(0.95, "Writing boxes")
    dataset = samples._root_dataset
    known = record_of(model, path, confidence, imgsz) | {"samples": len(files) - len(unread)}
    others = [] if _covers(samples, field) else models_of(dataset, field)
    if dataset.get_field(field) is None:
        dataset.add_sample_field(field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    _write(dataset, field, sample_ids, found, model.names)
    declare(dataset, field, [*others, known])
    progress(1.0, "Done")
    return {
        "field": field,
        "model": known,
        "samples": len(files),
        "images_read": len(files) - len(unread),
        "detections": sum(len(boxes) for boxes in found if boxes is not None),
        "warnings": [*_unread_note(unread, len(files)), *_stale_notes(dataset, field), _seen_note(model, files)],
    }


def check_field(samples: Any, field: str, *, overwrite: bool = False, among: int | None = None) -> None:
    """Refuse fields that can't take predictions, before any work is done; a form looks at the first samples only.

    Raises:
        ValueError: saying why.
    """
    from . import checks, views

    checks.check_fields(samples)
    if not re.fullmatch(r"[A-Za-z]\w*", field or "", re.ASCII):
        raise ValueError(f"pred_field {field!r} is no name for a field: take letters, digits and underscores")
    dataset = samples._root_dataset
    if dataset.get_field(field) is None:
        return
    checks.check_fields(views.images_of(dataset), field)
    path = f"{field}.detections"
    if checks.any_stored(samples, {path: {"$elemMatch": {"confidence": None}}}, among=among):
        raise ValueError(f"field {field!r} holds boxes without confidence, as ground truth does: choose another field")
    if not overwrite and checks.any_stored(samples, {f"{path}.0": {"$exists": True}}, among=among):
        raise ValueError(f"field {field!r} holds boxes in these samples: choose another field, or set overwrite")


def record_of(model: Any, path: Path, confidence: float, imgsz: int | None) -> dict[str, Any]:
    """What is kept of a model beside its predictions, so that a report can say whose they are."""
    from ultralytics import __version__

    return {
        "model": str(path.resolve()),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "trained_on": _training_data(model),
        "confidence": confidence,
        "imgsz": imgsz or model.overrides.get("imgsz"),
        "ultralytics": __version__,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def declare(dataset: Any, field: str, known: Sequence[dict[str, Any]]) -> None:
    """Keep with a field which models made it, each as :func:`record_of` gives it with its number of ``samples``."""
    declared = dataset.get_field(field)
    declared.info = {**(declared.info or {}), RECORD: list(known)}
    declared.save()


def models_of(dataset: Any, field: str) -> list[dict[str, Any]]:
    """What is recorded of the models that predicted into a field; nothing if others wrote it."""
    found = dataset.get_field(field)
    return list((getattr(found, "info", None) or {}).get(RECORD, ()))


def model_notes(dataset: Any, field: str) -> list[str]:
    """Which models made a field, in sentences."""
    return [
        f"{field!r} was predicted by {Path(known['model']).name} (sha256 {known['sha256'][:12]}) on {known['samples']} "
        f"samples, kept down to confidence {known['confidence']:g}"
        for known in models_of(dataset, field)
    ]


def _training_data(model: Any) -> str | None:
    """What the checkpoint says it was trained on."""
    data = ((getattr(model, "ckpt", None) or {}).get("train_args") or {}).get("data")
    return str(data) if data else None


def _covers(samples: Any, field: str) -> bool:
    """Whether no sample beside these has anything in the field."""
    from . import views

    dataset = samples._root_dataset
    if dataset.get_field(field) is None:
        return True
    return bool(samples.exists(field).count() == views.images_of(dataset).exists(field).count())


def _write(
    dataset: Any, field: str, ids: Sequence[Any], found: Sequence[NDArray[np.float32] | None], names: dict[int, str]
) -> None:
    """Whole lists, straight to the database: FiftyOne's own way takes each box through a Python object."""
    import fiftyone as fo
    from bson import ObjectId
    from fiftyone.core.sample import Sample
    from pymongo import UpdateOne

    from .updates import now

    template = fo.Detection(label="", bounding_box=[0, 0, 0, 0], confidence=0.0).to_dict()

    def document(boxes: NDArray[np.float32]) -> dict[str, Any]:
        rows = zip(boxes[:, :2].tolist(), (boxes[:, 2:4] - boxes[:, :2]).tolist(), boxes[:, 4:].tolist(), strict=True)
        return {
            "_cls": "Detections",
            "detections": [
                {
                    **template,
                    **{"_id": ObjectId(), "attributes": {}, "tags": [], "label": names[int(label)]},
                    **{"bounding_box": [*corner, *size], "confidence": score},
                }
                for corner, size, (score, label) in rows
            ],
        }

    for start in range(0, len(ids), CHUNK):
        some = slice(start, start + CHUNK)
        changes = (
            {field: None if boxes is None else document(boxes.astype(np.float64))} | now() for boxes in found[some]
        )
        updates = [UpdateOne({"_id": i}, {"$set": change}) for i, change in zip(ids[some], changes, strict=True)]
        dataset._sample_collection.bulk_write(updates, ordered=False)
    Sample._reload_docs(dataset._sample_collection_name)


def _unread_note(unread: Sequence[str], images: int) -> list[str]:
    if not unread:
        return []
    missing = sum(not Path(file).is_file() for file in unread)
    return [
        f"{len(unread)} of {images} images can't be read ({missing} missing, {len(unread) - missing} damaged) and have "
        f"no predictions, the first is {unread[0]!r}"
    ]


def _stale_notes(dataset: Any, field: str) -> list[str]:
    from . import runs

    old = [key for key in runs.keys(dataset) if runs.settings_of(dataset, key).pred_field == field]
    if not old:
        return []
    return [f"mining runs {', '.join(map(repr, old))} speak of the boxes that were in {field!r} before: mine again"]


def _seen_note(model: Any, files: Sequence[str]) -> str:
    """How many of the images the model was trained on, as far as its checkpoint lets us know."""
    from hnm_core.io.data_yaml import split_images

    data, flatters = _training_data(model), "predictions on images that a model was trained on flatter it"
    if data is None:
        return f"{flatters}, and this checkpoint does not say which they were"
    try:
        seen = {str(image.resolve()) for image in split_images(Path(data), "train")}
    except (OSError, ValueError, ImportError):
        return f"{flatters}; this checkpoint says {data!r}, which can't be read here"
    known = sum(str(Path(file).resolve()) in seen for file in files)
    if not known:
        return f"none of the {len(files)} images is in the train split of {data!r}, which the model was trained on"
    return f"{flatters}: {known} of the {len(files)} images are in the train split of {data!r}"
