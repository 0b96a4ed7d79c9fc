"""Make a FiftyOne dataset of what ``hnm watch`` wrote, or add to it what is new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F

from hnm_core.live.examples import LEAST_CONFIDENCE
from hnm_core.live.pieces import IMAGES, pieces_of, read_record
from hnm_core.live.tracks import GAP, LISTS

from ..store import access, model_record, schema
from ..store.lock import lease

__all__ = ["FIELD", "KEY", "check_name", "folder_of", "load"]

FIELD, KEY = "predictions", "watch"
"""The field of the model's boxes, and the beginning of every name that says what was found."""

MADE_BY = "hnm_watch"
"""Key in the ``info`` of a dataset: the folder of the watch that it was made of."""

KINDS: Mapping[str, Any] = {"error": fo.StringField, "difficulty": fo.FloatField, "track": fo.StringField}


def folder_of(name: str) -> Path:
    """Return the folder of a dataset where FiftyOne keeps the files of its own ones.

    Raises:
        ValueError: if the name is no name of a folder.
    """
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"{name!r} is no name of a folder: give one with --output DIR")
    return Path(fo.config.default_dataset_dir) / name


def check_name(name: str, folder: Path) -> None:
    """Refuse a dataset that was not made of this folder, before anything is watched.

    Raises:
        ValueError: if there is such a dataset.
    """
    if fo.dataset_exists(name) and fo.load_dataset(name).info.get(MADE_BY) != str(folder.resolve()):
        raise ValueError(
            f"there is a dataset {name!r} already, and no watch into {folder} made it: choose another name"
        )


def load(folder: Path, name: str, model: Any, weights: Path, imgsz: int = 0) -> int:
    """Make the dataset, or add the frames that it lacks.

    The model's boxes are in ``predictions``; those that are listed have ``watch_error`` (``confident`` or
    ``uncertain``), ``watch_difficulty`` and ``watch_track``. Boxes of gaps, which the model did not see, are in
    ``watch_missed``. A frame has no ground truth: it counts as unlabelled until somebody labels it. Three saved
    views show the lists, likeliest first.

    Args:
        folder: what was written.
        name: of the dataset.
        model: the model, for the record of whose boxes these are.
        weights: its file.
        imgsz: the image size that was asked for; 0 for that of the model.

    Returns:
        The number of frames that were added.

    Raises:
        ValueError: if the folder holds no watch, or the dataset was made of something else.
    """
    check_name(name, folder)
    folder = folder.resolve()
    names = read_record(folder)["names"]
    dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name, persistent=True)
    dataset.info[MADE_BY], dataset.default_classes = str(folder), names
    dataset.save()
    with lease(dataset, f"field:{FIELD}", operator="hnm watch") as held:
        fields = {f"{of}.detections.{KEY}_{part}": (kind, "") for of in _FIELDS for part, kind in KINDS.items()}
        samples = {"source": (fo.StringField, ""), "frame": (fo.IntField, ""), "seconds": (fo.FloatField, "")}
        schema.declare(held, dataset, {**{of: (fo.Detections, "") for of in _FIELDS}, **samples, **fields})
        access.refresh(dataset)
        known = set(dataset.values("filepath"))
        new = [sample for sample in _samples(folder) if sample.filepath not in known]
        held.check()
        dataset.add_samples(new, progress=False)
        record = model_record.record_of(model, weights, LEAST_CONFIDENCE, imgsz or None)
        model_record.declare(held, dataset, FIELD, [{**record, "samples": len(known) + len(new)}])
    access.refresh(dataset)
    for of, error in LISTS.items():
        field = _MISSED if error == GAP else FIELD
        listed = dataset.filter_labels(field, F(f"{KEY}_error") == error)
        likeliest = F(f"{field}.detections").map(F(f"{KEY}_difficulty")).max()
        dataset.save_view(f"{KEY}_{of}", listed.sort_by(likeliest, reverse=True), overwrite=True)
    return len(new)


_MISSED = f"{KEY}_missed"
_FIELDS = (FIELD, _MISSED)


def _samples(folder: Path) -> Iterator[fo.Sample]:
    for number, piece in enumerate(pieces_of(folder), start=1):
        for frame in piece["frames"]:
            found = {_same(each["prediction"]): each for each in frame["proposals"]}
            boxes = [_detection(frame, box, found.get(_same(box)), number) for box in frame["predictions"]]
            gaps = [each for each in frame["proposals"] if each["error"] == GAP]
            missed = [_detection(frame, each["prediction"], each, number) for each in gaps]
            where = {"source": piece["clip"], "frame": frame["number"], "seconds": frame["seconds"]}
            fields = {FIELD: fo.Detections(detections=boxes), _MISSED: fo.Detections(detections=missed)}
            yield fo.Sample(str(folder / IMAGES / frame["image"]), **where, **fields)


def _detection(
    frame: Mapping[str, Any], box: Mapping[str, Any], found: Mapping[str, Any] | None, piece: int
) -> fo.Detection:
    (x0, y0, x1, y1), (width, height) = box["bbox"], frame["size"]
    place = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
    said = {}
    if found is not None:
        said = {f"{KEY}_error": found["error"], f"{KEY}_difficulty": found["difficulty"]}
        said[f"{KEY}_track"] = f"{piece}-{found['track']}"
    confidence = box["confidence"] or None  # nothing was seen in a gap
    return fo.Detection(label=box["class"], bounding_box=place, confidence=confidence, **said)


def _same(box: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*box["bbox"], box["class"], box["confidence"])
