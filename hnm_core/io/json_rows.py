"""Read the lists of rows in COCO JSON files, and check their keys, ids and numbers."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import ROWS_AT_ONCE
from .coded import Coded, coded_by
from .json_columns import JsonColumns
from .json_stream import stream_results, stream_truth
from .names import with_article
from .numbers import id_text, read_columns, read_numbers

__all__ = [
    "JsonRows",
    "coded_ids",
    "ids_of",
    "read_boxes",
    "read_json",
    "read_results_file",
    "read_scores",
    "read_sizes",
    "read_truth_file",
]

LARGEST = 1e7
"""Largest coordinate in pixels that a box may have: no picture is that large (chosen)."""

SIDES = ("width", "height")

JsonRows = Sequence[Mapping[str, Any]]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ValueError: if it is not valid JSON in UTF-8, or nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be a COCO file") from None


def read_truth_file(path: Path) -> dict[str, Any]:
    """Return the content of an annotation file, its three lists checked for their keys.

    Raises:
        ValueError: if it is no annotation file.
    """
    content = stream_truth(path)
    if content is None:
        content = read_json(path)
    if isinstance(content, list):
        raise ValueError(f"{path} is a list, expected a COCO annotation file; are truth and predictions swapped?")
    known = content if isinstance(content, dict) else {}
    needed = {"images": ("id",), "categories": ("id", "name"), "annotations": ("image_id", "category_id", "bbox")}
    missing = [key for key in ("images", "annotations", "categories") if key not in known]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}: it is not a COCO annotation file")
    for what, keys in needed.items():
        if isinstance(content[what], JsonColumns):
            continue
        if not isinstance(content[what], list):
            raise ValueError(f"{path}: {what} is {reprlib.repr(content[what])}, expected a list")
        _check_keys(path, what, content[what], keys)
    names = [category["name"] for category in content["categories"]]
    odd = [i for i, name in enumerate(names) if isinstance(name, bool) or not isinstance(name, (str, int, float))]
    if odd:
        raise ValueError(
            f"{path}: {len(odd)} of {len(names)} categories have a name that is no text, first number {odd[0]}: "
            f"{reprlib.repr(names[odd[0]])}"
        )
    return dict(content)


def read_results_file(path: Path) -> JsonRows:
    """Return the rows of a results file; each names its image and its category, by id or by name.

    Raises:
        ValueError: if it is no results file.
    """
    streamed = stream_results(path)
    if streamed is not None:
        return streamed
    content = read_json(path)
    if not isinstance(content, list):
        keys = ", ".join(map(repr, list(content)[:4])) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path} is not a COCO results list: expected a JSON list of image_id, category_id, bbox, score, found "
            f"{keys}. Is it an annotation file?"
        )
    _check_keys(path, "results", content, ("bbox", "score"))
    for key, instead in (("image_id", "file_name"), ("category_id", "category_name")):
        _check_keys(path, "results", content, (key,), instead)
    return content


def ids_of(path: Path, what: str, rows: JsonRows, key: str) -> list[str]:
    """Return the ids under a key as text.

    Raises:
        ValueError: if some are neither a whole number nor text.
    """
    return list(coded_ids(path, what, coded_by(rows, key), key))


def coded_ids(path: Path, what: str, given: Coded, key: str) -> Coded:
    """Return ids as text.

    Args:
        path: of the file, for messages.
        what: the rows are, for messages.
        given: the ids.
        key: that they stand under, for messages.

    Raises:
        ValueError: if some are neither a whole number nor text.
    """
    ids = given.mapped(id_text)
    bad = np.flatnonzero(ids.numbers(lambda one: one is None, bool))
    if bad.size:
        raise ValueError(
            f"{path}: {bad.size} of {len(given)} {what} have {with_article(key)} that is neither a whole number "
            f"nor text, first number {bad[0]}: {reprlib.repr(given[bad[0]])}"
        )
    return ids


def read_scores(path: Path, rows: JsonRows) -> NDArray[np.float64]:
    """Return the scores, ``(n,)`` float64.

    Raises:
        ValueError: if some are no numbers in [0, 1].
    """
    if isinstance(rows, JsonColumns) and rows.scores is not None:
        scores = rows.scores
    else:
        scores, bad = read_numbers([row["score"] for row in rows])
        if bad:
            raise ValueError(
                f"{path}: {len(bad)} of {len(rows)} results have a score that is not a number, first number {bad[0]}: "
                f"{reprlib.repr(rows[bad[0]]['score'])}"
            )
    outside = np.flatnonzero(~((scores >= 0) & (scores <= 1)))  # NaN too
    if outside.size:
        hint = "" if np.isnan(scores[outside[0]]) else ". Are they percentages or logits?"
        raise ValueError(
            f"{path}: {outside.size} of {len(rows)} results have a score outside [0, 1], first number {outside[0]}: "
            f"{float(scores[outside[0]])!r}{hint}"
        )
    return scores


def read_boxes(path: Path, rows: JsonRows) -> NDArray[np.float64]:
    """Return the boxes ``x y w h`` as corners, ``(n, 4)`` float64.

    Raises:
        ValueError: if some are not four numbers, or have a negative size.
    """
    if isinstance(rows, JsonColumns):
        boxes = rows.take_boxes()
    else:
        given = [row["bbox"] for row in rows]
        boxes, bad = read_columns(given, 4)
        if bad:
            raise ValueError(
                f"{path}: {len(bad)} of {len(rows)} boxes are not [x, y, w, h], first number {bad[0]}: "
                f"{reprlib.repr(given[bad[0]])}"
            )
    negative = _rows_where(boxes, lambda some: ~(some[:, 2:] >= 0).all(axis=1))
    if negative.size:
        raise ValueError(
            f"{path}: {negative.size} of {len(rows)} boxes have a negative width or height, or NaN, first number "
            f"{negative[0]}: {boxes[negative[0]].tolist()}. COCO boxes are [x, y, width, height]; are these corners?"
        )
    absurd = _rows_where(boxes, lambda some: ~((some <= LARGEST) & (some >= -LARGEST)).all(axis=1))
    if absurd.size:
        raise ValueError(
            f"{path}: {absurd.size} of {len(rows)} boxes reach beyond {LARGEST:.0e} pixels, or are NaN or infinite, "
            f"first number {absurd[0]}: {boxes[absurd[0]].tolist()}"
        )
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _rows_where(boxes: NDArray[np.float64], wrong: Callable[[NDArray[np.float64]], Any]) -> NDArray[np.int64]:
    """Return the rows for which something holds, asked block by block, so that no array is as large as the boxes."""
    starts = range(0, len(boxes), ROWS_AT_ONCE)
    found = (start + np.flatnonzero(wrong(boxes[start : start + ROWS_AT_ONCE])) for start in starts)
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])


def read_sizes(path: Path, images: JsonRows) -> NDArray[np.float64]:
    """Return width and height of images, ``(n, 2)`` float64; NaN where the file has none, or 0.

    Raises:
        ValueError: if some are no positive numbers.
    """
    given = [np.nan if (value := image.get(side)) in (None, 0) else value for image in images for side in SIDES]
    sizes, bad = read_numbers(given)
    bad = sorted({at // 2 for at in [*bad, *np.flatnonzero((sizes < 0) | np.isinf(sizes)).tolist()]})
    if bad:
        found = [images[bad[0]].get(side) for side in SIDES]
        raise ValueError(
            f"{path}: {len(bad)} of {len(images)} images have a width or height that is no positive number, first "
            f"number {bad[0]}: {reprlib.repr(found)}"
        )
    return sizes.reshape(-1, 2)


def _check_keys(path: Path, what: str, rows: JsonRows, keys: tuple[str, ...], instead: str | None = None) -> None:
    for key in keys:
        bad = [i for i, row in enumerate(rows) if not isinstance(row, Mapping) or not (key in row or instead in row)]
        if bad:
            raise ValueError(f"{path}: {len(bad)} of {len(rows)} {what} have no {key!r}, first number {bad[0]}")
