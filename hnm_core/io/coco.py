"""COCO json: an annotation file and a list of results, to the two tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import area, xywh_to_xyxy, xyxy_to_xywh
from ..columns import Detections
from .categories import read_labels
from .classes import in_classes
from .names import check_names

__all__ = ["read_coco", "read_coco_truth", "write_coco"]

Rows = Sequence[Mapping[str, Any]]


def read_coco(
    truth: str | Path,
    predictions: str | Path,
    *,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[Detections, Detections]:
    """Predictions and ground truth from a COCO annotation file and a COCO results list.

    Images are named by ``file_name``, or by id where file names repeat; classes are the categories in the file's
    order. Boxes are in pixels. Annotations with ``iscrowd`` become crowd regions. Results may name images by the file
    name without suffix, and categories by class index (+ 1), as Ultralytics does: see :mod:`hnm_core.io.categories`.

    Args:
        truth: json with ``images``, ``annotations``, ``categories``.
        predictions: json list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.
        class_map: prediction class → truth class, see :func:`~hnm_core.io.classes.in_classes`.
        classes: keep the boxes of these classes alone; None for all.

    Returns:
        ``(predictions, truth)``, both tables over the same images and classes.

    Raises:
        ValueError: if a file is not what it should be, or speaks of images or categories that the other has not.
        FileNotFoundError: if a file is not there.
    """
    truth, predictions = Path(truth), Path(predictions)
    world = _read_truth_file(truth)
    results, true = _read_results_file(predictions), _truth_of(truth, world)
    boxes = Detections(
        image=_images(predictions, results, world["images"], truth),
        xyxy=_boxes(predictions, results),
        label=np.zeros(len(results), dtype=np.int64),
        score=_scores(predictions, results),
        images=true.images,
        classes=("any",),
    )
    ids = [r["category_id"] for r in results]
    label = read_labels(predictions, truth, ids, world["categories"], boxes, true)
    return in_classes(replace(boxes, label=label, classes=true.classes), true, class_map, classes)


def read_coco_truth(path: str | Path) -> tuple[Detections, NDArray[np.float64], list[str]]:
    """The ground truth of a COCO annotation file, in pixels, and the size and file of its images.

    Returns:
        The table, as :func:`read_coco` gives it, ``(images, 2)`` width and height, NaN where the file has none, and
        the ``file_name`` of every image, which is its key too unless file names repeat.

    Raises:
        ValueError: if the file is not what it should be.
        FileNotFoundError: if it is not there.
    """
    path = Path(path)
    world = _read_truth_file(path)
    sizes = [[image.get("width") or np.nan, image.get("height") or np.nan] for image in world["images"]]
    return _truth_of(path, world), np.array(sizes, dtype=np.float64).reshape(-1, 2), _file_names(world)


def _truth_of(path: Path, world: Mapping[str, Any]) -> Detections:
    annotations = world["annotations"]
    names = _file_names(world)
    if len(set(names)) < len(names):
        names = [str(image["id"]) for image in world["images"]]
    check_names(names, path)
    class_row = _by_id(path, "categories", world["categories"])
    return Detections(
        image=_images(path, annotations, world["images"], path),
        xyxy=_boxes(path, annotations),
        label=_numbers(path, annotations, "category_id", class_row, path),
        score=None,
        images=tuple(names),
        classes=tuple(str(category["name"]) for category in world["categories"]),
        ids=np.array([str(a.get("id", i)) for i, a in enumerate(annotations)], dtype=str),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=bool),
    )


def _file_names(world: Mapping[str, Any]) -> list[str]:
    return [str(image.get("file_name", image["id"])) for image in world["images"]]


def write_coco(
    predictions: Detections, truth: Detections, truth_path: str | Path, predictions_path: str | Path
) -> None:
    """Both tables as the two files that :func:`read_coco` reads; boxes must be in pixels.

    Images and categories are numbered from 1 in the order of the tables; image keys become ``file_name``.
    """
    images = [{"id": i + 1, "file_name": name} for i, name in enumerate(truth.images)]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(truth.classes)]
    size = area(truth.xyxy).tolist()
    crowd = truth.is_crowd().tolist()
    annotations = [
        {**row, "id": i + 1, "area": size[i], "iscrowd": int(crowd[i])} for i, row in enumerate(_rows(truth))
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    Path(truth_path).write_text(json.dumps(content), encoding="utf-8")
    if predictions.score is None:
        raise ValueError("the predictions have no score column; are predictions and ground truth swapped?")
    results = [{**row, "score": s} for row, s in zip(_rows(predictions), predictions.score.tolist(), strict=True)]
    Path(predictions_path).write_text(json.dumps(results), encoding="utf-8")


def _rows(table: Detections) -> list[dict[str, Any]]:
    columns = (table.image.tolist(), table.label.tolist(), xyxy_to_xywh(table.xyxy).tolist())
    return [{"image_id": i + 1, "category_id": c + 1, "bbox": box} for i, c, box in zip(*columns, strict=True)]


def _images(path: Path, rows: Rows, images: Rows, truth: Path) -> Any:
    """Image number of every row: by id, or by the file's name without suffix, as Ultralytics writes it."""
    number = _by_id(truth, "images", images)
    if any(row["image_id"] not in number for row in rows):
        stems = {Path(str(image.get("file_name", ""))).stem: i for i, image in enumerate(images)}
        if all(str(row["image_id"]) in stems for row in rows) and len(stems) == len(images):
            return np.array([stems[str(row["image_id"])] for row in rows], dtype=np.int64)
    return _numbers(path, rows, "image_id", number, truth)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid json: {error}") from None


def _read_truth_file(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if isinstance(content, list):
        raise ValueError(f"{path} is a list, expected a COCO annotation file; are truth and predictions swapped?")
    known = content if isinstance(content, dict) else {}
    missing = [key for key in ("images", "annotations", "categories") if key not in known]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}: not a COCO annotation file")
    _check_keys(path, "images", content["images"], ("id",))
    _check_keys(path, "categories", content["categories"], ("id", "name"))
    _check_keys(path, "annotations", content["annotations"], ("image_id", "category_id", "bbox"))
    return dict(content)


def _read_results_file(path: Path) -> Rows:
    content = _read_json(path)
    if not isinstance(content, list):
        keys = ", ".join(map(repr, list(content)[:4])) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path} is no COCO results list: expected a json list of image_id, category_id, bbox, score, found "
            f"{keys}. Is it an annotation file?"
        )
    _check_keys(path, "results", content, ("image_id", "category_id", "bbox", "score"))
    return content


def _check_keys(path: Path, what: str, rows: Rows, keys: tuple[str, ...]) -> None:
    for key in keys:
        bad = [i for i, row in enumerate(rows) if not isinstance(row, Mapping) or key not in row]
        if bad:
            raise ValueError(f"{path}: {len(bad)} of {len(rows)} {what} have no {key!r}, first number {bad[0]}")


def _by_id(path: Path, what: str, rows: Rows) -> dict[Any, int]:
    number = {row["id"]: i for i, row in enumerate(rows)}
    if len(number) < len(rows):
        raise ValueError(f"{path}: {len(rows) - len(number)} of {len(rows)} {what} have the id of another")
    return number


def _numbers(path: Path, rows: Rows, key: str, number: Mapping[Any, int], truth: Path) -> Any:
    unknown = Counter(row[key] for row in rows if row[key] not in number)
    if unknown:
        kind = "images" if key == "image_id" else "categories"
        known = list(number)[:5]
        raise ValueError(
            f"{path}: {sum(unknown.values())} of {len(rows)} boxes have a {key} that {truth} does not list among its "
            f"{kind}, first {next(iter(unknown))!r}; listed are {', '.join(map(repr, known))}"
            f"{' …' if len(number) > len(known) else ''}. Do the two files belong together?"
        )
    return np.array([number[row[key]] for row in rows], dtype=np.int64)


def _scores(path: Path, rows: Rows) -> Any:
    given = [row["score"] for row in rows]
    scores = _floats(given, (len(rows),))
    if scores is None:
        bad = [i for i, score in enumerate(given) if _floats([score], (1,)) is None]
        raise ValueError(
            f"{path}: {len(bad)} of {len(rows)} results have a score that is no number, first number {bad[0]}: "
            f"{given[bad[0]]!r}"
        )
    return scores


def _boxes(path: Path, rows: Rows) -> Any:
    given = [row["bbox"] for row in rows]
    boxes = _floats(given, (len(rows), 4))
    if boxes is None:
        bad = [i for i, box in enumerate(given) if _floats([box], (1, 4)) is None]
        raise ValueError(
            f"{path}: {len(bad)} of {len(rows)} boxes are not [x, y, w, h], first number {bad[0]}: {given[bad[0]]!r}"
        )
    negative = np.flatnonzero(~(boxes[:, 2:] >= 0).all(axis=1))
    if negative.size:
        raise ValueError(
            f"{path}: {negative.size} of {len(rows)} boxes have a negative width or height, or NaN, first number "
            f"{negative[0]}: {boxes[negative[0]].tolist()}. COCO boxes are [x, y, width, height]; are these corners?"
        )
    return xywh_to_xyxy(boxes)


def _floats(values: list[Any], shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """The values as an array of that shape, or None where they are something else."""
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if not values:
        return numbers.reshape(shape)
    return numbers if numbers.shape == shape else None
