"""Predict with a detector into a field of Detections, and keep the low confidences, which mining needs.

Everything is predicted before anything is written: a run that fails leaves the dataset as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.io.progress import Progress, silent
from hnm_core.settings import Options, option
from hnm_core.training.detecting import BATCH, detect
from hnm_core.training.plan import DEVICE, TrainingPlan

from ..store import access, blocks, journal, model_record, schema
from ..store.access import ObjectId, UpdateOne
from ..store.journal import FIELD
from ..store.lock import Lease, lease
from . import checkpoints

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.core.collections import SampleCollection

CHUNK = 500
"""Samples per bulk write."""


@dataclass(frozen=True)
class PredictSettings(Options):
    """How to predict; ``overwrite`` and ``download`` are what only a person may decide."""

    confidence: float = option(
        TrainingPlan().confidence,
        "Boxes with less confidence are dropped; set it low, so that mining can distinguish a missed object from a "
        "correct box with a low score",
        label="Lowest confidence",
        low=0,
        high=1,
        main=True,
    )
    imgsz: int = option(
        0,
        "Longer side to which images are scaled; 0: as the checkpoint was trained",
        label="Image size",
        unit="pixels",
        low=0,
        main=True,
    )
    batch: int = option(BATCH, "Images predicted at once", label="Batch", low=1, main=True)
    device: Any = option(None, DEVICE, label="Device", kind="any", main=True)
    overwrite: bool = option(
        False, "Replace the boxes that the field holds in these samples", label="Replace the boxes"
    )
    download: bool = option(
        False,
        "There is no such file: fetch the checkpoint of this name from Ultralytics' releases on github.com",
        label="Download it",
    )


DEFAULTS = PredictSettings()


def predict(
    samples: SampleCollection,
    model_path: str | Path,
    field: str,
    confidence: float = DEFAULTS.confidence,
    imgsz: int | None = None,
    batch: int = DEFAULTS.batch,
    device: str | None = None,
    *,
    overwrite: bool = False,
    download: bool = False,
    progress: Progress = silent,
    held: Lease | None = None,
) -> dict[str, Any]:
    """Predict on the images of a dataset or view, and keep the boxes in a field.

    Loading a checkpoint can run code in it: only the file named here is loaded.

    Args:
        samples: a dataset or a view of images.
        model_path: an Ultralytics checkpoint (``.pt``).
        field: a new field, or an existing one of predictions, of type Detections.
        confidence: the lowest confidence that is kept, in ``[0, 1]``.
        imgsz: longer side in pixels that images are scaled to; None for the size that the checkpoint was trained with.
        batch: images predicted at once.
        device: as Ultralytics names it, ``cpu`` or ``0``; None for a GPU if available, else the CPU.
        overwrite: replace the boxes that the field has in these samples.
        download: download a checkpoint of Ultralytics, such as ``yolo11n.pt``, if there is no such file.
        progress: called with the share done, in [0, 1], and a label.
        held: the lease of the field, if the caller has it.

    Returns:
        ``field``, ``model`` (its record), numbers of ``samples``, ``images_read``, ``detections``, and
        ``warnings`` as sentences; JSON-clean.

    Raises:
        ValueError: if the field or the model is invalid, or no image can be read.
        FileNotFoundError: if there is no such checkpoint.
    """
    import fiftyone as fo

    asked = PredictSettings(confidence, imgsz or 0, batch, device, overwrite, download)
    overwrite, download, imgsz = asked.overwrite, asked.download, asked.imgsz or None
    dataset, name = access.root(samples), f"{FIELD}{field}"
    with lease(dataset, name, operator="predict_with_yolo", held=held) as held:
        check_field(samples, field, overwrite=overwrite)
        sample_ids, files = samples.values(["_id", "filepath"])
        if not files:
            raise ValueError("the view has no samples: clear its filters, or choose another target view")
        path = checkpoints.find_model(model_path, download=download)
        progress(0.0, f"Loading {path.name}, which may run code")
        model = checkpoints.load(path)
        found: list[NDArray[np.float32] | None] = []
        options = {"conf": confidence, "imgsz": imgsz, "device": device}
        for boxes in detect(model, files, batch=batch, **{k: v for k, v in options.items() if v is not None}):
            found.append(boxes)
            if len(found) % batch == 0:
                progress(0.95 * len(found) / len(files), f"Predicting: {len(found):,} of {len(files):,} images")
        unread = [file for file, boxes in zip(files, found, strict=True) if boxes is None]
        if len(unread) == len(files):
            raise ValueError(f"none of the {len(files)} images can be read (first: {files[0]!r})")
        progress(0.95, "Writing boxes")
        known = model_record.record_of(model, path, confidence, imgsz) | {"samples": len(files) - len(unread)}
        others = [] if _covers(samples, field) else model_record.models_of(dataset, field)
        held.begin(name, "predicting", {"fields": [field]})
        schema.declare(held, dataset, {field: (fo.Detections, "")})
        _write(held, dataset, field, sample_ids, found, model.names)
        model_record.declare(held, dataset, field, [*others, known])
        held.finish(name, {}, keep=False)
    access.refresh(dataset)
    progress(1.0, "Done")
    return {
        "field": field,
        "model": known,
        "samples": len(files),
        "images_read": len(files) - len(unread),
        "detections": sum(len(boxes) for boxes in found if boxes is not None),
        "warnings": [*_unread_note(unread, len(files)), *_stale_notes(dataset, field), _seen_note(model, files)],
    }


def check_field(samples: SampleCollection, field: str, *, overwrite: bool = False, among: int | None = None) -> None:
    """Refuse a field that cannot take predictions, before any work is done.

    ``among`` limits the check to the first samples, for a form that has no time for all.

    Raises:
        ValueError: saying why.
    """
    from ..store import checks, views

    checks.check_fields(samples)
    schema.check_name(field, "pred_field")
    dataset = access.root(samples)
    note = journal.read(dataset, f"{FIELD}{field}")
    if dataset.get_field(field) is None or (note is not None and note.state == "predicting"):
        return
    checks.check_fields(views.images_of(dataset), field)
    path = f"{field}.detections"
    schema.check_writable(dataset, [path])
    if checks.any_stored(samples, {path: {"$elemMatch": {"confidence": None}}}, among=among):
        raise ValueError(
            f"field {field!r} has boxes without confidence, so it seems to be ground truth: choose another field"
        )
    if not overwrite and checks.any_stored(samples, {f"{path}.0": {"$exists": True}}, among=among):
        raise ValueError(f"field {field!r} already has boxes in these samples: choose another field, or set overwrite")


def _covers(samples: SampleCollection, field: str) -> bool:
    """Return whether no other sample has a value in the field."""
    from ..store import views

    dataset = access.root(samples)
    if dataset.get_field(field) is None:
        return True
    return bool(samples.exists(field).count() == views.images_of(dataset).exists(field).count())


def _write(
    held: Lease,
    dataset: fo.Dataset,
    field: str,
    ids: Sequence[Any],
    found: Sequence[NDArray[np.float32] | None],
    names: dict[int, str],
) -> None:
    """Write whole lists directly into the database, without one Python object per box as FiftyOne would make."""
    import fiftyone as fo

    from ..store.updates import now

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
        blocks.write(held, dataset, updates)


def _unread_note(unread: Sequence[str], images: int) -> list[str]:
    if not unread:
        return []
    missing = sum(not Path(file).is_file() for file in unread)
    return [
        f"{len(unread)} of {images} images cannot be read ({missing} missing, {len(unread) - missing} damaged) and "
        f"have no predictions (first: {unread[0]!r})"
    ]


def _stale_notes(dataset: fo.Dataset, field: str) -> list[str]:
    from ..runs import records

    old = [record.key for record in records.usable(dataset) if record.settings.pred_field == field]
    if not old:
        return []
    return [f"mining runs {', '.join(map(repr, old))} describe the previous boxes of {field!r}: mine again"]


def _seen_note(model: Any, files: Sequence[str]) -> str:
    """Tell how many of the images the model was trained on, as far as its checkpoint records it."""
    from hnm_core.io.data_yaml import split_images

    data, caution = model_record.training_data(model), "predictions on images that a model was trained on look too good"
    if data is None:
        return f"{caution}, and this checkpoint does not record which images these are"
    try:
        seen = {str(image.resolve()) for image in split_images(Path(data), "train")}
    except (OSError, ValueError, ImportError):
        return f"{caution}; this checkpoint names {data!r}, which cannot be read here"
    known = sum(str(Path(file).resolve()) in seen for file in files)
    if not known:
        return f"none of the {len(files)} images is in the train split of {data!r}, which the model was trained on"
    return f"{caution}: {known} of the {len(files)} images are in the train split of {data!r}"
