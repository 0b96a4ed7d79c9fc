"""Read and write COCO JSON: an annotation file and a list of results."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import area, xyxy_to_xywh
from ..columns import ROWS_AT_ONCE, Detections
from .categories import category_names, read_labels
from .classes import in_classes
from .coded import Coded, coded_by
from .doubts import overlapping_rows, say_doubts
from .flags import read_kinds, write_kind
from .image_ids import ImageIndex, named_images, rows_to_images
from .json_rows import (
    JsonRows,
    coded_ids,
    ids_of,
    read_boxes,
    read_results_file,
    read_scores,
    read_sizes,
    read_truth_file,
)
from .lvis import image_name, labelled_classes, write_labelled
from .model_names import read_model_names
from .names import check_names, with_article
from .shapes import mask_note, rotation_note

__all__ = ["coco_truth", "read_coco", "read_coco_results", "read_lvis", "write_coco"]


def read_coco(
    truth: str | Path,
    predictions: str | Path,
    *,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    prediction_names: str | Path | Sequence[str] | None = None,
) -> tuple[Detections, Detections]:
    """Read predictions and ground truth from a COCO annotation file and a COCO results list.

    Images are named by ``file_name``, or by id if file names repeat; classes are the categories in the order of the
    file. Boxes are in pixels. Annotations say what does not count by a flag, see :mod:`hnm_core.io.flags`; files of
    LVIS say which classes were checked in an image, see :mod:`hnm_core.io.lvis`. What a result says itself, its
    ``file_name`` and ``category_name``, is believed; else its ids are understood as :mod:`hnm_core.io.image_ids` and
    :mod:`hnm_core.io.categories` say. What can hardly be meant is said in warnings.

    Args:
        truth: JSON with ``images``, ``annotations``, ``categories``.
        predictions: JSON list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.
        class_map: prediction class → truth class, see :func:`~hnm_core.io.classes.in_classes`.
        classes: keep only boxes of these classes; None for all.
        prediction_names: the model's classes by number, or a ``data.yaml`` or ``.pt`` to take them from; None if the
            ids are those of the truth.

    Returns:
        ``(predictions, truth)``, both tables over the same images and classes.

    Raises:
        ValueError: if a file is not in the COCO format, or names images or categories that the other does not have.
        FileNotFoundError: if a file does not exist.
    """
    truth = Path(truth)
    content = read_truth_file(truth)
    return read_coco_results(
        Path(predictions),
        truth,
        content,
        coco_truth(truth, content)[0],
        class_map=class_map,
        classes=classes,
        prediction_names=prediction_names,
    )


def read_coco_results(
    predictions: Path,
    truth: Path,
    content: Mapping[str, Any],
    true: Detections,
    *,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    prediction_names: str | Path | Sequence[str] | None = None,
) -> tuple[Detections, Detections]:
    """Read the results that belong to an annotation file that is read already.

    Args:
        predictions: the results.
        truth: path of the annotation file, for messages.
        content: of the annotation file.
        true: its table, from :func:`coco_truth`.
        class_map: as for :func:`read_coco`, as all that follow, results and errors.
        classes: the same.
        prediction_names: the same.
    """
    results = read_results_file(predictions)
    xyxy = read_boxes(predictions, results)
    for note in (
        rotation_note(content["annotations"], truth),
        rotation_note(results, predictions),
        mask_note(results, predictions),
    ):
        if note:
            warnings.warn(note, stacklevel=3)
    boxes = Detections(
        image=_images_of_results(predictions, results, xyxy, content, truth, true),
        xyxy=xyxy,
        label=np.zeros(len(results), dtype=np.int64),
        score=read_scores(predictions, results),
        images=true.images,
        classes=("any",),
    )
    _refuse_corners(predictions, boxes, true)
    names = None if prediction_names is None else read_model_names(prediction_names)
    label, known = read_labels(
        *(predictions, truth, results, content["categories"], boxes, true), class_map=class_map, model_names=names
    )
    tables = in_classes(replace(boxes, label=label, classes=known), true, class_map, classes)
    say_doubts(*tables, true.classes, predictions, truth)
    return tables


read_lvis = read_coco
"""LVIS files are COCO files with more keys, which :func:`read_coco` finds."""


def _refuse_corners(path: Path, boxes: Detections, true: Detections) -> None:
    """Refuse results that lie on truths only if their last two numbers are read as a corner instead of a size.

    Raises:
        ValueError: if that is so.
    """
    blocks = (boxes.xyxy[start : start + ROWS_AT_ONCE] for start in range(0, len(boxes), ROWS_AT_ONCE))
    if len(boxes) and all((block[:, 2:] - block[:, :2] >= block[:, :2]).all() for block in blocks):
        corners = np.concatenate([boxes.xyxy[:, :2], boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]], axis=1)
        as_given, as_corners = (
            len(overlapping_rows(table, true)[0]) for table in (boxes, replace(boxes, xyxy=corners))
        )
        if as_corners > max(2 * as_given, 2):
            raise ValueError(
                f"{path}: {as_given} of {len(boxes)} boxes lie on a truth; read as corners x0 y0 x1 y1 {as_corners} "
                f"do. COCO boxes are [x, y, width, height]: subtract the first corner from the second"
            )


def coco_truth(path: Path, content: Mapping[str, Any]) -> tuple[Detections, NDArray[np.float64], list[str]]:
    """Return the ground truth of an annotation file, in pixels, with size and file name of its images.

    Args:
        path: of the file, for messages.
        content: as :func:`~hnm_core.io.json_rows.read_truth_file` reads it.

    Returns:
        The table as from :func:`read_coco`; ``(images, 2)`` width and height, NaN where the file has none; and the
        ``file_name`` of every image, which is also its key unless file names repeat.

    Raises:
        ValueError: if the file is not in the COCO format.
    """
    return _truth_of(path, content), read_sizes(path, content["images"]), _file_names(content)


def _truth_of(path: Path, content: Mapping[str, Any]) -> Detections:
    annotations = content["annotations"]
    names = _file_names(content)
    if len(set(names)) < len(names):
        names = [str(image["id"]) for image in content["images"]]
    check_names(names, path)
    class_row = _by_id(path, "categories", content["categories"])
    image = _numbers(path, annotations, "image_id", _by_id(path, "images", content["images"]))
    label = _numbers(path, annotations, "category_id", class_row)
    verified, not_exhaustive = labelled_classes(path, content, image, label)
    return Detections(
        image=image,
        xyxy=read_boxes(path, annotations),
        label=label,
        score=None,
        images=tuple(names),
        classes=tuple(category_names(content["categories"], annotations)),
        ids=_own_ids(coded_by(annotations, "id")),
        kind=read_kinds(annotations, str(path)),
        verified=verified,
        not_exhaustive=not_exhaustive,
    )


def _own_ids(ids: Coded) -> NDArray[np.str_]:
    """Return the id of every annotation as text, its number where it has none."""
    texts = ids.mapped(str)
    if None not in ids.values:
        return np.array(texts.values, dtype=str)[texts.code]
    return np.array([str(i) if ids[i] is None else text for i, text in enumerate(texts)], dtype=str)


def _file_names(content: Mapping[str, Any]) -> list[str]:
    return [image_name(image) for image in content["images"]]


def write_coco(
    predictions: Detections, truth: Detections, truth_path: str | Path, predictions_path: str | Path
) -> None:
    """Write both tables as the two files that :func:`read_coco` reads; boxes must be in pixels.

    Images and categories are numbered from 1 in the order of the tables; image keys become ``file_name``.
    """
    named = zip(truth.images, write_labelled(truth), strict=True)
    images = [{"id": i + 1, "file_name": name, **labelled} for i, (name, labelled) in enumerate(named)]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(truth.classes)]
    size = area(truth.xyxy).tolist()
    kinds = truth.kinds().tolist()
    annotations = [{**row, "id": i + 1, "area": size[i], **write_kind(kinds[i])} for i, row in enumerate(_rows(truth))]
    content = {"images": images, "annotations": annotations, "categories": categories}
    Path(truth_path).write_text(json.dumps(content), encoding="utf-8")
    if predictions.score is None:
        raise ValueError("the predictions have no score column; are predictions and ground truth swapped?")
    results = [{**row, "score": s} for row, s in zip(_rows(predictions), predictions.score.tolist(), strict=True)]
    Path(predictions_path).write_text(json.dumps(results), encoding="utf-8")


def _rows(table: Detections) -> list[dict[str, Any]]:
    columns = (table.image.tolist(), table.label.tolist(), xyxy_to_xywh(table.xyxy).tolist())
    return [{"image_id": i + 1, "category_id": c + 1, "bbox": box} for i, c, box in zip(*columns, strict=True)]


def _images_of_results(
    path: Path,
    rows: JsonRows,
    boxes: NDArray[np.float64],
    content: Mapping[str, Any],
    truth_path: Path,
    true: Detections,
) -> NDArray[np.int64]:
    """Return the image number of every result, see :mod:`hnm_core.io.image_ids`."""

    def overlaps(image: NDArray[np.int64]) -> int:
        n = len(image)
        trial = Detections(image, boxes, np.zeros(n, dtype=np.int64), np.zeros(n), true.images, ("any",))
        return len(overlapping_rows(trial, true)[0])

    given = [image.get("file_name") for image in content["images"]]
    names = [name if isinstance(name, str) else "" for name in given]
    index = ImageIndex(names, ids_of(truth_path, "images", content["images"], "id"))
    return rows_to_images(path, truth_path, *named_images(path, rows), index, overlaps)


def _by_id(path: Path, what: str, rows: JsonRows) -> dict[str, int]:
    number = {one: i for i, one in enumerate(ids_of(path, what, rows, "id"))}
    if len(number) < len(rows):
        raise ValueError(f"{path}: {len(rows) - len(number)} of {len(rows)} {what} have a repeated id")
    return number


def _numbers(path: Path, rows: JsonRows, key: str, number: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the place of what the annotations name by its id."""
    given = coded_by(rows, key)
    place = coded_ids(path, "annotations", given, key).numbers(lambda one: number.get(one, -1))
    unknown = np.flatnonzero(place < 0)
    if unknown.size:
        kind = "images" if key == "image_id" else "categories"
        known = list(number)[:5]
        raise ValueError(
            f"{path}: {unknown.size} of {len(rows)} boxes have {with_article(key)} that {path} does not list among its "
            f"{kind}, first {given[unknown[0]]!r}; listed are {', '.join(known)}"
            f"{' …' if len(number) > len(known) else ''}. Do the two files belong together?"
        )
    return place
