"""Read YOLO datasets: label files and prediction files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from .classes import in_classes
from .data_yaml import check_stems, image_names, read_data_yaml, text_name
from .doubts import say_doubts
from .label_files import find_labels
from .model_names import read_model_names
from .progress import Progress, part_of, silent
from .yaml_names import class_names, keypoint_shape
from .yolo_boxes import read_boxes
from .yolo_lines import RowKind

__all__ = ["read_prediction_files", "read_split_truth", "read_yolo", "read_yolo_truth"]

LEAST_WHOLE = 3
"""Predictions from which it is said that all confidences are whole numbers (chosen)."""


def read_yolo(
    data: str | Path,
    split: str = "train",
    *,
    predictions: str | Path,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    prediction_names: str | Path | Sequence[str] | None = None,
    progress: Progress = silent,
) -> tuple[Detections, Detections]:
    """Read predictions and ground truth of one split of a YOLO dataset.

    Boxes stay fractions of the image side, as YOLO writes them; images are named by their path. Polygons are
    replaced by their bounding box, keypoints (``kpt_shape``) and track ids are left out. What can hardly be meant is
    said in warnings.

    Args:
        data: ``data.yaml``; a relative ``path:`` is resolved beside it, then in the working directory.
        split: ``train``, ``val`` or ``test``.
        predictions: folder of ``<image>.txt`` with lines ``class x y w h confidence``, as Ultralytics writes with
            ``save_txt=True, save_conf=True``; an image without a file has no predictions.
        class_map: prediction class → truth class, see :func:`~hnm_core.io.classes.in_classes`.
        classes: keep only boxes of these classes; None for all.
        prediction_names: the model's classes by number, or a ``data.yaml`` or ``.pt`` to take them from; None if they
            are those of ``data``.
        progress: shows the progress of reading.

    Returns:
        ``(predictions, truth)``, both tables over the same images and classes.

    Raises:
        ValueError: if a file is not valid; the message names file and line.
        FileNotFoundError: if the data, the images of the split, or the predictions do not exist.
        ImportError: if PyYAML is missing.
    """
    data, folder = Path(data), Path(predictions)
    config = read_data_yaml(data)
    images = image_names(data, split, config)
    known, keypoints = class_names(data, config), keypoint_shape(data, config)
    model = known if prediction_names is None else read_model_names(prediction_names)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of predictions at {folder}")
    check_stems(images)
    _check_files(folder, images, split)
    names = tuple(images)
    first, second = part_of(progress, 0, 0.5), part_of(progress, 0.5, 1)
    found = read_prediction_files(folder, images, names, model, first, keypoints, given=prediction_names is not None)
    truth = read_split_truth(data, split, names, config, second)
    tables = in_classes(found, truth, class_map, classes)
    say_doubts(*tables, known, folder, data)
    return tables


def read_prediction_files(
    folder: Path,
    images: Sequence[Path | str],
    keys: Sequence[str],
    classes: tuple[str, ...],
    progress: Progress = silent,
    keypoints: tuple[int, int] | None = None,
    *,
    given: bool = False,
) -> Detections:
    """Read the predictions of some images from a folder of YOLO texts, boxes as fractions of the image.

    Args:
        folder: of ``<image>.txt``; an image without a file has no predictions.
        images: names of the images, for the names of the files.
        keys: the images' keys in the table.
        classes: the model's classes by number.
        progress: shows the progress of reading.
        keypoints: ``kpt_shape`` of ``data.yaml``; None without keypoints.
        given: whether the classes were given for the predictions alone, for messages.

    Raises:
        ValueError: if a file is not valid; the message names file and line.
    """
    kind = RowKind(len(classes), True, keypoints, "--prediction-names" if given else "data.yaml")
    found = read_boxes(_texts_of(folder, images), kind, progress)
    if len(found.score) >= LEAST_WHOLE and np.isin(found.score, (0.0, 1.0)).all():
        warnings.warn(
            f"{folder}: all {len(found.score)} confidences are whole numbers; are they track ids? Predict with "
            f"save_conf=True",
            stacklevel=3,
        )
    found.say_polygons(folder, "predictions")
    return Detections(found.image, found.xyxy, found.label, found.score, tuple(keys), classes)


def read_split_truth(
    data: Path, split: str, images: Sequence[str], config: Mapping[str, Any], progress: Progress = silent
) -> Detections:
    """Read the ground truth of a split, and warn of what its label files lack.

    Args:
        data: ``data.yaml``.
        split: one of its splits.
        images: the split's images.
        config: the content of ``data.yaml``.
        progress: shows the progress of reading.

    Raises:
        ValueError: if a file is not valid; the message names file and line.
        FileNotFoundError: if there is no image of the split, and no label file of one.
    """
    labels = find_labels(images)
    if len(labels.missing) == len(images) and not any(map(os.path.exists, images)):
        raise FileNotFoundError(
            f"{data}: none of the {len(images)} images of {split!r} exists, and none has a label file, first "
            f"{images[0]}: correct the paths, or the place that they start from"
        )
    for note in labels.notes(f"images of {split!r}"):
        warnings.warn(note, stacklevel=3)
    known = class_names(data, config)
    truth = read_boxes(labels.files, RowKind(len(known), False, keypoint_shape(data, config)), progress)
    truth.say_polygons(data, "labels")
    return Detections(truth.image, truth.xyxy, truth.label, None, tuple(images), known)


def read_yolo_truth(
    images: Sequence[Path | str],
    classes: tuple[str, ...],
    progress: Progress = silent,
    keypoints: tuple[int, int] | None = None,
) -> Detections:
    """Read the ground truth of some images of a YOLO dataset from their label files.

    Args:
        images: paths of the images.
        classes: all class names of ``data.yaml``.
        progress: shows the progress of reading.
        keypoints: ``kpt_shape`` of ``data.yaml``, None without keypoints.

    Raises:
        ValueError: if a file is not valid; the message names file and line.
    """
    read = read_boxes(find_labels(images).files, RowKind(len(classes), False, keypoints), progress)
    return Detections(read.image, read.xyxy, read.label, None, tuple(map(str, images)), classes)


def _texts_of(folder: Path, images: Sequence[Path | str]) -> list[str]:
    """Return the prediction file of every image, as text: paths take longer to make than to read."""
    beside = str(folder / "_").removesuffix("_")
    return [beside + text_name(os.path.basename(image)) for image in images]


def _check_files(folder: Path, images: Sequence[str], split: str) -> None:
    """Check that there are prediction files of the images, and say if most are of other images.

    Raises:
        FileNotFoundError: if there is none.
    """
    texts = {name for name in os.listdir(folder) if name.endswith(".txt")}
    names = [text_name(os.path.basename(image)) for image in images]
    there = len(texts.intersection(names))
    if not there:
        inside = folder / "labels"
        raise FileNotFoundError(
            f"{folder} has no prediction file for any of the {len(images)} images of {split!r}, expected names like "
            f"{names[0]}; "
            + (f"give {inside}" if inside.is_dir() else "predict on this split with save_txt=True, save_conf=True")
        )
    if there * 2 <= len(images):
        every = {name for name in texts if not name.startswith(".")}
        others = len(every.difference(names))
        if others * 2 >= len(every):
            warnings.warn(
                f"{folder}: {others} of {len(every)} prediction files belong to no image of {split!r}, and only "
                f"{there} of its {len(images)} images have one; are they of another split?",
                stacklevel=3,
            )
