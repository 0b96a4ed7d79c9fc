"""COCO json: an annotation file and a list of results, to the two tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..boxes import xywh_to_xyxy
from ..columns import Detections

__all__ = ["read_coco"]

Rows = Sequence[Mapping[str, Any]]


def read_coco(truth: str | Path, predictions: str | Path) -> tuple[Detections, Detections]:
    """Predictions and ground truth from a COCO annotation file and a COCO results list.

    Images are named by ``file_name``, or by id where file names repeat; classes are the categories in the file's
    order. Boxes are in pixels. Annotations with ``iscrowd`` become crowd regions.

    Args:
        truth: json with ``images``, ``annotations``, ``categories``.
        predictions: json list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.

    Returns:
        ``(predictions, truth)``, both tables over the same images and classes.

    Raises:
        ValueError: if a file is not what it should be, or speaks of images or categories that the other has not.
        FileNotFoundError: if a file is not there.
    """
    truth, predictions = Path(truth), Path(predictions)
    world = _read_truth_file(truth)
    results = _read_results_file(predictions)
    image_row = {image["id"]: i for i, image in enumerate(world["images"])}
    class_row = {category["id"]: i for i, category in enumerate(world["categories"])}
    names = [str(image.get("file_name", image["id"])) for image in world["images"]]
    if len(set(names)) < len(names):
        names = [str(image["id"]) for image in world["images"]]
    classes = tuple(str(category["name"]) for category in world["categories"])

    def table(path: Path, rows: Rows, score: Any, ids: Any, crowd: Any) -> Detections:
        return Detections(
            image=_numbers(path, rows, "image_id", image_row, truth),
            xyxy=_boxes(path, rows),
            label=_numbers(path, rows, "category_id", class_row, truth),
            score=score,
            images=tuple(names),
            classes=classes,
            ids=ids,
            crowd=crowd,
        )

    annotations = world["annotations"]
    return (
        table(predictions, results, np.array([r["score"] for r in results], dtype=np.float64), None, None),
        table(
            *(truth, annotations, None),
            np.array([str(a.get("id", i)) for i, a in enumerate(annotations)], dtype=str),
            np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=bool),
        ),
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid json: {error}") from None


def _read_truth_file(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if isinstance(content, list):
        raise ValueError(f"{path} is a list, expected a COCO annotation file; are truth and predictions swapped?")
    missing = [key for key in ("images", "annotations", "categories") if key not in content]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}: not a COCO annotation file")
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


def _boxes(path: Path, rows: Rows) -> Any:
    bad = [i for i, row in enumerate(rows) if not isinstance(row["bbox"], Sequence) or len(row["bbox"]) != 4]
    if bad:
        raise ValueError(
            f"{path}: {len(bad)} of {len(rows)} boxes are not [x, y, w, h], first number {bad[0]}: "
            f"{rows[bad[0]]['bbox']}"
        )
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    negative = np.flatnonzero(~(boxes[:, 2:] >= 0).all(axis=1))
    if negative.size:
        raise ValueError(
            f"{path}: {negative.size} of {len(rows)} boxes have a negative width or height, or NaN, first number "
            f"{negative[0]}: {boxes[negative[0]].tolist()}. COCO boxes are [x, y, width, height]; are these corners?"
        )
    return xywh_to_xyxy(boxes)
