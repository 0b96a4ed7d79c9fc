"""Read predictions and ground truth whatever kind of files they are in; the kind is told from the content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..boxes import are_fractions
from ..columns import Detections
from .box_texts import has_corner_lines, read_box_csv, read_box_folder
from .categories import read_labels
from .classes import in_classes
from .coco import read_coco_results
from .coded import Coded, coded_by
from .data_yaml import check_stems
from .doubts import overlapping_rows, say_doubts
from .image_ids import ImageIndex, named_images, rows_to_images
from .json_rows import read_boxes, read_results_file, read_scores, read_truth_file
from .model_names import read_model_names
from .pictures import image_size, say_left_out
from .progress import Progress, silent
from .truth_files import COCO, YOLO, TruthFiles, kind_of, of_coco, of_yolo, read_truth_files
from .voc import BoxRows
from .yolo import read_prediction_files, read_yolo

__all__ = ["are_yolo_texts", "in_unit_of", "read_any", "read_predictions", "read_sources"]

Names = str | Path | Sequence[str] | None


def read_any(
    data: str | Path,
    predictions: str | Path,
    split: str = "train",
    *,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    prediction_names: Names = None,
    images: str | Path | None = None,
    progress: Progress = silent,
) -> tuple[Detections, Detections]:
    """Read predictions and ground truth of any kind of file; the two may be of different kinds.

    Args:
        data: ``data.yaml`` (YOLO), annotation json (COCO), a folder of XML files (Pascal VOC), a folder of ``class
            x0 y0 x1 y1 [difficult]`` texts, or a CSV file.
        predictions: a folder of YOLO texts, or of ``class score x0 y0 x1 y1`` texts, a COCO results json (Ultralytics'
            ``predictions.json``), or a CSV file.
        split: of a YOLO data set.
        class_map: prediction class → truth class, see :func:`~hnm_core.io.classes.in_classes`.
        classes: keep only boxes of these classes; None for all.
        prediction_names: the model's classes by number, or a file to take them from.
        images: root folder of the pictures, for COCO and CSV; None for the folder of the file.
        progress: shows the progress.

    Returns:
        ``(predictions, truth)``, both tables over the same images and classes, in the unit of the ground truth.

    Raises:
        ValueError: if files are not valid or do not belong together.
        FileNotFoundError: if a file does not exist.
    """
    found, truth, _ = read_sources(
        *(Path(data), Path(predictions), split),
        class_map=class_map,
        classes=classes,
        prediction_names=prediction_names,
        images=None if images is None else Path(images),
        progress=progress,
    )
    return found, truth


def read_sources(
    data: Path,
    predictions: Path,
    split: str = "train",
    *,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    prediction_names: Names = None,
    images: Path | None = None,
    progress: Progress = silent,
) -> tuple[Detections, Detections, TruthFiles]:
    """Read what :func:`read_any` does, and return the files of the ground truth too, so that none is read twice."""
    kind = kind_of(data)
    if kind != YOLO and split != "train":
        raise ValueError(f"{data} is {kind}, which has no splits: leave out --split, and give the file of {split!r}")
    if not predictions.exists():
        raise FileNotFoundError(f"there is no {predictions}")
    texts = are_yolo_texts(predictions)
    results = predictions.suffix.lower() == ".json" and not predictions.is_dir()
    if kind == COCO and results:
        content = read_truth_file(data)
        files = of_coco(data, content, images)
        tables = read_coco_results(
            *(predictions, data, content, files.table),
            class_map=class_map,
            classes=classes,
            prediction_names=prediction_names,
        )
        return (*tables, files)
    if kind == YOLO and texts:
        tables = read_yolo(
            *(data, split),
            predictions=predictions,
            class_map=class_map,
            classes=classes,
            prediction_names=prediction_names,
            progress=progress,
        )
        return (*tables, of_yolo(tables[1]))
    if kind == YOLO and not data.is_file():
        raise ValueError(f"{data} is not a file")
    truth = read_truth_files(data, split, images, progress)
    names = read_model_names(prediction_names) if prediction_names is not None else None
    found = read_predictions(predictions, data, truth, names, progress)
    tables = in_classes(in_unit_of(found, truth, predictions, texts), truth.table, class_map, classes)
    say_doubts(*tables, truth.table.classes, predictions, data)
    return (*tables, truth)


def read_predictions(
    source: Path, data: Path, truth: TruthFiles, names: tuple[str, ...] | None, progress: Progress = silent
) -> Detections:
    """Read predictions of any kind over the images of a ground truth; boxes keep their unit.

    Args:
        source: of the predictions, as for :func:`read_any`.
        data: of the ground truth, for messages.
        truth: the ground truth.
        names: the model's classes by number; None for those of the ground truth.
        progress: shows the progress of reading.

    Raises:
        ValueError: if a file is not valid.
        FileNotFoundError: if there is none.
    """
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    texts = are_yolo_texts(source)
    results = source.suffix.lower() == ".json" and not source.is_dir()
    if texts:
        if names is None and not truth.numbered:
            raise ValueError(_unnamed(source, data))
        found = _of_texts(source, truth, names, progress)
    elif results:
        found = _of_results(source, data, truth, names)
    elif source.is_dir():
        found = _of_rows(source, data, truth, read_box_folder(source, scored=True), names)
    elif source.suffix.lower() in (".csv", ".tsv"):
        found = _of_rows(source, data, truth, read_box_csv(source, scored=True), names)
    else:
        raise ValueError(
            f"{source} cannot be read as predictions: expected a folder of txt files, COCO results json, or CSV"
        )
    return found


def are_yolo_texts(source: Path) -> bool:
    """Return whether predictions are a folder of YOLO's texts, whose boxes are fractions."""
    return source.is_dir() and not has_corner_lines(source, scored=True)


def _overlaps(truth: Detections, boxes: NDArray[np.float64]) -> Callable[[NDArray[np.int64]], int]:
    def count(image: NDArray[np.int64]) -> int:
        none = np.zeros(len(image), dtype=np.int64)
        return len(
            overlapping_rows(Detections(image, boxes, none, np.zeros(len(image)), truth.images, ("any",)), truth)[0]
        )

    return count


def _unnamed(source: Path, data: Path) -> str:
    """Return what is said of class numbers whose meaning no file says."""
    return (
        f"{source} has classes as numbers, but {data} has class names: give the names of the model's classes in order "
        f"with --prediction-names"
    )


def _of_rows(source: Path, data: Path, truth: TruthFiles, rows: BoxRows, names: tuple[str, ...] | None) -> Detections:
    """Return the predictions of a text kind.

    Classes that are numbers mean the model's names, else those of a ``data.yaml``; a category id is no such number.

    Raises:
        ValueError: if a number means nothing.
    """
    places = list(rows.images)
    said = [places[i] for i in rows.image]
    boxes = np.array(rows.boxes, dtype=np.float64).reshape(-1, 4)
    index = ImageIndex(truth.names, truth.ids)
    none = Coded.of([None] * len(said))
    image = rows_to_images(source, data, Coded.of(said), none, index, _overlaps(truth.table, boxes))
    different = set(rows.names)
    if names is None and different and all(map(str.isdecimal, different)) and different.isdisjoint(truth.table.classes):
        if not truth.numbered or truth.ids is not None:
            raise ValueError(_unnamed(source, data))
        names = truth.table.classes
    words = [_named(word, names, source) for word in rows.names]
    classes = tuple(dict.fromkeys((*truth.table.classes, *words)))
    number = {name: i for i, name in enumerate(classes)}
    label = np.array([number[word] for word in words], dtype=np.int64)
    return Detections(image, boxes, label, np.array(rows.scores, dtype=np.float64), truth.table.images, classes)


def _named(word: str, names: tuple[str, ...] | None, source: Path) -> str:
    if names is None or word in names or not word.isdecimal():
        return word
    if int(word) >= len(names):
        raise ValueError(f"{source}: class {word}, but the model has {len(names)} class names")
    return names[int(word)]


def _of_results(source: Path, data: Path, truth: TruthFiles, names: tuple[str, ...] | None) -> Detections:
    """Return the predictions of a COCO results json, whose category ids are numbers of the model's classes."""
    rows = read_results_file(source)
    in_words = all(isinstance(name, str) for name in coded_by(rows, "category_name").values)
    if names is None and not truth.numbered and not in_words:
        raise ValueError(_unnamed(source, data))
    boxes = read_boxes(source, rows)
    index = ImageIndex(truth.names, truth.ids)
    image = rows_to_images(source, data, *named_images(source, rows), index, _overlaps(truth.table, boxes))
    found = Detections(
        *(image, boxes, np.zeros(len(rows), dtype=np.int64), read_scores(source, rows), truth.table.images, ("any",))
    )
    true = truth.table
    categories = [{"id": i, "name": name} for i, name in enumerate(true.classes)]
    xyxy, known = _scaled(found, truth, source, fractions=False)
    compared = Detections(image, xyxy, found.label, found.score, true.images, ("any",))
    label, classes = read_labels(*(source, data, rows, categories, compared, true), model_names=names or true.classes)
    return Detections(image, xyxy, label, found.score, true.images, classes).take(known)


def _of_texts(source: Path, truth: TruthFiles, names: tuple[str, ...] | None, progress: Progress) -> Detections:
    """Return the predictions of YOLO texts, whose classes are numbers of the model's classes."""
    stems = [Path(name or key) for name, key in zip(truth.names, truth.table.images, strict=True)]
    check_stems(stems)
    if not any((source / f"{stem.stem}.txt").exists() for stem in stems):
        raise FileNotFoundError(
            f"{source} has no prediction file for any of the {len(stems)} images, such as {stems[0].stem}.txt"
        )
    model = names or truth.table.classes
    return read_prediction_files(source, stems, truth.table.images, model, progress, given=names is not None)


def in_unit_of(found: Detections, truth: TruthFiles, source: Path, fractions: bool) -> Detections:
    """Return predictions in the unit of the truth, without those of images of unknown size.

    Raises:
        ValueError: if the size of no image is known.
    """
    xyxy, known = _scaled(found, truth, source, fractions)
    return replace(found, xyxy=xyxy).take(known)


def _scaled(
    found: Detections, truth: TruthFiles, source: Path, fractions: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the boxes in the unit of the truth, and the rows for which that is known.

    Sizes of images that no file gives are read from the pictures.

    Raises:
        ValueError: if the size of no image is known.
    """
    fractions = fractions or (len(found) > 0 and are_fractions(found.xyxy))
    if fractions == (truth.sizes is None) or not len(found) or (fractions and not len(truth.table)):
        return found.xyxy, np.ones(len(found), dtype=bool)
    sizes = np.full((len(truth.files), 2), np.nan) if truth.sizes is None else truth.sizes.copy()
    needed = np.unique(found.image)
    unread = []
    for at in (i for i in needed.tolist() if np.isnan(sizes[i]).any()):
        picture = truth.files[at]
        try:
            if picture is None:
                raise OSError("no picture")
            sizes[at] = image_size(picture)
        except (OSError, ValueError):
            unread.append(truth.table.images[at])
    if len(unread) == len(needed):
        units = ["as fractions of the image", "in pixels"]
        raise ValueError(
            f"{source} has boxes {units[not fractions]}, the labels have them {units[fractions]}, and the size of no "
            f"image is known, first {unread[0]}: give --images DIR, or labels with the sizes"
        )
    say_left_out("images are left out of the predictions", "their size can't be read", unread)
    known: NDArray[np.bool_] = np.asarray(~np.isnan(sizes[found.image]).any(axis=1))
    scale = np.where(known[:, None], np.tile(sizes[found.image], 2), 1.0)
    return np.asarray(found.xyxy * scale if fractions else found.xyxy / scale), known
