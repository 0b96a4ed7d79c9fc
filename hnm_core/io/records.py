"""Convert dicts to tables and back: the boxes of one image as a list of dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..columns import Detections
from .classes import select_classes
from .flags import FLAG_OF_KIND, read_kinds

__all__ = ["Record", "RecordView", "read_image", "read_records", "rows_by_image", "to_records"]

Record = Mapping[str, Any]
"""``{"bbox": [x1, y1, x2, y2], "confidence": float, "class": str | int}``; a truth has no confidence."""

PREDICTION, TRUTH = "prediction", "ground truth"


def read_records(
    predictions: Sequence[Record], truth: Sequence[Record], image: str = "image", classes: Iterable[str] = ()
) -> tuple[Detections, Detections]:
    """Convert the dicts of one image to two tables, row ``i`` from dict ``i``.

    Args:
        predictions: dicts with ``bbox`` (``[x1, y1, x2, y2]``), ``confidence`` and ``class``.
        truth: the same without ``confidence``; a flag such as ``"crowd": True`` marks what does not count, see
            :mod:`hnm_core.io.flags`.
        image: key of the image.
        classes: further class names of the tables, which this image may not contain.

    Raises:
        ValueError: if a dict lacks a key or has an invalid value; the message names the dict and the key.

    Example:
        >>> p, t = read_records([{"bbox": [0, 0, 2, 2], "confidence": 0.9, "class": "cat"}], [])
        >>> p.classes, len(p), len(t)
        (('cat',), 1, 0)
    """
    for side, records, needed in (
        (PREDICTION, predictions, ("bbox", "confidence", "class")),
        (TRUTH, truth, ("bbox", "class")),
    ):
        _check(side, records, needed)
    labels = [_class(PREDICTION, i, r) for i, r in enumerate(predictions)]
    truth_labels = [_class(TRUTH, i, r) for i, r in enumerate(truth)]
    names = tuple(dict.fromkeys((*classes, *labels, *truth_labels)))
    number = {name: i for i, name in enumerate(names)}

    def table(side: str, records: Sequence[Record], of_rows: list[str], score: Any, kind: Any) -> Detections:
        return Detections(
            image=np.zeros(len(records), dtype=np.int64),
            xyxy=np.array([_box(side, i, r) for i, r in enumerate(records)], dtype=np.float64),
            label=np.array([number[name] for name in of_rows], dtype=np.int64),
            score=score,
            images=(image,),
            classes=names,
            kind=kind,
        )

    score = np.array([_confidence(i, r) for i, r in enumerate(predictions)], dtype=np.float64)
    kind = read_kinds(truth, TRUTH)
    return table(PREDICTION, predictions, labels, score, None), table(TRUTH, truth, truth_labels, None, kind)


def read_image(
    predictions: Sequence[Record],
    truth: Sequence[Record],
    second: Sequence[Record] | None,
    image: str,
    classes: Iterable[str] = (),
) -> tuple[Detections, Detections, Detections | None]:
    """Convert the dicts of one image as :func:`read_records` does, with those of a second model if there are any.

    Raises:
        ValueError: likewise; of the second model's dicts the message begins with ``second_predictions``.
    """
    if second is None:
        return (*read_records(predictions, truth, image, classes), None)
    try:
        seen, _ = read_records(second, (), image)
    except ValueError as error:
        raise ValueError(f"second_predictions: {error}") from None
    found, true = read_records(predictions, truth, image, (*classes, *seen.classes))
    return found, true, select_classes(seen, found.classes)


def rows_by_image(table: Detections) -> list[list[int]]:
    """Return the row numbers of every image, in the order of ``images``."""
    order = np.argsort(table.image, kind="stable")
    ends = np.cumsum(np.bincount(table.image, minlength=len(table.images)))
    return [rows.tolist() for rows in np.split(order, ends[:-1])] if len(ends) else []


def to_records(table: Detections, size: tuple[float, float] = (1.0, 1.0)) -> dict[str, list[Record]]:
    """Convert a table to dicts by image; an image without boxes has an empty list.

    Args:
        table: predictions or truths.
        size: factors for x and y: width and height of the images, to convert fractions to pixels.

    Example:
        >>> table = Detections([0], [[0.1, 0.2, 0.3, 0.4]], [0], None, images=["a", "b"], classes=["cat"])
        >>> to_records(table, size=(100, 50))
        {'a': [{'bbox': [10.0, 10.0, 30.0, 20.0], 'class': 'cat'}], 'b': []}
    """
    rows = RecordView(replace(table, xyxy=table.xyxy * np.array([*size, *size])))
    return {name: [rows[i] for i in of] for name, of in zip(table.images, rows_by_image(table), strict=True)}


class RecordView(Sequence[Record]):
    """A table as a sequence of dicts, which are created when they are read."""

    def __init__(self, table: Detections) -> None:
        self.table = table
        self._kinds = table.kinds().tolist()

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row: Any) -> Any:
        table = self.table
        record = {"bbox": table.xyxy[row].tolist(), "class": table.classes[table.label[row]]}
        if table.score is not None:
            record["confidence"] = float(table.score[row])
        if table.score is None and (flag := FLAG_OF_KIND.get(self._kinds[row])):
            record[flag] = True
        return record


def _class(side: str, i: int, record: Record) -> str:
    name = record["class"]
    if _is_flag(name) or not isinstance(name, (str, int, np.integer)):  # 0.0 and 0 would be two classes
        raise ValueError(f"{side} {i} has class {name!r} ({type(name).__name__}), expected a name or a whole number")
    return str(name)


def _box(side: str, i: int, record: Record) -> list[float]:
    try:
        box = [] if any(map(_is_flag, record["bbox"])) else [float(edge) for edge in record["bbox"]]
    except (TypeError, ValueError):
        box = []
    if len(box) != 4:
        raise ValueError(f"{side} {i} has bbox {record['bbox']!r}, expected four numbers [x1, y1, x2, y2]")
    return box


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _confidence(i: int, record: Record) -> float:
    value = record["confidence"]
    try:
        if not _is_flag(value):  # it says nothing of how sure a prediction is
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{PREDICTION} {i} has confidence {value!r}, expected a number in [0, 1]")


def _check(side: str, records: Iterable[Record], needed: tuple[str, ...]) -> None:
    if not isinstance(records, Sequence):  # what can be read only once has no place in a table
        raise ValueError(f"{side}s are a {type(records).__name__}, expected a list of dicts with {', '.join(needed)}")
    for i, record in enumerate(records):
        if not isinstance(record, (dict, Mapping)):  # dict first, because the check of Mapping is slow
            raise ValueError(f"{side} {i} is a {type(record).__name__}, expected a dict with {', '.join(needed)}")
        if not all(map(record.__contains__, needed)):
            missing = [key for key in needed if key not in record]
            raise ValueError(
                f"{side} {i} has no {' and no '.join(map(repr, missing))}; expected {', '.join(map(repr, needed))}, "
                f"got {', '.join(map(repr, record))}"
            )
