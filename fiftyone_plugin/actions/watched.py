"""Make a FiftyOne dataset of the frames that a watch has kept, or add to it those that are new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fiftyone as fo

from hnm_core.live.pieces import IMAGES, pieces_of

from ..store import access, schema
from ..store.lock import lease

__all__ = ["MADE_BY", "TRACK", "add_frames", "check_name", "folder_of", "fractions", "same", "track_of"]

MADE_BY = "hnm_watch"
"""Key in the ``info`` of a dataset: the folder of the watch that it was made of."""

TRACK = "track"
"""Attribute of what is listed: boxes of one track have the same."""


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


def add_frames(
    folder: Path,
    name: str,
    field: str,
    classes: Sequence[str],
    kinds: Mapping[str, Any],
    where: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    *,
    persistent: bool,
    operator: str,
) -> tuple[fo.Dataset, int]:
    """Make the dataset of the frames in a folder, or add those that it lacks.

    Args:
        folder: what a watch has written.
        name: of the dataset.
        field: gets the boxes of the model.
        classes: names of its classes.
        kinds: fields of a sample, beside ``frame`` and ``seconds``, that say where it comes from: their types.
        where: returns their values for a piece.
        persistent: whether a new dataset is.
        operator: what writes.

    Returns:
        The dataset and the number of frames that were added.

    Raises:
        ValueError: if the dataset was made of something else, or a file of the folder is damaged.
    """
    check_name(name, folder)
    folder = folder.resolve()
    dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name)
    dataset.persistent, dataset.default_classes = persistent, list(classes)
    dataset.info[MADE_BY] = str(folder)
    dataset.save()
    with lease(dataset, f"field:{field}", operator=operator) as held:
        told = {**kinds, "frame": fo.IntField, "seconds": fo.FloatField, f"{field}.detections.{TRACK}": fo.StringField}
        schema.declare(held, dataset, {field: (fo.Detections, ""), **{of: (kind, "") for of, kind in told.items()}})
        access.refresh(dataset)
        there = set(dataset.values("filepath"))
        new = [sample for sample in _samples(folder, field, where) if sample.filepath not in there]
        held.check()
        dataset.add_samples(new, progress=False)
    access.refresh(dataset)
    return dataset, len(new)


def _samples(folder: Path, field: str, where: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Iterator[fo.Sample]:
    for number, piece in enumerate(pieces_of(folder), start=1):
        for frame in piece["frames"]:
            listed = {same(each["prediction"]): {TRACK: track_of(number, each)} for each in frame["proposals"]}
            boxes = [
                fo.Detection(
                    label=box["class"],
                    bounding_box=fractions(box, frame),
                    confidence=box["confidence"],
                    **listed.get(same(box), {}),
                )
                for box in frame["predictions"]
            ]
            told = {**where(piece), "frame": frame["number"], "seconds": frame["seconds"]}
            yield fo.Sample(str(folder / IMAGES / frame["image"]), **{field: fo.Detections(detections=boxes)}, **told)


def track_of(piece: int, proposal: Mapping[str, Any]) -> str:
    """Return a name of the track of a proposal that no other piece has."""
    return f"{piece}-{proposal['track']}"


def fractions(box: Mapping[str, Any], frame: Mapping[str, Any]) -> list[float]:
    """Return ``x y width height`` of a box as fractions of its frame."""
    (x0, y0, x1, y1), (width, height) = box["bbox"], frame["size"]
    return [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]


def same(box: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a box and the proposal of it have in common."""
    return (*box["bbox"], box["class"], box["confidence"])
